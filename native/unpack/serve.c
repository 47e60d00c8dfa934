#include "serve.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/loop.h"
#include "../common/read.h"
#include "../common/scope.h"
#include "digest.h"
#include "report.h"

#define STEP "serve"
#define MAX_HEADER (256 * 1024)
#define MAX_ARGUMENTS 4096
#define BACKLOG 128

struct server;

struct job {
	struct job *next;
	struct server *server;
	uint64_t number;
	pid_t pid; /* 0: it has ended, and whoever asked for it is still to read that */
	struct watch connection;
};

struct server {
	struct loop loop;
	struct watch listener;
	struct watch ended; /* children: a signalfd */
	struct watch requests;
	uint64_t jobs_begun;
	struct job *jobs;
	char line[32]; /* of the requests, so far */
	size_t line_length;
	serve_command command;
};

/* In the job's own process. Returns NULL where the header is not in order. */
static char **read_arguments(int *count)
{
	uint32_t length;

	if (read_exactly(STDIN_FILENO, &length, sizeof(length)) < 0 || (length = be32toh(length)) == 0 || length > MAX_HEADER)
		return NULL;
	char *text = malloc(length);
	char **arguments = calloc(MAX_ARGUMENTS + 2, sizeof(*arguments));
	if (text == NULL || arguments == NULL || read_exactly(STDIN_FILENO, text, length) < 0 || text[length - 1] != '\0')
		return NULL;
	static char name[] = "berth-unpack";
	arguments[0] = name;
	*count = 1;
	for (char *at = text; at < text + length; at += strlen(at) + 1) {
		if (*count > MAX_ARGUMENTS)
			return NULL;
		arguments[(*count)++] = at;
	}
	return arguments;
}

__attribute__((noreturn)) static void be_job(const struct server *server, int connection, uint64_t number, pid_t parent)
{
	struct error err = { 0 };
	sigset_t none;
	int count = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have gone before that was asked for. */
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(connection, STDIN_FILENO) < 0 || dup2(connection, STDOUT_FILENO) < 0 || close_range(3, ~0U, 0) < 0)
		_exit(1);
	printf("%llu\n", (unsigned long long)number);
	fflush(stdout);
	char **arguments = read_arguments(&count);
	if (arguments == NULL) {
		error_set(&err, EPROTO, "args", "", "the command line is not in order");
		report_error(&err);
		_exit(1);
	}
	int status = server->command(count, arguments);
	fflush(stdout);
	/* Not exit(): a thread may be in the middle of anything. */
	_exit(status);
}

static void forget(struct job *job)
{
	struct job **at = &job->server->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	watch_close(&job->server->loop, &job->connection);
	free(job);
}

/* The other side is gone: nobody waits for the job, or it has read how the job ended. */
static void hung_up(struct watch *watch, uint32_t events)
{
	struct job *job = OWNER_OF(watch, struct job, connection);

	(void)events;
	if (job->pid == 0) {
		forget(job);
		return;
	}
	/* It stays in the list until it is waited for. */
	kill(job->pid, SIGKILL);
	watch_pause(&job->server->loop, watch);
}

static void accept_job(struct watch *watch, uint32_t events)
{
	struct server *server = OWNER_OF(watch, struct server, listener);

	(void)events;
	scope_fd int connection = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	struct job *job = connection < 0 ? NULL : calloc(1, sizeof(*job));
	if (job == NULL)
		return; /* whoever connected sees the connection end */
	pid_t parent = getpid();
	job->server = server;
	job->number = ++server->jobs_begun;
	job->pid = fork();
	if (job->pid == 0)
		be_job(server, connection, job->number, parent);
	if (job->pid < 0) {
		free(job);
		return;
	}
	job->connection = (struct watch){ .fd = take_fd(&connection), .ready = hung_up };
	job->next = server->jobs;
	server->jobs = job;
	/* Should it fail, an end of the other side is not noticed before the job's own. */
	(void)watch_set(&server->loop, &job->connection, 0);
}

