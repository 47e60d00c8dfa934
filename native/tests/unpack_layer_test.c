/* What a layer says is what the directory has. */
#include "unpack_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct stat status_of(const struct run *run, const char *path)
{
	struct stat status = { 0 };
	CHECK(lstat(in_dest(run, path), &status) == 0);
	return status;
}

static void unpack(struct run *run, struct bytes *tar, int line)
{
	tar_end(tar);
	run_layer(run, tar, NULL, NULL);
	if (!run_succeeded(run))
		unpack_check(false, __FILE__, line, "the layer unpacks");
	bytes_free(tar);
}

static void kinds_modes_owners_times(void)
{
	struct bytes tar = { 0 };
	struct run run;

	tar_add(&tar, &(struct header){ .name = "d/", .type = '5', .mode = 02750, .uid = 5, .gid = 6, .mtime = 1000 });
	tar_pax(&tar, "mtime", "1234.567891234", 0);
	tar_add(&tar, &(struct header){ .name = "d/f", .type = '0', .mode = 04711, .uid = 1001, .gid = 1002, .content = "hello" });
	tar_add(&tar, FILE_ENTRY("d/plain", ""));
	tar_add(&tar, &(struct header){ .name = "s", .type = '2', .mode = 0777, .uid = 7, .gid = 8, .mtime = 99, .link = "/no/where" });
	tar_pax(&tar, "mtime", "1234.567891234", 0);
	tar_add(&tar, &(struct header){ .name = "h", .type = '1', .mode = 04711, .uid = 1001, .gid = 1002, .link = "./d/f" });
	tar_add(&tar, &(struct header){ .name = "c", .type = '3', .mode = 0666, .major = 1, .minor = 3 });
	tar_add(&tar, &(struct header){ .name = "b", .type = '4', .mode = 0660, .gid = 6, .major = 8, .minor = 300 });
	tar_add(&tar, &(struct header){ .name = "p", .type = '6', .mode = 01622 });
	tar_pax(&tar, "uid", "4294967294", 0);
	tar_add(&tar, FILE_ENTRY("far", "x"));
	tar_add(&tar, &(struct header){ .name = "zero", .type = '0', .mode = 0, .content = "z" });
	unpack(&run, &tar, __LINE__);

	struct stat file = status_of(&run, "d/f");
	CHECK(file.st_mode == (S_IFREG | 04711) && file.st_uid == 1001 && file.st_gid == 1002 && file.st_nlink == 2);
	CHECK(file.st_mtim.tv_sec == 1234 && file.st_mtim.tv_nsec == 567891234);
	CHECK(content_is(in_dest(&run, "d/f"), "hello"));
	CHECK(status_of(&run, "h").st_ino == file.st_ino);
	struct stat directory = status_of(&run, "d");
	CHECK(directory.st_mode == (S_IFDIR | 02750) && directory.st_uid == 5 && directory.st_gid == 6);
	CHECK(directory.st_mtim.tv_sec == 1000);
	/* The set-group-id bit of its directory must not have been at work. */
	CHECK(status_of(&run, "d/plain").st_gid == 0);
	struct stat symlink = status_of(&run, "s");
	CHECK(S_ISLNK(symlink.st_mode) && symlink.st_uid == 7 && symlink.st_gid == 8 && symlink.st_mtim.tv_sec == 99);
	struct stat character = status_of(&run, "c");
	CHECK(character.st_mode == (S_IFCHR | 0666) && character.st_rdev == makedev(1, 3));
	struct stat block = status_of(&run, "b");
	CHECK(block.st_mode == (S_IFBLK | 0660) && block.st_rdev == makedev(8, 300) && block.st_gid == 6);
	CHECK(status_of(&run, "p").st_mode == (S_IFIFO | 01622));
	CHECK(status_of(&run, "far").st_uid == 4294967294u);
	CHECK(status_of(&run, "zero").st_mode == S_IFREG);
	char inodes[32], written[32];
	run_field(&run, "inodes", inodes, sizeof(inodes));
	run_field(&run, "contentBytes", written, sizeof(written));
	CHECK(strcmp(inodes, "9") == 0 && strcmp(written, "7") == 0);
	run_clean(&run);
}

