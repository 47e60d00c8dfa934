#include "launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/spawn.h"
#include "../common/user_namespace.h"
#include "../common/user_spawn.h"
#include "bundle.h"
#include "child.h"
#include "credentials.h"
#include "namespaces.h"
#include "setup_user.h"

/* What the processes of one launch share. */
struct birth {
	const struct launch_request *request;
	int handover[2]; /* the init's end, the builder's; -1: no user namespace */
	int user_namespace;
	int init;        /* pidfd */
	const struct idmaps *maps;
};

__attribute__((noreturn)) static void be_init(const struct launch_request *request, int handover)
{
	const struct bundle *bundle = request->bundle;
	const struct stdio *stdio = request->stdio;
	/* The terminal is kept beside descriptor 0 because it is also to be /dev/console. */
	int keep[5] = { request->report, request->start, stdio->terminal ? stdio->child[0] : -1, handover,
			handover < 0 ? request->hooks : -1 };
	struct report report = { 0 };
	struct error err;
	char byte;
	int ret;

	child_enter(stdio, keep, 5, bundle);
	ret = handover < 0 ? setup_container(bundle, keep[2], keep[4], &report.result, &err) :
			     setup_in_user_namespace(bundle, stdio->terminal, keep[3], &report.result, &err);
	if (ret < 0)
		child_fail(keep[0], &err);
	if (keep[2] >= 0)
		close(keep[2]);
	if (keep[1] >= 0) {
		child_report(keep[0], &report);
		/* End of file: the shim is gone, and nobody would ever see how this ends. */
		if (read(keep[1], &byte, 1) != 1)
			_exit(125);
		close(keep[1]);
	}
	setup_finish(bundle, &report.result, &err);
	child_fail(keep[0], &err);
}

static int launch_plain(const struct launch_request *request, struct launch *launch, struct error *err)
{
	struct spawn how = { .flags = bundle_clone_flags(request->bundle), .cgroup = request->cgroup };

	launch->pid = spawn(&how, &launch->pidfd);
	if (launch->pid == 0)
		be_init(request, -1);
	if (launch->pid >= 0)
		return 0;
	/* What clone(2) says for a PID namespace whose init is gone. */
	return error_set(err, -launch->pid, "clone", "", "clone3: %s%s", strerror(-launch->pid),
			 launch->pid == -ENOMEM && request->bundle->namespaces[NAMESPACE_PID].path != NULL ?
				 " (the PID namespace to join has ended)" : "");
}

/* Still with the host's privileges: what of it the init would miss. */
static int prepare_init(void *context, struct error *err)
{
	const struct birth *birth = context;
	const struct bundle *bundle = birth->request->bundle;
	int ret;

	if ((ret = child_set_oom_score(bundle, err)) < 0 || (ret = limits_raise(&bundle->process, err)) < 0)
		return ret;
	return namespaces_join(bundle, err);
}

static void run_init(void *context)
{
	const struct birth *birth = context;

	be_init(birth->request, birth->handover[0]);
}

__attribute__((noreturn)) static void be_builder(const struct birth *birth)
{
	const struct stdio *stdio = birth->request->stdio;
	int keep[BUILDER_FDS] = { birth->handover[1], birth->user_namespace, birth->init,
				  stdio->terminal ? stdio->child[0] : -1, birth->request->hooks };

	spawn_reset_signals();
	if (spawn_keep_descriptors(keep, BUILDER_FDS) < 0)
		_exit(1);
	_exit(setup_build(birth->request->bundle, birth->maps, keep));
}

static int open_user_namespace(const struct bundle *bundle, struct error *err)
{
	const char *path = bundle->namespaces[NAMESPACE_USER].path;

	return path == NULL ? user_namespace_make(&bundle->maps, err) : user_namespace_open(path, err);
}

