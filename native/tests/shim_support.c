#include "shim_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char cleaned_base[200], cleaned_cgroup[232];

static void write_text(const char *directory, const char *name, const char *text)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* Also when a check ends the test: what runs is killed and the cgroups go. */
static void clean(void)
{
	if (cleaned_base[0] == '\0')
		return;
	write_text(cleaned_base, "cgroup.kill", "1");
	for (int patience = 0; patience < 2000; patience++) {
		if (rmdir(cleaned_cgroup) == 0 || errno == ENOENT)
			break;
		usleep(1000);
	}
	rmdir(cleaned_base);
}

void world_begin(struct world *world)
{
	memset(world, 0, sizeof(*world));
	setup_require_root();
	if (!test_cgroup(world->base_cgroup, sizeof(world->base_cgroup))) {
		printf("skipped: needs a writable cgroup2 mount\n");
		exit(SKIPPED);
	}
	memcpy(cleaned_base, world->base_cgroup, sizeof(cleaned_base));
	setup_begin(&world->fixture);
	atexit(clean);
	snprintf(world->state, sizeof(world->state), "%s/state", world->fixture.directory);
	snprintf(world->log, sizeof(world->log), "%s/log", world->fixture.directory);
	world->launcher_pid = peer_launcher(&world->launcher);
}

void world_end(struct world *world)
{
	int status;

	peer_close(&world->launcher);
	check("the launcher leaves with its daemon", waitpid(world->launcher_pid, &status, 0) == world->launcher_pid);
	check("the cgroups are free", rmdir(world->base_cgroup) == 0);
	cleaned_base[0] = '\0';
	setup_end(&world->fixture);
}

static void write_berth_json(const struct world *world, const struct launch *launch)
{
	const struct setup_fixture *fixture = &world->fixture;
	char path[128];
	json_t *json = json_pack("{s:s,s:{s:[s],s:s,s:s,s:b},s:{s:s},s:b,s:b,s:s}", "id", CONTAINER_ID, "rootfs", "lower",
				 fixture->layer, "upper", fixture->upper, "work", fixture->work, "volatile", 1, "log", "path",
				 world->log, "stdin", launch->with_stdin, "stdinOnce", launch->stdin_once, "cgroup",
				 world->cgroup);

	snprintf(path, sizeof(path), "%s/berth.json", fixture->bundle);
	check("a bundle", json != NULL && json_dump_file(json, path, 0) == 0);
	json_decref(json);
}

void world_create(struct world *world, const struct launch *launch, struct peer *shim, struct message *state)
{
	struct setup_case what = { .script = launch->script, .args = launch->args, .terminal = launch->terminal,
				   .namespaces = launch->namespaces, .process = launch->process,
				   .linux_members = launch->linux_members, .top = launch->top };

	/* A fresh one each time: what was killed by cgroup.kill once takes no clone any more (docs/shim-protocol.md). */
	snprintf(world->cgroup, sizeof(world->cgroup), "%s/c%u", world->base_cgroup, ++world->count);
	memcpy(cleaned_cgroup, world->cgroup, sizeof(cleaned_cgroup));
	check("a cgroup", mkdir(world->cgroup, 0755) == 0);
	setup_shell("rm -rf %s %s && mkdir %s", world->state, world->log, world->state);
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	write_berth_json(world, launch);
	peer_call(&world->launcher, MESSAGE_CONTAINER_CREATE,
		  json_pack("{s:s,s:s,s:s}", "id", CONTAINER_ID, "bundle", world->fixture.bundle, "stateDir", world->state), state);
	check("the launcher forks a shim", state->type == MESSAGE_OK && message_number(state, "pid") > 0);
	world->shim_pid = (pid_t)message_number(state, "pid");
	peer_connect(shim, world->state);
	peer_call(shim, MESSAGE_SUBSCRIBE, json_object(), state);
	while (strcmp(message_text(state, "state"), "creating") == 0)
		check("an event", peer_receive(shim, state));
}

void world_run(struct world *world, const struct launch *launch, struct peer *shim)
{
	static struct message message;

	world_create(world, launch, shim, &message);
	if (strcmp(message_text(&message, "state"), "created") != 0) {
		char *text = json_dumps(message.json, 0);
		printf("  %s\n", text);
		free(text);
	}
	check("it is created", strcmp(message_text(&message, "state"), "created") == 0);
	peer_call(shim, MESSAGE_START, json_object(), &message);
	check("it starts", message.type == MESSAGE_OK && message_number(&message, "pid") > 0 &&
				   strlen(message_text(&message, "startedAt")) == 19);
	message_free(&message);
}

