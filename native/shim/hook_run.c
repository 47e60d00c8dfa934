/* One hook from its beginning to its end, or to that of its time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "../common/clock.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "become.h"
#include "child.h"
#include "hooks.h"
#include "namespaces.h"

/* The end of what a hook says; the rest of an error's message has room beside it. */
#define TAIL_SIZE 320
#define ORPHAN_ROUNDS 200
#define ORPHAN_MS 5

struct hook_process {
	pid_t pid;
	int pidfd;
	int in, err; /* our ends */
	const char *state;
	size_t left; /* of the state */
	char tail[TAIL_SIZE + 1];
	size_t tail_length;
};

static char *state_text(const struct hook_scene *scene)
{
	static const char *const names[HOOK_STAGE_COUNT] = {
		[HOOK_PRESTART] = "creating",	      [HOOK_CREATE_RUNTIME] = "creating",
		[HOOK_CREATE_CONTAINER] = "creating", [HOOK_START_CONTAINER] = "created",
		[HOOK_POSTSTART] = "running",	      [HOOK_POSTSTOP] = "stopped",
	};
	const struct hooks *hooks = scene->bundle->hooks;
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "ociVersion", hooks->version, "id", scene->bundle->id, "status",
				 names[scene->stage], "bundle", scene->bundle->directory, "annotations",
				 json_loads(hooks->annotations, 0, NULL));
	char *text;

	if (json != NULL && scene->pid > 0)
		json_object_set_new(json, "pid", json_integer(scene->pid));
	text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

/* Where the hook finds itself; without powers of its own in startContainer, so nothing is changed there. */
static int enter(const struct hook_scene *scene)
{
	const struct bundle *bundle = scene->bundle;

	if (scene->stage == HOOK_START_CONTAINER)
		return 0;
	if (scene->namespaces >= 0 && setns(scene->namespaces, namespaces_of_container(bundle)) < 0)
		return -1;
	if (chdir(bundle->directory) < 0)
		/* After the end it may be gone. */
		return scene->stage == HOOK_POSTSTOP ? chdir("/") : -1;
	return scene->stage == HOOK_CREATE_CONTAINER ? chdir(bundle->root_path) : 0;
}

__attribute__((noreturn)) static void be_hook(const struct hook_scene *scene, const struct hook_spec *hook, int in, int err)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	setsid();
	dup2(in, STDIN_FILENO);
	dup2(err, STDERR_FILENO);
	dup2(null >= 0 ? null : err, STDOUT_FILENO);
	if (enter(scene) < 0) {
		dprintf(STDERR_FILENO, "cannot enter the container's namespaces or directories: %m");
		_exit(126);
	}
	become_ready_to_execute();
	execve(hook->path, hook->args, hook->env);
	dprintf(STDERR_FILENO, "cannot be executed: %m");
	_exit(127);
}

static int begin(struct hook_process *process, const struct hook_scene *scene, const struct hook_spec *hook,
		 struct error *err)
{
	struct spawn how = { .cgroup = -1 };
	struct child_pipe in = { -1, -1 }, out = { -1, -1 };
	int ret = child_pipe_open(&in, false, err);

	ret = ret < 0 ? ret : child_pipe_open(&out, true, err);
	if (ret == 0) {
		process->pid = spawn(&how, &process->pidfd);
		if (process->pid == 0)
			be_hook(scene, hook, in.reader, out.writer);
		if (process->pid < 0)
			ret = error_set(err, -process->pid, "hook", hook->path, "clone3: %s", strerror(-process->pid));
	}
	if (ret == 0) {
		process->in = take_fd(&in.writer);
		process->err = take_fd(&out.reader);
		fcntl(process->in, F_SETFL, O_NONBLOCK);
	}
	child_pipe_close(&in);
	child_pipe_close(&out);
	return ret;
}

static void give_state(struct hook_process *process)
{
	ssize_t written = write(process->in, process->state, process->left);

	if (written > 0) {
		process->state += written;
		process->left -= (size_t)written;
	}
	/* A hook need not read it. */
	if (process->left == 0 || (written < 0 && errno != EAGAIN && errno != EINTR))
		close(take_fd(&process->in));
}

