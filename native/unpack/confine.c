#include "confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/scope.h"
#include "filter.h"

/* glibc declares these in <sys/mount.h>, which cannot stand beside <linux/mount.h>. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

#define STEP "confine"

static int open_empty(const char *dest, struct error *err)
{
	scope_fd int fd = open(dest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "args", dest, "cannot open the destination");
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	scope_dir DIR *directory = copy < 0 ? NULL : fdopendir(copy);
	if (directory == NULL) {
		int result = error_errno(err, "args", dest, "cannot list the destination");
		if (copy >= 0)
			close(copy);
		return result;
	}
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return error_set(err, ENOTEMPTY, "args", dest, "the destination is not empty");
	}
	return take_fd(&fd);
}

/* A private copy of the destination's mount, attached nowhere. */
static int detach_destination(int fd, const char *dest, struct error *err)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	};
	scope_fd int tree = (int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return error_errno(err, STEP, dest, "cannot detach the destination");
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, STEP, dest, "cannot restrict the destination's mount");
	/* The descriptor of open_tree is O_PATH, with which a directory cannot be listed or synced. */
	int root = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return root >= 0 ? root : error_errno(err, STEP, dest, "cannot open the detached destination");
}

static int enter_empty_root(const char *dest, int dest_fd, struct error *err)
{
	/* The place is of no importance: the old root goes away with all below it. */
	if (fchdir(dest_fd) < 0 || mount("tmpfs", ".", "tmpfs", 0x2 | 0x4 | 0x8, "size=4k,nr_inodes=2,mode=500") < 0)
		return error_errno(err, STEP, dest, "cannot mount an empty root");
	/* The working directory is still what the mount covers; through its path one gets on top. */
	if (chdir(dest) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", 2 /* MNT_DETACH */) < 0)
		return error_errno(err, STEP, dest, "cannot enter the empty root");
	if (chdir("/") < 0 || mount(NULL, "/", NULL, 0x20 | 0x1 | 0x2 | 0x4 | 0x8, NULL) < 0)
		return error_errno(err, STEP, dest, "cannot make the empty root read-only");
	return 0;
}

static int drop_capabilities(struct error *err)
{
	static const int needed[] = {
		CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP,
		CAP_SYS_ADMIN, /* trusted.* attributes */
	};
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t keep[2] = { 0 };

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		keep[CAP_TO_INDEX(needed[i])] |= CAP_TO_MASK(needed[i]);
	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(err, STEP, "", "cannot read the capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= keep[i];
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, data) < 0)
		return error_errno(err, STEP, "", "cannot drop capabilities");
	return 0;
}

int confine(const char *dest, struct error *err)
{
	const struct rlimit no_core = { 0, 0 };

	if (geteuid() != 0 || getegid() != 0)
		return error_set(err, EPERM, STEP, "", "unpacking needs root, to give files their owners");
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return error_errno(err, STEP, "", "cannot get namespaces of its own");
	/* 0x44000: MS_REC | MS_PRIVATE; nothing of what follows may reach the node's own mounts. */
	if (mount(NULL, "/", NULL, 0x44000, NULL) < 0)
		return error_errno(err, STEP, "", "cannot make the mounts private");
	/* Opened only now: a descriptor from the old namespace names a mount that cannot be copied from here. */
	scope_fd int fd = open_empty(dest, err);
	if (fd < 0)
		return fd;
	scope_fd int root = detach_destination(fd, dest, err);
	if (root < 0)
		return root;
	int result = enter_empty_root(dest, fd, err);
	if (result < 0)
		return result;
	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, STEP, "", "cannot give up privileges");
	result = drop_capabilities(err);
	if (result == 0)
		result = filter_install(err);
	return result < 0 ? result : take_fd(&root);
}
