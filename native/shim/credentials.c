#include "credentials.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int set_limit(const struct limit *limit, const struct rlimit *value, struct error *err)
{
	if (prlimit(0, (enum __rlimit_resource)limit->resource, value, NULL) == 0)
		return 0;
	if (errno == EPERM)
		return error_set(err, EPERM, "rlimit", limit->name,
				 "raising the hard limit needs CAP_SYS_RESOURCE, which Berth itself lacks");
	return error_errno(err, "rlimit", limit->name, "cannot set the limit");
}

int limits_raise(const struct process_spec *process, struct error *err)
{
	for (size_t i = 0; i < process->limit_count; i++) {
		const struct limit *limit = &process->limits[i];
		struct rlimit now;
		int ret;

		if (prlimit(0, (enum __rlimit_resource)limit->resource, NULL, &now) < 0)
			return error_errno(err, "rlimit", limit->name, "cannot read the limit");
		if (limit->value.rlim_max <= now.rlim_max)
			continue;
		now.rlim_max = limit->value.rlim_max;
		if ((ret = set_limit(limit, &now, err)) < 0)
			return ret;
	}
	return 0;
}

int limits_apply(const struct process_spec *process, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < process->limit_count; i++)
		ret = set_limit(&process->limits[i], &process->limits[i].value, err);
	return ret;
}

/* EINVAL: a number beyond the last capability that the running kernel knows. */
static int drop_bounding(uint64_t keep, struct error *err)
{
	for (int number = 0; number < 64; number++) {
		if ((keep & (UINT64_C(1) << number)) != 0 || prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break;
		return error_errno(err, "capabilities", "bounding", "cannot drop capability %d", number);
	}
	return 0;
}

static int read_permitted(uint64_t *permitted, struct error *err)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(err, "capabilities", "permitted", "cannot read the process's capabilities");
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int set_sets(const struct capability_sets *sets, uint64_t grantable, struct error *err)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint64_t effective = sets->effective & grantable;
	uint64_t permitted = sets->permitted & grantable;
	uint64_t inheritable = sets->inheritable & grantable;

	for (int half = 0; half < 2; half++) {
		data[half].effective = (uint32_t)(effective >> (32 * half));
		data[half].permitted = (uint32_t)(permitted >> (32 * half));
		data[half].inheritable = (uint32_t)(inheritable >> (32 * half));
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return error_errno(err, "capabilities", "permitted", "cannot set the process's capabilities");
	return 0;
}

/* The kernel takes as ambient only what is permitted and inheritable too. */
static int set_ambient(const struct capability_sets *sets, uint64_t grantable, struct error *err)
{
	uint64_t ambient = sets->ambient & sets->permitted & sets->inheritable & grantable;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return error_errno(err, "capabilities", "ambient", "cannot clear the ambient set");
	for (int number = 0; number < 64; number++)
		if ((ambient & (UINT64_C(1) << number)) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
			return error_errno(err, "capabilities", "ambient", "cannot raise capability %d", number);
	return 0;
}

static int set_ids(const struct resolved_user *user, struct error *err)
{
	char who[32];

	snprintf(who, sizeof(who), "%u:%u", user->uid, user->gid);
	/* Always, also with none: the groups of the daemon must not be inherited. */
	if (setgroups((size_t)user->group_count, user->groups) < 0)
		return error_errno(err, "user", who, "cannot set the supplementary groups");
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return error_errno(err, "user", who, "cannot set the group");
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return error_errno(err, "user", who, "cannot set the user");
	return 0;
}

/*
 * seccomp(2) takes no_new_privs or CAP_SYS_ADMIN. Loaded before the other privileges are given up, a filter would
 * have to allow all that the set-up still does; so this one capability is kept to the end instead.
 */
static bool holds_admin(const struct process_spec *process)
{
	return process->seccomp != NULL && !process->no_new_privileges;
}

int credentials_confine(const struct process_spec *process, struct error *err)
{
	uint64_t permitted = 0;
	int ret;

	if (process->seccomp == NULL)
		return 0;
	if (holds_admin(process) && (ret = read_permitted(&permitted, err)) < 0)
		return ret;
	if ((ret = seccomp_load(process->seccomp, err)) < 0)
		return ret;
	return holds_admin(process) ? set_sets(&process->capabilities, permitted, err) : 0;
}

/*
 * The order is the kernel's: the bounding set can be dropped only with CAP_SETPCAP; leaving uid 0 clears
 * the permitted set unless keepcaps is on; and the ambient set is bounded by the others. What this
 * process was not given itself cannot be given on: that is left out, as the OCI runtime spec wants.
 */
int credentials_apply(const struct process_spec *process, const struct resolved_user *user, struct error *err)
{
	struct capability_sets first = process->capabilities;
	uint64_t grantable = 0;
	int ret;

	if ((ret = read_permitted(&grantable, err)) < 0 ||
	    (ret = drop_bounding(process->capabilities.bounding, err)) < 0)
		return ret;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return error_errno(err, "capabilities", "", "cannot keep capabilities over the change of user");
	if ((ret = set_ids(user, err)) < 0)
		return ret;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return error_errno(err, "capabilities", "", "cannot stop keeping capabilities");
	/* setresuid lets dumpable follow /proc/sys/fs/suid_dumpable; until the exec this process still holds
	 * the runtime's memory. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, "capabilities", "", "cannot forbid dumps");
	if (holds_admin(process)) {
		first.effective |= UINT64_C(1) << CAP_SYS_ADMIN;
		first.permitted |= UINT64_C(1) << CAP_SYS_ADMIN;
	}
	if ((ret = set_sets(&first, grantable, err)) < 0 ||
	    (ret = set_ambient(&process->capabilities, grantable, err)) < 0)
		return ret;
	if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, "capabilities", "no_new_privs", "cannot set it");
	umask(process->has_umask ? process->umask : 022);
	return 0;
}
