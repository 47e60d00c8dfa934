/* The device rules of a container, in the kernel: what it may open and make, what its execs may, what is left. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "shim_support.h"
#include "../shim/setup.h"

#define CAPABLE                                                                                              \
	"\"capabilities\":{\"bounding\":[\"CAP_MKNOD\",\"CAP_SYSLOG\"],\"effective\":[\"CAP_MKNOD\",\"CAP_SYSLOG\"]," \
	"\"permitted\":[\"CAP_MKNOD\",\"CAP_SYSLOG\"],\"inheritable\":[],\"ambient\":[]},"
#define RULES(more) "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}" more "]},"
#define KMSG(access) ",{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"" access "\"}"
/* What berthd writes for a container without devices of its own. */
#define DEFAULT_RULES                                                                                         \
	RULES(",{\"allow\":true,\"type\":\"c\",\"access\":\"m\"},{\"allow\":true,\"type\":\"b\",\"access\":\"m\"},"   \
	      "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":5,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":7,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":8,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":9,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":5,\"minor\":0,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":5,\"minor\":1,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":5,\"minor\":2,\"access\":\"rwm\"},"                          \
	      "{\"allow\":true,\"type\":\"c\",\"major\":136,\"access\":\"rwm\"}")
/* Says for each way of opening /x whether it works. */
#define TRY "(: < /x) && echo r=yes; (: >> /x) && echo w=yes; (: <> /x) && echo rw=yes; "

static struct message message;

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* How many device programs the cgroup has itself; the first one's id. */
static uint32_t attached(const char *cgroup, uint32_t *id)
{
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t ids[8] = { 0 };
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.query.target_fd = (uint32_t)fd;
	attributes.query.attach_type = BPF_CGROUP_DEVICE;
	attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attributes.query.prog_cnt = 8;
	check("the cgroup's programs are told", fd >= 0 && bpf(BPF_PROG_QUERY, &attributes) == 0);
	close(fd);
	*id = ids[0];
	return attributes.query.prog_cnt;
}

/* The kernel gives a removed cgroup's programs up in a work queue, so not at once. */
static bool is_gone(uint32_t id)
{
	for (int patience = 0; patience < 10000; patience++) {
		union bpf_attr attributes;
		int fd;

		memset(&attributes, 0, sizeof(attributes));
		attributes.prog_id = id;
		fd = bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
		if (fd < 0)
			return errno == ENOENT;
		close(fd);
		usleep(1000);
	}
	return false;
}

/* Runs a script under these rules to its end, and checks that what enforced them goes with the cgroup. */
static void run(struct world *world, const char *rules, const char *script)
{
	struct launch launch = { .script = script, .process = CAPABLE, .linux_members = rules };
	uint32_t id, count;
	struct peer shim;

	world_create(world, &launch, &shim, &message);
	check("a container under device rules", strcmp(message_text(&message, "state"), "created") == 0);
	count = attached(world->cgroup, &id);
	check("has one program, or none when nothing is denied", count == (strcmp(rules, "") != 0 && strstr(rules, "false") != NULL));
	peer_call(&shim, MESSAGE_START, json_object(), &message);
	check("it starts", message.type == MESSAGE_OK);
	await_end(&shim, &message);
	world_check_gone(world);
	check("the program goes with the cgroup", count == 0 || is_gone(id));
}

static bool said(const struct world *world, const char *text)
{
	return world_log_has(world, text);
}

static void test_default(struct world *world)
{
	run(world, DEFAULT_RULES, "mknod /x b 7 0 && echo made; " TRY "rm /x; mknod /x c 1 11; " TRY
	    "for d in null zero full random urandom; do (: <> /dev/$d) && echo $d=yes; done; echo x > /dev/null; "
	    "dd if=/dev/zero of=/dev/null bs=1 count=1 && echo copied; (: <> /dev/ptmx) && echo ptmx=yes");
	check("a block device can be made", said(world, " made\n"));
	check("but not opened, as no device that is not listed", !said(world, "r=yes") && !said(world, "w=yes") &&
								       said(world, "can't open /x: Operation not permitted"));
	check("the standard devices work", said(world, "null=yes") && said(world, "zero=yes") && said(world, "full=yes") &&
						   said(world, " random=yes") && said(world, "urandom=yes") && said(world, "copied"));
	check("so do pseudo terminals", said(world, "ptmx=yes"));
}

