/* Hooks under a real launcher and shim: who runs when, where and with what, and what becomes of one that fails. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "check.h"
#include "shim_support.h"

static struct message message;
static struct peer shim;
static char text[8192];

/* A hook that runs a shell script, as JSON; the script may hold no quotes but '. */
#define HOOK(script, more) "{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\"" script "\"]" more "}"
#define HOOKS_END "},\"annotations\":{\"a\":\"b\"},"

static const char *read_text(const struct world *world, const char *name)
{
	char path[192];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", world->fixture.directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	return text;
}

static void fresh(const struct world *world)
{
	setup_shell("cd %s && rm -rf order pids seen *.state && mkdir -p bundle/rootfs", world->fixture.directory);
}

static bool told(const struct world *world, const char *stage, const char *status)
{
	char name[64];
	json_t *state;
	bool fine;

	snprintf(name, sizeof(name), "%s.state", stage);
	state = json_loads(read_text(world, name), 0, NULL);
	fine = state != NULL && strcmp(json_string_value(json_object_get(state, "status")), status) == 0 &&
	       strcmp(json_string_value(json_object_get(state, "id")), CONTAINER_ID) == 0 &&
	       strcmp(json_string_value(json_object_get(state, "ociVersion")), "1.2.0") == 0 &&
	       strcmp(json_string_value(json_object_get(state, "bundle")), world->fixture.bundle) == 0 &&
	       strcmp(json_string_value(json_object_get(json_object_get(state, "annotations"), "a")), "b") == 0 &&
	       (json_integer_value(json_object_get(state, "pid")) > 0) == (strcmp(status, "stopped") != 0);
	if (!fine)
		printf("  %s: %s\n", stage, text);
	json_decref(state);
	return fine;
}

/* Every stage, with a note of its state and its place in the order. */
static char *all_stages(const struct world *world)
{
	static char hooks[6000];
	const char *at = world->fixture.directory;

	snprintf(hooks, sizeof(hooks),
		 "\"hooks\":{\"prestart\":[" HOOK("cat > %s/prestart.state; echo prestart >> %s/order", "") "],"
		 "\"createRuntime\":[" HOOK("cat > %s/createRuntime.state; echo runtime1 >> %s/order; readlink /proc/self/ns/mnt "
					    "/proc/self/ns/pid > %s/seen", "") ","
		 HOOK("echo runtime2 >> %s/order; { tr '\\\\0' '+' < /proc/$$/environ; echo /proc/$$/fd/*; grep SigIgn "
		      "/proc/$$/status; } >> %s/seen", ",\"env\":[\"A=b\"]") "],"
		 "\"createContainer\":[" HOOK("cat > %s/createContainer.state; echo container >> %s/order; test -f "
					      "%s/bundle/config.json && test -x bin/busybox && mount -t tmpfs hook tmp && "
					      "touch from-hook tmp/in-mount && readlink /proc/self/ns/uts >> %s/seen", "") "],"
		 "\"startContainer\":[" HOOK("cat > /start.state; echo $PPID > /start.parent", "") "],"
		 "\"poststart\":[" HOOK("cat > %s/poststart.state; echo poststart >> %s/order", "") "],"
		 "\"poststop\":[" HOOK("cat > %s/poststop.state; echo poststop >> %s/order", "") "]" HOOKS_END,
		 at, at, at, at, at, at, at, at, at, at, at, at, at, at, at);
	return hooks;
}

static void check_all_stages(const struct world *world, const char *pid_at_end)
{
	check("each is told the state: prestart", told(world, "prestart", "creating"));
	check("createRuntime", told(world, "createRuntime", "creating"));
	check("createContainer", told(world, "createContainer", "creating"));
	check("poststart", told(world, "poststart", "running"));
	check("poststop", told(world, "poststop", "stopped"));
	check("they run in their order",
	      strcmp(read_text(world, "order"), "prestart\nruntime1\nruntime2\ncontainer\npoststart\npoststop\n") == 0);
	setup_shell("cp %s/start.state %s/startContainer.state", world->fixture.upper, world->fixture.directory);
	check("startContainer", told(world, "startContainer", "created"));
	read_text(world, "upper/start.parent");
	check("it is a child of the init in its PID namespace", strcmp(text, pid_at_end) == 0);
}

