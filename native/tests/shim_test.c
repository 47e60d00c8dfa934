/* A container's life under launcher and shim: made, started, signalled, ended, and what is told of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "shim_support.h"

static struct message message;

static void test_exit(struct world *world)
{
	struct launch launch = { .script = "echo out; echo err >&2; printf unfinished; exit 7" };
	struct peer shim;

	world_run(world, &launch, &shim);
	await_end(&shim, &message);
	check("its exit code is told", message_number(&message, "exitCode") == 7 && message_number(&message, "signal") == 0);
	world_status(world, &message);
	check("status.json has it", strcmp(message_text(&message, "state"), "exited") == 0 &&
					    message_number(&message, "exitCode") == 7);
	check("and when", strcmp(message_text(&message, "finishedAt"), message_text(&message, "startedAt")) > 0 &&
				  strcmp(message_text(&message, "startedAt"), message_text(&message, "createdAt")) > 0);
	check("standard output is logged", world_log_has(world, " stdout F out\n"));
	check("standard error is logged", world_log_has(world, " stderr F err\n"));
	check("an unfinished line is logged", world_log_has(world, " stdout P unfinished\n"));
	world_check_gone(world);
}

static void test_signals(struct world *world)
{
	struct launch launch = { .script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done" };
	struct peer shim;

	world_run(world, &launch, &shim);
	while (!world_log_has(world, "ready"))
		usleep(1000);
	peer_call(&shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", 0, "all", 0), &message);
	check("signal 0 only asks whether it is there", message.type == MESSAGE_OK);
	peer_call(&shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", -1, "all", 0), &message);
	check("signal -1 is refused", message_is_error(&message, "protocol", ERANGE));
	peer_call(&shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", SIGTERM, "all", 0), &message);
	check("it takes a signal", message.type == MESSAGE_OK);
	await_end(&shim, &message);
	check("and handles it", message_number(&message, "exitCode") == 5);
	world_check_gone(world);
	world_run(world, &launch, &shim);
	world_kill(world, &shim);
}

static void test_kill_before_start(struct world *world)
{
	struct launch launch = { .script = "echo started" };
	struct peer shim;

	world_create(world, &launch, &shim, &message);
	check("it waits", strcmp(message_text(&message, "state"), "created") == 0 && !world_log_has(world, "started"));
	world_kill(world, &shim);
	world_status(world, &message);
	check("it never started", strcmp(message_text(&message, "startedAt"), "0") == 0 && !world_log_has(world, "started"));
}

static void test_failures(struct world *world)
{
	struct launch missing = { .args = "[\"/bin/nothing\"]" };
	struct peer shim;

	world_create(world, &missing, &shim, &message);
	check("a missing program fails the set-up", strcmp(message_text(&message, "state"), "failed") == 0);
	message.type = MESSAGE_ERROR;
	json_t *error = json_incref(json_object_get(message.json, "error"));
	json_decref(message.json);
	message.json = error;
	check("with step, path and errno", message_is_error(&message, "command", ENOENT) &&
						   strcmp(message_text(&message, "path"), "/bin/nothing") == 0);
	check("and the shim leaves", !peer_receive(&shim, &message));
	peer_close(&shim);
	world_status(world, &message);
	check("status.json says failed", strcmp(message_text(&message, "state"), "failed") == 0);
	world_check_gone(world);
}

static void test_reopen(struct world *world)
{
	struct launch launch = { .script = "trap 'echo second' USR1; echo first; while :; do sleep 0.05; done" };
	struct peer shim;

	world_run(world, &launch, &shim);
	while (!world_log_has(world, "first\n"))
		usleep(1000);
	setup_shell("mv %s %s.1", world->log, world->log);
	peer_call(&shim, MESSAGE_REOPEN_LOG, json_object(), &message);
	check("the log is reopened", message.type == MESSAGE_OK);
	peer_call(&shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", SIGUSR1, "all", 1), &message);
	check("a signal goes to all", message.type == MESSAGE_OK);
	while (!world_log_has(world, "second\n"))
		usleep(1000);
	check("the new file has only what is new", !world_log_has(world, "first\n"));
	world_kill(world, &shim);
}

static void test_attach(struct world *world)
{
	struct launch launch = { .script = "cat; echo done", .with_stdin = true, .stdin_once = true };
	struct exec_result result;
	struct peer shim, client;
	uint32_t id;

	world_run(world, &launch, &shim);
	peer_connect(&client, world->state);
	id = peer_send(&client, MESSAGE_ATTACH, json_pack("{s:b,s:b,s:b}", "stdin", 1, "stdout", 1, "stderr", 1));
	check("a client attaches", peer_receive(&client, &message) && message.type == MESSAGE_OK && message.id == id);
	peer_send_data(&client, id, MESSAGE_STDIN, "hello\n", 6);
	peer_send_data(&client, id, MESSAGE_STDIN, "", 0);
	exec_collect(&client, id, &result);
	check("input goes in and output comes out", strcmp(result.out, "hello\ndone\n") == 0 && result.exit_code == 0);
	check("both streams end once", result.out_ends == 1 && result.err_ends == 1);
	peer_close(&client);
	await_end(&shim, &message);
	check("the container ended by itself", message_number(&message, "exitCode") == 0);
	check("the log has it too", world_log_has(world, " stdout F hello\n"));
	world_check_gone(world);
}

static void test_terminal(struct world *world)
{
	struct launch launch = { .script = "tty; stty size; read line; echo got $line", .terminal = true, .with_stdin = true };
	struct peer shim, client;
	uint32_t id;

	world_create(world, &launch, &shim, &message);
	peer_connect(&client, world->state);
	id = peer_send(&client, MESSAGE_ATTACH, json_pack("{s:b,s:b,s:b}", "stdin", 1, "stdout", 1, "stderr", 0));
	check("a client attaches", peer_receive(&client, &message) && message.type == MESSAGE_OK);
	peer_send_data(&client, id, MESSAGE_RESIZE, "{\"columns\":91,\"rows\":17}", 24);
	/* No reply to that; this one comes after it. */
	peer_send_data(&client, id, MESSAGE_STDIN, "word\n", 5);
	peer_call(&client, MESSAGE_SUBSCRIBE, json_object(), &message);
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("it starts", message.type == MESSAGE_OK);
	peer_close(&client);
	await_end(&shim, &message);
	check("it ends", message_number(&message, "exitCode") == 0);
	check("the terminal has the size", world_log_has(world, "stdout F 17 91\n"));
	check("and a name", world_log_has(world, "stdout F /dev/console\n"));
	check("input came through it", world_log_has(world, "stdout F got word\n"));
	world_check_gone(world);
}

