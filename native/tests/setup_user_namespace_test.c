/* Containers in a user namespace: who they are, what they own, what they may not do, and what is refused. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/user_namespace.h"
#include "setup_support.h"

#define NAMESPACES                                                                                            \
	"[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"                \
	"{\"type\":\"uts\"},{\"type\":\"cgroup\"},{\"type\":\"user\"}]"
#define MAPS                                                                                                  \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"                              \
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":65536}],"
#define ALL_CAPABILITIES                                                                                      \
	"\"capabilities\":{\"bounding\":[\"CAP_SYS_ADMIN\",\"CAP_MKNOD\",\"CAP_CHOWN\",\"CAP_NET_ADMIN\",\"CAP_DAC_OVERRIDE\"]," \
	"\"effective\":[\"CAP_SYS_ADMIN\",\"CAP_MKNOD\",\"CAP_CHOWN\",\"CAP_NET_ADMIN\",\"CAP_DAC_OVERRIDE\"],"   \
	"\"permitted\":[\"CAP_SYS_ADMIN\",\"CAP_MKNOD\",\"CAP_CHOWN\",\"CAP_NET_ADMIN\",\"CAP_DAC_OVERRIDE\"]},"

static struct setup_outcome outcome;

/* The upper directory is the container's root directory: it belongs to the container's root. */
static void reset(const struct setup_fixture *fixture)
{
	setup_reset(fixture);
	setup_shell("chown 100000:200000 %s", fixture->upper);
}

static void run(const struct setup_fixture *fixture, const struct setup_case *what, const char *title)
{
	setup_run(fixture, what, &outcome);
	expect_exit(title, &outcome, 0);
	reset(fixture);
}

static void test_identity(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id; echo pid $$; "
			  "stat -c '%n %u:%g %a' / /bin /dev /dev/null /dev/pts /dev/mqueue /proc /made/here",
		.linux_members = MAPS,
		.namespaces = NAMESPACES,
		.cwd = "/made/here",
	};

	run(fixture, &what, "a container in a user namespace");
	expect_output("its users' map", &outcome, " 0 100000 65536\n");
	expect_output("its groups' map", &outcome, " 0 200000 65536\n");
	expect_output("it is root inside", &outcome, "uid=0(root) gid=0(root)");
	expect_output("and process 1", &outcome, "pid 1\n");
	expect_output("the root directory", &outcome, "/ 0:0 755\n");
	expect_output("the layer's files", &outcome, "/bin 0:0 755\n");
	expect_output("/dev", &outcome, "/dev 0:0 755\n");
	expect_output("its devices", &outcome, "/dev/null 0:0 666\n");
	expect_output("its terminals", &outcome, "/dev/pts 0:0 755\n");
	expect_output("message queues for all", &outcome, "/dev/mqueue 65534:65534 1777\n");
	expect_output("/proc, which the kernel keeps", &outcome, "/proc 65534:65534 555\n");
	expect_output("a working directory that was missing", &outcome, "/made/here 0:0 755\n");
}

/* Each namespace belongs to the user namespace: its root has power over them, and over nothing else. */
static void test_power(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "hostname inside && hostname; mount -t tmpfs none /tmp && echo mounted; "
			  "mount -t proc none /tmp; echo proc $?; "
			  "ip link set lo mtu 1400 && echo link; mknod /n c 1 3 || echo no mknod; "
			  "umount /proc/kcore; echo unmask $?; mount -o remount,bind,rw /sys; echo rw $?; "
			  "echo x > /dev/null && echo null; head -c 3 /dev/zero | wc -c; "
			  "echo 1 > /proc/sys/kernel/panic || echo no panic",
		.process = ALL_CAPABILITIES,
		.linux_members = MAPS "\"maskedPaths\":[\"/proc/kcore\"],",
		.namespaces = NAMESPACES,
	};

	run(fixture, &what, "a powerful container");
	expect_output("names its host", &outcome, "inside\n");
	expect_output("mounts", &outcome, "mounted\n");
	expect_output("has a network", &outcome, "link\n");
	expect_output("makes no device", &outcome, "no mknod\n");
	expect_output("takes no mask away", &outcome, "unmask 1\n");
	expect_output("makes nothing writable", &outcome, "rw 1\n");
	expect_output("uses its null device", &outcome, "null\n3\n");
	expect_output("leaves the host's settings alone", &outcome, "no panic\n");
}

