/* Typed access to the members of a request's JSON object; a wrong type is an error that names the member. */
#ifndef BERTH_COMMON_REQUEST_H
#define BERTH_COMMON_REQUEST_H

#include <jansson.h>
#include <stdbool.h>

#include "error.h"
#include "frame.h"

/* Parses a control frame's payload, which must be one object. The caller owns the reference. */
int request_parse(const struct frame *frame, json_t **out, struct error *err);

/* The member's text, valid as long as the object; `fallback` when it is absent. */
int request_string(const json_t *object, const char *name, const char *fallback, const char **out, struct error *err);
/* An absolute path below PATH_MAX without NUL, or "" when `optional`. */
int request_path(const json_t *object, const char *name, bool optional, const char **out, struct error *err);
int request_integer(const json_t *object, const char *name, long long fallback, long long minimum, long long maximum,
		  long long *out, struct error *err);
int request_bool(const json_t *object, const char *name, bool *out, struct error *err);
/* Sixty-four lower-case hex digits. */
int request_id(const json_t *object, const char **out, struct error *err);

#endif