static void test_order(struct world *world)
{
	struct launch launch = { .top = all_stages(world), .script = "ls /tmp /from-hook /start.state; sleep 1000" };
	char own[128];
	ssize_t length = readlink("/proc/self/ns/mnt", own, sizeof(own) - 1);

	own[length] = '\0';
	fresh(world);
	world_create(world, &launch, &shim, &message);
	check("a container with hooks is created", strcmp(message_text(&message, "state"), "created") == 0);
	check("those of its start have not run", strstr(read_text(world, "order"), "poststart") == NULL);
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("it starts", message.type == MESSAGE_OK);
	check("after poststart", strstr(read_text(world, "order"), "poststart") != NULL);
	while (!world_log_has(world, "/start.state"))
		usleep(1000);
	check("the program finds what createContainer made in its root", world_log_has(world, "/from-hook"));
	check("mounts too", world_log_has(world, "in-mount"));
	world_kill(world, &shim);
	check_all_stages(world, "1\n");
	read_text(world, "seen");
	check("createRuntime is in the runtime's mount namespace", strncmp(text, own, (size_t)length) == 0);
	check("the environment is the hook's alone", strstr(text, "\nA=b+/proc/") != NULL);
	check("no descriptor but the standard ones", strstr(text, "/fd/2") != NULL && strstr(text, "/fd/5") == NULL);
	check("no signal is ignored", strstr(text, "SigIgn:\t0000000000000000") != NULL);
}

static void expect_failed(struct world *world, const struct launch *launch, const char *errno_name, const char *words)
{
	const json_t *error;

	world_create(world, launch, &shim, &message);
	check("creation fails", strcmp(message_text(&message, "state"), "failed") == 0);
	error = json_object_get(message.json, "error");
	if (strstr(json_string_value(json_object_get(error, "message")), words) == NULL)
		printf("  %s\n", json_string_value(json_object_get(error, "message")));
	check("in step hook", strcmp(json_string_value(json_object_get(error, "step")), "hook") == 0);
	check("with its errno", strcmp(json_string_value(json_object_get(error, "errnoName")), errno_name) == 0);
	check("with the hook's path", json_string_value(json_object_get(error, "path"))[0] == '/');
	check("and in the hook's words", strstr(json_string_value(json_object_get(error, "message")), words) != NULL);
	peer_close(&shim);
	world_check_gone(world);
}

static void test_failures(struct world *world)
{
	static char top[2048];
	struct launch launch = { .top = top, .script = "sleep 1000" };
	const char *at = world->fixture.directory;

	fresh(world);
	snprintf(top, sizeof(top), "\"hooks\":{\"createRuntime\":[" HOOK("echo no card >&2; exit 3", "") ","
		 HOOK("echo next >> %s/order", "") "],\"poststop\":[" HOOK("echo poststop >> %s/order", "") "]" HOOKS_END, at, at);
	expect_failed(world, &launch, "", "exited with 3: no card");
	check("the next is not run, those of the end are", strcmp(read_text(world, "order"), "poststop\n") == 0);
	snprintf(top, sizeof(top), "\"hooks\":{\"createContainer\":[{\"path\":\"/no/such/hook\"}]" HOOKS_END);
	expect_failed(world, &launch, "", "cannot be executed: No such file");
	snprintf(top, sizeof(top), "\"hooks\":{\"prestart\":[" HOOK("head -c 100000 /dev/zero | tr '\\\\0' x >&2; echo end >&2; kill -9 $$",
		 "") "]" HOOKS_END);
	expect_failed(world, &launch, "", "xxxend");
	snprintf(top, sizeof(top), "\"hooks\":{\"startContainer\":[" HOOK("echo not today, $(id -u) >&2; exit 4", "") "]" HOOKS_END);
	launch.process = "\"user\":{\"uid\":7,\"gid\":7},";
	world_create(world, &launch, &shim, &message);
	check("it is created", strcmp(message_text(&message, "state"), "created") == 0);
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("a failing startContainer, run as the user, fails the start", message.type == MESSAGE_ERROR &&
		strcmp(message_text(&message, "step"), "hook") == 0 &&
		strstr(message_text(&message, "message"), "exited with 4: not today, 7") != NULL);
	await_end(&shim, &message);
	check("the container has ended", message_number(&message, "exitCode") == 126);
	world_check_gone(world);
}

