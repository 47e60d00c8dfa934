#include "input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../common/scope.h"

/* As the shim's limit for config.json. Docker's default profile has 13 KiB, recorded ones of large programs 100. */
#define INPUT_MAX (4 * 1024 * 1024)
/* Two bytes for every negative number, of which there is at most one in three bytes. */
#define ROOM (INPUT_MAX * 2)

static int read_all(int fd, char *text, size_t *length, struct error *err)
{
	size_t used = 0;

	for (;;) {
		ssize_t got = read(fd, text + used, INPUT_MAX + 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "seccomp", "", "cannot read the profile");
		if (got == 0)
			break;
		used += (size_t)got;
		if (used > INPUT_MAX)
			return error_set(err, EFBIG, "seccomp", "", "the profile is larger than %d bytes", INPUT_MAX);
	}
	*length = used;
	return 0;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* True for an integer in (2^63 - 1, 2^64 - 1]; `value` is then set. */
static bool beyond_signed(const char *digits, size_t count, uint64_t *value)
{
	*value = 0;
	if (count < 19 || count > 20)
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t digit = (uint64_t)(digits[i] - '0');

		if (*value > (UINT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
	}
	return *value > INT64_MAX;
}

/* Copies the `count` digits at `at`, behind which stands `next`, and returns how many bytes that makes. */
static size_t fold_number(const char *text, size_t at, size_t count, char next, char *out)
{
	char before = at > 0 ? text[at - 1] : ' ';
	bool part_of_real = strchr(".eE+", before) != NULL || (before == '-' && at > 1 && strchr("eE", text[at - 2]) != NULL) ||
			    (next != '\0' && strchr(".eE", next) != NULL);
	uint64_t value;

	if (!part_of_real && before != '-' && beyond_signed(text + at, count, &value))
		return (size_t)snprintf(out, 22, "%lld", (long long)value);
	memcpy(out, text + at, count);
	if (part_of_real || before != '-')
		return count;
	memcpy(out + count, ".0", 2);
	return count + 2;
}

/*
 * Arguments of system calls are unsigned 64-bit numbers, the JSON library's integers signed ones. Those that do not fit
 * are handed to it as the negative number with the same bits, and negative numbers as reals, which no member takes.
 */
static size_t fold_numbers(const char *text, size_t length, char *out)
{
	bool in_string = false;
	size_t to = 0;

	for (size_t at = 0; at < length;) {
		size_t run = 0;

		while (!in_string && at + run < length && is_digit(text[at + run]))
			run++;
		if (run > 0) {
			to += fold_number(text, at, run, at + run < length ? text[at + run] : '\0', out + to);
			at += run;
			continue;
		}
		if (in_string && text[at] == '\\' && at + 1 < length)
			out[to++] = text[at++];
		else if (text[at] == '"')
			in_string = !in_string;
		out[to++] = text[at++];
	}
	return to;
}

int input_read(int fd, json_t **out, struct error *err)
{
	scope_free char *text = malloc(INPUT_MAX + 1);
	scope_free char *folded = malloc(ROOM);
	size_t length = 0;
	json_error_t problem;
	int ret;

	if (text == NULL || folded == NULL)
		return error_set(err, ENOMEM, "seccomp", "", "no memory for the profile");
	if ((ret = read_all(fd, text, &length, err)) < 0)
		return ret;
	length = fold_numbers(text, length, folded);
	*out = json_loadb(folded, length, JSON_REJECT_DUPLICATES, &problem);
	if (*out == NULL)
		return error_set(err, EINVAL, "seccomp", "", "not valid JSON: line %d, column %d: %s", problem.line, problem.column,
				 problem.text);
	if (!json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return error_set(err, EINVAL, "seccomp", "", "must hold one JSON object");
	}
	return 0;
}
