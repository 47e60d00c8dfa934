/* The process that runs hooks with the host's powers, and how the others talk to it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/pass.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "hooks.h"

struct request {
	enum hook_stage stage; /* HOOK_CREATE_RUNTIME: all of creation */
	pid_t init;
};

struct answer {
	bool failed;
	struct error err;
};

struct runner {
	const struct bundle *bundle;
	int requests, creation;
	bool begun; /* hooks of creation ran, so those of the end are due */
};

static int run_creation(struct runner *runner, pid_t init, int builder, struct error *err)
{
	static const enum hook_stage stages[] = { HOOK_PRESTART, HOOK_CREATE_RUNTIME, HOOK_CREATE_CONTAINER };
	int ret = 0;

	runner->begun = true;
	for (size_t i = 0; ret == 0 && i < sizeof(stages) / sizeof(stages[0]); i++) {
		struct hook_scene scene = { .bundle = runner->bundle, .stage = stages[i], .pid = init, .adopts = true,
					    .namespaces = stages[i] == HOOK_CREATE_CONTAINER ? builder : -1,
					    .abort = runner->creation };
		ret = hooks_run(&scene, err);
	}
	return ret;
}

static void serve_creation(struct runner *runner, pid_t init)
{
	struct answer answer = { 0 };
	scope_fd int builder = -1;
	char byte;

	/* Without a word: the set-up failed before. */
	if (pass_receive(runner->creation, &byte, sizeof(byte), &builder) == 0 && builder >= 0) {
		answer.failed = run_creation(runner, init, builder, &answer.err) < 0;
		(void)pass_send(runner->creation, &answer, sizeof(answer), -1); /* it has ended: nobody to tell */
	}
	close(take_fd(&runner->creation));
}

/* All of them, whatever becomes of one: the container runs already, or has ended. */
static void serve_later(struct runner *runner, const struct request *request)
{
	const struct hooks *hooks = runner->bundle->hooks;
	struct hook_scene scene = { .bundle = runner->bundle, .stage = request->stage, .pid = request->init,
				    .namespaces = -1, .abort = -1, .adopts = true };
	struct answer answer = { .failed = true };
	struct answer last = { 0 };

	for (size_t i = 0; runner->begun && i < hooks->stages[request->stage].count; i++)
		if (hook_run(&scene, &hooks->stages[request->stage].list[i], &answer.err) < 0)
			(void)pass_send(runner->requests, &answer, sizeof(answer), -1);
	(void)pass_send(runner->requests, &last, sizeof(last), -1);
}

__attribute__((noreturn)) static void be_runner(const struct bundle *bundle, int requests, int creation)
{
	struct runner runner = { .bundle = bundle };
	int keep[2] = { requests, creation };
	struct request request;
	int none;

	spawn_reset_signals();
	/* A terminal's signals are the container's. */
	setsid();
	signal(SIGPIPE, SIG_IGN); /* hooks that do not read their input */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (spawn_keep_descriptors(keep, 2) < 0)
		_exit(1);
	runner.requests = keep[0];
	runner.creation = keep[1];
	/* End of file: the shim is done, or gone. */
	while (pass_receive(runner.requests, &request, sizeof(request), &none) == 0) {
		if (request.stage != HOOK_CREATE_RUNTIME)
			serve_later(&runner, &request);
		else if (runner.creation >= 0)
			serve_creation(&runner, request.init);
		if (request.stage == HOOK_POSTSTOP)
			break;
	}
	_exit(0);
}

int hook_runner_begin(const struct bundle *bundle, struct hook_runner *runner, struct error *err)
{
	struct spawn how = { .cgroup = -1 };
	int requests[2], creation[2];
	pid_t pid;

	*runner = HOOK_RUNNER_NONE;
	if (bundle->hooks == NULL)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) < 0)
		return error_errno(err, "hook", "", "socketpair");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, creation) < 0) {
		error_errno(err, "hook", "", "socketpair");
		close(requests[0]);
		close(requests[1]);
		return -err->code;
	}
	pid = spawn(&how, NULL);
	if (pid == 0)
		be_runner(bundle, requests[1], creation[1]);
	close(requests[1]);
	close(creation[1]);
	*runner = (struct hook_runner){ requests[0], creation[0] };
	if (pid > 0)
		return 0;
	hook_runner_end(runner);
	return error_set(err, -pid, "hook", "", "clone3: %s", strerror(-pid));
}

void hook_runner_ask(const struct hook_runner *runner, enum hook_stage stage, pid_t init)
{
	struct request request = { .stage = stage, .init = init };

	if (runner->requests >= 0)
		(void)pass_send(runner->requests, &request, sizeof(request), -1); /* dead: its end of file tells */
}

void hook_runner_born(struct hook_runner *runner, pid_t init)
{
	hook_runner_ask(runner, HOOK_CREATE_RUNTIME, init);
	/* Or the runner would not see when the builder has gone. */
	scope_close_fd(&runner->creation);
	runner->creation = -1;
}

enum hook_answer hook_runner_answer(const struct hook_runner *runner, struct error *err)
{
	struct answer answer;
	int none;

	if (runner->requests < 0 || pass_receive(runner->requests, &answer, sizeof(answer), &none) < 0)
		return HOOKS_GONE;
	*err = answer.err;
	return answer.failed ? HOOK_FAILED : HOOKS_DONE;
}

void hook_runner_end(struct hook_runner *runner)
{
	scope_close_fd(&runner->requests);
	scope_close_fd(&runner->creation);
	*runner = HOOK_RUNNER_NONE;
}

int hooks_of_creation(const struct bundle *bundle, int creation, struct error *err)
{
	scope_fd int self = -1;
	struct answer answer;
	int none, ret;

	if (bundle->hooks == NULL)
		return 0;
	self = pidfd_open(getpid(), 0);
	if (self < 0)
		return error_errno(err, "hook", "", "pidfd_open");
	ret = pass_send(creation, "h", 1, self);
	ret = ret < 0 ? ret : pass_receive(creation, &answer, sizeof(answer), &none);
	if (ret < 0)
		return error_set(err, -ret, "hook", "", "the process that runs the hooks died: %s", strerror(-ret));
	if (!answer.failed)
		return 0;
	*err = answer.err;
	return err->code > 0 ? -err->code : -EINVAL;
}
