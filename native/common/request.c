#include "request.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int request_parse(const struct frame *frame, json_t **out, struct error *err)
{
	json_error_t problem;

	/* jansson refuses invalid UTF-8 and, without JSON_ALLOW_NUL, "\u0000" in strings. */
	*out = json_loadb((const char *)frame->payload, frame->length, JSON_REJECT_DUPLICATES, &problem);
	if (*out == NULL)
		return error_set(err, EBADMSG, "protocol", "", "the payload is no JSON: %s", problem.text);
	if (!json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return error_set(err, EBADMSG, "protocol", "", "the payload is no JSON object");
	}
	return 0;
}

static int wrong(const char *name, const char *expected, struct error *err)
{
	return error_set(err, EINVAL, "protocol", name, "%s: %s expected", name, expected);
}

int request_string(const json_t *object, const char *name, const char *fallback, const char **out, struct error *err)
{
	const json_t *value = json_object_get(object, name);

	*out = fallback;
	if (value == NULL && fallback != NULL)
		return 0;
	if (!json_is_string(value))
		return wrong(name, "a string", err);
	*out = json_string_value(value);
	return 0;
}

int request_path(const json_t *object, const char *name, bool optional, const char **out, struct error *err)
{
	int result = request_string(object, name, optional ? "" : NULL, out, err);

	if (result < 0 || (optional && **out == '\0'))
		return result;
	if (**out != '/' || strlen(*out) >= PATH_MAX)
		return wrong(name, "an absolute path", err);
	return 0;
}

int request_integer(const json_t *object, const char *name, long long fallback, long long minimum, long long maximum,
		  long long *out, struct error *err)
{
	const json_t *value = json_object_get(object, name);

	*out = fallback;
	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return wrong(name, "an integer", err);
	*out = json_integer_value(value);
	if (*out < minimum || *out > maximum)
		return error_set(err, ERANGE, "protocol", name, "%s: %lld is not in %lld to %lld", name, *out, minimum,
				 maximum);
	return 0;
}

int request_bool(const json_t *object, const char *name, bool *out, struct error *err)
{
	const json_t *value = json_object_get(object, name);

	*out = false;
	if (value == NULL)
		return 0;
	if (!json_is_boolean(value))
		return wrong(name, "a boolean", err);
	*out = json_is_true(value);
	return 0;
}

int request_id(const json_t *object, const char **out, struct error *err)
{
	int result = request_string(object, "id", NULL, out, err);

	if (result < 0)
		return result;
	if (strlen(*out) != 64 || strspn(*out, "0123456789abcdef") != 64)
		return wrong("id", "64 hex digits", err);
	return 0;
}
