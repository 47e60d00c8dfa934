#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../common/scope.h"
#include "conntrack.h"
#include "nft.h"
#include "session.h"

/* The shared parts, and the pod's own record, so that a DEL finds what an ADD that dies has begun. */
static int prepare(struct session *session, const struct config *config, struct attached *attached, struct error *err)
{
	int result = store_lock(&session->store, err);
	if (result < 0)
		return result;
	if (store_known(&session->store, &attached->attachment))
		result = error_set(err, EEXIST, "exists", attached->attachment.container,
				   "this container has an interface %s already", attached->attachment.interface);
	if (result == 0)
		result = link_ensure_bridge(session->route, session->batch, config, &attached->bridge, err);
	if (result == 0)
		result = sysctl_prepare(config, err);
	if (result == 0)
		result = nft_ensure(session->filter, session->batch, config, err);
	if (result == 0) {
		result = store_reserve(&session->store, config, &attached->attachment, err);
		if (result == 0)
			result = store_save(&session->store, &attached->attachment, err);
		if (result < 0) {
			struct error ignored;
			(void)store_release(&session->store, &attached->attachment, &ignored);
		}
	}
	store_unlock(&session->store);
	return result;
}

static int connect_pod(struct session *session, const struct config *config, int netns, struct attached *attached,
		       struct error *err)
{
	const struct attachment *attachment = &attached->attachment;
	int result = link_create_pair(session->route, session->batch, config, attachment, attached->bridge.index, netns, err);
	if (result < 0)
		return result;
	scope_fd int pod = netns_open_netlink(netns, err);
	if (pod < 0)
		return pod;
	result = link_set_up_pod(pod, session->batch, config, attachment, &attached->pod, err);
	if (result == 0)
		result = link_find(session->route, session->batch, attachment->host_interface, &attached->host, err);
	if (result == 0)
		result = nft_add_ports(session->filter, session->batch, attachment, err);
	return result < 0 ? result : conntrack_forget(session->filter, session->batch, attachment, err);
}

/* Every step is tried; the first failure is reported, and then the record stays for the next attempt. */
static int release(struct session *session, const struct attachment *attachment, struct error *err)
{
	struct error later;
	int result = nft_remove_ports(session->filter, session->batch, attachment, err);
	if (result == 0)
		result = conntrack_forget(session->filter, session->batch, attachment, err);
	int next = link_remove(session->route, session->batch, attachment->host_interface, result < 0 ? &later : err);
	if (result == 0)
		result = next;
	return result < 0 ? result : store_release(&session->store, attachment, err);
}

int attach_add(const struct config *config, const struct attachment *wanted, const char *netns, struct attached *attached,
	       struct error *err)
{
	scope_session struct session session = SESSION_CLOSED;
	scope_fd int namespace = netns_open(netns, err);
	if (namespace < 0)
		return namespace;
	int result = session_open(config, &session, err);
	if (result < 0)
		return result;
	attached->attachment = *wanted;
	attached->attachment.port_count = config->port_count;
	memcpy(attached->attachment.ports, config->ports, sizeof(config->ports));
	result = prepare(&session, config, attached, err);
	if (result < 0)
		return result;
	result = connect_pod(&session, config, namespace, attached, err);
	if (result < 0) {
		struct error ignored;
		(void)release(&session, &attached->attachment, &ignored);
	}
	return result;
}

int attach_delete(const struct config *config, const struct attachment *attachment, struct error *err)
{
	scope_session struct session session = SESSION_CLOSED;
	struct attachment known = *attachment;
	int result = session_open(config, &session, err);
	if (result < 0)
		return result;
	/* Without a record there can still be an address, of an ADD that died early. */
	result = store_load(&session.store, &known, err);
	return result < 0 && result != -ENOENT ? result : release(&session, &known, err);
}

static int check_pod(struct session *session, const struct attachment *attachment, const char *netns, struct error *err)
{
	struct link pod;
	scope_fd int namespace = netns_open(netns, err);
	if (namespace < 0)
		return namespace;
	scope_fd int socket = netns_open_netlink(namespace, err);
	if (socket < 0)
		return socket;
	int result = link_find(socket, session->batch, attachment->interface, &pod, err);
	if (result == 0 && !pod.found)
		result = error_set(err, ENODEV, "check", attachment->interface, "the pod's interface is gone");
	for (unsigned int i = 0; i < attachment->address_count && result == 0; i++) {
		bool has;
		result = link_has_address(socket, session->batch, pod.index, &attachment->addresses[i], &has, err);
		if (result == 0 && !has)
			result = error_set(err, EADDRNOTAVAIL, "check", attachment->interface, "an address of the pod is gone");
	}
	return result;
}

int attach_check(const struct config *config, const struct attachment *attachment, const char *netns, struct error *err)
{
	scope_session struct session session = SESSION_CLOSED;
	struct attachment known = *attachment;
	struct link bridge, host;
	bool has;
	int result = session_open(config, &session, err);
	if (result < 0)
		return result;
	result = store_load(&session.store, &known, err);
	if (result == -ENOENT)
		return error_set(err, ENOENT, "unknown", attachment->container, "this container is not attached");
	if (result == 0)
		result = link_find(session.route, session.batch, config->bridge, &bridge, err);
	if (result == 0)
		result = link_find(session.route, session.batch, known.host_interface, &host, err);
	if (result < 0)
		return result;
	if (!bridge.found || !host.found || host.master != bridge.index)
		return error_set(err, ENODEV, "check", known.host_interface, "the pod's interface is not in the bridge %s",
				 config->bridge);
	result = check_pod(&session, &known, netns, err);
	if (result == 0)
		result = nft_has_ports(session.filter, session.batch, &known, &has, err);
	if (result == 0 && !has)
		return error_set(err, ENOENT, "check", "", "a host port does not lead to the pod");
	return result;
}

struct collection {
	const struct config *config;
	json_t *valid;
};

static int collect_one(const struct attachment *attachment, void *argument, struct error *err)
{
	const struct collection *collection = argument;
	size_t index;
	json_t *valid;

	json_array_foreach(collection->valid, index, valid) {
		const char *id = json_string_value(json_object_get(valid, "containerID"));
		const char *interface = json_string_value(json_object_get(valid, "ifname"));
		if (id != NULL && interface != NULL && strcmp(id, attachment->container) == 0 &&
		    strcmp(interface, attachment->interface) == 0)
			return 0;
	}
	return attach_delete(collection->config, attachment, err);
}

int attach_collect(const struct config *config, struct error *err)
{
	scope_session struct session session = SESSION_CLOSED;
	struct collection collection = {
		.config = config, .valid = json_object_get(config->document, "cni.dev/valid-attachments"),
	};
	/* No list is not an empty list: it would cost every pod its network. */
	if (!json_is_array(collection.valid))
		return error_set(err, EINVAL, "config", "", "cni.dev/valid-attachments is missing");
	int result = session_open(config, &session, err);
	return result < 0 ? result : store_each(&session.store, collect_one, &collection, err);
}

int attach_status(const struct config *config, struct error *err)
{
	scope_session struct session session = SESSION_CLOSED;
	int result = session_open(config, &session, err);
	if (result == 0)
		result = store_lock(&session.store, err);
	return result < 0 ? result : nft_ensure(session.filter, session.batch, config, err);
}
