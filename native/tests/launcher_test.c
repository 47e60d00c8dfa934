/* The launcher: sandboxes made, refused and taken away. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../launcher/sysctl.h"
#include "check.h"
#include "peer.h"
#include "setup_support.h"

#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char base[] = "/tmp/berth-launcher-XXXXXX";
static char directory[64];
static char cgroup[256];
static struct message reply;

static const char *at(const char *name)
{
	static char paths[8][128];
	static int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static bool is_namespace(const char *path)
{
	struct statfs info;
	return statfs(path, &info) == 0 && info.f_type == NSFS_MAGIC;
}

static bool is_empty(void)
{
	/* rmdir succeeds only then. */
	return rmdir(directory) == 0 && mkdir(directory, 0700) == 0;
}

static json_t *request(const char *pid_pin, json_t *sysctls)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:i,s:s}", "id", ID, "net", at("net"), "ipc", at("ipc"), "uts",
			 at("uts"), "pid", pid_pin, "user", "", "hostname", "web-0", "sysctls", sysctls, "shm", at("shm"),
			 "shmSize", 1 << 20, "cgroup", *pid_pin ? cgroup : "");
}

static json_t *deletion(void)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "id", ID, "net", at("net"), "ipc", at("ipc"), "uts", at("uts"), "pid", at("pid"),
			 "user", "", "shm", at("shm"));
}

/* Looks from inside the pinned namespaces, in a process of its own. */
static bool inside_is_right(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct ifreq lo = { .ifr_name = "lo" };
		struct utsname names;
		char value[16] = "";
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		setns(open(at("net"), O_RDONLY), CLONE_NEWNET);
		setns(open(at("uts"), O_RDONLY), CLONE_NEWUTS);
		setns(open(at("ipc"), O_RDONLY), CLONE_NEWIPC);
		close(fd);
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (ioctl(fd, SIOCGIFFLAGS, &lo) < 0 || !(lo.ifr_flags & IFF_UP))
			_exit(1);
		if (uname(&names) < 0 || strcmp(names.nodename, "web-0") != 0)
			_exit(2);
		fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY);
		if (read(fd, value, sizeof(value)) != 3 || strcmp(value, "80\n") != 0)
			_exit(3);
		fd = open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY);
		_exit(read(fd, value, 2) == 2 && value[0] == '1' ? 0 : 4);
	}
	waitpid(child, &status, 0);
	if (status != 0)
		printf("  inside: status 0x%x\n", status);
	return status == 0;
}

/* A field of /proc/PID/status. */
static bool process_has(pid_t pid, const char *line)
{
	char path[64], content[8192];
	int fd;
	ssize_t got;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, content, sizeof(content) - 1);
	if (fd >= 0)
		close(fd);
	content[got < 0 ? 0 : got] = '\0';
	return strstr(content, line) != NULL;
}

static void test_sandbox(struct peer *peer)
{
	struct statfs shm;
	struct stat info;

	peer_call(peer, MESSAGE_SANDBOX_CREATE,
		  request("", json_pack("{s:s,s:s}", "net.ipv4.ip_unprivileged_port_start", "80", "kernel/shm_rmid_forced", "1")),
		  &reply);
	check("a sandbox is made", reply.type == MESSAGE_OK && message_number(&reply, "reaperPid") == 0);
	check("its namespaces are pinned", is_namespace(at("net")) && is_namespace(at("ipc")) && is_namespace(at("uts")));
	check("no PID namespace was asked for", access(at("pid"), F_OK) < 0);
	check("inside are lo, the host name and the sysctls", inside_is_right());
	check("shm is a tmpfs of the size", statfs(at("shm"), &shm) == 0 && shm.f_type == TMPFS_MAGIC &&
						    shm.f_blocks * (size_t)shm.f_bsize == 1 << 20);
	check("for everybody", stat(at("shm"), &info) == 0 && (info.st_mode & 07777) == 01777);
	peer_call(peer, MESSAGE_SANDBOX_CREATE, request("", json_object()), &reply);
	check("a pin that exists is refused", message_is_error(&reply, "pin", EEXIST));
	check("and not harmed", is_namespace(at("net")) && is_namespace(at("uts")));
	peer_call(peer, MESSAGE_SANDBOX_DELETE, deletion(), &reply);
	check("the sandbox is deleted", reply.type == MESSAGE_OK && is_empty());
	peer_call(peer, MESSAGE_SANDBOX_DELETE, deletion(), &reply);
	check("and deleted again", reply.type == MESSAGE_OK);
}

static void refuse(struct peer *peer, const char *title, json_t *sysctls, int code)
{
	peer_call(peer, MESSAGE_SANDBOX_CREATE, request("", sysctls), &reply);
	check(title, message_is_error(&reply, "sysctl", code));
	check("nothing is left of it", is_empty());
}

