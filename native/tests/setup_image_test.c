/* Images mounted into containers, and the volumes that an image declares: also of hostile images, and with user namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "setup_support.h"

#define NAMESPACES                                                                                            \
	"[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"                \
	"{\"type\":\"uts\"},{\"type\":\"cgroup\"},{\"type\":\"user\"}]"
#define MAPS                                                                                                  \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"                              \
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
#define CAPABILITIES                                                                                          \
	"\"capabilities\":{\"bounding\":[\"CAP_DAC_OVERRIDE\"],\"effective\":[\"CAP_DAC_OVERRIDE\"],"      \
	"\"permitted\":[\"CAP_DAC_OVERRIDE\"]},"
#define SPARSE_SIZE 50000000

static struct setup_fixture fixture;
static struct setup_outcome outcome;
static char mounts[4096];

static void reset(void)
{
	setup_reset(&fixture);
	setup_shell("rm -rf %s/volume && mkdir %s/volume", fixture.directory, fixture.directory);
}

/* The root directory of the container belongs to its own root. */
static void start(struct setup_case *what, bool mapped)
{
	what->mounts = mounts;
	what->process = CAPABILITIES;
	what->linux_members = mapped ? MAPS : NULL;
	what->namespaces = mapped ? NAMESPACES : NULL;
	reset();
	if (mapped)
		setup_shell("chown 100000:100000 %s", fixture.upper);
	setup_run(&fixture, what, &outcome);
}

static void make_image(void)
{
	const char *at = fixture.directory;

	setup_shell("mkdir -p %s/image/low/site %s/image/low/hidden %s/image/up %s/image/empty", at, at, at, at);
	setup_shell("cd %s/image/low && echo old > site/index && echo x > hidden/file && chown 7:8 site/index && "
		    "ln -s site inside && ln -s ../../../../etc up && ln -s /etc absolute && ln -s loop loop && mkfifo pipe",
		    at);
	setup_shell("cd %s/image/up && mkdir site && echo new > site/more && mknod hidden c 0 0", at);
}

static void mount_image(const char *destination, const char *path)
{
	const char *at = fixture.directory;

	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"%s\",\"type\":\"overlay\",\"source\":\"overlay\",\"options\":[\"ro\",\"nosuid\",\"nodev\","
		 "\"lowerdir+=%s/image/up\",\"lowerdir+=%s/image/low\"%s%s%s]}", destination, at, at,
		 path == NULL ? "" : ",\"x-berth.path=", path == NULL ? "" : path, path == NULL ? "" : "\"");
}

static void test_mounted(bool mapped)
{
	struct setup_case what = { .script = "cat /img/site/index /img/inside/more; ls -d /img/hidden; stat -c %u:%g /img /img/site/index; "
					     "touch /img/x; touch /img/site/index; grep ' /img ' /proc/self/mountinfo" };

	mount_image("/img", NULL);
	start(&what, mapped);
	expect_exit(mapped ? "an image in a user namespace" : "an image", &outcome, 0);
	expect_output("shows its layers as one", &outcome, "old\nnew\n");
	expect_output("without what an upper layer takes away", &outcome, "/img/hidden: No such file");
	expect_output("with its owners", &outcome, "0:0\n7:8\n");
	expect_output("nothing can be made", &outcome, "touch: /img/x: Read-only file system");
	expect_output("nothing can be changed", &outcome, "touch: /img/site/index: Read-only file system");
	expect_output("nor can devices and set-user-id programs be used", &outcome, "/img ro,nosuid,nodev");
}

static void test_parts(bool mapped)
{
	struct setup_case what = { .script = "ls /img" };
	static const char *const wrong[] = { "missing", "up", "up/passwd", "absolute", "absolute/passwd", "loop", "hidden", "site/index/below" };

	mount_image("/img", "inside");
	start(&what, mapped);
	expect_output("a directory of an image, by a link in it", &outcome, "index\nmore\n");
	what.script = "cat /page";
	mount_image("/page", "site/index");
	start(&what, mapped);
	expect_output("a file of an image", &outcome, "old\n");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		mount_image("/img", wrong[i]);
		start(&what, mapped);
		expect(wrong[i], !outcome.created && strcmp(outcome.error.step, "mount") == 0 &&
					 strcmp(outcome.error.path, "/img") == 0 && strstr(outcome.error.message, wrong[i]) != NULL);
	}
	/* Not refused by the name, but it leads nowhere else than to the image's own root. */
	what.script = "ls /img";
	mount_image("/img", "../../..");
	start(&what, mapped);
	expect_output("upwards is the image's root", &outcome, "inside\nloop\n");
	mount_image("/etc", "site/index");
	start(&what, mapped);
	expect_error("a file over a directory", &outcome, "mount", ENOTDIR, "");
}

