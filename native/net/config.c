#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/scope.h"

#define INPUT_MAX (1024 * 1024)

bool config_name_valid(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	return text[0] != '\0' && text[0] != '.' && text[0] != '-' && strspn(text, allowed) == strlen(text);
}

static int bad(struct error *err, const char *field, const char *problem)
{
	return error_set(err, EINVAL, "config", field, "%s: %s", field, problem);
}

static int read_input(int fd, json_t **document, struct error *err)
{
	scope_free char *text = malloc(INPUT_MAX);
	size_t length = 0;
	json_error_t problem;

	if (text == NULL)
		return error_set(err, ENOMEM, "decode", "", "no memory for the configuration");
	for (;;) {
		ssize_t got = TEMP_FAILURE_RETRY(read(fd, text + length, INPUT_MAX - length));
		if (got < 0)
			return error_errno(err, "decode", "", "cannot read the configuration");
		if (got == 0)
			break;
		length += (size_t)got;
		if (length == INPUT_MAX)
			return error_set(err, E2BIG, "decode", "", "the configuration is too long");
	}
	*document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
	if (!json_is_object(*document))
		return error_set(err, EINVAL, "decode", "", "the configuration is not a JSON object: %s", problem.text);
	return 0;
}

static int copy_string(json_t *document, const char *field, const char *fallback, char *to, size_t size, struct error *err)
{
	json_t *value = json_object_get(document, field);
	const char *text = value == NULL ? fallback : json_string_value(value);
	if (text == NULL || text[0] == '\0')
		return bad(err, field, "a text is wanted");
	if ((size_t)snprintf(to, size, "%s", text) >= size)
		return bad(err, field, "the text is too long");
	return 0;
}

static bool supported(const char *version)
{
	return strcmp(version, "0.4.0") == 0 || strcmp(version, "1.0.0") == 0 || strcmp(version, "1.1.0") == 0;
}

static bool in_subnet(const struct range *range, const struct address *address)
{
	return address->family == range->subnet.family &&
	       (address_number(address) & address_mask(address->family, range->prefix)) == address_number(&range->subnet);
}

/* An address of the range that may be given; the default is `number` when it is not. */
static int read_bound(json_t *json, const char *field, const struct range *range, unsigned __int128 number,
		      struct address *to, struct error *err)
{
	json_t *value = json_object_get(json, field);
	if (value == NULL) {
		*to = address_from_number(range->subnet.family, number);
		return 0;
	}
	if (!json_is_string(value) || !address_parse(json_string_value(value), to) || !in_subnet(range, to))
		return bad(err, field, "an address of the subnet is wanted");
	return 0;
}

static int add_range(struct config *config, unsigned int set, json_t *json, struct error *err)
{
	const char *subnet = json_is_string(json) ? json_string_value(json) : json_string_value(json_object_get(json, "subnet"));
	if (config->range_count == MAX_RANGES || set >= MAX_SETS)
		return bad(err, "subnets", "there are too many");
	struct range *range = &config->ranges[config->range_count];
	range->set = set;
	if (subnet == NULL || !address_parse_prefix(subnet, &range->subnet, &range->prefix))
		return bad(err, "subnets", "a subnet such as 10.88.0.0/16 is wanted");
	int family = range->subnet.family;
	/* Room for the network's own address, the gateway, a pod and the broadcast address. */
	if (range->prefix > address_bits(family) - 2)
		return bad(err, "subnets", "the subnet is too small");
	unsigned __int128 mask = address_mask(family, range->prefix);
	unsigned __int128 base = address_number(&range->subnet) & mask;
	unsigned __int128 all = family == AF_INET ? (unsigned __int128)0xffffffffu : ~(unsigned __int128)0;
	range->subnet = address_from_number(family, base);
	int result = read_bound(json, "gateway", range, base + 1, &range->gateway, err);
	if (result == 0)
		result = read_bound(json, "rangeStart", range, base + 1, &range->first, err);
	if (result == 0)
		result = read_bound(json, "rangeEnd", range, (base | (~mask & all)) - 1, &range->last, err);
	if (result == 0 && address_number(&range->first) > address_number(&range->last))
		result = bad(err, "rangeStart", "it lies behind the end");
	config->range_count++;
	return result;
}