static void test_owners(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "echo x > /new; chown 1000:1001 /new; stat -c %u:%g /new; stat -c %u:%g /alices; "
			  "echo y >> /alices; stat -c %u:%g /alices; stat -c %u:%g /foreign",
		.process = ALL_CAPABILITIES,
		.linux_members = MAPS,
		.namespaces = NAMESPACES,
	};
	char path[160];
	struct stat st;

	setup_layer_file(fixture, "alices", "hers\n", 0644);
	setup_layer_file(fixture, "foreign", "?\n", 0644);
	setup_shell("chown 1000:1001 %s/alices && chown 70000:70000 %s/foreign", fixture->layer, fixture->layer);
	setup_run(fixture, &what, &outcome);
	expect_exit("files of others", &outcome, 0);
	expect_output("keep their owners inside", &outcome, "1000:1001\n1000:1001\n1000:1001\n65534:65534\n");
	snprintf(path, sizeof(path), "%s/new", fixture->upper);
	expect("on the host they are the map's", stat(path, &st) == 0 && st.st_uid == 101000 && st.st_gid == 201001);
	snprintf(path, sizeof(path), "%s/alices", fixture->upper);
	expect("also what is copied up", stat(path, &st) == 0 && st.st_uid == 101000 && st.st_gid == 201001);
	snprintf(path, sizeof(path), "%s/alices", fixture->layer);
	expect("the layer is as it was", stat(path, &st) == 0 && st.st_uid == 1000 && st.st_gid == 1001);
	reset(fixture);
	setup_shell("rm %s/alices %s/foreign", fixture->layer, fixture->layer);
}

static void test_user(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "id",
		.linux_members = MAPS,
		.namespaces = NAMESPACES,
		.berth = ",\"user\":{\"spec\":\"alice\",\"group\":-1,\"supplementalGroups\":[7],\"policy\":\"merge\"}",
	};

	run(fixture, &what, "another user");
	expect_output("with her groups", &outcome, "uid=1000(alice) gid=1001(staff) groups=7,29(audio),44(video),1001(staff)");
	what.berth = ",\"user\":{\"spec\":\"70000\",\"group\":-1,\"supplementalGroups\":[],\"policy\":\"merge\"}";
	setup_run(fixture, &what, &outcome);
	expect_error("a user that the map has not", &outcome, "user", EINVAL, "");
	reset(fixture);
}

static void test_exec(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "sleep 1000",
		.exec = "cat /proc/self/uid_map | tr -s ' '; for n in user mnt pid net ipc uts cgroup; do "
			"test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) && echo same $n; done; "
			"stat -c %u /proc/1/stat; grep CapEff /proc/self/status",
		.linux_members = MAPS,
		.namespaces = NAMESPACES,
	};

	run(fixture, &what, "an exec");
	expect_output("is in the user namespace", &outcome, " 0 100000 65536\n");
	expect_output("and in all others", &outcome, "same user\nsame mnt\nsame pid\nsame net\nsame ipc\nsame uts\nsame cgroup\n");
	expect_output("without capabilities that were not given", &outcome, "CapEff:\t0000000000000000\n");
}

static void test_volumes(const struct setup_fixture *fixture)
{
	char mounts[1024];
	char path[160];
	struct stat st;
	struct setup_case what = {
		.script = "stat -c '%n %u:%g' /mapped /plain /other; echo x > /mapped/new; stat -c %u:%g /mapped/new; "
			  "mkdir /tmpfs/sub; stat -c '%n %u:%g' /tmpfs /tmpfs/sub /console",
		.mounts = mounts,
		.linux_members = MAPS,
		.namespaces = NAMESPACES,
	};

	setup_shell("mkdir %s/volume && touch %s/file", fixture->directory, fixture->directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/mapped\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"rbind\",\"ridmap\"]}"
		 ",{\"destination\":\"/plain\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"rbind\"]}"
		 ",{\"destination\":\"/other\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"bind\"],"
		 "\"uidMappings\":[{\"containerID\":0,\"hostID\":100007,\"size\":1}],"
		 "\"gidMappings\":[{\"containerID\":0,\"hostID\":200008,\"size\":1}]}"
		 ",{\"destination\":\"/tmpfs\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"uid=3\",\"gid=4\",\"mode=777\"]}"
		 ",{\"destination\":\"/console\",\"type\":\"bind\",\"source\":\"%s/file\",\"options\":[\"bind\",\"idmap\",\"ro\"]}",
		 fixture->directory, fixture->directory, fixture->directory, fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_exit("volumes", &outcome, 0);
	expect_output("with the container's map, without one, with one of its own", &outcome,
		      "/mapped 0:0\n/plain 65534:65534\n/other 7:8\n0:0\n");
	expect_output("a new file system has the owner asked for", &outcome, "/tmpfs 3:4\n/tmpfs/sub 0:0\n");
	expect_output("a file", &outcome, "/console 0:0\n");
	snprintf(path, sizeof(path), "%s/volume/new", fixture->directory);
	expect("what was made is the volume's owner's", stat(path, &st) == 0 && st.st_uid == 0 && st.st_gid == 0);
	reset(fixture);
	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/sys2\",\"type\":\"bind\",\"source\":\"/proc\",\"options\":[\"bind\",\"idmap\"]}");
	setup_run(fixture, &what, &outcome);
	expect_error("a file system that cannot be mapped", &outcome, "mount", EINVAL, "cannot map the ids");
	reset(fixture);
	setup_shell("rm -r %s/volume %s/file", fixture->directory, fixture->directory);
}

