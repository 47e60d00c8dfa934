#include "config.h"

#include <errno.h>
#include <strings.h>

const char *port_protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "sctp";
}

static bool read_number(json_t *json, const char *field, uint16_t *to)
{
	json_t *value = json_object_get(json, field);
	if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 65535)
		return false;
	*to = (uint16_t)json_integer_value(value);
	return true;
}

int port_from_json(json_t *json, struct port *port, struct error *err)
{
	json_t *protocol_json = json_object_get(json, "protocol");
	const char *protocol = protocol_json == NULL ? "tcp" : json_string_value(protocol_json);
	const char *host = json_string_value(json_object_get(json, "hostIP"));

	*port = (struct port){ .host = { .family = AF_UNSPEC } };
	if (!read_number(json, "hostPort", &port->host_port) || !read_number(json, "containerPort", &port->pod_port))
		return error_set(err, EINVAL, "config", "portMappings", "portMappings: ports are numbers from 1 to 65535");
	if (protocol != NULL && strcasecmp(protocol, "tcp") == 0)
		port->protocol = IPPROTO_TCP;
	else if (protocol != NULL && strcasecmp(protocol, "udp") == 0)
		port->protocol = IPPROTO_UDP;
	else if (protocol != NULL && strcasecmp(protocol, "sctp") == 0)
		port->protocol = IPPROTO_SCTP;
	else
		return error_set(err, EINVAL, "config", "portMappings", "portMappings: the protocol is tcp, udp or sctp");
	if (host != NULL && host[0] != '\0' && !address_parse(host, &port->host))
		return error_set(err, EINVAL, "config", "portMappings", "portMappings: `%s` is no address", host);
	return 0;
}

json_t *port_to_json(const struct port *port)
{
	char text[INET6_ADDRSTRLEN];
	return json_pack("{s:s, s:s, s:i, s:i}", "protocol", port_protocol_name(port->protocol), "hostIP",
			 port->host.family == AF_UNSPEC ? "" : address_text(&port->host, text), "hostPort", port->host_port,
			 "containerPort", port->pod_port);
}
