/*
 * The border between the shim's supervision (process tree, sockets, stdio, log) and the container's
 * set-up (everything that happens inside the cloned child before it becomes the user's program).
 */
#ifndef BERTH_SHIM_SETUP_H
#define BERTH_SHIM_SETUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#include "../common/error.h"

/* Both files of the bundle, parsed and checked. Opaque; one per shim. */
struct bundle;

int bundle_load(const char *directory, struct bundle **out, struct error *err);
void bundle_free(struct bundle *bundle);

const char *bundle_id(const struct bundle *bundle);
const char *bundle_log_path(const struct bundle *bundle);    /* NULL: no log */
uint64_t bundle_log_rate(const struct bundle *bundle);       /* bytes a second that may be logged; 0: any number */
const char *bundle_cgroup_path(const struct bundle *bundle); /* NULL: stay in the shim's cgroup */
bool bundle_terminal(const struct bundle *bundle);
bool bundle_stdin(const struct bundle *bundle);
bool bundle_stdin_once(const struct bundle *bundle);
int bundle_oom_score_adj(const struct bundle *bundle, bool *present);

bool bundle_has_user_namespace(const struct bundle *bundle);

/* Flags for clone3: the namespaces that the child gets new (CLONE_NEWNS always, NEWPID, NEWNET, …). */
unsigned long bundle_clone_flags(const struct bundle *bundle);
/*
 * Opens the namespaces that must be joined by the shim itself before it clones (a PID namespace given
 * by path: setns affects children only) and joins them. Called once, before clone.
 */
int bundle_join_before_clone(const struct bundle *bundle, struct error *err);
/*
 * Has the kernel enforce the bundle's device rules in the open cgroup and all below it. Called once, before
 * anything runs there. Does nothing where there are no rules, or none that denies anything; rules that cannot
 * be enforced are an error.
 */
int bundle_restrict_devices(const struct bundle *bundle, int cgroup, struct error *err);

/* The user as resolved inside the root; crosses the set-up pipe by value. */
struct resolved_user {
	uid_t uid;
	gid_t gid;
	int group_count;
	gid_t groups[256];
	char home[256];
};

/* What the child tells the shim when it stands ready. */
struct setup_result {
	struct resolved_user user;
};

/*
 * Runs in the cloned child, as the container's init to be. Standard descriptors 0 to 2 are already the
 * container's (with a terminal: `console_fd` is the slave side, also to appear as /dev/console; else
 * -1). `hooks` leads to the process that runs hooks, -1 where the bundle has none. Of the others, files, directories and everything from 64 on are closed here, so the caller's report
 * and start channels are pipes or sockets below that.
 *
 * On return the process is in its root and has become the container's: its user, capabilities, limits and
 * working directory are taken and there is no way back, so that what the kernel refuses is an error of
 * create. What is left to do before setup_finish needs no privilege. On failure the process exits.
 */
int setup_container(const struct bundle *bundle, int console_fd, int hooks, struct setup_result *result,
		    struct error *err);

/*
 * The last step, after START: runs the hooks of startContainer, looks the program up once more, resets signals, marks every descriptor but the
 * standard ones to be closed, and executes. Returns only on failure.
 */
int setup_finish(const struct bundle *bundle, const struct setup_result *result, struct error *err);

/* One exec into the running container. Strings live as long as the call. */
struct exec_request {
	char *const *args;  /* NULL-terminated, at least one */
	bool terminal;
};

/*
 * Runs in a process that the shim forked for an exec (already in the container's PID namespace and in
 * its own cgroup leaf): joins the namespaces of `container_pidfd`, takes the container's user, environment,
 * working directory, capabilities and limits, and executes. Descriptors are treated as in setup_container;
 * `container_pidfd` is closed. Returns only on failure.
 */
int setup_exec(const struct bundle *bundle, const struct setup_result *container, int container_pidfd,
	       const struct exec_request *request, struct error *err);

#endif
