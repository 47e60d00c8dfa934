#include "setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "apparmor.h"
#include "become.h"
#include "command.h"
#include "container.h"
#include "credentials.h"
#include "cwd.h"
#include "descriptors.h"
#include "devices.h"
#include "environment.h"
#include "hooks.h"
#include "masks.h"
#include "mounts.h"
#include "namespaces.h"
#include "ownership.h"
#include "rootfs.h"
#include "setup_root.h"
#include "sysctl.h"
#include "user.h"
#include "../common/scope.h"

/*
 * With binfmt_misc in use on the host any file may be a program. Whether it is mounted is asked without
 * triggering systemd's automount, and an automount counts as mounted.
 */
static bool host_has_foreign_formats(void)
{
	struct statx at;

	return statx(AT_FDCWD, "/proc/sys/fs/binfmt_misc", AT_NO_AUTOMOUNT, 0, &at) == 0 &&
	       (at.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static int build_root(struct container *container, struct error *err)
{
	const struct process_spec *process = &container->bundle->process;
	int ret;

	if ((ret = mounts_open_sources(container, err)) < 0 || (ret = rootfs_attach(container, err)) < 0 ||
	    (container->maps != NULL && (ret = ownership_take(container->maps, err)) < 0) ||
	    (ret = mounts_attach(container, err)) < 0 || (ret = devices_make(container, err)) < 0 ||
	    (ret = sysctls_write(container, err)) < 0)
		return ret;
	/* Before the masks, and before the root may become read-only. */
	if ((ret = cwd_make(container->root_fd, process->cwd, err)) < 0)
		return ret;
	return masks_apply(container, err);
}

static int enter_root(const struct container *container, struct error *err)
{
	int ret = rootfs_pivot(container, err);

	return ret < 0 ? ret : rootfs_seal(container, err);
}

void setup_release(struct container *container)
{
	for (size_t i = 0; container->sources != NULL && i < container->bundle->mount_count; i++)
		scope_close_fd(&container->sources[i]);
	free(container->sources);
	scope_close_fd(&container->directory_fd);
	scope_close_fd(&container->root_fd);
	scope_close_fd(&container->proc_fd);
	scope_close_fd(&container->console_mount);
	scope_close_fd(&container->hooks);
}

int setup_check_command(const struct bundle *bundle, const struct resolved_user *user, bool any_format,
			struct error *err)
{
	char path[4096];
	char **env;
	int ret = environment_make(&bundle->process, user, bundle->process.terminal, &env, err);

	return ret < 0 ? ret : command_find(bundle->process.args[0], env, any_format, path, err);
}

int setup_root(struct container *container, struct setup_result *result, struct error *err)
{
	const struct bundle *bundle = container->bundle;
	int ret;

	container->directory_fd = open(bundle->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (container->directory_fd < 0)
		return error_errno(err, "bundle", bundle->directory, "cannot open the bundle");
	container->foreign_formats = host_has_foreign_formats();
	if ((ret = build_root(container, err)) < 0 || (ret = hooks_of_creation(bundle, container->hooks, err)) < 0 ||
	    (ret = user_resolve(bundle, container->root_fd, &result->user, err)) < 0)
		return ret;
	return enter_root(container, err);
}

int setup_container(const struct bundle *bundle, int console_fd, int hooks, struct setup_result *result,
		    struct error *err)
{
	struct container container = {
		.bundle = bundle,
		.directory_fd = -1,
		.root_fd = -1,
		.proc_fd = -1,
		.console_fd = console_fd,
		.console_mount = -1,
		.user_namespace = -1,
		.hooks = hooks,
	};
	int ret;

	/* A container that shares this PID namespace must not trace what still is the runtime. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	descriptors_drop_files(-1);
	if (bundle->process.apparmor != NULL && (ret = apparmor_on_exec(bundle->process.apparmor, err)) < 0)
		return ret;
	umask(0);
	if ((ret = become_session_leader(console_fd >= 0, err)) == 0 && (ret = namespaces_enter(bundle, err)) == 0)
		ret = setup_root(&container, result, err);
	setup_release(&container);
	if (ret < 0)
		return ret;
	/*
	 * The privileges go before the wait for START, not after it: what the configuration asks for and
	 * the kernel refuses is then an error of create.
	 */
	if ((ret = become_container_process(&bundle->process, &result->user, -1, err)) < 0)
		return ret;
	return setup_check_command(bundle, &result->user, container.foreign_formats, err);
}

int setup_finish(const struct bundle *bundle, const struct setup_result *result, struct error *err)
{
	/* With the container's powers and no more: its programs could meddle with what runs there. */
	struct hook_scene scene = { .bundle = bundle, .stage = HOOK_START_CONTAINER, .pid = getpid(), .namespaces = -1,
				    .abort = -1 };
	char path[4096];
	char **env;
	int ret;

	signal(SIGPIPE, SIG_IGN); /* hooks that do not read their input */
	if ((ret = hooks_run(&scene, err)) < 0 ||
	    (ret = environment_make(&bundle->process, &result->user, bundle->process.terminal, &env, err)) < 0 ||
	    (ret = command_find(bundle->process.args[0], env, true, path, err)) < 0)
		return ret;
	become_ready_to_execute();
	if ((ret = credentials_confine(&bundle->process, err)) < 0)
		return ret;
	return command_execute(path, bundle->process.args, env, err);
}
