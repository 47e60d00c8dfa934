#include "bundle_fields.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bundle.h"

int field_error(const struct fields *fields, const char *key, struct error *err, const char *fmt, ...)
{
	char problem[320];
	va_list args;

	va_start(args, fmt);
	vsnprintf(problem, sizeof(problem), fmt, args);
	va_end(args);
	return error_set(err, EINVAL, "bundle", fields->file, "%s%s%s: %s", fields->where,
			 fields->where[0] != '\0' && key[0] != '\0' ? "." : "", key, problem);
}

int field_no_memory(const struct fields *fields, struct error *err)
{
	return error_set(err, ENOMEM, "bundle", fields->file, "no memory to read the bundle");
}

static int get(const struct fields *fields, const char *key, enum presence presence, json_t **out, struct error *err)
{
	json_t *value = json_object_get(fields->object, key);

	if (json_is_null(value))
		value = NULL;
	*out = value;
	if (value == NULL && presence == REQUIRED)
		return field_error(fields, key, err, "missing");
	return 0;
}

int field_object(const struct fields *fields, const char *key, enum presence presence, json_t **out, struct error *err)
{
	int ret = get(fields, key, presence, out, err);

	if (ret == 0 && *out != NULL && !json_is_object(*out))
		return field_error(fields, key, err, "must be an object");
	return ret;
}

int field_array(const struct fields *fields, const char *key, enum presence presence, json_t **out, struct error *err)
{
	int ret = get(fields, key, presence, out, err);

	if (ret == 0 && *out != NULL && !json_is_array(*out))
		return field_error(fields, key, err, "must be an array");
	return ret;
}

int field_string(const struct fields *fields, const char *key, enum presence presence, const char **out,
		 struct error *err)
{
	json_t *value;
	int ret = get(fields, key, presence, &value, err);

	*out = NULL;
	if (ret < 0 || value == NULL)
		return ret;
	if (!json_is_string(value))
		return field_error(fields, key, err, "must be a string");
	*out = arena_string(fields->arena, json_string_value(value), json_string_length(value));
	return *out == NULL ? field_no_memory(fields, err) : 0;
}

int field_path(const struct fields *fields, const char *key, enum presence presence, const char **out,
	       struct error *err)
{
	int ret = field_string(fields, key, presence, out, err);

	if (ret < 0 || *out == NULL)
		return ret;
	if ((*out)[0] != '/')
		return field_error(fields, key, err, "must be an absolute path");
	if (strlen(*out) >= PATH_MAX)
		return field_error(fields, key, err, "must be shorter than %d bytes", PATH_MAX);
	return 0;
}

int field_bool(const struct fields *fields, const char *key, bool *out, struct error *err)
{
	json_t *value;
	int ret = get(fields, key, OPTIONAL, &value, err);

	if (ret < 0 || value == NULL)
		return ret;
	if (!json_is_boolean(value))
		return field_error(fields, key, err, "must be true or false");
	*out = json_is_true(value);
	return 0;
}

/*
 * A file with an integer above 2^63 - 1 (an unlimited rlimit is 2^64 - 1) is read with all its integers
 * as reals; see fields_load. Those up to 2^53 are still exact.
 */
static bool exact_integer(const json_t *value, long long *out)
{
	double real;

	if (json_is_integer(value)) {
		*out = json_integer_value(value);
		return true;
	}
	if (!json_is_real(value))
		return false;
	real = json_real_value(value);
	if (real < -9007199254740992.0 || real > 9007199254740992.0 || real != (double)(long long)real)
		return false;
	*out = (long long)real;
	return true;
}

int field_integer(const struct fields *fields, const char *key, long long min, long long max, long long *out,
		  struct error *err)
{
	json_t *value;
	long long number;
	int ret = get(fields, key, OPTIONAL, &value, err);

	if (ret < 0 || value == NULL)
		return ret;
	if (!exact_integer(value, &number) || number < min || number > max)
		return field_error(fields, key, err, "must be an integer from %lld to %lld", min, max);
	*out = number;
	return 0;
}

int field_limit(const struct fields *fields, const char *key, uint64_t *out, struct error *err)
{
	json_t *value;
	long long number;
	int ret = get(fields, key, REQUIRED, &value, err);

	if (ret < 0)
		return ret;
	if (json_is_real(value) && json_real_value(value) == 18446744073709551616.0) {
		*out = UINT64_MAX;
		return 0;
	}
	if (!exact_integer(value, &number) || number < 0)
		return field_error(fields, key, err, "must be an integer from 0 to 2^53, or 2^64 - 1 for unlimited");
	*out = (uint64_t)number;
	return 0;
}

int field_strings(const struct fields *fields, const char *key, char ***out, size_t *count, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	size_t size;
	int ret = field_array(fields, key, OPTIONAL, &array, err);

	if (ret < 0)
		return ret;
	size = array == NULL ? 0 : json_array_size(array);
	*out = arena_alloc(fields->arena, (size + 1) * sizeof(char *));
	if (*out == NULL)
		return field_no_memory(fields, err);
	json_array_foreach(array, index, item) {
		if (!json_is_string(item))
			return field_error(fields, key, err, "entry %zu must be a string", index);
		(*out)[index] = arena_string(fields->arena, json_string_value(item), json_string_length(item));
		if ((*out)[index] == NULL)
			return field_no_memory(fields, err);
	}
	if (count != NULL)
		*count = size;
	return 0;
}

int field_ids(const struct fields *fields, const char *key, gid_t **out, size_t *count, struct error *err)
{
	json_t *array;
	json_t *item;
	size_t index;
	size_t size;
	int ret = field_array(fields, key, OPTIONAL, &array, err);

	if (ret < 0)
		return ret;
	size = array == NULL ? 0 : json_array_size(array);
	if (size > MAX_GROUPS)
		return field_error(fields, key, err, "at most %d groups are supported", MAX_GROUPS);
	*out = arena_alloc(fields->arena, (size + 1) * sizeof(gid_t));
	if (*out == NULL)
		return field_no_memory(fields, err);
	json_array_foreach(array, index, item) {
		long long number;

		if (!exact_integer(item, &number) || number < 0 || number > MAX_ID)
			return field_error(fields, key, err, "entry %zu must be an integer from 0 to %lld", index, MAX_ID);
		(*out)[index] = (gid_t)number;
	}
	*count = size;
	return 0;
}

int field_idmap(const struct fields *fields, const char *key, struct idmap *out, struct error *err)
{
	const char *problem = idmap_from_json(json_object_get(fields->object, key), out);

	return problem == NULL ? 0 : field_error(fields, key, err, "%s", problem);
}

int field_refuse(const struct fields *fields, const char *key, struct error *err)
{
	json_t *value = json_object_get(fields->object, key);

	if (value == NULL || json_is_null(value) || json_is_false(value) ||
	    (json_is_string(value) && json_string_length(value) == 0) ||
	    (json_is_array(value) && json_array_size(value) == 0) ||
	    (json_is_object(value) && json_object_size(value) == 0))
		return 0;
	error_set(err, EOPNOTSUPP, "bundle", fields->file, "%s%s%s: not supported by this shim", fields->where,
		  fields->where[0] != '\0' ? "." : "", key);
	return -EOPNOTSUPP;
}