static void whiteouts(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char opaque[8];

	tar_add(&tar, FILE_ENTRY(".wh.gone", ""));
	tar_add(&tar, FILE_ENTRY("dir/.wh..wh..opq", ""));
	tar_add(&tar, FILE_ENTRY("dir/kept", "k"));
	tar_add(&tar, FILE_ENTRY(".wh.both", ""));
	tar_add(&tar, DIR_ENTRY("both/"));
	tar_add(&tar, FILE_ENTRY(".wh.implied", ""));
	tar_add(&tar, FILE_ENTRY("implied/f", "f"));
	tar_add(&tar, FILE_ENTRY("after", "a"));
	tar_add(&tar, FILE_ENTRY(".wh.after", ""));
	tar_add(&tar, FILE_ENTRY(".wh..wh.plnk/x", ""));
	unpack(&run, &tar, __LINE__);

	struct stat gone = status_of(&run, "gone");
	CHECK(S_ISCHR(gone.st_mode) && gone.st_rdev == 0);
	CHECK(access(in_dest(&run, ".wh.gone"), F_OK) < 0);
	CHECK(lgetxattr(in_dest(&run, "dir"), "trusted.overlay.opaque", opaque, 8) == 1 && opaque[0] == 'y');
	CHECK(access(in_dest(&run, "dir/.wh..wh..opq"), F_OK) < 0 && content_is(in_dest(&run, "dir/kept"), "k"));
	CHECK(lgetxattr(in_dest(&run, "both"), "trusted.overlay.opaque", opaque, 8) == 1);
	CHECK(lgetxattr(in_dest(&run, "implied"), "trusted.overlay.opaque", opaque, 8) == 1);
	CHECK(content_is(in_dest(&run, "implied/f"), "f"));
	CHECK(content_is(in_dest(&run, "after"), "a"));
	run_clean(&run);
}

static void names_parents_duplicates(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char longest[301];

	memset(longest, 'n', 200);
	memcpy(longest + 200, "/long", 6);
	tar_add(&tar, FILE_ENTRY("/absolute/./x//y", "abs"));
	tar_add(&tar, FILE_ENTRY("implied/deep/er", "i"));
	tar_pax(&tar, "path", longest, 0);
	tar_add(&tar, FILE_ENTRY("short", "long"));
	tar_pax(&tar, "path", "\xc3\xa4\xe2\x82\xac", 0);
	tar_add(&tar, FILE_ENTRY("u", "utf"));
	tar_add(&tar, FILE_ENTRY("raw\xff", "raw"));
	tar_add(&tar, FILE_ENTRY("twice", "first"));
	tar_add(&tar, LINK_ENTRY("old", '1', "twice"));
	tar_add(&tar, FILE_ENTRY("twice", "second"));
	tar_add(&tar, FILE_ENTRY("fd", "file"));
	tar_add(&tar, DIR_ENTRY("fd"));
	tar_add(&tar, FILE_ENTRY("fd/in", "in"));
	tar_add(&tar, FILE_ENTRY("df/a/b", "b"));
	tar_add(&tar, FILE_ENTRY("df", "now a file"));
	/* usrmerge: through a link that stays inside, also while its target is not there yet. */
	tar_add(&tar, LINK_ENTRY("lib", '2', "usr/lib"));
	tar_add(&tar, FILE_ENTRY("lib/l1", "1"));
	tar_add(&tar, FILE_ENTRY("usr/lib/l2", "2"));
	tar_add(&tar, LINK_ENTRY("a/up", '2', "../b/c"));
	tar_add(&tar, FILE_ENTRY("a/up/l3", "3"));
	tar_add(&tar, LINK_ENTRY("via", '1', "lib/l2"));
	/* A link gives way to a directory of its name. */
	tar_add(&tar, LINK_ENTRY("swap", '2', "usr"));
	tar_add(&tar, FILE_ENTRY("swap/s1", "s1"));
	tar_add(&tar, DIR_ENTRY("swap"));
	tar_add(&tar, FILE_ENTRY("swap/s2", "s2"));
	unpack(&run, &tar, __LINE__);

	CHECK(content_is(in_dest(&run, "absolute/x/y"), "abs"));
	CHECK(content_is(in_dest(&run, longest), "long"));
	CHECK(content_is(in_dest(&run, "\xc3\xa4\xe2\x82\xac"), "utf") && content_is(in_dest(&run, "raw\xff"), "raw"));
	CHECK(status_of(&run, "implied/deep").st_mode == (S_IFDIR | 0755));
	CHECK(content_is(in_dest(&run, "twice"), "second") && content_is(in_dest(&run, "old"), "first"));
	CHECK(content_is(in_dest(&run, "fd/in"), "in") && content_is(in_dest(&run, "df"), "now a file"));
	CHECK(content_is(in_dest(&run, "usr/lib/l1"), "1") && content_is(in_dest(&run, "usr/lib/l2"), "2"));
	CHECK(content_is(in_dest(&run, "b/c/l3"), "3") && content_is(in_dest(&run, "via"), "2"));
	CHECK(content_is(in_dest(&run, "usr/s1"), "s1") && S_ISDIR(status_of(&run, "swap").st_mode));
	CHECK(content_is(in_dest(&run, "swap/s2"), "s2") && access(in_dest(&run, "usr/s2"), F_OK) < 0);
	run_clean(&run);
}