/* runtimeConfig.ipRanges (a list of sets) goes before subnets (each a set of its own). */
static int read_ranges(struct config *config, json_t *runtime, struct error *err)
{
	json_t *sets = json_object_get(runtime, "ipRanges");
	bool dynamic = json_array_size(sets) > 0;
	if (!dynamic)
		sets = json_object_get(config->document, "subnets");
	size_t index, inner;
	json_t *set, *range;
	int result = 0;

	json_array_foreach(sets, index, set) {
		if (!dynamic)
			result = add_range(config, (unsigned int)index, set, err);
		json_array_foreach(set, inner, range) {
			if (result == 0)
				result = add_range(config, (unsigned int)index, range, err);
		}
		if (result < 0)
			return result;
	}
	return config->range_count == 0 ? bad(err, "subnets", "at least one is wanted") : 0;
}

static int read_ports(struct config *config, json_t *runtime, struct error *err)
{
	size_t index;
	json_t *json;

	json_array_foreach(json_object_get(runtime, "portMappings"), index, json) {
		json_t *host_port = json_object_get(json, "hostPort");
		/* The CNI conventions: a mapping without a host port asks for nothing. */
		if (host_port == NULL || json_integer_value(host_port) == 0)
			continue;
		if (config->port_count == MAX_PORTS)
			return bad(err, "portMappings", "there are too many");
		int result = port_from_json(json, &config->ports[config->port_count++], err);
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_network(struct config *config, struct error *err)
{
	json_t *mtu = json_object_get(config->document, "mtu");
	json_t *masquerade = json_object_get(config->document, "masquerade");
	json_t *runtime = json_object_get(config->document, "runtimeConfig");
	int result = copy_string(config->document, "name", NULL, config->name, sizeof(config->name), err);

	if (result == 0 && !config_name_valid(config->name))
		result = bad(err, "name", "only letters, digits, `_`, `.` and `-` are allowed");
	if (result == 0)
		result = copy_string(config->document, "bridge", "berth0", config->bridge, sizeof(config->bridge), err);
	if (result == 0 && !config_name_valid(config->bridge))
		result = bad(err, "bridge", "this is no name of an interface");
	if (result == 0)
		result = copy_string(config->document, "dataDir", "/var/lib/berth/network", config->data_dir,
				     sizeof(config->data_dir), err);
	if (result == 0 && config->data_dir[0] != '/')
		result = bad(err, "dataDir", "an absolute path is wanted");
	if (result == 0 && mtu != NULL &&
	    (!json_is_integer(mtu) || json_integer_value(mtu) < 0 || json_integer_value(mtu) > 65535))
		result = bad(err, "mtu", "a number from 0 to 65535 is wanted");
	if (result == 0 && masquerade != NULL && !json_is_boolean(masquerade))
		result = bad(err, "masquerade", "true or false is wanted");
	if (result < 0)
		return result;
	config->mtu = (uint32_t)json_integer_value(mtu);
	config->masquerade = masquerade == NULL || json_is_true(masquerade);
	result = read_ranges(config, runtime, err);
	return result < 0 ? result : read_ports(config, runtime, err);
}

int config_read(int fd, struct config *config, struct error *err)
{
	*config = (struct config){ 0 };
	int result = read_input(fd, &config->document, err);
	if (result == 0)
		result = copy_string(config->document, "cniVersion", NULL, config->version, sizeof(config->version), err);
	if (result == 0 && !supported(config->version))
		result = error_set(err, EINVAL, "version", "", "the CNI version %s is not supported; 0.4.0, 1.0.0 and 1.1.0 are",
				   config->version);
	return result < 0 ? result : read_network(config, err);
}

void config_free(struct config *config)
{
	json_decref(config->document);
	config->document = NULL;
}
