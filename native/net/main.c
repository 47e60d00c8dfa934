/*
 * berth-net: a CNI plugin (specification 0.4.0, 1.0.0, 1.1.0) for nodes that have no network of their own:
 * bridge, addresses, masquerade and host ports, in one process of a few milliseconds.
 *
 *   { "cniVersion": "1.0.0", "name": "berth", "type": "berth-net", "bridge": "berth0",
 *     "subnets": ["10.88.0.0/16", "fd00:88::/64"], "dataDir": "/var/lib/berth/network", "mtu": 0,
 *     "masquerade": true, "capabilities": { "portMappings": true, "ipRanges": true } }
 *
 * A subnet gives each pod one address; runtimeConfig.ipRanges replaces the subnets.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "result.h"

static int read_variable(const char *name, char *to, size_t size, struct error *err)
{
	const char *value = getenv(name);
	if (value == NULL || value[0] == '\0')
		return error_set(err, EINVAL, "environment", name, "%s is not set", name);
	if ((size_t)snprintf(to, size, "%s", value) >= size)
		return error_set(err, EINVAL, "environment", name, "%s is too long", name);
	return 0;
}

/* Both become parts of file names. */
static int read_identity(struct attachment *attachment, struct error *err)
{
	char container[200], interface[IFNAMSIZ];
	int result = read_variable("CNI_CONTAINERID", container, sizeof(container), err);
	if (result == 0)
		result = read_variable("CNI_IFNAME", interface, sizeof(interface), err);
	if (result == 0 && !config_name_valid(container))
		result = error_set(err, EINVAL, "environment", "CNI_CONTAINERID", "CNI_CONTAINERID has characters that it may not");
	if (result == 0 && !config_name_valid(interface))
		result = error_set(err, EINVAL, "environment", "CNI_IFNAME", "CNI_IFNAME is no name of an interface");
	if (result == 0)
		attachment_name(attachment, container, interface);
	return result;
}

static int run_add(const struct config *config, const struct attachment *attachment, struct error *err)
{
	char netns[4096];
	struct attached *attached = calloc(1, sizeof(*attached));
	if (attached == NULL)
		return error_set(err, ENOMEM, "network", "", "no memory");
	int result = read_variable("CNI_NETNS", netns, sizeof(netns), err);
	if (result == 0)
		result = attach_add(config, attachment, netns, attached, err);
	if (result == 0 && result_print(config, attached, netns) < 0) {
		struct error ignored;
		result = error_errno(err, "state", "", "cannot answer");
		(void)attach_delete(config, attachment, &ignored);
	}
	free(attached);
	return result;
}

static int run_check(const struct config *config, const struct attachment *attachment, struct error *err)
{
	char netns[4096];
	int result = read_variable("CNI_NETNS", netns, sizeof(netns), err);
	return result < 0 ? result : attach_check(config, attachment, netns, err);
}

static int run_status(const struct config *config, struct error *err)
{
	int result = attach_status(config, err);
	if (result < 0)
		snprintf(err->step, sizeof(err->step), "unavailable");
	return result;
}

static int run(const char *command, const struct config *config, struct error *err)
{
	struct attachment attachment;

	if (strcmp(command, "GC") == 0)
		return attach_collect(config, err);
	if (strcmp(command, "STATUS") == 0)
		return run_status(config, err);
	int result = read_identity(&attachment, err);
	if (result < 0)
		return result;
	if (strcmp(command, "ADD") == 0)
		return run_add(config, &attachment, err);
	if (strcmp(command, "DEL") == 0)
		return attach_delete(config, &attachment, err);
	if (strcmp(command, "CHECK") == 0)
		return run_check(config, &attachment, err);
	return error_set(err, EINVAL, "environment", "CNI_COMMAND", "CNI_COMMAND is not one of ADD, DEL, CHECK, GC, STATUS, VERSION");
}

/* VERSION needs no network: only the version that its input names. */
static int run_version(void)
{
	json_t *input = json_loadf(stdin, 0, NULL);
	const char *version = json_string_value(json_object_get(input, "cniVersion"));
	int result = result_versions(version == NULL ? "1.1.0" : version);
	json_decref(input);
	return result < 0 ? 1 : 0;
}

int main(void)
{
	struct config config = { 0 };
	struct error err = { 0 };
	const char *command = getenv("CNI_COMMAND");

	/* Were it ignored, as a caller may leave it, the end of our own child could not be seen. */
	signal(SIGCHLD, SIG_DFL);
	if (command != NULL && strcmp(command, "VERSION") == 0)
		return run_version();
	int result = config_read(STDIN_FILENO, &config, &err);
	if (result == 0)
		result = run(command == NULL ? "" : command, &config, &err);
	if (result < 0)
		result_error(config.version, &err);
	config_free(&config);
	return result < 0 ? 1 : 0;
}
