#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/scope.h"

int session_open(const struct config *config, struct session *session, struct error *err)
{
	session->batch = malloc(sizeof(*session->batch));
	if (session->batch == NULL)
		return error_set(err, ENOMEM, "network", "", "no memory");
	nl_reset(session->batch);
	int result = store_open(config, &session->store, err);
	if (result < 0)
		return result;
	session->route = nl_open(NETLINK_ROUTE, err);
	if (session->route < 0)
		return session->route;
	session->filter = nl_open(NETLINK_NETFILTER, err);
	return session->filter < 0 ? session->filter : 0;
}

void session_close(struct session *session)
{
	store_close(&session->store);
	scope_close_fd(&session->route);
	scope_close_fd(&session->filter);
	free(session->batch);
	*session = (struct session)SESSION_CLOSED;
}

int netns_open(const char *path, struct error *err)
{
	struct statfs file_system;
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "netns", path, "cannot open the network namespace");
	/* Where the pin's mount is gone, an ordinary file is left, and setns would say no more than EINVAL. */
	if (fstatfs(fd, &file_system) < 0 || file_system.f_type != NSFS_MAGIC)
		return error_set(err, EINVAL, "netns", path, "this is no network namespace");
	return take_fd(&fd);
}

int netns_open_netlink(int netns, struct error *err)
{
	scope_fd int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || setns(netns, CLONE_NEWNET) < 0)
		return error_errno(err, "netns", "", "cannot enter the network namespace");
	/* A socket belongs for good to the namespace that it was made in. */
	int socket = nl_open(NETLINK_ROUTE, err);
	if (setns(home, CLONE_NEWNET) < 0) {
		if (socket >= 0)
			close(socket);
		return error_errno(err, "netns", "", "cannot return from the network namespace");
	}
	return socket;
}

static int set(const char *path, char value, struct error *err)
{
	char now = 0;
	scope_fd int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &now, 1, 0) != 1)
		return error_errno(err, "network", path, "cannot read the setting");
	/* Writing what stands there already is not free: forwarding walks all interfaces. */
	if (now != value && pwrite(fd, &value, 1, 0) != 1)
		return error_errno(err, "network", path, "cannot change the setting");
	return 0;
}

int sysctl_prepare(const struct config *config, struct error *err)
{
	char path[96];
	bool ipv4 = false, ipv6 = false;
	int result = 0;

	for (unsigned int i = 0; i < config->range_count; i++) {
		ipv4 = ipv4 || config->ranges[i].subnet.family == AF_INET;
		ipv6 = ipv6 || config->ranges[i].subnet.family == AF_INET6;
	}
	if (ipv4)
		result = set("/proc/sys/net/ipv4/ip_forward", '1', err);
	if (result == 0 && ipv6)
		result = set("/proc/sys/net/ipv6/conf/all/forwarding", '1', err);
	if (result < 0 || !ipv4)
		return result;
	/* Lets 127.0.0.1:PORT be translated to a pod. What it opens for pods, the guard chain closes. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", config->bridge);
	return set(path, '1', err);
}