static void check_pids_gone(const struct world *world, int expected)
{
	const char *next = read_text(world, "pids");
	int pid, used, count = 0;

	for (; sscanf(next, "%d%n", &pid, &used) == 1; next += used, count++)
		check("a process of the hook is gone", kill(pid, 0) < 0 && errno == ESRCH);
	check("all of them", count == expected);
}

static void test_kills(struct world *world)
{
	static char top[2048];
	struct launch launch = { .top = top, .script = "sleep 1000" };
	const char *at = world->fixture.directory;

	fresh(world);
	snprintf(top, sizeof(top), "\"hooks\":{\"createContainer\":[" HOOK("echo $$ > %s/pids; sleep 5555 & echo $! >> %s/pids; "
		 "setsid sleep 5555 & echo $! >> %s/pids; echo stuck >&2; wait", ",\"timeout\":1") "]" HOOKS_END, at, at, at);
	expect_failed(world, &launch, "ETIMEDOUT", "did not end within 1 s and was killed: stuck");
	check_pids_gone(world, 3);
	snprintf(top, sizeof(top), "\"hooks\":{\"createRuntime\":[" HOOK("echo $$ > %s/pids; kill -9 $(sed 's/.*pid.: *//;s/[^0-9].*//'); "
		 "sleep 5555", ",\"timeout\":3600") "]" HOOKS_END, at);
	world_create(world, &launch, &shim, &message);
	check("a container that is killed meanwhile fails", strcmp(message_text(&message, "state"), "failed") == 0);
	peer_close(&shim);
	world_check_gone(world);
	check_pids_gone(world, 1);
}

static void test_later_failures(struct world *world)
{
	static char top[2048];
	struct launch launch = { .top = top, .script = "sleep 1000" };
	const char *at = world->fixture.directory;

	fresh(world);
	snprintf(top, sizeof(top), "\"hooks\":{\"poststart\":[" HOOK("echo one >&2; exit 5", "") "," HOOK("echo second >> %s/order", "")
		 "],\"poststop\":[" HOOK("echo two >&2; exit 6", "") "]" HOOKS_END, at);
	world_run(world, &launch, &shim);
	check("a failed poststart is logged", world_log_has(world, "berth: hook /bin/sh: exited with 5: one"));
	check("the next is run", strcmp(read_text(world, "order"), "second\n") == 0);
	world_kill(world, &shim);
	check("a failed poststop is logged", world_log_has(world, "berth: hook /bin/sh: exited with 6: two"));
}

static void test_user_namespace(struct world *world)
{
	struct launch launch = { .top = all_stages(world), .script = "ls /from-hook /tmp; sleep 1000" };

	launch.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
			    "{\"type\":\"uts\"},{\"type\":\"cgroup\"},{\"type\":\"user\"}]";
	launch.linux_members = "\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1000}],"
			       "\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1000}],";
	fresh(world);
	world_run(world, &launch, &shim);
	while (!world_log_has(world, "in-mount"))
		usleep(1000);
	check("in a user namespace the root is the same", world_log_has(world, "/from-hook"));
	world_kill(world, &shim);
	check_all_stages(world, "1\n");
}

static void test_foreground(struct world *world)
{
	struct setup_case what = { .top = all_stages(world), .script = "test -e /from-hook && exit 9" };
	const char *build = getenv("BERTH_BUILD");
	char command[4096];
	int status;

	fresh(world);
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	snprintf(command, sizeof(command), "%s/berth-shim run --bundle %s", build == NULL ? "../dist" : build,
		 world->fixture.bundle);
	status = system(command);
	check("in the foreground", WIFEXITED(status) && WEXITSTATUS(status) == 9);
	check("all stages run", strcmp(read_text(world, "order"),
				       "prestart\nruntime1\nruntime2\ncontainer\npoststart\npoststop\n") == 0);
}

int main(void)
{
	static struct world world;

	setvbuf(stdout, NULL, _IOLBF, 0); /* what hangs tells where */
	world_begin(&world);
	test_order(&world);
	test_failures(&world);
	test_kills(&world);
	test_later_failures(&world);
	test_user_namespace(&world);
	test_foreground(&world);
	message_free(&message);
	world_end(&world);
	return 0;
}
