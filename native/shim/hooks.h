/*
 * Hooks of the OCI runtime spec. Those that run in the runtime's namespaces, or before the container has its root,
 * are run by a process of their own, the runner: forked by the shim before it has anything to do with the
 * container's namespaces, it keeps the host's powers, and neither a slow hook nor a dead one is in the way of the
 * shim's other duties. There is one only where there are hooks.
 */
#ifndef BERTH_SHIM_HOOKS_H
#define BERTH_SHIM_HOOKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "bundle.h"

enum hook_stage {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_STAGE_COUNT,
};

struct hook_spec {
	const char *path;
	char **args; /* NULL-terminated, with the program's name, as is env */
	char **env;
	int timeout; /* seconds */
};

struct hooks {
	struct {
		struct hook_spec *list;
		size_t count;
	} stages[HOOK_STAGE_COUNT];
	const char *version;     /* ociVersion */
	const char *annotations; /* a JSON object, as text */
};

const char *hook_stage_name(enum hook_stage stage);

/* Where and for whom the hooks of a stage run. */
struct hook_scene {
	const struct bundle *bundle;
	enum hook_stage stage;
	pid_t pid;      /* of the container's init, as the hooks are told; 0: none any more */
	int namespaces; /* pidfd of the process whose namespaces they run in; -1: the caller's */
	int abort;      /* a socket whose hang-up ends a hook; -1: none */
	bool adopts;    /* the caller is a subreaper: what a failed hook leaves behind is found and killed */
};

/* Runs one hook to its end. Errors: step `hook`, the hook's path, and the end of what it wrote to stderr. */
int hook_run(const struct hook_scene *scene, const struct hook_spec *hook, struct error *err);
/* The hooks of the stage in their order, up to the first that fails. */
int hooks_run(const struct hook_scene *scene, struct error *err);

struct hook_runner {
	int requests; /* the shim's end of the talk with the runner; -1: there are no hooks */
	int creation; /* the end of the process that builds the root, until that is born */
};

#define HOOK_RUNNER_NONE ((struct hook_runner){ -1, -1 })

/* Forks the runner, if the bundle has hooks. Before the caller's children are born in other namespaces. */
int hook_runner_begin(const struct bundle *bundle, struct hook_runner *runner, struct error *err);
/* The init is born. Its root's builder will be answered by the runner alone from here on. */
void hook_runner_born(struct hook_runner *runner, pid_t init);
/* Asks for the hooks of HOOK_POSTSTART or HOOK_POSTSTOP; the answers come one by one. */
void hook_runner_ask(const struct hook_runner *runner, enum hook_stage stage, pid_t init);
/* HOOK_FAILED: one did, and `err` says why. HOOKS_DONE: that was all of the stage. HOOKS_GONE: nobody will answer. */
enum hook_answer { HOOK_FAILED, HOOKS_DONE, HOOKS_GONE };
/* Waits for it. */
enum hook_answer hook_runner_answer(const struct hook_runner *runner, struct error *err);
/* Without hooks to come the runner ends. */
void hook_runner_end(struct hook_runner *runner);

/*
 * From the process that has built the root, before it enters it: has the runner run the hooks of creation.
 * `creation` may be -1 where the bundle has no hooks.
 */
int hooks_of_creation(const struct bundle *bundle, int creation, struct error *err);

#endif