static void test_letters(struct world *world)
{
	run(world, RULES(KMSG("r")), "mknod /x c 1 11 && echo made; " TRY);
	check("listed for reading", said(world, " r=yes") && !said(world, " w=yes") && !said(world, " rw=yes"));
	run(world, RULES(KMSG("w")), "mknod /x c 1 11; " TRY);
	check("for writing", !said(world, " r=yes") && said(world, " w=yes") && !said(world, " rw=yes"));
	run(world, RULES(KMSG("r") KMSG("w")), "mknod /x c 1 11; " TRY);
	check("for both, in two rules", said(world, " r=yes") && said(world, " w=yes") && said(world, " rw=yes"));
	run(world, RULES(KMSG("rwm") ",{\"allow\":false,\"type\":\"c\",\"major\":1,\"minor\":11,\"access\":\"w\"}"),
	    "mknod /x c 1 11; " TRY);
	check("the later rule wins", said(world, " r=yes") && !said(world, " w=yes") && !said(world, " rw=yes"));
	run(world, RULES(",{\"allow\":false,\"type\":\"c\",\"access\":\"m\"}"), "mknod /x c 1 11 || echo refused; : > /dev/null && echo null=yes");
	check("also on making nodes", said(world, "refused") && said(world, "null=yes"));
}

static void test_open(struct world *world)
{
	run(world, "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]},", "mknod /x c 1 11; " TRY);
	check("a privileged container opens every device", said(world, " rw=yes"));
	run(world, "", "mknod /x c 1 11; " TRY);
	check("so does one whose bundle says nothing of devices", said(world, " rw=yes"));
}

static void test_exec(struct world *world)
{
	struct launch launch = { .script = "mknod /x c 1 11; mknod /y b 7 0; echo ready; sleep 1000", .process = CAPABLE,
				 .linux_members = RULES(KMSG("r")) };
	struct execution what = { .args = "[\"sh\",\"-c\",\"exec 2>&1; " TRY "(: < /y) || echo no; : > /dev/null && echo null=yes\"]" };
	struct execution terminal = { .args = "[\"sh\",\"-c\",\"echo > /dev/tty && tty\"]", .terminal = true };
	struct exec_result result;
	struct peer shim, client;
	uint32_t id, program;

	world_run(world, &launch, &shim);
	while (!said(world, "ready"))
		usleep(1000);
	attached(world->cgroup, &program);
	peer_connect(&client, world->state);
	check("an exec", exec_send(&client, &what, &id, &message));
	exec_collect(&client, id, &result);
	check("is under the container's rules", strstr(result.out, "r=yes\n") == result.out && strstr(result.out, "w=yes") == NULL &&
							 strstr(result.out, "\nno\n") != NULL && strstr(result.out, "null=yes") != NULL);
	check("an exec on a terminal", exec_send(&client, &terminal, &id, &message));
	exec_collect(&client, id, &result);
	check("has its terminal", strstr(result.out, "/dev/pts/") != NULL && result.exit_code == 0);
	peer_close(&client);
	world_kill(world, &shim);
	check("nothing stays in the kernel", is_gone(program));
}

