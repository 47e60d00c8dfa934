#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/request.h"
#include "../common/scope.h"
#include "../common/user_namespace.h"
#include "reaper.h"
#include "sysctl.h"

static int parse_map(const json_t *object, const char *name, struct idmap *map, struct error *err)
{
	const char *problem = idmap_from_json(json_object_get(object, name), map);

	return problem == NULL ? 0 : error_set(err, EINVAL, "protocol", name, "%s: %s", name, problem);
}

static int parse_user(const json_t *object, struct sandbox_request *request, struct error *err)
{
	int result = request_path(object, "user", true, &request->user, err);

	result = result < 0 ? result : parse_map(object, "uidMappings", &request->maps.uids, err);
	result = result < 0 ? result : parse_map(object, "gidMappings", &request->maps.gids, err);
	if (result < 0)
		return result;
	if ((request->maps.uids.count == 0) != (request->maps.gids.count == 0) ||
	    (request->maps.uids.count > 0 && *request->user == '\0'))
		return error_set(err, EINVAL, "protocol", "user", "user, uidMappings and gidMappings go together");
	request->makes_user = request->maps.uids.count > 0;
	return 0;
}

int sandbox_parse(const json_t *object, struct sandbox_request *request, struct error *err)
{
	int result = 0;

	*request = (struct sandbox_request){ .sysctls = json_object_get(object, "sysctls") };
	result = result < 0 ? result : request_path(object, "net", true, &request->net, err);
	result = result < 0 ? result : request_path(object, "ipc", true, &request->ipc, err);
	result = result < 0 ? result : request_path(object, "uts", true, &request->uts, err);
	result = result < 0 ? result : request_path(object, "pid", true, &request->pid, err);
	result = result < 0 ? result : request_path(object, "shm", true, &request->shm, err);
	result = result < 0 ? result : request_path(object, "cgroup", true, &request->cgroup, err);
	result = result < 0 ? result : request_string(object, "hostname", "", &request->hostname, err);
	result = result < 0 ? result : parse_user(object, request, err);
	result = result < 0 ? result : request_integer(object, "shmSize", 64 << 20, 0, LLONG_MAX, &request->shm_size, err);
	if (result < 0)
		return result;
	if (request->sysctls != NULL && !json_is_object(request->sysctls))
		return error_set(err, EINVAL, "sysctl", "", "sysctls: an object of strings expected");
	return 0;
}

static int loopback_up(struct error *err)
{
	struct ifreq request = { .ifr_name = "lo" };
	scope_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* A kernel without IPv4 still has the ioctl on an IPv6 socket. */
	if (fd < 0)
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "loopback", "lo", "socket");
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return error_errno(err, "loopback", "lo", "reading the interface's flags");
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_errno(err, "loopback", "lo", "bringing the interface up");
	return 0;
}

static int write_sysctls(const struct sandbox_request *request, struct error *err)
{
	struct sysctl_scope scope = {
		.net = *request->net != '\0',
		.ipc = *request->ipc != '\0',
		.uts = *request->uts != '\0',
	};
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)request->sysctls, name, value) {
		int result;
		if (!json_is_string(value))
			return error_set(err, EINVAL, "sysctl", name, "the value is no string");
		result = sysctl_write(&scope, name, json_string_value(value), json_string_length(value), err);
		if (result < 0)
			return result;
	}
	return 0;
}

static int pin(const char *path, const char *namespace_file, struct error *err)
{
	scope_fd int fd = -1;

	if (*path == '\0')
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (fd < 0)
		return error_errno(err, "pin", path, "making the pin file");
	if (mount(namespace_file, path, NULL, MS_BIND, NULL) < 0)
		return error_errno(err, "pin", path, "mounting %s", namespace_file);
	return 0;
}

/* The process that holds the new namespaces is left; this one looks after them with the host's privileges. */
static int make_owned(const struct sandbox_request *request, int flags, struct namespace_holder *holder,
		      struct error *err)
{
	char user_file[64];
	int result = namespace_hold(&request->maps, (unsigned)flags, holder, err);

	if (result < 0)
		return result;
	if (flags != 0 && setns(holder->pidfd, flags) < 0)
		return error_errno(err, "unshare", "", "joining the new namespaces");
	snprintf(user_file, sizeof(user_file), "/proc/%d/ns/user", holder->pid);
	return pin(request->user, user_file, err);
}