static void test_sysctls(struct peer *peer)
{
	char path[64];

	refuse(peer, "a sysctl of the host", json_pack("{s:s}", "kernel.panic", "0"), EPERM);
	refuse(peer, "a way from one part into another", json_pack("{s:s}", "net/../kernel.panic", "0"), EINVAL);
	refuse(peer, "the same with dots", json_pack("{s:s}", "net.//.kernel.panic", "0"), EINVAL);
	refuse(peer, "a way out of /proc/sys", json_pack("{s:s}", "net/../../sysrq-trigger", "h"), EINVAL);
	refuse(peer, "a second sysctl in the value", json_pack("{s:s}", "net.ipv4.ip_forward", "1\nkernel.core_pattern=x"), EINVAL);
	refuse(peer, "one that does not exist", json_pack("{s:s}", "net.nothing", "1"), ENOENT);
	refuse(peer, "a value that the kernel refuses", json_pack("{s:s}", "net.ipv4.ip_forward", "yes"), EINVAL);
	check("dots", sysctl_path("net.ipv4.conf.eth0/1.forwarding", path, sizeof(path)) == 0 &&
			      strcmp(path, "net/ipv4/conf/eth0.1/forwarding") == 0);
	check("slashes", sysctl_path("net/ipv4/conf/eth0.1/forwarding", path, sizeof(path)) == 0 &&
				 strcmp(path, "net/ipv4/conf/eth0.1/forwarding") == 0);
	check("an empty part is none", sysctl_path("net..ipv4", path, sizeof(path)) < 0);
	check("an absolute path is no name", sysctl_path("/etc/passwd", path, sizeof(path)) < 0);
}

static void test_reaper(struct peer *peer)
{
	char path[64], target[64];
	pid_t reaper;
	struct stat root, ours;
	bool left;

	peer_call(peer, MESSAGE_SANDBOX_CREATE, request(at("pid"), json_object()), &reply);
	reaper = (pid_t)message_number(&reply, "reaperPid");
	check("a reaper runs", reply.type == MESSAGE_OK && reaper > 0 && is_namespace(at("pid")));
	check("with its name", process_has(reaper, "Name:\tberth-reaper\n"));
	check("without capabilities", process_has(reaper, "CapEff:\t0000000000000000\n") &&
					      process_has(reaper, "CapBnd:\t0000000000000000\n"));
	check("and without new ones", process_has(reaper, "NoNewPrivs:\t1\n"));
	snprintf(path, sizeof(path), "/proc/%d/root", reaper);
	check("its root leads nowhere", stat(path, &root) == 0 && stat("/", &ours) == 0 && root.st_dev != ours.st_dev);
	snprintf(path, sizeof(path), "/proc/%d/root/etc", reaper);
	left = access(path, F_OK) == 0;
	check("and holds nothing", !left);
	snprintf(path, sizeof(path), "/proc/%d/fd/0", reaper);
	check("it has no descriptor", readlink(path, target, sizeof(target)) < 0 && errno == ENOENT);
	kill(reaper, SIGTERM);
	while (kill(reaper, 0) == 0)
		usleep(1000);
	check("it ends on SIGTERM from outside", true);
	peer_call(peer, MESSAGE_SANDBOX_DELETE, deletion(), &reply);
	check("its namespace is unpinned", reply.type == MESSAGE_OK && is_empty());
	while (rmdir(cgroup) < 0 && errno == EBUSY)
		usleep(1000);
	check("its cgroup is empty", access(cgroup, F_OK) < 0);
	peer_call(peer, MESSAGE_SANDBOX_CREATE, request(at("pid"), json_object()), &reply);
	check("a cgroup that is missing is an error of the reaper", message_is_error(&reply, "reaper", ENOENT));
	check("and all the rest is undone", is_empty());
}

/*
 * CVE-2019-5736: whoever opens the program of a shim that is about to run in a container could overwrite it. The
 * launcher, and with it each of its children, runs from a copy that nobody can change.
 */
