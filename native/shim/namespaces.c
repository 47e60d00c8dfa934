#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../common/scope.h"

/*
 * The type is checked before setns, which would also check it, so that the error can say what is wrong;
 * and the file system before that, because an ioctl number means something else on other files.
 */
static int join(const struct namespace_spec *namespace, struct error *err)
{
	scope_fd int fd = open(namespace->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct statfs fs;
	int type;

	if (fd < 0)
		return error_errno(err, "namespace", namespace->path, "cannot open the namespace");
	if (fstatfs(fd, &fs) < 0)
		return error_errno(err, "namespace", namespace->path, "cannot stat its file system");
	if (fs.f_type != NSFS_MAGIC)
		return error_set(err, EINVAL, "namespace", namespace->path, "is not a namespace");
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type < 0)
		return error_errno(err, "namespace", namespace->path, "cannot tell the namespace's type");
	if ((unsigned long)type != namespace->flag)
		return error_set(err, EINVAL, "namespace", namespace->path,
				 "is a namespace of another type (0x%x, wanted 0x%lx)", (unsigned int)type,
				 namespace->flag);
	if (setns(fd, type) < 0)
		return error_errno(err, "namespace", namespace->path, "cannot join the namespace");
	return 0;
}

int bundle_join_before_clone(const struct bundle *bundle, struct error *err)
{
	const struct namespace_spec *pid = &bundle->namespaces[NAMESPACE_PID];

	return pid->path == NULL ? 0 : join(pid, err);
}

/* A new network namespace has its loopback down; one that is joined was set up by whoever made it. */
static int raise_loopback(struct error *err)
{
	scope_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo" };

	if (fd < 0)
		return error_errno(err, "namespace", "network", "no socket to raise the loopback with");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_errno(err, "namespace", "network", "cannot raise the loopback");
	return 0;
}

static int set_names(const struct bundle *bundle, struct error *err)
{
	const char *host = bundle->hostname;
	const char *domain = bundle->domainname;

	if (host != NULL && sethostname(host, strlen(host)) < 0)
		return error_errno(err, "hostname", host, "cannot set the host name");
	if (domain != NULL && setdomainname(domain, strlen(domain)) < 0)
		return error_errno(err, "hostname", domain, "cannot set the domain name");
	return 0;
}

int namespaces_join(const struct bundle *bundle, struct error *err)
{
	for (int i = 0; i < NAMESPACE_COUNT; i++) {
		int ret;

		if (i == NAMESPACE_PID || i == NAMESPACE_USER || bundle->namespaces[i].path == NULL)
			continue;
		if ((ret = join(&bundle->namespaces[i], err)) < 0)
			return ret;
	}
	return 0;
}

/* In the new cgroup's namespace is the cgroup mount made, so that its root is the container's. */
static int prepare(const struct bundle *bundle, struct error *err)
{
	const struct namespace_spec *cgroup = &bundle->namespaces[NAMESPACE_CGROUP];
	const struct namespace_spec *net = &bundle->namespaces[NAMESPACE_NET];
	int ret;

	if (cgroup->flag != 0 && cgroup->path == NULL && unshare(CLONE_NEWCGROUP) < 0)
		return error_errno(err, "namespace", "cgroup", "cannot make a cgroup namespace");
	if (net->flag != 0 && net->path == NULL && (ret = raise_loopback(err)) < 0)
		return ret;
	return set_names(bundle, err);
}

int namespaces_enter(const struct bundle *bundle, struct error *err)
{
	int ret = namespaces_join(bundle, err);

	return ret < 0 ? ret : prepare(bundle, err);
}

int namespaces_follow(const struct bundle *bundle, int init_pidfd, struct error *err)
{
	const struct namespace_spec *cgroup = &bundle->namespaces[NAMESPACE_CGROUP];
	unsigned long flags = bundle->namespaces[NAMESPACE_NET].flag | bundle->namespaces[NAMESPACE_IPC].flag |
			      bundle->namespaces[NAMESPACE_UTS].flag;
	int ret;

	if (flags != 0 && setns(init_pidfd, (int)flags) < 0)
		return error_errno(err, "namespace", "", "cannot enter the namespaces of the container's init");
	if (cgroup->path != NULL && (ret = join(cgroup, err)) < 0)
		return ret;
	return prepare(bundle, err);
}

int namespaces_of_container(const struct bundle *bundle)
{
	unsigned long flags = CLONE_NEWNS;

	for (int i = 0; i < NAMESPACE_COUNT; i++)
		if (i != NAMESPACE_PID && i != NAMESPACE_USER)
			flags |= bundle->namespaces[i].flag;
	return (int)flags;
}
