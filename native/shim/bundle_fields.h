/*
 * Reading JSON fields strictly: a field of the wrong type, out of range or missing is an error that names
 * the file, the field and the problem. What is read is copied, so the JSON tree can go.
 */
#ifndef BERTH_SHIM_BUNDLE_FIELDS_H
#define BERTH_SHIM_BUNDLE_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena.h"
#include "../common/error.h"
#include "../common/idmap.h"

/* A place in a file; `where` is the dotted path of `object` ("" for the top). */
struct fields {
	const char *file; /* full path, for errors */
	struct arena *arena;
	const char *where;
	json_t *object;
};

enum presence { OPTIONAL, REQUIRED };

int field_error(const struct fields *fields, const char *key, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* For a memory shortage while copying. */
int field_no_memory(const struct fields *fields, struct error *err);

/* NULL is stored where an optional field is absent or null. */
int field_object(const struct fields *fields, const char *key, enum presence presence, json_t **out, struct error *err);
int field_array(const struct fields *fields, const char *key, enum presence presence, json_t **out, struct error *err);
int field_string(const struct fields *fields, const char *key, enum presence presence, const char **out,
		 struct error *err);
/* An absolute path shorter than PATH_MAX. */
int field_path(const struct fields *fields, const char *key, enum presence presence, const char **out,
	       struct error *err);
/* These leave *out alone where the field is absent. */
int field_bool(const struct fields *fields, const char *key, bool *out, struct error *err);
int field_integer(const struct fields *fields, const char *key, long long min, long long max, long long *out,
		  struct error *err);
/* A rlimit: 2^64 - 1 is "unlimited"; required. */
int field_limit(const struct fields *fields, const char *key, uint64_t *out, struct error *err);
/* NULL-terminated; an empty array where absent. */
int field_strings(const struct fields *fields, const char *key, char ***out, size_t *count, struct error *err);
int field_ids(const struct fields *fields, const char *key, gid_t **out, size_t *count, struct error *err);
/* A map of user or group ids, empty where absent. */
int field_idmap(const struct fields *fields, const char *key, struct idmap *out, struct error *err);
/* Errors when the field is there and not empty (null, "", [], {} and false are empty). */
int field_refuse(const struct fields *fields, const char *key, struct error *err);

/* Reads a whole file and parses it as one JSON object. */
int fields_load(const char *path, json_t **out, struct error *err);

#endif
