#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/request.h"
#include "../common/protocol.h"
#include "../common/scope.h"
#include "../common/spawn.h"
#include "../forward/forward.h"
#include "../shim/shim.h"
#include "hold.h"
#include "listen.h"
#include "probe.h"
#include "sandbox.h"

#define DAEMON_FD 3
#define JOBS_MAX 256

struct job;

struct launcher {
	struct loop loop;
	struct channel channel;
	struct job *jobs;
	int job_count;
};

/* One request that a child works on; the child tells its outcome through the pipe. */
struct job {
	struct job *next;
	struct launcher *launcher;
	struct watch watch;
	int pidfd;
	bool cancelled;
	uint32_t id;
	uint8_t type;
	json_t *object;  /* a deletion that waits for the end of what it takes away; else NULL */
	char sandbox[65];
};

struct outcome {
	int result;
	pid_t reaper;
	struct error err;
};

/* The pipe of a child's outcome is written in one piece or not at all. */
_Static_assert(sizeof(struct outcome) <= 4096, "an outcome must fit PIPE_BUF");

static void job_free(struct job *job)
{
	struct job **link = &job->launcher->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	job->launcher->job_count--;
	watch_close(&job->launcher->loop, &job->watch);
	if (job->pidfd >= 0)
		close(job->pidfd);
	json_decref(job->object);
	free(job);
}

static struct job *find_creation(const struct launcher *launcher, const char *sandbox)
{
	struct job *job = launcher->jobs;

	while (job != NULL && !(job->type == MESSAGE_SANDBOX_CREATE && strcmp(job->sandbox, sandbox) == 0))
		job = job->next;
	return job;
}

static void resume_deletions(struct launcher *launcher);

static void job_ready(struct watch *watch, uint32_t events)
{
	struct job *job = OWNER_OF(watch, struct job, watch);
	struct launcher *launcher = job->launcher;
	struct outcome outcome;
	ssize_t got = read(watch->fd, &outcome, sizeof(outcome));

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got != sizeof(outcome))
		outcome.result = error_set(&outcome.err, ECHILD, "unshare", "", "%s",
					   job->cancelled ? "the sandbox was deleted meanwhile" :
							    "the child at work on this died");
	if (outcome.result < 0)
		channel_send_error(&launcher->channel, job->id, &outcome.err);
	else if (job->type == MESSAGE_SANDBOX_CREATE)
		channel_send_json(&launcher->channel, job->id, MESSAGE_OK,
				  json_pack("{s:i}", "reaperPid", (int)outcome.reaper));
	else
		channel_send_json(&launcher->channel, job->id, MESSAGE_OK, json_object());
	job_free(job);
	resume_deletions(launcher);
}

__attribute__((noreturn)) static void job_child(const struct sandbox_request *request, uint8_t type, int pipe_fd)
{
	struct outcome outcome = { 0 };
	pid_t launcher = getppid();

	/* Nobody could stop what a lost launcher's child still makes. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher)
		_exit(1);
	if (type == MESSAGE_PROBE)
		outcome.result = probe_user_namespaces(request->directory, &outcome.err);
	else
		outcome.result = type == MESSAGE_SANDBOX_CREATE ?
					 sandbox_create(request, &outcome.reaper, &outcome.err) :
					 sandbox_delete(request, &outcome.err);
	_exit(write(pipe_fd, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
}

static struct job *job_new(struct launcher *launcher, uint32_t id, uint8_t type, const char *sandbox)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	*job = (struct job){ .next = launcher->jobs, .launcher = launcher, .pidfd = -1, .id = id, .type = type,
			     .watch = { .fd = -1, .ready = job_ready } };
	snprintf(job->sandbox, sizeof(job->sandbox), "%s", sandbox);
	launcher->jobs = job;
	launcher->job_count++;
	return job;
}

static int job_start(struct job *job, const struct sandbox_request *request, struct error *err)
{
	struct spawn how = { .cgroup = -1 };
	scope_fd int reader = -1, writer = -1;
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "unshare", "", "pipe");
	reader = ends[0];
	writer = ends[1];
	child = spawn(&how, &job->pidfd);
	if (child == 0)
		job_child(request, job->type, writer);
	if (child < 0)
		return error_set(err, -child, "unshare", "", "clone3: %s", strerror(-child));
	job->watch.fd = take_fd(&reader);
	close(take_fd(&writer));
	if (watch_set(&job->launcher->loop, &job->watch, EPOLLIN) < 0) {
		/* Out of memory in the kernel: read it here, blocking, rather than lose the outcome. */
		job_ready(&job->watch, EPOLLIN);
	}
	return 0;
}

