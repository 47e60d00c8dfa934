/* Execs into a running container: output, input, terminals, errors, and what a lost connection takes along. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "shim_support.h"

static struct message message;
static struct exec_result result;

/* Runs one to its end. */
static void run(struct peer *client, const char *args)
{
	struct execution what = { .args = args };
	uint32_t id;

	check("an exec starts", exec_send(client, &what, &id, &message) && message_number(&message, "pid") > 0);
	exec_collect(client, id, &result);
	check("both streams end once", result.out_ends == 1 && result.err_ends == 1);
}

static bool leaf_exists(const struct world *world, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", world->cgroup, name);
	return access(path, F_OK) == 0;
}

static void test_results(struct world *world, struct peer *client)
{
	run(client, "[\"sh\",\"-c\",\"echo out; echo err >&2; exit 3\"]");
	check("the exit code", result.exit_code == 3 && result.signal == 0);
	check("the output", strcmp(result.out, "out\n") == 0 && result.err_size == 4);
	check("its leaf is gone", !leaf_exists(world, "exec-1"));
	run(client, "[\"sh\",\"-c\",\"kill -9 $$\"]");
	check("a signal", result.exit_code == 137 && result.signal == 9);
	run(client, "[\"sh\",\"-c\",\"cat /proc/self/cgroup; ps\"]");
	check("a cgroup of its own", strstr(result.out, "0::/exec-3\n") != NULL);
	check("the container's processes", strstr(result.out, "    1 ") != NULL);
	run(client, "[\"sh\",\"-c\",\"head -c 3000000 /dev/zero; echo end >&2\"]");
	check("much output arrives whole", result.out_size == 3000000 && result.err_size == 4 && result.exit_code == 0);
	run(client, "[\"sh\",\"-c\",\"cat; echo again > /dev/stdout\"]");
	check("without input there is none", result.exit_code == 0 && strcmp(result.out, "again\n") == 0);
}

static void test_refusal(struct world *world, struct peer *client)
{
	struct execution missing = { .args = "[\"nothing\"]" }, empty = { .args = "[]" }, odd = { .args = "[1]" };
	uint32_t id;

	check("a missing program is refused", !exec_send(client, &missing, &id, &message) &&
						      message_is_error(&message, "command", ENOENT));
	check("no arguments", !exec_send(client, &empty, &id, &message) && message_is_error(&message, "command", EINVAL));
	check("an argument that is no text", !exec_send(client, &odd, &id, &message) &&
						     message_is_error(&message, "command", EINVAL));
	run(client, "[\"true\"]");
	check("the connection goes on", result.exit_code == 0);
	check("no leaf is left", !leaf_exists(world, "exec-6") && !leaf_exists(world, "exec-7"));
}

static void test_input(struct peer *client)
{
	static char block[60000];
	struct execution what = { .args = "[\"sh\",\"-c\",\"wc -c\"]", .with_stdin = true };
	struct execution deaf = { .args = "[\"sh\",\"-c\",\"exec <&-; echo closed\"]", .with_stdin = true };
	uint32_t id;

	check("an exec with input", exec_send(client, &what, &id, &message));
	memset(block, 'i', sizeof(block));
	for (int i = 0; i < 50; i++)
		peer_send_data(client, id, MESSAGE_STDIN, block, sizeof(block));
	peer_send_data(client, id, MESSAGE_STDIN, "", 0);
	exec_collect(client, id, &result);
	check("all input arrives", strcmp(result.out, "3000000\n") == 0);
	check("an exec that closes its input", exec_send(client, &deaf, &id, &message));
	for (int i = 0; i < 5; i++)
		peer_send_data(client, id, MESSAGE_STDIN, block, sizeof(block));
	exec_collect(client, id, &result);
	check("is not in the way", strcmp(result.out, "closed\n") == 0 && result.exit_code == 0);
}

