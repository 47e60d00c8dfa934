#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/spawn.h"
#include "../launcher/title.h"
#include "exec_session.h"
#include "leaf.h"

/* docs/shim-protocol.md: how long output of processes that outlive the container's first is waited for. */
#define DRAIN_MS 2000
/* After that, for processes that were killed to be gone. */
#define DRAIN_AGAIN_MS 500
/* How long clients have for reading the last words. */
#define LINGER_MS 2000
/* Killed processes are gone within a scheduler's turn, or stuck in the kernel. */
#define SWEEP_MS 50
#define SWEEP_ROUNDS 20
/* How soon after log entries were lost the log and the clients are told: a flood is told in few words. */
#define LOG_TELL_MS 5000

void shim_count_losses(struct shim *shim)
{
	shim->status.log_dropped = shim->log.lost[LOG_LOSS_FILE];
	shim->status.log_limited = shim->log.lost[LOG_LOSS_RATE];
	shim->losses_told = shim->status.log_dropped + shim->status.log_limited;
}

static bool losses_to_tell(const struct shim *shim)
{
	return shim->log.lost[LOG_LOSS_FILE] + shim->log.lost[LOG_LOSS_RATE] != shim->losses_told;
}

static void tell_losses(struct timer *timer)
{
	struct shim *shim = OWNER_OF(timer, struct shim, log_tell);
	bool told = log_tell(&shim->log);

	if (losses_to_tell(shim)) {
		shim_count_losses(shim);
		clients_event(shim, "log");
	}
	/* The disk is still full: it is tried again, and for a program that says no more, too. */
	if (!told)
		timer_set(&shim->loop, timer, LOG_TELL_MS);
}

void shim_log(struct shim *shim, enum log_stream stream, const char *bytes, size_t size)
{
	log_append(&shim->log, stream, bytes, size);
	if (losses_to_tell(shim) && !shim->log_tell.armed)
		timer_set(&shim->loop, &shim->log_tell, LOG_TELL_MS);
}

void shim_set_state(struct shim *shim, enum container_state state, const char *event)
{
	struct error err;
	json_t *json;

	shim->status.state = state;
	shim_count_losses(shim);
	json = status_json(&shim->status, shim->id, &shim->result.user);
	/* A state directory that takes no file leaves the event as the only word; there is nobody else to tell. */
	(void)status_write(shim->state_directory, json, &err);
	json_decref(json);
	if (event != NULL)
		clients_event(shim, event);
}

void shim_maybe_leave(struct shim *shim)
{
	if (!shim->over)
		return;
	for (struct client *client = shim->clients; client != NULL; client = client->next)
		/* One that has just connected would otherwise lose its first request. */
		if (!client->channel.broken && (client->channel.out.length > 0 || !client->served))
			return;
	loop_stop(&shim->loop);
}

void shim_sweep(struct shim *shim, bool killed)
{
	if (killed)
		shim->sweep_rounds = SWEEP_ROUNDS;
	shim->stray_leaves = shim->cgroup >= 0 && leaf_sweep(shim->cgroup) > 0;
	if (!shim->stray_leaves)
		shim->sweep_rounds = 0;
	/* A leaf that a background child keeps is looked at with the next exec, not on a clock. */
	if (shim->sweep_rounds > 0 && !shim->sweep.armed)
		timer_set(&shim->loop, &shim->sweep, SWEEP_MS);
}

static void sweep_again(struct timer *timer)
{
	struct shim *shim = OWNER_OF(timer, struct shim, sweep);

	shim->sweep_rounds--;
	shim_sweep(shim, false);
}

static void linger_over(struct timer *timer)
{
	loop_stop(&OWNER_OF(timer, struct shim, linger)->loop);
}