/* It may hold the output up while the container runs, not its end. */
static void test_deaf_client(struct world *world)
{
	struct launch launch = { .script = "exec yes" };
	struct peer shim, deaf;

	world_create(world, &launch, &shim, &message);
	peer_connect(&deaf, world->state);
	peer_send(&deaf, MESSAGE_ATTACH, json_pack("{s:b,s:b,s:b}", "stdin", 0, "stdout", 1, "stderr", 1));
	check("a client attaches", peer_receive(&deaf, &message) && message.type == MESSAGE_OK);
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("it starts", message.type == MESSAGE_OK);
	while (!world_log_has(world, " stdout F y\n"))
		usleep(1000);
	/* It does not read from here on. */
	world_kill(world, &shim);
	peer_close(&deaf);
}

static void expect_cut(struct world *world, const char *title, const void *bytes, size_t size)
{
	struct peer peer = { .fd = peer_dial(world->state) };

	check("a hostile client connects", peer.fd >= 0 && send(peer.fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
	while (peer_receive(&peer, &message))
		continue;
	check(title, true);
	peer_close(&peer);
}

static void test_abuse(struct world *world)
{
	static const char hello[] = "\0\0\0\x0d\0\0\0\0\x01{\"version\":1}";
	struct launch launch = { .script = "sleep 1000" };
	char bytes[64];
	struct peer shim;
	int fd;

	world_run(world, &launch, &shim);
	expect_cut(world, "no handshake: the end", "\0\0\0\x02\0\0\0\x01\x20{}", 11);
	expect_cut(world, "another version: the end", "\0\0\0\x0d\0\0\0\0\x01{\"version\":2}", 22);
	expect_cut(world, "a frame too long: the end", "\xff\xff\xff\xff\0\0\0\x01\x01", 9);
	memcpy(bytes, hello, 22);
	memcpy(bytes + 22, "\0\0\0\x02\0\0\0\x01\x13{}", 11);
	expect_cut(world, "an unknown type: the end", bytes, 33);
	memcpy(bytes + 22, "\0\0\0\x02\0\0\0\x01\x22{,", 11);
	expect_cut(world, "no JSON: the end", bytes, 33);
	memcpy(bytes + 22, "\0\0\0\x02\0\0\0\x01\x12{}", 11);
	expect_cut(world, "a message for the launcher: the end", bytes, 33);
	/* Half a frame, and gone. */
	fd = peer_dial(world->state);
	check("a client goes in mid-frame", send(fd, hello, 15, MSG_NOSIGNAL) == 15 && close(fd) == 0);
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("a second START is refused", message_is_error(&message, "exec", EALREADY));
	peer_call(&shim, MESSAGE_EXEC, json_pack("{s:[s]}", "args", "true"), &message);
	check("an exec needs its own connection", message_is_error(&message, "protocol", EBUSY));
	check("the container is unharmed", world_processes(world, ".") == 1);
	world_kill(world, &shim);
}

static void test_launcher_death(struct world *world)
{
	struct launch launch = { .script = "sleep 1000" };
	struct execution what = { .args = "[\"sh\",\"-c\",\"echo alive\"]" };
	struct exec_result result;
	struct peer shim, client;
	uint32_t id;

	world_run(world, &launch, &shim);
	peer_close(&shim);
	check("the launcher is killed", kill(world->launcher_pid, SIGKILL) == 0 &&
						waitpid(world->launcher_pid, NULL, 0) == world->launcher_pid);
	peer_close(&world->launcher);
	peer_connect(&client, world->state);
	check("the shim still takes an exec", exec_send(&client, &what, &id, &message));
	exec_collect(&client, id, &result);
	check("and runs it", strcmp(result.out, "alive\n") == 0);
	peer_close(&client);
	world->launcher_pid = peer_launcher(&world->launcher);
	peer_connect(&shim, world->state);
	peer_call(&shim, MESSAGE_SUBSCRIBE, json_object(), &message);
	check("its state is known", strcmp(message_text(&message, "state"), "running") == 0);
	world_kill(world, &shim);
}

/* Whoever finds nobody listening any more finds the last state in status.json. */
static void test_last_word(struct world *world)
{
	struct launch launch = { .script = "exit 3" };
	struct peer shim;
	int fd;

	for (int round = 0; round < 20; round++) {
		world_run(world, &launch, &shim);
		while ((fd = peer_dial(world->state)) >= 0)
			close(fd);
		world_status(world, &message);
		check("the last state is there", strcmp(message_text(&message, "state"), "exited") == 0 &&
							 message_number(&message, "exitCode") == 3);
		peer_close(&shim);
		world_check_gone(world);
	}
}

int main(void)
{
	static struct world world;

	world_begin(&world);
	test_exit(&world);
	test_signals(&world);
	test_kill_before_start(&world);
	test_failures(&world);
	test_reopen(&world);
	test_attach(&world);
	test_terminal(&world);
	test_deaf_client(&world);
	test_last_word(&world);
	test_abuse(&world);
	test_launcher_death(&world);
	message_free(&message);
	world_end(&world);
	return 0;
}
