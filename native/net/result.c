#include "result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int print(json_t *json)
{
	int result = json == NULL ? -1 : json_dumpf(json, stdout, JSON_COMPACT);
	json_decref(json);
	return result < 0 || putchar('\n') == EOF || fflush(stdout) != 0 ? -1 : 0;
}

static json_t *interface_json(const char *name, const struct link *link, const char *sandbox)
{
	char mac[18];
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", link->mac[0], link->mac[1], link->mac[2], link->mac[3],
		 link->mac[4], link->mac[5]);
	json_t *json = json_pack("{s:s, s:s}", "name", name, "mac", mac);
	if (sandbox != NULL)
		json_object_set_new(json, "sandbox", json_string(sandbox));
	return json;
}

static json_t *address_json(const struct config *config, const struct address *address, bool with_version)
{
	char text[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN], prefixed[INET6_ADDRSTRLEN + 4];
	const struct range *range = link_range_of(config, address);

	snprintf(prefixed, sizeof(prefixed), "%s/%u", address_text(address, text), range->prefix);
	/* Interface 2: the pod's, third in the list. */
	json_t *json = json_pack("{s:i, s:s, s:s}", "interface", 2, "address", prefixed, "gateway",
				 address_text(&range->gateway, gateway));
	if (with_version)
		json_object_set_new(json, "version", json_string(address->family == AF_INET ? "4" : "6"));
	return json;
}

int result_print(const struct config *config, const struct attached *attached, const char *netns)
{
	const struct attachment *attachment = &attached->attachment;
	/* Until 1.0.0 each address names its family. */
	bool with_version = strcmp(config->version, "0.4.0") == 0;
	bool routed[2] = { false, false };
	json_t *json = json_pack("{s:s, s:[o, o, o], s:[], s:[], s:{}}", "cniVersion", config->version, "interfaces",
				 interface_json(config->bridge, &attached->bridge, NULL),
				 interface_json(attachment->host_interface, &attached->host, NULL),
				 interface_json(attachment->interface, &attached->pod, netns), "ips", "routes", "dns");

	for (unsigned int i = 0; i < attachment->address_count; i++) {
		const struct address *address = &attachment->addresses[i];
		char gateway[INET6_ADDRSTRLEN];
		bool *done = &routed[address->family == AF_INET6];
		json_array_append_new(json_object_get(json, "ips"), address_json(config, address, with_version));
		if (!*done)
			json_array_append_new(json_object_get(json, "routes"),
					      json_pack("{s:s, s:s}", "dst", address->family == AF_INET ? "0.0.0.0/0" : "::/0",
							"gw", address_text(&link_range_of(config, address)->gateway, gateway)));
		*done = true;
	}
	return print(json);
}

int result_versions(const char *version)
{
	return print(json_pack("{s:s, s:[s, s, s]}", "cniVersion", version, "supportedVersions", "0.4.0", "1.0.0", "1.1.0"));
}

/* CNI's own numbers where it has one, else ours from 100 on. */
static int error_number(const struct error *err)
{
	static const struct {
		const char *step;
		int number;
	} numbers[] = {
		{ "version", 1 },	{ "unknown", 3 },     { "environment", 4 }, { "state", 5 },  { "decode", 6 },
		{ "config", 7 },	{ "unavailable", 50 }, { "addresses", 100 }, { "ports", 101 }, { "network", 102 },
		{ "netns", 103 },	{ "exists", 104 },    { "check", 105 },
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(err->step, numbers[i].step) == 0)
			return numbers[i].number;
	}
	return 102;
}

void result_error(const char *version, const struct error *err)
{
	char details[1200];
	snprintf(details, sizeof(details), "step %s%s%s%s%s", err->step, err->path[0] == '\0' ? "" : ", path ", err->path,
		 err->code == 0 ? "" : ", ", error_name(err->code));
	(void)print(json_pack("{s:s, s:i, s:s, s:s}", "cniVersion", version[0] == '\0' ? "1.1.0" : version, "code",
			      error_number(err), "msg", err->message, "details", details));
}