/*
 * Told only when the process is gone, so that its files may then be removed. The connection stays until the other
 * side closes it: closed by us while input is on its way, it would lose what was not read of our side.
 */
static void tell_end(struct job *job, int status)
{
	char text[32];
	bool exited = WIFEXITED(status);

	snprintf(text, sizeof(text), "%s %d\n", exited ? "exit" : "signal", exited ? WEXITSTATUS(status) : WTERMSIG(status));
	job->pid = 0;
	if (send(job->connection.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 || !job->connection.added)
		forget(job);
}

static void collect_jobs(struct watch *watch, uint32_t events)
{
	struct server *server = OWNER_OF(watch, struct server, ended);
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	(void)events;
	/* Several ends may be one signal. */
	(void)!read(watch->fd, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct job *job = server->jobs;
		while (job != NULL && job->pid != pid)
			job = job->next;
		if (job != NULL)
			tell_end(job, status);
	}
}

static void kill_job(const struct server *server, const char *line)
{
	uint64_t number = strtoull(line, NULL, 10);

	/* A process in the list has not been waited for, so that its id is still its own. */
	for (const struct job *job = server->jobs; job != NULL; job = job->next) {
		if (job->number == number && job->pid > 0)
			kill(job->pid, SIGKILL);
	}
}

static void take_requests(struct watch *watch, uint32_t events)
{
	struct server *server = OWNER_OF(watch, struct server, requests);
	char data[256];

	(void)events;
	ssize_t got = TEMP_FAILURE_RETRY(read(watch->fd, data, sizeof(data)));
	if (got <= 0)
		loop_stop(&server->loop);
	for (ssize_t i = 0; i < got; i++) {
		if (data[i] == '\n') {
			server->line[server->line_length] = '\0';
			kill_job(server, server->line);
			server->line_length = 0;
		} else if (server->line_length < sizeof(server->line) - 1) {
			server->line[server->line_length++] = data[i];
		}
	}
}

static int listen_at(const char *path, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, STEP, path, "the socket's path is too long");
	memcpy(address.sun_path, path, strlen(path));
	scope_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, STEP, path, "cannot make a socket");
	/* One that a killed server has left. */
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, STEP, path, "cannot remove the old socket");
	mode_t before = umask(0177);
	int bound = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (bound < 0 || listen(fd, BACKLOG) < 0)
		return error_errno(err, STEP, path, "cannot listen");
	return take_fd(&fd);
}

static int watch_children(struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_errno(err, STEP, "", "cannot watch for the end of processes") : fd;
}

/* What every job would do first for itself: it is shared by all that are forked afterwards. */
static int warm_up(struct error *err)
{
	struct digest *digest;

	setlocale(LC_CTYPE, "C.UTF-8");
	int result = digest_new(&digest, err);
	if (result == 0) {
		result = digest_update(digest, "", 0, err);
		digest_free(digest);
	}
	return result;
}

static int start(struct server *server, const char *path, struct error *err)
{
	int result = warm_up(err);
	if (result == 0)
		result = loop_open(&server->loop, err);
	if (result < 0)
		return result;
	int fd = watch_children(err);
	if (fd < 0)
		return fd;
	server->ended = (struct watch){ .fd = fd, .ready = collect_jobs };
	fd = listen_at(path, err);
	if (fd < 0)
		return fd;
	server->listener = (struct watch){ .fd = fd, .ready = accept_job };
	server->requests = (struct watch){ .fd = STDIN_FILENO, .ready = take_requests };
	if (watch_set(&server->loop, &server->ended, EPOLLIN) < 0 || watch_set(&server->loop, &server->listener, EPOLLIN) < 0 ||
	    watch_set(&server->loop, &server->requests, EPOLLIN) < 0)
		return error_errno(err, STEP, path, "cannot wait for requests");
	return report_done() < 0 ? error_errno(err, "write", "", "cannot report") : 0;
}

int serve(const char *path, serve_command command, struct error *err)
{
	/* What it holds goes with the process. */
	struct server server = { .command = command };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int result = start(&server, path, err);
	return result < 0 ? result : loop_run(&server.loop, err);
}