static void test_terminal(struct peer *client)
{
	struct execution what = { .args = "[\"sh\",\"-c\",\"tty; stty size; read x; stty size; echo $x\"]", .terminal = true,
				  .with_stdin = true, .columns = 100, .rows = 30 };
	char said[256] = "";
	uint32_t id;

	check("an exec on a terminal", exec_send(client, &what, &id, &message));
	/* A terminal's output comes in whatever pieces the machine's load makes of it. */
	do {
		check("it speaks", peer_receive(client, &message) && message.type == MESSAGE_STDOUT &&
					   strlen(said) + message.length < sizeof(said));
		strcat(said, message.data);
	} while (strstr(said, "30 100\r\n") == NULL);
	peer_send_data(client, id, MESSAGE_RESIZE, "{\"columns\":80,\"rows\":24}", 24);
	peer_send_data(client, id, MESSAGE_STDIN, "typed\n", 6);
	exec_collect(client, id, &result);
	check("it is resized", strstr(result.out, "24 80\r\n") != NULL);
	check("it is typed into", strstr(result.out, "typed\r\n") != NULL && result.exit_code == 0);
}

static void test_terminal_name(struct peer *client)
{
	struct execution what = { .args = "[\"tty\"]", .terminal = true };
	uint32_t id;

	check("an exec on a terminal", exec_send(client, &what, &id, &message));
	exec_collect(client, id, &result);
	check("it has a name in the container", strncmp(result.out, "/dev/pts/", 9) == 0);
}

static void test_disconnect(struct world *world)
{
	struct execution what = { .args = "[\"sh\",\"-c\",\"(sleep 999 & sleep 999 & wait) & echo up; sleep 999\"]" };
	struct peer client;
	uint32_t id;

	peer_connect(&client, world->state);
	check("an exec with grandchildren", exec_send(&client, &what, &id, &message) && peer_receive(&client, &message) &&
						    strcmp(message.data, "up\n") == 0);
	check("they run", world_processes(world, "exec-12") >= 2);
	peer_close(&client);
	while (leaf_exists(world, "exec-12"))
		usleep(1000);
	check("a lost connection takes them all along, and the leaf", world_processes(world, ".") == 1);
}

static void test_background(struct world *world, struct peer *client)
{
	run(client, "[\"sh\",\"-c\",\"sleep 999 >/dev/null 2>&1 & echo started\"]");
	check("an exec ends while its child lives on", strcmp(result.out, "started\n") == 0 && result.exit_code == 0);
	check("in the leaf", world_processes(world, "exec-13") == 1);
	run(client, "[\"sh\",\"-c\",\"sleep 998 & echo holding\"]");
	check("also when the child holds the output", strcmp(result.out, "holding\n") == 0 && result.exit_code == 0);
	check("which lives on as well", world_processes(world, "exec-14") == 1);
}

static void test_slow_reader(struct world *world)
{
	struct execution flood = { .args = "[\"sh\",\"-c\",\"while :; do echo flood; done\"]" };
	struct execution quick = { .args = "[\"echo\",\"quick\"]" };
	struct peer slow, other;
	uint32_t id;

	peer_connect(&slow, world->state);
	peer_connect(&other, world->state);
	check("an exec that floods", exec_send(&slow, &flood, &id, &message));
	for (int i = 0; i < 20; i++) {
		check("another is served", exec_send(&other, &quick, &id, &message));
		exec_collect(&other, id, &result);
		check("meanwhile", strcmp(result.out, "quick\n") == 0);
	}
	peer_close(&other);
	peer_close(&slow);
}

/* PID 1 of a shared namespace is not the container's: its end must take the container's others along. */
static void test_shared_pid(struct world *world)
{
	struct launch launch = { .script = "sleep 997 & sleep 0.2; exit 4",
				 .namespaces = "[{\"type\":\"mount\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
					       "{\"type\":\"cgroup\"}]" };
	struct peer shim;

	world_run(world, &launch, &shim);
	await_end(&shim, &message);
	check("the first process ends", message_number(&message, "exitCode") == 4);
	world_check_gone(world);
}

int main(void)
{
	static struct world world;
	struct launch launch = { .script = "sleep 1000" };
	struct peer shim, client;

	world_begin(&world);
	world_run(&world, &launch, &shim);
	peer_connect(&client, world.state);
	test_results(&world, &client);
	test_refusal(&world, &client);
	test_input(&client);
	test_terminal(&client);
	test_terminal_name(&client);
	test_disconnect(&world);
	test_background(&world, &client);
	test_slow_reader(&world);
	peer_close(&client);
	world_kill(&world, &shim);
	test_shared_pid(&world);
	message_free(&message);
	world_end(&world);
	return 0;
}
