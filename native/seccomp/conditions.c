/* Docker's `includes` and `excludes`: entries that count only for some containers, kernels or machines. */
#include <stdlib.h>

#include "../shim/capability_names.h"
#include "compile.h"

bool kernel_version(const char *text, unsigned int out[2])
{
	char *end;

	for (int part = 0; part < 2; part++) {
		unsigned long number;

		if (*text < '0' || *text > '9')
			return false;
		number = strtoul(text, &end, 10);
		if (number > 65535 || (part == 0 && *end != '.'))
			return false;
		out[part] = (unsigned int)number;
		text = end + 1;
	}
	return true;
}

/* Whether the container has every capability of the list, or any of it; an empty list asks nothing. */
static int count_capabilities(const struct surroundings *around, const struct fields *filter, size_t *asked, size_t *held,
			      struct error *err)
{
	char **names;
	int ret = field_strings(filter, "caps", &names, asked, err);

	*held = 0;
	for (size_t i = 0; ret == 0 && i < *asked; i++) {
		int number = capability_number(names[i]);

		if (number < 0)
			return field_error(filter, "caps", err, "\"%.64s\" is not a capability", names[i]);
		*held += (around->capabilities >> number) & 1;
	}
	return ret;
}

static int count_architectures(const struct fields *filter, size_t *asked, size_t *native, struct error *err)
{
	char **names;
	int ret = field_strings(filter, "arches", &names, asked, err);

	*native = 0;
	for (size_t i = 0; ret == 0 && i < *asked; i++)
		*native += architecture_is_native(names[i]);
	return ret;
}

static int kernel_at_least(const struct surroundings *around, const struct fields *filter, bool *asked, bool *reached,
			   struct error *err)
{
	unsigned int wanted[2];
	const char *text;
	int ret = field_string(filter, "minKernel", OPTIONAL, &text, err);

	*asked = ret == 0 && text != NULL && text[0] != '\0';
	*reached = false;
	if (!*asked)
		return ret;
	if (!kernel_version(text, wanted))
		return field_error(filter, "minKernel", err, "\"%.32s\" is not of the form 4.8", text);
	*reached = around->kernel[0] > wanted[0] || (around->kernel[0] == wanted[0] && around->kernel[1] >= wanted[1]);
	return 0;
}

struct answers {
	size_t capabilities_asked, capabilities_held;
	size_t architectures_asked, architectures_native;
	bool kernel_asked, kernel_reached;
};

static int ask(const struct surroundings *around, const struct fields *entry, const char *key, struct answers *answers,
	       struct error *err)
{
	char where[64];
	struct fields filter = { entry->file, entry->arena, where, NULL };
	int ret = field_object(entry, key, OPTIONAL, &filter.object, err);

	if (ret < 0 || filter.object == NULL)
		return ret;
	snprintf(where, sizeof(where), "%s.%s", entry->where, key);
	if ((ret = count_capabilities(around, &filter, &answers->capabilities_asked, &answers->capabilities_held, err)) < 0 ||
	    (ret = count_architectures(&filter, &answers->architectures_asked, &answers->architectures_native, err)) < 0)
		return ret;
	return kernel_at_least(around, &filter, &answers->kernel_asked, &answers->kernel_reached, err);
}

/* As Docker reads them: every condition of `includes` must hold, and none of `excludes` may. */
int conditions_hold(const struct surroundings *around, const struct fields *entry, bool *hold, struct error *err)
{
	struct answers in = { 0 };
	struct answers out = { 0 };
	int ret;

	if ((ret = ask(around, entry, "includes", &in, err)) < 0 || (ret = ask(around, entry, "excludes", &out, err)) < 0)
		return ret;
	*hold = in.capabilities_held == in.capabilities_asked &&
		(in.architectures_asked == 0 || in.architectures_native > 0) && (!in.kernel_asked || in.kernel_reached) &&
		out.capabilities_held == 0 && out.architectures_native == 0 && !out.kernel_reached;
	return 0;
}
