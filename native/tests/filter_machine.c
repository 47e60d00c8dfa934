#include "filter_machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../launcher/programs.h"

static struct arena arena;

void filter_begin(void)
{
	const char *build = getenv("BERTH_BUILD");
	char *directory = realpath(build == NULL ? "../dist" : build, NULL);

	if (directory == NULL || setenv(PROGRAMS_VARIABLE, directory, 1) < 0) {
		perror("BERTH_BUILD");
		exit(1);
	}
	free(directory);
	programs_init();
}

void filter_forget(void)
{
	arena_free(&arena);
}

const struct seccomp_filter *filter_compile(const char *profile, uint64_t capabilities, struct error *err)
{
	const struct seccomp_filter *filter = NULL;
	int fd = memfd_create("config.json", MFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || dprintf(fd, "{\"process\":{\"oomScoreAdj\":-999},\"linux\":{\"seccomp\":%s}}", profile) < 0) {
		perror("memfd");
		exit(1);
	}
	if (seccomp_compile(path, capabilities, &arena, &filter, err) < 0)
		filter = NULL;
	close(fd);
	return filter;
}

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t word;

	if (offset > sizeof(*data) - sizeof(word)) {
		printf("FAILED: the filter reads beyond the call\n");
		exit(1);
	}
	memcpy(&word, (const char *)data + offset, sizeof(word));
	return word;
}

static size_t jump(const struct sock_filter *at, uint32_t accumulator)
{
	bool taken;

	switch (BPF_OP(at->code)) {
	case BPF_JA:
		return at->k;
	case BPF_JEQ:
		taken = accumulator == at->k;
		break;
	case BPF_JGT:
		taken = accumulator > at->k;
		break;
	case BPF_JGE:
		taken = accumulator >= at->k;
		break;
	default:
		taken = (accumulator & at->k) != 0;
	}
	return taken ? at->jt : at->jf;
}

uint32_t filter_run(const struct seccomp_filter *filter, uint32_t architecture, uint32_t number, const uint64_t *arguments)
{
	struct seccomp_data data = { .nr = (int)number, .arch = architecture };
	uint32_t accumulator = 0;

	if (arguments != NULL)
		memcpy(data.args, arguments, sizeof(data.args));
	for (size_t at = 0; at < filter->length; at++) {
		const struct sock_filter *instruction = &filter->instructions[at];

		switch (BPF_CLASS(instruction->code)) {
		case BPF_LD:
			accumulator = load(&data, instruction->k);
			break;
		case BPF_ALU:
			accumulator &= instruction->k; /* the only operation that comparisons take */
			break;
		case BPF_JMP:
			at += jump(instruction, accumulator);
			break;
		case BPF_RET:
			return instruction->k;
		default:
			printf("FAILED: instruction %zu is of an unknown class\n", at);
			exit(1);
		}
	}
	printf("FAILED: the filter has no end\n");
	exit(1);
}