static int learn_maps(const struct bundle *bundle, struct launch *launch, struct error *err)
{
	int ret;

	launch->maps = calloc(1, sizeof(*launch->maps));
	if (launch->maps == NULL)
		return error_set(err, ENOMEM, "namespace", "user", "no memory");
	if ((ret = idmaps_read(launch->pid, launch->maps, err)) < 0)
		return ret;
	if (bundle->maps.uids.count > 0 && !idmaps_equal(&bundle->maps, launch->maps))
		return error_set(err, EINVAL, "namespace", bundle->namespaces[NAMESPACE_USER].path,
				 "the user namespace has other maps than linux.uidMappings and gidMappings");
	return 0;
}

static int start_builder(struct birth *birth, struct launch *launch, struct error *err)
{
	struct spawn how = { .flags = CLONE_NEWNS, .cgroup = birth->request->cgroup };
	pid_t pid;
	int ret = learn_maps(birth->request->bundle, launch, err);

	if (ret < 0)
		return ret;
	birth->maps = launch->maps;
	birth->init = launch->pidfd;
	pid = spawn(&how, &launch->builder);
	if (pid == 0)
		be_builder(birth);
	return pid < 0 ? error_set(err, -pid, "clone", "", "clone3: %s", strerror(-pid)) : 0;
}

/* From now on the shim's children are born in the container's PID namespace: builder and execs stay its own. */
static int follow_pid_namespace(const struct bundle *bundle, const struct launch *launch, struct error *err)
{
	/* ESRCH: its set-up has failed already, which its report tells better. */
	if ((bundle_clone_flags(bundle) & CLONE_NEWPID) && setns(launch->pidfd, CLONE_NEWPID) < 0 && errno != ESRCH)
		return error_errno(err, "namespace", "pid", "joining the container's PID namespace");
	return 0;
}

static int launch_divided(const struct launch_request *request, struct launch *launch, struct error *err)
{
	struct birth birth = { .request = request };
	scope_fd int namespace = open_user_namespace(request->bundle, err);
	struct user_spawn how = { .user_namespace = namespace, .cgroup = request->cgroup, .prepare = prepare_init,
				  .run = run_init, .context = &birth,
				  .flags = bundle_clone_flags(request->bundle) & ~(unsigned long)CLONE_NEWNS };
	scope_fd int init_end = -1, builder_end = -1;
	int ret;

	if (namespace < 0)
		return namespace;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, birth.handover) < 0)
		return error_errno(err, "clone", "", "socketpair");
	init_end = birth.handover[0];
	builder_end = birth.handover[1];
	birth.user_namespace = namespace;
	launch->pid = user_spawn(&how, &launch->pidfd, err);
	if (launch->pid < 0)
		return launch->pid;
	/* Closed here first, or the builder would not see the init's end. */
	close(take_fd(&init_end));
	ret = follow_pid_namespace(request->bundle, launch, err);
	return ret < 0 ? ret : start_builder(&birth, launch, err);
}

int launch_init(const struct launch_request *request, struct launch *launch, struct error *err)
{
	int ret;

	*launch = (struct launch){ .pid = -1, .pidfd = -1, .builder = -1 };
	if (bundle_has_user_namespace(request->bundle)) {
		ret = launch_divided(request, launch, err);
	} else {
		ret = launch_plain(request, launch, err);
		ret = ret < 0 ? ret : follow_pid_namespace(request->bundle, launch, err);
	}
	if (ret >= 0)
		return 0;
	if (launch->pidfd >= 0) {
		int ignored;

		pidfd_send_signal(launch->pidfd, SIGKILL, NULL, 0);
		child_await(launch->pidfd, &ignored, &ignored);
		close(launch->pidfd);
	}
	free(launch->maps);
	*launch = (struct launch){ .pid = -1, .pidfd = -1, .builder = -1 };
	return ret;
}

void launch_host_ids(const struct idmaps *maps, uid_t *uid, gid_t *gid)
{
	uint32_t outside;

	if (maps == NULL)
		return;
	*uid = idmap_outside(&maps->uids, *uid, &outside) ? outside : (uid_t)-1;
	*gid = idmap_outside(&maps->gids, *gid, &outside) ? outside : (gid_t)-1;
}
