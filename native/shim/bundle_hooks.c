/* `hooks` of config.json, and what of it hooks are told. */
#include <stdlib.h>
#include <string.h>

#include "bundle_parts.h"
#include "hooks.h"

/* Without a time-out of its own a hook that hangs would keep the container's request for ever. */
#define DEFAULT_TIMEOUT 60
#define TIMEOUT_MAX 86400

const char *hook_stage_name(enum hook_stage stage)
{
	static const char *const names[HOOK_STAGE_COUNT] = {
		[HOOK_PRESTART] = "prestart",
		[HOOK_CREATE_RUNTIME] = "createRuntime",
		[HOOK_CREATE_CONTAINER] = "createContainer",
		[HOOK_START_CONTAINER] = "startContainer",
		[HOOK_POSTSTART] = "poststart",
		[HOOK_POSTSTOP] = "poststop",
	};

	return names[stage];
}

static int read_hook(const struct fields *fields, struct hook_spec *hook, struct error *err)
{
	long long timeout = DEFAULT_TIMEOUT;
	size_t count = 0;
	int ret;

	if (!json_is_object(fields->object))
		return field_error(fields, "", err, "must be an object");
	if ((ret = field_path(fields, "path", REQUIRED, &hook->path, err)) < 0 ||
	    (ret = field_strings(fields, "args", &hook->args, &count, err)) < 0 ||
	    (ret = field_strings(fields, "env", &hook->env, NULL, err)) < 0 ||
	    (ret = field_integer(fields, "timeout", 1, TIMEOUT_MAX, &timeout, err)) < 0)
		return ret;
	hook->timeout = (int)timeout;
	if (count > 0)
		return 0;
	hook->args = arena_alloc(fields->arena, 2 * sizeof(char *));
	if (hook->args == NULL)
		return field_no_memory(fields, err);
	hook->args[0] = (char *)hook->path;
	return 0;
}

static int read_stage(struct hooks *hooks, enum hook_stage stage, const struct fields *fields, struct error *err)
{
	struct hook_spec *list;
	json_t *array;
	size_t count;
	int ret = field_array(fields, hook_stage_name(stage), OPTIONAL, &array, err);

	count = ret < 0 || array == NULL ? 0 : json_array_size(array);
	if (ret < 0 || count == 0)
		return ret;
	list = arena_alloc(fields->arena, count * sizeof(*list));
	if (list == NULL)
		return field_no_memory(fields, err);
	for (size_t i = 0; i < count; i++) {
		char where[64];
		struct fields hook = { fields->file, fields->arena, where, json_array_get(array, i) };

		snprintf(where, sizeof(where), "hooks.%s[%zu]", hook_stage_name(stage), i);
		if ((ret = read_hook(&hook, &list[i], err)) < 0)
			return ret;
	}
	hooks->stages[stage].list = list;
	hooks->stages[stage].count = count;
	return 0;
}

static int read_told(struct hooks *hooks, const struct fields *top, struct error *err)
{
	json_t *annotations;
	char *text;
	int ret = field_string(top, "ociVersion", REQUIRED, &hooks->version, err);

	ret = ret < 0 ? ret : field_object(top, "annotations", OPTIONAL, &annotations, err);
	if (ret < 0)
		return ret;
	text = annotations == NULL ? strdup("{}") : json_dumps(annotations, JSON_COMPACT);
	hooks->annotations = text == NULL ? NULL : arena_string(top->arena, text, strlen(text));
	free(text);
	return hooks->annotations == NULL ? field_no_memory(top, err) : 0;
}

int bundle_read_hooks(struct bundle *bundle, const struct fields *top, struct error *err)
{
	struct fields fields = *top;
	struct hooks *hooks;
	size_t total = 0;
	int ret = field_object(top, "hooks", OPTIONAL, &fields.object, err);

	if (ret < 0 || fields.object == NULL)
		return ret;
	fields.where = "hooks";
	hooks = arena_alloc(top->arena, sizeof(*hooks));
	if (hooks == NULL)
		return field_no_memory(top, err);
	for (int stage = 0; stage < HOOK_STAGE_COUNT; stage++) {
		if ((ret = read_stage(hooks, stage, &fields, err)) < 0)
			return ret;
		total += hooks->stages[stage].count;
	}
	if (total == 0)
		return 0;
	if (bundle->root_path == NULL || bundle->root_path[0] == '\0')
		return field_error(top, "root.path", err, "missing: hooks find the container's root by it");
	bundle->hooks = hooks;
	return read_told(hooks, top, err);
}