void await_end(struct peer *shim, struct message *last)
{
	do {
		if (!peer_receive(shim, last))
			check("the last event comes", false);
	} while (last->type != MESSAGE_EVENT || (strcmp(message_text(last, "event"), "exited") != 0 &&
						 strcmp(message_text(last, "event"), "failed") != 0));
	static struct message more;
	check("nothing follows the last event", !peer_receive(shim, &more));
	peer_close(shim);
}

/* Also true of a process that nobody has reaped. */
static void await_process(pid_t pid)
{
	struct pollfd pidfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	check("the shim leaves", pidfd.fd < 0 || poll(&pidfd, 1, 60000) == 1);
	if (pidfd.fd >= 0)
		close(pidfd.fd);
}

void world_check_gone(struct world *world)
{
	/* The last process may still be on its way out of the kernel. */
	while (rmdir(world->cgroup) < 0 && errno == EBUSY)
		usleep(1000);
	check("nothing is left in the cgroup", access(world->cgroup, F_OK) < 0);
	check("nobody listens any more", peer_dial(world->state) < 0);
	/* Its descriptors are closed one after the other, the test's connection not last. */
	await_process(world->shim_pid);
}

void world_kill(struct world *world, struct peer *shim)
{
	static struct message message;

	peer_call(shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", SIGKILL, "all", 1), &message);
	check("it is killed", message.type == MESSAGE_OK);
	await_end(shim, &message);
	check("by the signal", message_number(&message, "exitCode") == 137 && message_number(&message, "signal") == 9);
	message_free(&message);
	world_check_gone(world);
}

void world_status(const struct world *world, struct message *status)
{
	char path[128];
	json_error_t problem;

	snprintf(path, sizeof(path), "%s/status.json", world->state);
	message_free(status);
	status->json = json_load_file(path, 0, &problem);
	check("status.json is JSON", status->json != NULL);
}

bool world_log_has(const struct world *world, const char *text)
{
	static char content[1 << 20];
	int fd = open(world->log, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, content, sizeof(content) - 1);

	if (fd >= 0)
		close(fd);
	content[got < 0 ? 0 : got] = '\0';
	return strstr(content, text) != NULL;
}

int world_processes(const struct world *world, const char *below)
{
	char path[300];
	FILE *file;
	int count = 0, pid;

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", world->cgroup, below);
	file = fopen(path, "re");
	while (file != NULL && fscanf(file, "%d", &pid) == 1)
		count++;
	if (file != NULL)
		fclose(file);
	return count;
}

bool exec_send(struct peer *shim, const struct execution *what, uint32_t *id, struct message *reply)
{
	json_t *args = json_loads(what->args, 0, NULL);

	*id = peer_send(shim, MESSAGE_EXEC,
			json_pack("{s:o,s:b,s:b,s:i,s:i}", "args", args, "terminal", what->terminal, "stdin", what->with_stdin,
				  "columns", what->columns, "rows", what->rows));
	check("an exec is answered", peer_receive(shim, reply) && reply->id == *id);
	return reply->type == MESSAGE_OK;
}

static void take_data(struct exec_result *result, const struct message *message)
{
	size_t room = sizeof(result->out) - 1 - (result->out_size < sizeof(result->out) - 1 ? result->out_size : sizeof(result->out) - 1);
	size_t taken = message->length < room ? message->length : room;

	if (message->type == MESSAGE_STDERR) {
		result->err_size += message->length;
		result->err_ends += message->length == 0;
		return;
	}
	memcpy(result->out + (sizeof(result->out) - 1 - room), message->data, taken);
	result->out_size += message->length;
	result->out_ends += message->length == 0;
}

void exec_collect(struct peer *shim, uint32_t id, struct exec_result *result)
{
	static struct message message;

	memset(result, 0, sizeof(*result));
	for (;;) {
		if (!peer_receive(shim, &message) || message.id != id)
			check("an exec ends with EXIT", false);
		if (message.type == MESSAGE_EXIT)
			break;
		take_data(result, &message);
	}
	result->exit_code = (int)message_number(&message, "exitCode");
	result->signal = (int)message_number(&message, "signal");
	message_free(&message);
}