static void test_sealed(pid_t pid)
{
	static const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check("the program is a sealed copy", fd >= 0 && fcntl(fd, F_GET_SEALS) == all);
	close(fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check("that cannot be written", fd < 0 || (write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0));
	if (fd >= 0)
		close(fd);
}

/* In a user namespace of its own; what is left on the host side is checked, what is inside by the shim's tests. */
static void test_user_namespace(struct peer *peer)
{
	json_t *range = json_pack("[{s:i,s:i,s:i}]", "containerID", 0, "hostID", 100000, "size", 65536);
	json_t *wanted = request(at("pid"), json_pack("{s:s}", "net.ipv4.ip_unprivileged_port_start", "80"));
	struct stat info;
	pid_t reaper;
	char path[64], map[64] = "";
	int fd;

	setup_shell("mkdir -p %s", cgroup);
	json_object_set_new(wanted, "user", json_string(at("user")));
	json_object_set(wanted, "uidMappings", range);
	json_object_set_new(wanted, "gidMappings", range);
	peer_call(peer, MESSAGE_SANDBOX_CREATE, wanted, &reply);
	reaper = (pid_t)message_number(&reply, "reaperPid");
	check("a sandbox with a user namespace", reply.type == MESSAGE_OK && reaper > 0);
	check("pinned with the others", is_namespace(at("user")) && is_namespace(at("net")) && is_namespace(at("pid")));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", reaper);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check("the reaper is in it", read(fd, map, sizeof(map) - 1) > 0 && strstr(map, "100000      65536") != NULL);
	close(fd);
	check("as its root", process_has(reaper, "Uid:\t100000\t100000\t100000\t100000\n"));
	for (const char *const *name = (const char *const[]){ "net", "ipc", "uts", "pid", NULL }; *name != NULL; name++) {
		int pin = open(at(*name), O_RDONLY | O_CLOEXEC);
		int owner = ioctl(pin, NS_GET_USERNS);
		struct stat owned, user;

		check(*name, owner >= 0 && fstat(owner, &owned) == 0 && stat(at("user"), &user) == 0 &&
				     owned.st_ino == user.st_ino);
		close(owner);
		close(pin);
	}
	check("its shared memory is its root's", stat(at("shm"), &info) == 0 && info.st_uid == 100000 && info.st_gid == 100000);
	kill(reaper, SIGKILL);
	wanted = deletion();
	json_object_set_new(wanted, "user", json_string(at("user")));
	peer_call(peer, MESSAGE_SANDBOX_DELETE, wanted, &reply);
	check("all of it goes", reply.type == MESSAGE_OK && is_empty());
	while (rmdir(cgroup) < 0 && errno == EBUSY)
		usleep(1000);
	wanted = request("", json_object());
	json_object_set_new(wanted, "user", json_string(at("user")));
	peer_call(peer, MESSAGE_SANDBOX_CREATE, wanted, &reply);
	check("one without maps is refused", message_is_error(&reply, "protocol", EINVAL));
	check("and leaves nothing", is_empty());
	peer_call(peer, MESSAGE_PROBE, json_pack("{s:s}", "directory", directory), &reply);
	check("a probe says whether there can be one", reply.type == MESSAGE_OK && is_empty());
	peer_call(peer, MESSAGE_PROBE, json_pack("{s:s}", "directory", "/proc"), &reply);
	check("and what is in the way", message_is_error(&reply, "probe", ENOENT));
}

/* The deletion must win, whenever it comes: nothing may appear after it was answered. */
static void test_overtaken(struct peer *peer)
{
	for (int round = 0; round < 50; round++) {
		peer_send(peer, MESSAGE_SANDBOX_CREATE, request("", json_object()));
		usleep((useconds_t)(round * 60));
		peer_call(peer, MESSAGE_SANDBOX_DELETE, deletion(), &reply);
		check("a deletion ends the creation before it", reply.type == MESSAGE_OK && is_empty());
	}
}

static void test_abuse(struct peer *peer, pid_t pid)
{
	int status;

	peer_call(peer, MESSAGE_CONTAINER_CREATE, json_pack("{s:s,s:s,s:s}", "id", "short", "bundle", "/x", "stateDir", "/x"),
		  &reply);
	check("an id that is none", message_is_error(&reply, "protocol", EINVAL));
	peer_call(peer, MESSAGE_CONTAINER_CREATE, json_pack("{s:s,s:s,s:s}", "id", ID, "bundle", "x", "stateDir", "/x"), &reply);
	check("a relative path", message_is_error(&reply, "protocol", EINVAL));
	peer_call(peer, MESSAGE_CONTAINER_CREATE, json_pack("{s:s,s:s,s:s}", "id", ID, "bundle", "/x", "stateDir", "/nowhere"),
		  &reply);
	check("a state directory that is missing", message_is_error(&reply, "bundle", ENOENT));
	peer_send_data(peer, 9, MESSAGE_SANDBOX_CREATE, "{", 1);
	check("a payload that is no JSON is an error", peer_receive(peer, &reply) && message_is_error(&reply, "protocol", EBADMSG));
	check("and the end", !peer_receive(peer, &reply));
	check("the launcher leaves", waitpid(pid, &status, 0) == pid && status == 0);
}

/* Also when a check ends the test: all but an empty directory lies in this mount namespace. */
static void clean(void)
{
	umount2(base, MNT_DETACH);
	rmdir(base);
	rmdir(cgroup);
}

static void make_directory(void)
{
	check("a directory", mkdtemp(base) != NULL && mount("tmpfs", base, "tmpfs", 0, "mode=755") == 0);
	snprintf(directory, sizeof(directory), "%s/work", base);
	check("in it another", mkdir(directory, 0700) == 0);
	atexit(clean);
}

int main(void)
{
	struct peer peer;
	pid_t pid;

	setup_require_root();
	if (!test_cgroup(cgroup, sizeof(cgroup))) {
		printf("skipped: needs a writable cgroup2 mount\n");
		return SKIPPED;
	}
	make_directory();
	pid = peer_launcher(&peer);
	test_sealed(pid);
	test_sandbox(&peer);
	test_sysctls(&peer);
	test_reaper(&peer);
	test_user_namespace(&peer);
	test_overtaken(&peer);
	test_abuse(&peer, pid);
	peer_close(&peer);
	message_free(&reply);
	check("nothing is left", rmdir(directory) == 0 && umount2(base, 0) == 0);
	return 0;
}
