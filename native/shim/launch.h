/*
 * How the container's first process comes to be. Without a user namespace it is one clone, and the process sets
 * itself up. With one, the work is divided between processes of different power:
 *
 *   the middle   forked by the shim: joins what is given by path, enters the user namespace and gives birth to
 *   the init     in it, so that its PID namespace belongs to that; it can do nothing outside and waits for
 *   the builder  forked by the shim: with the host's privileges, in the init's namespaces, builds the root in a
 *                mount namespace, has a copy of it made in the user namespace and hands it over
 *
 * The mounts of such a copy are locked together: not even the container's root can take a mask away.
 */
#ifndef BERTH_SHIM_LAUNCH_H
#define BERTH_SHIM_LAUNCH_H

#include "../common/error.h"
#include "../common/idmap.h"
#include "setup.h"
#include "stdio.h"

struct launch_request {
	const struct bundle *bundle;
	int cgroup;               /* to be born in; -1: the shim's */
	const struct stdio *stdio;
	int report;               /* for struct report: when it stands ready, and on failure */
	int hooks;                /* to the process that runs hooks (struct hook_runner's `creation`); -1: none */
	int start;                /* a byte read here lets it execute; -1: at once, and nothing is reported but failure */
};

struct launch {
	pid_t pid;                /* of the init, on the host */
	int pidfd;
	int builder;              /* its pidfd, to be waited for; -1: none */
	struct idmaps *maps;      /* of the user namespace; NULL: none. The caller frees it */
};

/*
 * bundle_join_before_clone has been called. From then on the shim's children are born in the container's PID
 * namespace. On failure nothing runs and nothing is open.
 */
int launch_init(const struct launch_request *request, struct launch *launch, struct error *err);

/* The ids on the host of a user of the container. */
void launch_host_ids(const struct idmaps *maps, uid_t *uid, gid_t *gid);

#endif