static void finish(struct shim *shim)
{
	bool failed = shim->status.state == STATE_CREATING;

	timer_clear(&shim->loop, &shim->drain);
	timer_clear(&shim->loop, &shim->log_tell);
	log_close(&shim->log);
	timer_clear(&shim->loop, &shim->sweep);
	if (shim->cgroup >= 0)
		leaf_sweep(shim->cgroup);
	shim_set_state(shim, failed ? STATE_FAILED : STATE_EXITED, NULL);
	/* Only now: a client that finds nobody any more is to find the last state in status.json. */
	clients_stop_listening(shim);
	clients_event(shim, failed ? "failed" : "exited");
	attach_exit(shim);
	shim->over = true;
	timer_set(&shim->loop, &shim->linger, LINGER_MS);
	shim_maybe_leave(shim);
}

void shim_maybe_finish(struct shim *shim)
{
	if (shim->over || !shim->init.gone)
		return;
	if (!init_streams_ended(shim) || shim->execs != NULL) {
		if (!shim->drain.armed && shim->drain_rounds == 0)
			timer_set(&shim->loop, &shim->drain, DRAIN_MS);
		return;
	}
	if (!hooks_pending(shim, HOOK_POSTSTOP))
		finish(shim);
}

static void drain_over(struct timer *timer)
{
	struct shim *shim = OWNER_OF(timer, struct shim, drain);

	shim->drain_rounds++;
	attach_break_full(shim);
	if (shim->drain_rounds == 1) {
		timer_set(&shim->loop, &shim->drain, DRAIN_AGAIN_MS);
		exec_abandon_all(shim);
		init_bound_streams(shim);
		return;
	}
	init_drop_streams(shim);
	exec_forget_all(shim);
	shim_maybe_finish(shim);
}

/* What went wrong before the container's process was there. */
static void fail_early(struct shim *shim, const struct error *err)
{
	shim->status.error = *err;
	shim->status.has_error = true;
	shim->init.gone = true;
	finish(shim);
}

static void detach_from_daemon(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* the launcher ignores it, and then waitid would find nothing */
	/* The daemon's standard error may be a pipe that somebody waits to see closed. */
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	if (null > 2)
		close(null);
	umask(022);
}

static int bring_up(struct shim *shim, const char *bundle, struct error *err)
{
	const char *cgroup;
	int result = bundle_load(bundle, &shim->bundle, err);

	if (result < 0)
		return result;
	cgroup = bundle_cgroup_path(shim->bundle);
	if (cgroup != NULL) {
		shim->cgroup = cgroup_open(cgroup, err);
		if (shim->cgroup < 0)
			return shim->cgroup;
		if ((result = bundle_restrict_devices(shim->bundle, shim->cgroup, err)) < 0)
			return result;
	}
	result = log_open(&shim->log, bundle_log_path(shim->bundle), bundle_log_rate(shim->bundle), err);
	return result < 0 ? result : init_create(shim, err);
}

static void shim_init(struct shim *shim, const char *id, int state_directory)
{
	memset(shim, 0, sizeof(*shim));
	snprintf(shim->id, sizeof(shim->id), "%s", id);
	shim->state_directory = state_directory;
	shim->cgroup = -1;
	shim->log.fd = -1;
	shim->listener.fd = -1;
	shim->init = (struct init){ .shim = shim, .exit.fd = -1, .builder.fd = -1, .report.fd = -1, .start = -1, .in.watch.fd = -1, .out.watch.fd = -1, .err.watch.fd = -1, .hook_runner = HOOK_RUNNER_NONE, .hooks.fd = -1 };
	stdio_init(&shim->init.stdio);
	shim->drain.fire = drain_over;
	shim->linger.fire = linger_over;
	shim->sweep.fire = sweep_again;
	shim->log_tell.fire = tell_losses;
	shim->status.shim_pid = getpid();
	shim->status.created_at = status_now();
}

int shim_main(const char *id, const char *bundle, int state_directory, int socket)
{
	struct shim shim;
	struct error err;

	shim_init(&shim, id, state_directory);
	detach_from_daemon();
	title_set("berth-shim", id);
	if (loop_open(&shim.loop, &err) < 0)
		return 1;
	shim_set_state(&shim, STATE_CREATING, NULL);
	clients_listen(&shim, socket);
	if (bring_up(&shim, bundle, &err) < 0)
		fail_early(&shim, &err);
	malloc_trim(0);
	return loop_run(&shim.loop, &err) < 0 ? 1 : 0;
}