/* Without a user namespace, mounts can be mapped all the same. */
static void test_mapped_mount_alone(const struct setup_fixture *fixture)
{
	char mounts[512];
	struct setup_case what = { .script = "stat -c %u:%g /mapped", .mounts = mounts };

	setup_shell("mkdir %s/volume", fixture->directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/mapped\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"rbind\"],"
		 "\"uidMappings\":[{\"containerID\":0,\"hostID\":11,\"size\":5}],"
		 "\"gidMappings\":[{\"containerID\":0,\"hostID\":12,\"size\":5}]}",
		 fixture->directory);
	run(fixture, &what, "a mapped volume without a user namespace");
	expect_output("has the mapped owner", &outcome, "11:12\n");
	setup_shell("rmdir %s/volume", fixture->directory);
}

static void test_given(const struct setup_fixture *fixture)
{
	const struct idmaps maps = { { 1, { { 0, 300000, 1000 } } }, { 1, { { 0, 300000, 1000 } } } };
	struct namespace_holder holder;
	struct error err;
	char namespaces[512];
	struct setup_case what = { .script = "cat /proc/self/uid_map | tr -s ' '; readlink /proc/self/ns/net; readlink /proc/self/ns/user",
				   .namespaces = namespaces };
	char path[64];
	char link[64];
	ssize_t length;

	expect("namespaces of a pod", namespace_hold(&maps, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, &holder, &err) == 0);
	snprintf(namespaces, sizeof(namespaces),
		 "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"cgroup\"},{\"type\":\"user\",\"path\":\"/proc/%d/ns/user\"},"
		 "{\"type\":\"network\",\"path\":\"/proc/%d/ns/net\"},{\"type\":\"ipc\",\"path\":\"/proc/%d/ns/ipc\"},"
		 "{\"type\":\"uts\",\"path\":\"/proc/%d/ns/uts\"}]", holder.pid, holder.pid, holder.pid, holder.pid);
	run(fixture, &what, "a container in them");
	expect_output("has the given map", &outcome, " 0 300000 1000\n");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", holder.pid);
	length = readlink(path, link, sizeof(link) - 1);
	link[length < 0 ? 0 : length] = '\0';
	expect_output("and the given network", &outcome, link);
	what.linux_members = MAPS;
	setup_run(fixture, &what, &outcome);
	expect_error("other maps than its namespace has", &outcome, "namespace", EINVAL, "other maps");
	what.linux_members = NULL;
	snprintf(namespaces, sizeof(namespaces), "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"user\",\"path\":\"/proc/self/ns/net\"}]");
	setup_run(fixture, &what, &outcome);
	expect_error("a namespace of another type", &outcome, "namespace", EINVAL, "not a user namespace");
	namespace_release(&holder);
	reset(fixture);
}

static void refuse(const struct setup_fixture *fixture, const char *title, const char *namespaces, const char *members,
		   const char *mounts, const char *message)
{
	struct setup_case what = { .namespaces = namespaces, .linux_members = members, .mounts = mounts };

	setup_run(fixture, &what, &outcome);
	expect_error(title, &outcome, "bundle", EINVAL, message);
}

static void test_refusals(const struct setup_fixture *fixture)
{
	refuse(fixture, "no map", NAMESPACES, NULL, NULL, "uidMappings: missing");
	refuse(fixture, "a map without a user namespace", NULL, MAPS, NULL, "needs a user namespace");
	refuse(fixture, "one map", NAMESPACES, "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}],", NULL,
	       "gidMappings: missing");
	refuse(fixture, "no length", NAMESPACES, "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":0}],", NULL,
	       "uidMappings: has a range of no length");
	refuse(fixture, "beyond the last id", NAMESPACES,
	       "\"uidMappings\":[{\"containerID\":0,\"hostID\":4294967290,\"size\":10}],", NULL, "beyond the last id");
	refuse(fixture, "an overlap", NAMESPACES,
	       "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":9},{\"containerID\":9,\"hostID\":9,\"size\":1}],", NULL,
	       "overlap");
	refuse(fixture, "a negative id", NAMESPACES, "\"uidMappings\":[{\"containerID\":-1,\"hostID\":1,\"size\":9}],", NULL,
	       "containerID, hostID and size");
	refuse(fixture, "a shared mount", NAMESPACES, MAPS,
	       ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":[\"rbind\",\"rshared\"]}",
	       "cannot share mounts");
	refuse(fixture, "idmap without a user namespace", NULL, NULL,
	       ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":[\"rbind\",\"idmap\"]}",
	       "needs a user namespace or uidMappings");
}

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

static void test_descriptors(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "ls /proc/self/fd | tr '\\\\n' ' '", .linux_members = MAPS, .namespaces = NAMESPACES };
	int before = count_descriptors();

	run(fixture, &what, "a container that lists its descriptors");
	expect_output("has the standard ones, and the listing's", &outcome, "0 1 2 3 ");
	expect_no_output("and no more", &outcome, "3 4");
	expect("and none is left here", count_descriptors() == before);
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	reset(&fixture);
	test_identity(&fixture);
	test_power(&fixture);
	test_owners(&fixture);
	test_user(&fixture);
	test_exec(&fixture);
	test_volumes(&fixture);
	test_mapped_mount_alone(&fixture);
	test_given(&fixture);
	test_refusals(&fixture);
	test_descriptors(&fixture);
	setup_end(&fixture);
	return 0;
}