static void refuse(const char *title, const char *options, const char *message)
{
	struct setup_case what = { .script = "true", .mounts = mounts };

	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/img\",\"type\":\"overlay\",\"source\":\"overlay\",\"options\":[%s]}", options);
	setup_run(&fixture, &what, &outcome);
	expect_error(title, &outcome, "bundle", EINVAL, message);
}

static void test_refusals(void)
{
	refuse("no layers", "\"ro\"", "at least two layers");
	refuse("one layer", "\"ro\",\"lowerdir+=/a\"", "at least two layers");
	refuse("a layer by a relative path", "\"ro\",\"lowerdir+=/a\",\"lowerdir+=b\"", "is not an option of an image's mount");
	refuse("something to write to", "\"lowerdir+=/a\",\"lowerdir+=/b\",\"upperdir=/c\"", "is not an option of an image's mount");
}

static void set_attribute(const char *path, const char *name, const void *value, size_t size)
{
	char full[160];

	snprintf(full, sizeof(full), "%s/%s", fixture.layer, path);
	if (lsetxattr(full, name, value, size, 0) < 0) {
		perror(name);
		exit(1);
	}
}

/* cap_chown=ep, VFS_CAP_REVISION_2. */
static const unsigned char capability[20] = { 1, 0, 0, 2, 1 };
/* user::rw-, user:1000:r--, group::r--, mask::r--, other::--- (linux/posix_acl_xattr.h). */
static const unsigned char acl[44] = { 2, 0, 0, 0,    1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0,    4, 0, 4, 0, 255, 255, 255, 255,
				       16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

/* Where the id of user:1000 is. */
#define ACL_USER 16

static void make_volume_content(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[160];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setup_shell("mkdir -p %s/data/deep/er && cd %s/data && chown 1000:1001 . && chmod 2751 . && echo kept > file && chmod 4640 file && "
		    "chown 5:6 file && chmod 4640 file && ln file again && ln file deep/third && ln -s file link && chown -h 9:9 link && "
		    "mkfifo pipe && mknod null c 1 3 && touch -d @1000000000 deep/er && chown 3:4 deep && chmod 700 deep && "
		    "echo caps > caps && chmod 755 caps",
		    fixture.layer, fixture.layer);
	setup_shell("cd %s/data && echo end | dd of=sparse bs=1 seek=%d 2>/dev/null && touch empty && truncate -s 1000000 hole && "
		    "ln -s /data/deep %s/linked && ln -s /nowhere/yet %s/dangling",
		    fixture.layer, SPARSE_SIZE - 4, fixture.layer, fixture.layer);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/data/socket", fixture.layer);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("socket");
		exit(1);
	}
	close(fd);
	set_attribute("data/caps", "security.capability", capability, sizeof(capability));
	set_attribute("data/file", "system.posix_acl_access", acl, sizeof(acl));
	snprintf(path, sizeof(path), "%s/data/deep/er", fixture.layer);
	expect("a trusted attribute can be set", setxattr(path, "trusted.note", "t", 1, 0) == 0);
}

static void expect_entry(const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/volume/%s", fixture.directory, name);
	bool there = lstat(path, &st) == 0;
	if (!there || st.st_mode != mode || st.st_uid != uid || st.st_gid != gid)
		printf("  %s: found %d, mode %o, owner %u:%u\n", name, there, there ? st.st_mode : 0, there ? st.st_uid : 0, there ? st.st_gid : 0);
	expect(name, there && st.st_mode == mode && st.st_uid == uid && st.st_gid == gid);
}

static bool has_attribute(const char *name, const char *attribute, const void *value, size_t size)
{
	char path[160];
	char found[64];

	snprintf(path, sizeof(path), "%s/volume/%s", fixture.directory, name);
	return lgetxattr(path, attribute, found, sizeof(found)) == (ssize_t)size && memcmp(found, value, size) == 0;
}

static void mount_volume(const char *destination)
{
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"%s\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"rbind\",\"rprivate\",\"rw\",\"x-berth.copy-up\"]}",
		 destination, fixture.directory);
}