static void attributes(void)
{
	static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4 }; /* cap_net_bind_service, permitted and effective */
	struct bytes tar = { 0 };
	struct run run;
	uint8_t value[64];

	tar_pax(&tar, "SCHILY.xattr.security.capability", capability, sizeof(capability));
	tar_add(&tar, &(struct header){ .name = "capable", .type = '0', .mode = 0755, .uid = 12, .content = "x" });
	tar_pax(&tar, "SCHILY.xattr.user.note", "nb", 0);
	tar_add(&tar, DIR_ENTRY("noted"));
	tar_pax(&tar, "SCHILY.xattr.trusted.overlay.redirect", "/etc", 0);
	tar_add(&tar, DIR_ENTRY("redirected"));
	tar_pax(&tar, "SCHILY.acl.access", "user::rw-,user:lisa:r--:1000,group::r--,mask::r--,other::---", 0);
	tar_add(&tar, FILE_ENTRY("acl", "x"));
	tar_pax(&tar, "SCHILY.acl.default", "user::rwx,group::r-x,group:staff:rwx:50,mask::rwx,other::---", 0);
	tar_add(&tar, DIR_ENTRY("inherits"));
	tar_add(&tar, FILE_ENTRY("inherits/not", "x"));
	unpack(&run, &tar, __LINE__);

	CHECK(lgetxattr(in_dest(&run, "capable"), "security.capability", value, 64) == 20 && memcmp(value, capability, 20) == 0);
	CHECK(lgetxattr(in_dest(&run, "noted"), "user.note", value, 64) == 2 && memcmp(value, "nb", 2) == 0);
	CHECK(lgetxattr(in_dest(&run, "redirected"), "trusted.overlay.redirect", value, 64) < 0 && errno == ENODATA);
	/* Header of 4 bytes and five entries of 8; the second is the user's: tag 2, read, id 1000. */
	CHECK(lgetxattr(in_dest(&run, "acl"), "system.posix_acl_access", value, 64) == 44);
	CHECK(value[12] == 2 && value[14] == 4 && value[16] == (1000 & 255) && value[17] == 1000 >> 8);
	CHECK(lgetxattr(in_dest(&run, "inherits"), "system.posix_acl_default", value, 64) == 44);
	CHECK(lgetxattr(in_dest(&run, "inherits/not"), "system.posix_acl_access", value, 64) < 0);
	CHECK(status_of(&run, "inherits/not").st_mode == (S_IFREG | 0644));
	run_clean(&run);
}

/* GNU sparse format 1.0: the map stands in front of the data. */
static void sparse(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char content[512 + 5] = "1\n1048576\n4\n";

	memcpy(content + 512, "tail", 5);
	memset(content + 12, '\n', 500);
	tar_pax(&tar, "GNU.sparse.major", "1", 0);
	tar_pax(&tar, "GNU.sparse.minor", "0", 0);
	tar_pax(&tar, "GNU.sparse.realsize", "2097152", 0);
	tar_add(&tar, FILE_ENTRY("holes", content));
	unpack(&run, &tar, __LINE__);
	struct stat status = status_of(&run, "holes");
	/* Where PAX headers do not accumulate, only the last counts; then the file is plain. */
	CHECK(status.st_size == 2097152 && status.st_blocks * 512 < 1048576);
	run_clean(&run);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	umask(027); /* must not matter */
	kinds_modes_owners_times();
	whiteouts();
	names_parents_duplicates();
	attributes();
	sparse();
	return unpack_finish();
}