/*
 * A creation that nobody waits for any more must not go on beside the deletion of what it makes, nor after it: it
 * is ended first. What it has made by then, the deletion takes away.
 */
static bool delay_deletion(struct job *deletion, json_t *object)
{
	struct job *creation = find_creation(deletion->launcher, deletion->sandbox);

	if (creation == NULL || deletion->sandbox[0] == '\0')
		return false;
	creation->cancelled = true;
	pidfd_send_signal(creation->pidfd, SIGKILL, NULL, 0);
	deletion->object = json_incref(object);
	return true;
}

static struct job *find_resumable(const struct launcher *launcher)
{
	struct job *job = launcher->jobs;

	while (job != NULL && (job->object == NULL || find_creation(launcher, job->sandbox) != NULL))
		job = job->next;
	return job;
}

static void resume_deletions(struct launcher *launcher)
{
	struct sandbox_request request;
	struct error err;
	struct job *job;

	/* From the beginning each time: what is started may end, and change the list, at once. */
	while ((job = find_resumable(launcher)) != NULL) {
		json_t *object = job->object;

		job->object = NULL;
		if (sandbox_parse(object, &request, &err) < 0 || job_start(job, &request, &err) < 0) {
			channel_send_error(&launcher->channel, job->id, &err);
			job_free(job);
		}
		json_decref(object);
	}
}

static int probe(struct launcher *launcher, const struct frame *frame, const json_t *object, struct error *err)
{
	struct sandbox_request request = { 0 };
	struct job *job;
	int result = request_path(object, "directory", false, &request.directory, err);

	if (result < 0)
		return result;
	job = job_new(launcher, frame->id, frame->type, "");
	if (job == NULL)
		return error_set(err, ENOMEM, "probe", "", "no memory");
	result = job_start(job, &request, err);
	if (result < 0)
		job_free(job);
	return result;
}

static int sandbox_job(struct launcher *launcher, const struct frame *frame, json_t *object, struct error *err)
{
	struct sandbox_request request;
	struct job *job;
	int result = sandbox_parse(object, &request, err);

	result = result < 0 ? result : request_id(object, &request.id, err);
	if (result < 0)
		return result;
	if (launcher->job_count >= JOBS_MAX)
		return error_set(err, EAGAIN, "unshare", "", "%d requests are being worked on already", JOBS_MAX);
	job = job_new(launcher, frame->id, frame->type, request.id);
	if (job == NULL)
		return error_set(err, ENOMEM, "unshare", "", "no memory");
	if (frame->type == MESSAGE_SANDBOX_DELETE && delay_deletion(job, object))
		return 0;
	result = job_start(job, &request, err);
	if (result < 0)
		job_free(job);
	return result;
}

__attribute__((noreturn)) static void shim_child(const char *id, const char *bundle, int state, int socket)
{
	int fds[] = { state, socket };

	/* Also the daemon's end: as long as a copy lives, berthd's death would go unnoticed. */
	if (spawn_keep_descriptors(fds, 2) < 0)
		_exit(1);
	_exit(shim_main(id, bundle, fds[0], fds[1]));
}

static int container_create(struct launcher *launcher, const struct frame *frame, const json_t *object,
			    struct error *err)
{
	struct spawn how = { .cgroup = -1 };
	const char *id, *bundle, *state_path;
	scope_fd int state = -1, socket = -1;
	int result = request_id(object, &id, err);
	pid_t child;