static void expect_content(void)
{
	char path[160];
	struct stat st;
	struct stat other;

	snprintf(path, sizeof(path), "%s/volume/file", fixture.directory);
	expect("one file with three names", stat(path, &st) == 0 && st.st_nlink == 3);
	snprintf(path, sizeof(path), "%s/volume/deep/third", fixture.directory);
	expect("also in another directory", stat(path, &other) == 0 && other.st_ino == st.st_ino);
	snprintf(path, sizeof(path), "%s/volume/deep/er", fixture.directory);
	expect("the time of a directory", stat(path, &st) == 0 && st.st_mtime == 1000000000);
	expect("an attribute of a directory", has_attribute("deep/er", "trusted.note", "t", 1));
	snprintf(path, sizeof(path), "%s/volume/null", fixture.directory);
	expect("a device", lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	snprintf(path, sizeof(path), "%s/volume/socket", fixture.directory);
	expect("no socket that nobody listens on", lstat(path, &st) < 0 && errno == ENOENT);
	snprintf(path, sizeof(path), "%s/volume/sparse", fixture.directory);
	expect("a hole stays a hole", stat(path, &st) == 0 && st.st_size == SPARSE_SIZE && st.st_blocks * 512 < SPARSE_SIZE / 10);
	setup_shell("cmp %s/data/sparse %s/volume/sparse && cmp %s/data/hole %s/volume/hole && cmp %s/data/empty %s/volume/empty",
		    fixture.layer, fixture.directory, fixture.layer, fixture.directory, fixture.layer, fixture.directory);
}

static void test_volume(bool mapped)
{
	uid_t root = mapped ? 100000 : 0;
	unsigned char list[sizeof(acl)];
	struct setup_case what = { .script = "cat /data/link; stat -c %u:%g:%a /data /data/deep; touch /data/new" };

	mount_volume("/data");
	start(&what, mapped);
	expect_exit(mapped ? "a volume of the image, in a user namespace" : "a volume of the image", &outcome, 0);
	expect_output("is filled", &outcome, "kept\n1000:1001:2751\n3:4:700\n");
	expect_entry("", S_IFDIR | 02751, root + 1000, root + 1001);
	expect_entry("again", S_IFREG | 04640, root + 5, root + 6);
	expect_entry("link", S_IFLNK | 0777, root + 9, root + 9);
	expect_entry("pipe", S_IFIFO | 0644, root, root + 1001);
	expect_entry("deep", S_IFDIR | 0700, root + 3, root + 4);
	expect_entry("new", S_IFREG | 0644, root, root + 1001);
	expect_content();
	expect("file capabilities, for the container's own root alone",
	       mapped ? !has_attribute("caps", "security.capability", capability, sizeof(capability)) :
			has_attribute("caps", "security.capability", capability, sizeof(capability)));
	memcpy(list, acl, sizeof(acl));
	memcpy(list + ACL_USER, &(uint32_t){ root + 1000 }, sizeof(uint32_t));
	expect("an access list, of the container's users", has_attribute("file", "system.posix_acl_access", list, sizeof(list)));
	setup_shell("test \"$(cat %s/data/file)\" = kept", fixture.layer);
}

static void test_places(bool mapped)
{
	struct setup_case what = { .script = "ls /linked; grep -o ' /data/deep rw' /proc/self/mountinfo" };

	mount_volume("/linked");
	start(&what, mapped);
	expect_output("a volume behind a link of the image is where that leads", &outcome, "er\nthird\n /data/deep rw\n");
	what.script = "touch /nowhere/yet/new && stat -c %u /nowhere/yet";
	mount_volume("/dangling");
	start(&what, mapped);
	expect_exit("a volume behind a link to nothing is made there", &outcome, 0);
	expect_output("and is root's", &outcome, "0\n");
	what.script = "true";
	mount_volume("/data/file");
	start(&what, mapped);
	expect_error("a volume where the image has a file", &outcome, "mount", ENOTDIR, "");
}

/* What lies in another volume is not the image's to be copied from there. */
static void test_below_other(void)
{
	struct setup_case what = { .script = "ls /data/deep" };

	setup_shell("mkdir -p %s/other/deep && echo secret > %s/other/deep/secret", fixture.directory, fixture.directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"%s/other\",\"options\":[\"rbind\"]}"
		 ",{\"destination\":\"/data/deep\",\"type\":\"bind\",\"source\":\"%s/volume\",\"options\":[\"rbind\",\"x-berth.copy-up\"]}",
		 fixture.directory, fixture.directory);
	start(&what, false);
	expect_exit("a volume within a volume", &outcome, 0);
	expect_no_output("takes nothing from it", &outcome, "secret");
}

static void test_too_deep(void)
{
	struct setup_case what = { .script = "true" };

	setup_shell("cd %s && mkdir bottomless && cd bottomless && i=0; while [ $i -lt 210 ]; do mkdir d && cd d || exit; i=$((i+1)); done",
		    fixture.layer);
	mount_volume("/bottomless");
	start(&what, false);
	expect_error("a tree that is too deep", &outcome, "mount", ENAMETOOLONG, "too deep");
	setup_shell("rm -r %s/bottomless", fixture.layer);
}

int main(void)
{
	setup_require_root();
	setup_begin(&fixture);
	make_image();
	make_volume_content();
	for (int mapped = 0; mapped < 2; mapped++) {
		test_mounted(mapped != 0);
		test_parts(mapped != 0);
		test_volume(mapped != 0);
		test_places(mapped != 0);
	}
	test_refusals();
	test_below_other();
	test_too_deep();
	reset();
	setup_end(&fixture);
	return 0;
}
