/* The shim's side of the hooks that run once the container has started, and once it has ended. */
#include <stdio.h>
#include <string.h>

#include "hooks.h"
#include "shim.h"

static void log_failure(struct shim *shim, const struct error *err)
{
	char line[sizeof(err->path) + sizeof(err->message) + 32];
	int length = snprintf(line, sizeof(line), "berth: hook %s: %s\n", err->path, err->message);

	shim_log(shim, LOG_STDERR, line, (size_t)length);
}

static void stage_over(struct shim *shim, enum hook_stage stage)
{
	struct init *init = &shim->init;

	if (!init->hooks_asked[stage] || init->hooks_done[stage])
		return;
	init->hooks_done[stage] = true;
	if (stage == HOOK_POSTSTART)
		init_answer_start(init);
	else
		shim_maybe_finish(shim);
}

static void answer_ready(struct watch *watch, uint32_t events)
{
	struct init *init = OWNER_OF(watch, struct init, hooks);
	struct error err;
	enum hook_answer answer = hook_runner_answer(&init->hook_runner, &err);

	(void)events;
	if (answer == HOOK_FAILED) {
		log_failure(init->shim, &err);
		return;
	}
	if (answer == HOOKS_GONE) {
		watch_close(&init->shim->loop, watch);
		init->hook_runner = HOOK_RUNNER_NONE;
		stage_over(init->shim, HOOK_POSTSTART);
		stage_over(init->shim, HOOK_POSTSTOP);
		return;
	}
	/* Answers come in the order of the requests. */
	stage_over(init->shim, init->hooks_asked[HOOK_POSTSTART] && !init->hooks_done[HOOK_POSTSTART] ? HOOK_POSTSTART :
													 HOOK_POSTSTOP);
}

void hooks_watch(struct shim *shim)
{
	struct init *init = &shim->init;

	if (init->hook_runner.requests < 0)
		return;
	init->hooks = (struct watch){ .fd = init->hook_runner.requests, .ready = answer_ready };
	/* Unwatched, it would never answer. */
	if (watch_set(&shim->loop, &init->hooks, EPOLLIN) < 0) {
		hook_runner_end(&init->hook_runner);
		init->hooks.fd = -1;
	}
}

bool hooks_pending(struct shim *shim, enum hook_stage stage)
{
	struct init *init = &shim->init;

	if (init->hook_runner.requests < 0)
		return false;
	if (!init->hooks_asked[stage]) {
		init->hooks_asked[stage] = true;
		/* None is to be told of a container's process that has ended. */
		hook_runner_ask(&init->hook_runner, stage, stage == HOOK_POSTSTOP ? 0 : init->pid);
	}
	return !init->hooks_done[stage];
}
