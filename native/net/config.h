/* What the runtime tells the plugin: the network's configuration on standard input, and the environment. */
#ifndef BERTH_NET_CONFIG_H
#define BERTH_NET_CONFIG_H

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/error.h"
#include "address.h"

#define MAX_RANGES 16
#define MAX_SETS 4
#define MAX_PORTS 256

/* Addresses come from one range of each set; the ranges of a set are alternatives. */
struct range {
	unsigned int set;
	struct address subnet; /* host bits cleared */
	unsigned int prefix;
	struct address gateway;
	struct address first;
	struct address last;
};

struct port {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
	struct address host; /* all zeros: every local address of the family; AF_UNSPEC: of both families */
	uint16_t host_port;
	uint16_t pod_port;
};

struct config {
	char version[16];
	char name[128];
	char bridge[IFNAMSIZ];
	char data_dir[2048];
	uint32_t mtu; /* 0: the kernel's default */
	bool masquerade;
	unsigned int range_count;
	struct range ranges[MAX_RANGES];
	unsigned int port_count;
	struct port ports[MAX_PORTS];
	json_t *document; /* for what only some commands read */
};

/* Steps of errors here: decode, version, config. */
int config_read(int fd, struct config *config, struct error *err);
void config_free(struct config *config);

/* A port mapping's JSON, both ways; the form is that of runtimeConfig.portMappings. */
int port_from_json(json_t *json, struct port *port, struct error *err);
json_t *port_to_json(const struct port *port);
const char *port_protocol_name(uint8_t protocol);

/* Whether the text may be part of a file name here: letters, digits, `_`, `.`, `-`, not starting with a dot. */
bool config_name_valid(const char *text);

#endif
