#include "setup_user.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/pass.h"
#include "../common/scope.h"
#include "../common/user_namespace.h"
#include "apparmor.h"
#include "become.h"
#include "descriptors.h"
#include "namespaces.h"
#include "setup_root.h"

/* What the builder hands over, beside the mount namespace. */
struct handover {
	bool failed;
	bool foreign_formats;
	struct error err;
	struct setup_result result;
};

/* The root's mounts as the user namespace's own. */
static int copy_mounts(int user_namespace, int own_namespaces, struct error *err)
{
	int fd;

	/* Not its ids: this process has nothing to do as root in there. */
	if (setns(user_namespace, CLONE_NEWUSER) < 0)
		return error_errno(err, "namespace", "user", "cannot join the user namespace");
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, "namespace", "mount", "cannot make a mount namespace in the user namespace");
	fd = openat(own_namespaces, "mnt", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "namespace", "mount", "cannot open the mount namespace") : fd;
}

static int build(struct container *container, int init, struct handover *handover)
{
	struct error *err = &handover->err;
	scope_fd int own_namespaces = -1;
	int ret = namespaces_follow(container->bundle, init, err);

	if (ret < 0)
		return ret;
	/* By descriptor, because the root is about to change. */
	own_namespaces = open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (own_namespaces < 0)
		return error_errno(err, "namespace", "/proc/self/ns", "cannot open it");
	ret = setup_root(container, &handover->result, err);
	handover->foreign_formats = container->foreign_formats;
	return ret < 0 ? ret : copy_mounts(container->user_namespace, own_namespaces, err);
}

int setup_build(const struct bundle *bundle, const struct idmaps *maps, const int fds[BUILDER_FDS])
{
	struct container container = {
		.bundle = bundle,
		.directory_fd = -1,
		.root_fd = -1,
		.proc_fd = -1,
		.console_fd = fds[BUILDER_CONSOLE],
		.console_mount = -1,
		.user_namespace = fds[BUILDER_USER_NAMESPACE],
		.maps = maps,
		.hooks = fds[BUILDER_HOOKS],
	};
	struct handover handover = { 0 };
	scope_fd int mounts = -1;
	char byte;

	/* It is in the container's PID namespace, and not yet what it may show there. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(0);
	mounts = build(&container, fds[BUILDER_INIT], &handover);
	handover.failed = mounts < 0;
	setup_release(&container);
	if (pass_send(fds[BUILDER_HANDOVER], &handover, sizeof(handover), mounts) < 0)
		return 1;
	/* The last process in it keeps the mount namespace; the init ends this by closing its side. */
	(void)!read(fds[BUILDER_HANDOVER], &byte, 1);
	return 0;
}

static int take_root(int socket, struct handover *handover, struct error *err)
{
	scope_fd int mounts = -1;
	int ret = pass_receive(socket, handover, sizeof(*handover), &mounts);

	if (ret < 0)
		return error_set(err, ECHILD, "clone", "", "the process that builds the root died: %s", strerror(-ret));
	if (handover->failed || mounts < 0) {
		*err = handover->err;
		return err->code > 0 ? -err->code : -EIO;
	}
	if (setns(mounts, CLONE_NEWNS) < 0)
		return error_errno(err, "namespace", "mount", "cannot enter the container's mount namespace");
	return 0;
}

/* The one that the cgroup mount was made in is the host's; this one is the user namespace's, with the same root. */
static int own_cgroup_namespace(const struct bundle *bundle, struct error *err)
{
	const struct namespace_spec *cgroup = &bundle->namespaces[NAMESPACE_CGROUP];

	if (cgroup->flag == 0 || cgroup->path != NULL || unshare(CLONE_NEWCGROUP) == 0)
		return 0;
	return error_errno(err, "namespace", "cgroup", "cannot make a cgroup namespace");
}

int setup_in_user_namespace(const struct bundle *bundle, bool terminal, int socket, struct setup_result *result,
			    struct error *err)
{
	struct handover handover = { 0 };
	int ret;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	descriptors_drop_files(-1);
	if (bundle->process.apparmor != NULL && (ret = apparmor_on_exec(bundle->process.apparmor, err)) < 0)
		return ret;
	umask(0);
	if ((ret = user_namespace_become_root(err)) < 0 || (ret = become_session_leader(terminal, err)) < 0 ||
	    (ret = take_root(socket, &handover, err)) < 0 || (ret = own_cgroup_namespace(bundle, err)) < 0)
		return ret;
	close(socket);
	*result = handover.result;
	if ((ret = become_container_process(&bundle->process, &result->user, -1, err)) < 0)
		return ret;
	return setup_check_command(bundle, &result->user, handover.foreign_formats, err);
}