/* Of untrusted origin where it comes from inside the container: only what a log line can hold stays. */
static void take_stderr(struct hook_process *process)
{
	char bytes[TAIL_SIZE];
	ssize_t got;

	while ((got = read(process->err, bytes, sizeof(bytes))) > 0) {
		size_t size = (size_t)got;
		size_t over = process->tail_length + size > TAIL_SIZE ? process->tail_length + size - TAIL_SIZE : 0;

		memmove(process->tail, process->tail + over, process->tail_length - over);
		process->tail_length -= over;
		for (size_t i = 0; i < size; i++)
			process->tail[process->tail_length++] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : ' ';
	}
	if (got == 0)
		close(take_fd(&process->err));
}

/* Until it ends: 0. ETIMEDOUT, or ECANCELED when the container is gone meanwhile. */
static int follow(struct hook_process *process, const struct hook_scene *scene, int timeout)
{
	uint64_t end = monotonic_ns() + (uint64_t)timeout * 1000000000;

	for (;;) {
		struct pollfd fds[] = { { process->pidfd, POLLIN, 0 },
					{ process->in, POLLOUT, 0 },
					{ process->err, POLLIN, 0 },
					{ scene->abort, 0, 0 } };
		int64_t left = (int64_t)(end - monotonic_ns()) / 1000000;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(fds, 4, (int)left) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents != 0)
			give_state(process);
		if (fds[2].revents != 0)
			take_stderr(process);
		if (fds[0].revents != 0)
			return 0;
		if (fds[3].revents != 0)
			return -ECANCELED;
	}
}

/* What was started in the background and even left the hook's session has become a child of the subreaper. */
static void kill_orphans(void)
{
	for (int round = 0; round < ORPHAN_ROUNDS; round++) {
		scope_file FILE *children = NULL;
		struct timespec pause = { .tv_nsec = ORPHAN_MS * 1000000L };
		int pid;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		children = fopen("/proc/thread-self/children", "re");
		if (children == NULL || fscanf(children, "%d", &pid) != 1)
			return;
		do {
			kill(pid, SIGKILL);
		} while (fscanf(children, "%d", &pid) == 1);
		nanosleep(&pause, NULL);
	}
}

static int judge(struct hook_process *process, const struct hook_spec *hook, int end, int code, int signal,
		 struct error *err)
{
	const char *tail = process->tail;

	while (process->tail_length > 0 && process->tail[process->tail_length - 1] == ' ')
		process->tail[--process->tail_length] = '\0';
	if (process->tail_length == 0)
		tail = "it said nothing";
	if (end == -ETIMEDOUT)
		return error_set(err, ETIMEDOUT, "hook", hook->path, "did not end within %d s and was killed: %s", hook->timeout,
				 tail);
	if (end < 0)
		return error_set(err, -end, "hook", hook->path, "was killed: %s", strerror(-end));
	if (signal != 0)
		return error_set(err, 0, "hook", hook->path, "was killed by signal %d: %s", signal, tail);
	return code == 0 ? 0 : error_set(err, 0, "hook", hook->path, "exited with %d: %s", code, tail);
}

int hook_run(const struct hook_scene *scene, const struct hook_spec *hook, struct error *err)
{
	struct hook_process process = { .pidfd = -1, .in = -1, .err = -1 };
	scope_free char *state = state_text(scene);
	int code = 0, signal = 0, end, ret;

	if (state == NULL)
		return error_set(err, ENOMEM, "hook", hook->path, "no memory for the container's state");
	process.state = state;
	process.left = strlen(state);
	if ((ret = begin(&process, scene, hook, err)) < 0)
		return ret;
	end = follow(&process, scene, hook->timeout);
	if (end < 0) {
		pidfd_send_signal(process.pidfd, SIGKILL, NULL, 0);
		kill(-process.pid, SIGKILL); /* not there yet: it has not come to run anything either */
	}
	child_await(process.pidfd, &code, &signal);
	if (process.err >= 0)
		take_stderr(&process);
	ret = judge(&process, hook, end, code, signal, err);
	if (ret < 0 && scene->adopts)
		kill_orphans();
	scope_close_fd(&process.in);
	scope_close_fd(&process.err);
	scope_close_fd(&process.pidfd);
	return ret;
}

int hooks_run(const struct hook_scene *scene, struct error *err)
{
	const struct hooks *hooks = scene->bundle->hooks;
	int ret = 0;

	for (size_t i = 0; hooks != NULL && ret == 0 && i < hooks->stages[scene->stage].count; i++)
		ret = hook_run(scene, &hooks->stages[scene->stage].list[i], err);
	return ret;
}