	result = result < 0 ? result : request_path(object, "bundle", false, &bundle, err);
	result = result < 0 ? result : request_path(object, "stateDir", false, &state_path, err);
	if (result < 0)
		return result;
	state = open(state_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return error_errno(err, "bundle", state_path, "opening the state directory");
	socket = listen_in(state, "shim.sock", err);
	if (socket < 0)
		return socket;
	child = spawn(&how, NULL);
	if (child == 0)
		shim_child(id, bundle, state, socket);
	if (child < 0) {
		unlinkat(state, "shim.sock", 0);
		return error_set(err, -child, "clone", "", "clone3: %s", strerror(-child));
	}
	channel_send_json(&launcher->channel, frame->id, MESSAGE_OK, json_pack("{s:i}", "pid", (int)child));
	return 0;
}

static int hold(struct launcher *launcher, const struct frame *frame, const json_t *object, struct error *err)
{
	const char *id;
	pid_t pid;
	int result = request_id(object, &id, err);

	result = result < 0 ? result : hold_start(id, &pid, err);
	if (result == 0)
		channel_send_json(&launcher->channel, frame->id, MESSAGE_OK, json_pack("{s:i}", "pid", (int)pid));
	return result;
}

static int forward(struct launcher *launcher, const struct frame *frame, const json_t *object, struct error *err)
{
	pid_t child;
	int result = forward_start(object, &child, err);

	if (result == 0)
		channel_send_json(&launcher->channel, frame->id, MESSAGE_OK, json_pack("{s:i}", "pid", (int)child));
	return result;
}

static int dispatch(struct launcher *launcher, const struct frame *frame, json_t *object, struct error *err)
{
	if (frame->type == MESSAGE_FORWARD)
		return forward(launcher, frame, object, err);
	if (frame->type == MESSAGE_PROBE)
		return probe(launcher, frame, object, err);
	if (frame->type == MESSAGE_HOLD)
		return hold(launcher, frame, object, err);
	return frame->type == MESSAGE_CONTAINER_CREATE ? container_create(launcher, frame, object, err) :
							 sandbox_job(launcher, frame, object, err);
}

static bool for_launcher(uint8_t type)
{
	return type >= MESSAGE_SANDBOX_CREATE && type <= MESSAGE_PROBE;
}

static int on_frame(struct channel *channel, const struct frame *frame)
{
	struct launcher *launcher = OWNER_OF(channel, struct launcher, channel);
	struct error err;
	json_t *object;
	int result;

	if (!for_launcher(frame->type)) {
		error_set(&err, EBADMSG, "protocol", "", "message type %d is not for a launcher", frame->type);
		channel_send_error(channel, frame->id, &err);
		return -EBADMSG;
	}
	result = request_parse(frame, &object, &err);
	if (result < 0) {
		channel_send_error(channel, frame->id, &err);
		return result;
	}
	if (dispatch(launcher, frame, object, &err) < 0)
		channel_send_error(channel, frame->id, &err);
	json_decref(object);
	return 0;
}

static void on_closed(struct channel *channel)
{
	loop_stop(&OWNER_OF(channel, struct launcher, channel)->loop);
}

int launcher_main(void)
{
	static const struct channel_handlers handlers = { .frame = on_frame, .closed = on_closed };
	struct launcher launcher = { 0 };
	struct error err;

	/* Ignored SIGCHLD makes the kernel reap shims and helpers (sigaction(2)); pipes tell how they fared. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	if (fcntl(DAEMON_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(DAEMON_FD, F_SETFL, O_NONBLOCK) < 0) {
		dprintf(STDERR_FILENO, "berth-shim launcher: descriptor 3 must be a socket to berthd\n");
		return 2;
	}
	if (loop_open(&launcher.loop, &err) < 0 ||
	    channel_open(&launcher.channel, &launcher.loop, DAEMON_FD, "launcher", &handlers) < 0 ||
	    loop_run(&launcher.loop, &err) < 0)
		return 1;
	return 0;
}