/* As a kernel without such programs, or a sandbox around Berth: bpf(2) fails, here and in what is executed. */
static void refuse_bpf(int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

/* `berth-shim run` on the bundle in this cgroup; its exit code, and its words. */
static int run_plain(const struct world *world, const char *rules, const char *cgroup, int bpf_errno, char words[4096])
{
	const char *build = getenv("BERTH_BUILD");
	char member[300], program[4096];
	struct setup_case what = { .script = "mknod /x c 1 11; echo ran; " TRY, .process = CAPABLE, .linux_members = rules,
				   .berth = cgroup == NULL ? "" : member };
	size_t used = 0;
	ssize_t got;
	int ends[2], status;
	pid_t pid;

	snprintf(member, sizeof(member), ",\"cgroup\":\"%s\"", cgroup);
	snprintf(program, sizeof(program), "%s/berth-shim", build == NULL ? "../dist" : build);
	setup_reset(&world->fixture);
	setup_write_bundle(&world->fixture, &what);
	check("a pipe", pipe2(ends, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		if (bpf_errno != 0)
			refuse_bpf(bpf_errno);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execl(program, "berth-shim", "run", "--bundle", world->fixture.bundle, (char *)NULL);
		_exit(98);
	}
	close(ends[1]);
	while ((got = read(ends[0], words + used, 4095 - used)) > 0)
		used += (size_t)got;
	words[used] = '\0';
	close(ends[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_plain(const struct world *world)
{
	static char words[4096], expected[400];
	static const int refusals[] = { EPERM, EINVAL, ENOSYS };
	char cgroup[256];

	snprintf(cgroup, sizeof(cgroup), "%s/plain", world->base_cgroup);
	check("a cgroup", mkdir(cgroup, 0755) == 0);
	run_plain(world, RULES(KMSG("r")), cgroup, 0, words);
	check("a plain bundle's rules hold", strstr(words, "ran\nr=yes\n") != NULL && strstr(words, "w=yes") == NULL);
	snprintf(expected, sizeof(expected), "berth-shim: cgroup %s: the device rules cannot be enforced: ", cgroup);
	for (size_t i = 0; i < 3; i++) {
		check("where the kernel has no programs it does not run",
		      run_plain(world, RULES(KMSG("r")), cgroup, refusals[i], words) == 125 && strstr(words, "ran") == NULL);
		check("and says why", strncmp(words, expected, strlen(expected)) == 0);
	}
	run_plain(world, "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]},", cgroup, ENOSYS, words);
	check("without a restriction none are needed", strstr(words, "ran") != NULL);
	check("without a cgroup rules are refused", run_plain(world, RULES(""), NULL, 0, words) == 125 &&
							     strstr(words, "linux.resources.devices: needs a cgroup") != NULL);
	check("in a directory that is no cgroup they are, too", run_plain(world, RULES(""), "/proc", 0, words) == 125 &&
								      strstr(words, "cgroup /proc: the device rules") != NULL);
	while (rmdir(cgroup) < 0 && errno == EBUSY)
		usleep(1000);
}

/* For the record, not a check: what the rules cost a container. */
static void show_cost(const struct world *world)
{
	struct setup_case what = { .linux_members = DEFAULT_RULES };
	char cgroup[256], member[300];
	double best = 1e9, total = 0;

	snprintf(cgroup, sizeof(cgroup), "%s/cost", world->base_cgroup);
	snprintf(member, sizeof(member), ",\"cgroup\":\"%s\"", cgroup);
	what.berth = member;
	setup_write_bundle(&world->fixture, &what);
	for (int i = 0; i < 50; i++) {
		struct timespec start, end;
		struct bundle *bundle;
		struct error err;
		double took;
		int fd;

		check("a cgroup and a bundle", mkdir(cgroup, 0755) == 0 && bundle_load(world->fixture.bundle, &bundle, &err) == 0);
		fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		clock_gettime(CLOCK_MONOTONIC, &start);
		check("the rules are attached", bundle_restrict_devices(bundle, fd, &err) == 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
		total += took;
		best = took < best ? took : best;
		close(fd);
		bundle_free(bundle);
		rmdir(cgroup);
	}
	printf("  load and attach: %.3f ms on average, %.3f at best\n", total / 50, best);
}

int main(void)
{
	static struct world world;

	world_begin(&world);
	test_default(&world);
	test_letters(&world);
	test_open(&world);
	test_exec(&world);
	test_plain(&world);
	show_cost(&world);
	message_free(&message);
	world_end(&world);
	return 0;
}
