/* `berth-shim run`: an OCI bundle in the foreground; and containers in a PID namespace that a reaper holds. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "shim_support.h"

static struct message message;

struct foreground {
	int status;
	char output[4096];
};

/* Runs the program under test on the bundle; after its first output it gets `signal`, unless that is 0. */
static void run_bundle(const struct world *world, int signal, struct foreground *result)
{
	const char *build = getenv("BERTH_BUILD");
	char program[4096];
	size_t used = 0;
	int ends[2];
	ssize_t got;
	pid_t pid;

	snprintf(program, sizeof(program), "%s/berth-shim", build == NULL ? "../dist" : build);
	check("a pipe", pipe2(ends, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execl(program, "berth-shim", "run", "--bundle", world->fixture.bundle, (char *)NULL);
		_exit(99);
	}
	close(ends[1]);
	while ((got = read(ends[0], result->output + used, sizeof(result->output) - 1 - used)) > 0) {
		used += (size_t)got;
		if (signal != 0)
			kill(pid, signal);
		signal = 0;
	}
	result->output[used] = '\0';
	close(ends[0]);
	check("it ends", waitpid(pid, &result->status, 0) == pid && WIFEXITED(result->status));
}

static void test_foreground(const struct world *world)
{
	struct setup_case what = { .script = "echo hello; exit 9" };
	struct foreground result;

	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	run_bundle(world, 0, &result);
	check("the output is its own", strcmp(result.output, "hello\n") == 0);
	check("so is the exit code", WEXITSTATUS(result.status) == 9);
	what.script = "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done";
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	run_bundle(world, SIGTERM, &result);
	check("a signal is passed on", WEXITSTATUS(result.status) == 6);
	what.args = "[\"/bin/nothing\"]";
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	run_bundle(world, 0, &result);
	check("what cannot be set up is told", WEXITSTATUS(result.status) == 125 &&
						      strstr(result.output, "command /bin/nothing") != NULL);
	what = (struct setup_case){ .script = "tty; stty -a | head -n 1; exit 3", .terminal = true };
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	run_bundle(world, 0, &result);
	check("a terminal's output is passed on", strstr(result.output, "/dev/console\r\n") != NULL &&
							  WEXITSTATUS(result.status) == 3);
}

static json_t *sandbox(const char *pin, const char *cgroup)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:{},s:s,s:i,s:s}", "id", CONTAINER_ID, "net", "", "ipc", "", "uts", "",
			 "pid", pin, "user", "", "hostname", "", "sysctls", "shm", "", "shmSize", 0, "cgroup", cgroup);
}

static void test_shared_pid(struct world *world)
{
	char pin[128], cgroup[256], namespaces[400];
	struct launch launch = { .namespaces = namespaces, .script = "sleep 996 & (sleep 995 &); echo me=$$; sleep 1000" };
	struct execution what = { .args = "[\"sh\",\"-c\",\"ps | grep -c 'sleep 99'; grep NSpid /proc/self/status\"]" };
	struct exec_result result;
	struct peer shim, client;
	uint32_t id;
	pid_t reaper;

	snprintf(pin, sizeof(pin), "%s/pid", world->fixture.directory);
	snprintf(cgroup, sizeof(cgroup), "%s/reaper", world->base_cgroup);
	snprintf(namespaces, sizeof(namespaces),
		 "[{\"type\":\"mount\"},{\"type\":\"pid\",\"path\":\"%s\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
		 "{\"type\":\"uts\"},{\"type\":\"cgroup\"}]", pin);
	setup_shell("mkdir %s", cgroup);
	peer_call(&world->launcher, MESSAGE_SANDBOX_CREATE, sandbox(pin, cgroup), &message);
	reaper = (pid_t)message_number(&message, "reaperPid");
	check("a sandbox with a shared PID namespace", message.type == MESSAGE_OK && reaper > 0);
	world_run(world, &launch, &shim);
	while (!world_log_has(world, "me="))
		usleep(1000);
	check("the container is not process 1", !world_log_has(world, "me=1\n"));
	peer_connect(&client, world->state);
	check("an exec in it", exec_send(&client, &what, &id, &message));
	exec_collect(&client, id, &result);
	check("sees the namespace's processes", result.exit_code == 0 && result.out[0] >= '2');
	peer_close(&client);
	peer_call(&shim, MESSAGE_KILL, json_pack("{s:i,s:b}", "signal", SIGKILL, "all", 0), &message);
	check("its first process is killed", message.type == MESSAGE_OK);
	await_end(&shim, &message);
	check("and told", message_number(&message, "exitCode") == 137);
	world_check_gone(world);
	check("the reaper lives on", kill(reaper, 0) == 0);
	kill(reaper, SIGKILL);
	peer_call(&world->launcher, MESSAGE_SANDBOX_DELETE, json_pack("{s:s,s:s}", "id", CONTAINER_ID, "pid", pin),
		  &message);
	check("the sandbox goes", message.type == MESSAGE_OK);
	while (rmdir(cgroup) < 0 && errno == EBUSY)
		usleep(1000);
}

int main(void)
{
	static struct world world;

	world_begin(&world);
	test_foreground(&world);
	test_shared_pid(&world);
	message_free(&message);
	world_end(&world);
	return 0;
}
