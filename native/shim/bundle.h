/* The bundle as the container's set-up sees it: what setup.h keeps opaque for the supervision. */
#ifndef BERTH_SHIM_BUNDLE_H
#define BERTH_SHIM_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "arena.h"
#include "../common/idmap.h"
#include "device_rules.h"
#include "seccomp.h"
#include "setup.h"

#define MAX_GROUPS 256
/* The largest id that is one: 4294967295 is (uid_t)-1, which means "leave as it is" to the kernel. */
#define MAX_ID 4294967294LL

struct limit {
	int resource;
	const char *name;
	struct rlimit value;
};

/* One bit per capability number, as the kernel numbers them. */
struct capability_sets {
	uint64_t bounding, effective, permitted, inheritable, ambient;
};

struct process_spec {
	bool terminal;
	bool no_new_privileges;
	bool has_umask;
	mode_t umask;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char **args; /* NULL-terminated, as is env */
	char **env;
	size_t env_count;
	const char *cwd;
	struct capability_sets capabilities;
	struct limit *limits;
	size_t limit_count;
	bool has_oom_score_adj;
	int oom_score_adj;
	const char *apparmor;                 /* NULL: as this process is */
	const struct seccomp_filter *seccomp; /* NULL: none */
};

struct overlay_spec;
struct hooks;

enum mount_kind { MOUNT_BIND, MOUNT_FILESYSTEM, MOUNT_CGROUP, MOUNT_IMAGE };

struct mount_spec {
	enum mount_kind kind;
	const char *destination;
	const char *source; /* may be NULL for a filesystem */
	const char *type;
	bool recursive;           /* rbind */
	uint64_t attributes;      /* MOUNT_ATTR_* on the mount itself */
	uint64_t attributes_tree; /* MOUNT_ATTR_* on the mount and all below it (rro, …) */
	bool atime, atime_tree;   /* the options chose how access times are kept */
	unsigned long propagation; /* MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE */
	bool propagation_tree;
	const struct idmaps *maps; /* of an id-mapped mount; without any range: as the container's user namespace. NULL: none */
	bool maps_tree;      /* also for what is mounted below it */
	char **data; /* what the filesystem itself is told, NULL-terminated */
	struct overlay_spec *image; /* its layers, for MOUNT_IMAGE; without upper and work */
	const char *image_path;     /* what of it; empty for all */
	bool copy_up; /* a bind mount of an empty directory, to be filled with what it covers */
};

struct device_spec {
	const char *path;
	mode_t mode; /* with the type */
	dev_t number;
	uid_t uid;
	gid_t gid;
};

struct pair {
	const char *name;
	const char *value;
};

/* A namespace that the container gets: new (path NULL) or joined. */
struct namespace_spec {
	unsigned long flag; /* CLONE_NEW*; 0: the container shares the host's */
	const char *path;
};

enum { NAMESPACE_PID, NAMESPACE_NET, NAMESPACE_IPC, NAMESPACE_UTS, NAMESPACE_CGROUP, NAMESPACE_USER, NAMESPACE_COUNT };

struct overlay_spec {
	char **lower; /* top first */
	size_t lower_count;
	const char *upper; /* NULL: nothing can be written */
	const char *work;
	bool is_volatile;
};

struct user_policy {
	const char *spec;
	long long group; /* -1: none given */
	gid_t *groups;
	size_t group_count;
	bool strict;
};

struct bundle {
	struct arena arena;
	const char *directory; /* absolute */
	struct process_spec process;
	const char *root_path; /* NULL when there is an overlay */
	bool root_readonly;
	unsigned long root_propagation; /* MS_*, without MS_REC; 0: not given */
	bool root_propagation_tree;
	const char *hostname;
	const char *domainname;
	struct mount_spec *mounts;
	size_t mount_count;
	struct namespace_spec namespaces[NAMESPACE_COUNT];
	struct idmaps maps; /* of the user namespace: to be made, or what the one given by path must have */
	char **masked_paths;
	char **readonly_paths;
	struct pair *sysctls;
	size_t sysctl_count;
	struct device_spec *devices;
	size_t device_count;
	bool has_device_rules; /* else the cgroup's stay as they are */
	struct device_rule *device_rules; /* complete and reduced */
	size_t device_rule_count;

	const char *id;
	const char *log_path;
	uint64_t log_rate;
	const char *cgroup;
	const char *seccomp_path; /* a compiled filter; NULL: what config.json says is compiled */
	bool has_stdin;
	bool stdin_once;
	struct overlay_spec *overlay;
	struct user_policy *user;
	struct hooks *hooks; /* hooks.h; NULL: none */
};

#endif