static int make_namespaces(const struct sandbox_request *request, struct namespace_holder *holder, struct error *err)
{
	int flags = (*request->net ? CLONE_NEWNET : 0) | (*request->ipc ? CLONE_NEWIPC : 0) |
		    (*request->uts ? CLONE_NEWUTS : 0);
	int result = 0;

	if (*request->user && !request->makes_user && flags != 0)
		return error_set(err, EINVAL, "protocol", "uidMappings", "a user namespace that is there can only get a pid");
	if (request->makes_user)
		result = make_owned(request, flags, holder, err);
	else if (flags != 0 && unshare(flags) < 0)
		return error_errno(err, "unshare", "", "new namespaces");
	if (result == 0 && *request->net)
		result = loopback_up(err);
	if (result == 0 && *request->uts && *request->hostname &&
	    sethostname(request->hostname, strlen(request->hostname)) < 0)
		result = error_errno(err, "hostname", request->hostname, "sethostname");
	return result < 0 ? result : write_sysctls(request, err);
}

static int mount_shm(const struct sandbox_request *request, struct error *err)
{
	char options[96];
	uint32_t uid = 0, gid = 0;

	if (*request->shm == '\0')
		return 0;
	if (request->makes_user && !(idmap_outside(&request->maps.uids, 0, &uid) &&
				     idmap_outside(&request->maps.gids, 0, &gid)))
		return error_set(err, EINVAL, "shm", request->shm, "the user namespace has no root to own it");
	if (mkdir(request->shm, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "shm", request->shm, "mkdir");
	snprintf(options, sizeof(options), "mode=1777,size=%lld,uid=%u,gid=%u", request->shm_size, uid, gid);
	if (mount("shm", request->shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
		return error_errno(err, "shm", request->shm, "mounting a tmpfs");
	return 0;
}

static int create_steps(const struct sandbox_request *request, struct namespace_holder *holder, pid_t *reaper,
			struct error *err)
{
	char pid_file[64];
	int result = make_namespaces(request, holder, err);

	result = result < 0 ? result : pin(request->net, "/proc/self/ns/net", err);
	result = result < 0 ? result : pin(request->ipc, "/proc/self/ns/ipc", err);
	result = result < 0 ? result : pin(request->uts, "/proc/self/ns/uts", err);
	result = result < 0 ? result : mount_shm(request, err);
	if (result < 0 || *request->pid == '\0')
		return result;
	result = reaper_start(request->id, request->cgroup, request->user, reaper, err);
	if (result < 0)
		return result;
	snprintf(pid_file, sizeof(pid_file), "/proc/%d/ns/pid", *reaper);
	return pin(request->pid, pid_file, err);
}

/* Something already there under a pin's name belongs to somebody else and must survive the undoing. */
static int refuse_existing(const struct sandbox_request *request, struct error *err)
{
	const char *paths[] = { request->net, request->ipc, request->uts, request->pid,
				request->makes_user ? request->user : "" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (*paths[i] != '\0' && faccessat(AT_FDCWD, paths[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return error_set(err, EEXIST, "pin", paths[i], "the pin file is there already");
	return 0;
}

int sandbox_create(const struct sandbox_request *request, pid_t *reaper, struct error *err)
{
	struct namespace_holder holder = { .pidfd = -1, .leash = -1 };
	struct sandbox_request made = *request;
	struct error ignored;
	int result = refuse_existing(request, err);

	*reaper = 0;
	if (result < 0)
		return result;
	result = create_steps(request, &holder, reaper, err);
	namespace_release(&holder);
	if (result < 0) {
		if (*reaper > 0)
			kill(*reaper, SIGKILL);
		/* One that was there before is not ours to take away. */
		if (!request->makes_user)
			made.user = "";
		sandbox_delete(&made, &ignored);
	}
	return result;
}

/* Takes away every mount on `path`; several lie on it when a mount was propagated back. */
static int unmount(const char *path, struct error *err)
{
	for (int layer = 0; layer < 16; layer++) {
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			continue;
		if (errno == EINVAL || errno == ENOENT)
			return 0;
		return error_errno(err, "pin", path, "unmounting");
	}
	return error_set(err, EBUSY, "pin", path, "mounts keep appearing");
}

static int delete_one(const char *path, bool directory, struct error *err)
{
	int result;

	if (*path == '\0')
		return 0;
	result = unmount(path, err);
	if (result < 0)
		return result;
	if ((directory ? rmdir(path) : unlink(path)) < 0 && errno != ENOENT)
		return error_errno(err, directory ? "shm" : "pin", path, "removing");
	return 0;
}

int sandbox_delete(const struct sandbox_request *request, struct error *err)
{
	const char *pins[] = { request->net, request->ipc, request->uts, request->pid, request->user };
	struct error later;
	int result = delete_one(request->shm, true, err);

	/* Every one is tried; the first failure is the one reported. */
	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
		int next = delete_one(pins[i], false, result < 0 ? &later : err);
		result = result < 0 ? result : next;
	}
	return result;
}
