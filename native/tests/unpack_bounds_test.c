/* Values at and beyond the edges of what headers can say: each is taken as it is, or refused by name, in bounds. */
#include "unpack_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static void unpack(struct run *run, struct bytes *tar)
{
	tar_end(tar);
	run_layer(run, tar, NULL, NULL);
	bytes_free(tar);
}

static void refused(struct bytes *tar, const char *step, const char *path, int line)
{
	struct run run;

	unpack(&run, tar);
	unpack_check(run_failed(&run, step, path), __FILE__, line, "it is refused");
	run_clean(&run);
}

/* Changes a field of the header that was added last, and its sum. */
static void set_field(struct bytes *tar, size_t back, unsigned int at, const void *value, size_t size)
{
	uint8_t *header = tar->data + tar->length - back;
	unsigned int sum = 0;

	memcpy(header + at, value, size);
	memset(header + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

static void names(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char longest[257], deep[4097];

	memset(longest, 'l', 256);
	longest[256] = '\0';
	tar_pax(&tar, "path", longest, 0);
	tar_add(&tar, FILE_ENTRY("x", "x"));
	refused(&tar, "entry", longest, __LINE__);

	longest[255] = '\0';
	tar_pax(&tar, "path", longest, 0);
	tar_add(&tar, FILE_ENTRY("x", "longest"));
	tar_pax(&tar, "path", "before\0../../after", 18);
	tar_add(&tar, FILE_ENTRY("x", "cut"));
	tar_add(&tar, FILE_ENTRY("new\nline", "n"));
	/* As deep as a name can be: 2,047 directories and a file. */
	for (int i = 0; i < 4094; i++)
		deep[i] = i % 2 == 0 ? 'd' : '/';
	strcpy(deep + 4094, "f");
	tar_pax(&tar, "path", deep, 0);
	tar_add(&tar, FILE_ENTRY("x", "deep"));
	unpack(&run, &tar);
	CHECK(run_succeeded(&run));
	CHECK(content_is(in_dest(&run, longest), "longest") && content_is(in_dest(&run, "new\nline"), "n"));
	/* A name ends at its NUL, whatever follows. */
	CHECK(access(in_dest(&run, "after"), F_OK) < 0);
	char inodes[32];
	run_field(&run, "inodes", inodes, sizeof(inodes));
	CHECK(atoi(inodes) >= 2050);
	run_clean(&run);
}

/* Symlinks to depth lead further down than any path could, where nothing could be opened by its name any more. */
static void deeper_than_a_path(void)
{
	struct bytes tar = { 0 };
	char deep[3001], name[4000];

	for (int i = 0; i < 3000; i++)
		deep[i] = i % 2 == 0 ? 'd' : '/';
	deep[2999] = '\0';
	tar_pax(&tar, "linkpath", deep, 0);
	tar_add(&tar, LINK_ENTRY("l", '2', "x"));
	snprintf(name, sizeof(name), "l/l");
	tar_pax(&tar, "linkpath", deep, 0);
	tar_add(&tar, LINK_ENTRY(name, '2', "x"));
	tar_add(&tar, FILE_ENTRY("l/l/file", "deep"));
	refused(&tar, "entry", NULL, __LINE__);
}

static void sizes(void)
{
	struct bytes tar = { 0 };

	/* A gigabyte of a PAX header, a long name of as much, and a negative size. */
	tar_add(&tar, &(struct header){ .name = "pax", .type = 'x', .mode = 0644 });
	set_field(&tar, 512, 124, "10000000000", 12);
	tar_add(&tar, FILE_ENTRY("x", "x"));
	refused(&tar, "archive", NULL, __LINE__);

	tar_add(&tar, &(struct header){ .name = "././@LongLink", .type = 'L', .mode = 0644 });
	set_field(&tar, 512, 124, "10000000000", 12);
	tar_add(&tar, FILE_ENTRY("x", "x"));
	refused(&tar, "archive", NULL, __LINE__);

	tar_add(&tar, FILE_ENTRY("negative", ""));
	set_field(&tar, 512, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
	refused(&tar, "archive", NULL, __LINE__);

	/* More than there is, up to the largest. */
	tar_pax(&tar, "size", "9223372036854775807", 0);
	tar_add(&tar, FILE_ENTRY("huge", "x"));
	refused(&tar, "archive", NULL, __LINE__);

	/* A map whose data lie beyond the size that it gives. */
	tar_pax(&tar, "GNU.sparse.map", "1048576,4", 0);
	tar_add(&tar, FILE_ENTRY("outside", "tail"));
	refused(&tar, "entry", "outside", __LINE__);
}

static void times(void)
{
	struct bytes tar = { 0 };
	struct run run;

	tar_pax(&tar, "mtime", "-1.5", 0);
	tar_add(&tar, FILE_ENTRY("early", "x"));
	tar_pax(&tar, "mtime", "9223372036.9", 0);
	tar_add(&tar, FILE_ENTRY("late", "x"));
	tar_pax(&tar, "mtime", "4400000000.25", 0);
	tar_add(&tar, FILE_ENTRY("far", "x"));
	tar_pax(&tar, "mtime", "99999999999999999999999999", 0);
	tar_add(&tar, FILE_ENTRY("never", "x"));
	unpack(&run, &tar);
	CHECK(run_succeeded(&run));
	CHECK(status_of(&run, "early").st_mtim.tv_sec == 0 && status_of(&run, "early").st_mtim.tv_nsec == 0);
	CHECK(status_of(&run, "late").st_mtim.tv_sec == 0 && status_of(&run, "never").st_mtim.tv_sec == 0);
	CHECK(status_of(&run, "far").st_mtim.tv_sec == 4400000000 && status_of(&run, "far").st_mtim.tv_nsec == 250000000);
	run_clean(&run);
}

static void links(void)
{
	struct bytes tar = { 0 };
	struct run run;

	tar_add(&tar, LINK_ENTRY("itself", '1', "itself"));
	refused(&tar, "entry", "itself", __LINE__);
	tar_add(&tar, LINK_ENTRY("link", '1', "later"));
	tar_add(&tar, FILE_ENTRY("later", "x"));
	refused(&tar, "entry", "link", __LINE__);

	/* Of a link's header and its target's the later counts; capabilities survive where the owner is the same. */
	static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4 };
	char value[64];
	tar_pax(&tar, "SCHILY.xattr.security.capability", capability, sizeof(capability));
	tar_add(&tar, &(struct header){ .name = "one", .type = '0', .mode = 0755, .uid = 5, .mtime = 10, .content = "x" });
	tar_add(&tar, &(struct header){ .name = "two", .type = '1', .mode = 0700, .uid = 5, .mtime = 20, .link = "one" });
	tar_add(&tar, LINK_ENTRY("one", '1', "one"));
	unpack(&run, &tar);
	CHECK(run_succeeded(&run));
	CHECK(status_of(&run, "one").st_mode == (S_IFREG | 0700) && status_of(&run, "one").st_mtim.tv_sec == 20);
	CHECK(lgetxattr(in_dest(&run, "two"), "security.capability", value, sizeof(value)) == 20);
	run_clean(&run);
}

static void root_and_whiteouts(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char opaque[8];

	tar_add(&tar, &(struct header){ .name = "./", .type = '5', .mode = 0700, .uid = 1000, .mtime = 5 });
	tar_pax(&tar, "SCHILY.xattr.user.root", "x", 0);
	tar_add(&tar, &(struct header){ .name = "/", .type = '5', .mode = 0700 });
	tar_add(&tar, FILE_ENTRY(".wh..wh..opq", ""));
	tar_add(&tar, &(struct header){ .name = "device", .type = '3', .mode = 0666 });
	tar_pax(&tar, "SCHILY.xattr.trusted.overlay.metacopy", "", 0);
	tar_pax(&tar, "SCHILY.xattr.trusted.other", "x", 0);
	tar_add(&tar, FILE_ENTRY("trusted", "x"));
	unpack(&run, &tar);
	CHECK(run_succeeded(&run));
	CHECK(status_of(&run, "").st_mode == (S_IFDIR | 0755) && status_of(&run, "").st_uid == 0);
	CHECK(lgetxattr(in_dest(&run, ""), "user.root", opaque, 8) < 0);
	CHECK(lgetxattr(in_dest(&run, ""), "trusted.overlay.opaque", opaque, 8) == 1);
	CHECK(status_of(&run, "device").st_rdev == makedev(0, 0));
	CHECK(lgetxattr(in_dest(&run, "trusted"), "trusted.other", opaque, 8) < 0 && errno == ENODATA);
	run_clean(&run);
	tar_add(&tar, FILE_ENTRY("a/.wh..", ""));
	refused(&tar, "entry", "a/.wh..", __LINE__);
}

static void attributes(void)
{
	struct bytes tar = { 0 };
	struct run run;
	static char large[60001];

	memset(large, 'v', sizeof(large) - 1);
	tar_pax(&tar, "SCHILY.xattr.user.large", large, 0);
	tar_add(&tar, FILE_ENTRY("file", "x"));
	unpack(&run, &tar);
	/* Some file systems take this much. That others do not is the layer's fault, not a full disk's. */
	CHECK(run.status == 0 || run_failed(&run, "entry", "file"));
	run_clean(&run);
}

/* Directories are remembered until the end, thousands of them in a file; their metadata is applied all the same. */
static void many_directories(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char name[200];

	for (unsigned int i = 0; i < 6000; i++) {
		snprintf(name, sizeof(name), "%0100u", i);
		tar_pax(&tar, "SCHILY.xattr.user.number", name, 0);
		tar_add(&tar, &(struct header){ .name = name, .type = '5', .mode = 0700 + i % 64, .uid = i, .mtime = i + 1 });
		snprintf(name, sizeof(name), "%0100u/file", i);
		tar_pax(&tar, "path", name, 0);
		tar_add(&tar, FILE_ENTRY("x", ""));
	}
	unpack(&run, &tar);
	CHECK(run_succeeded(&run));
	unsigned int right = 0;
	for (unsigned int i = 0; i < 6000; i++) {
		char value[128];
		struct stat status;
		snprintf(name, sizeof(name), "%0100u", i);
		right += lstat(in_dest(&run, name), &status) == 0 && status.st_mode == (S_IFDIR | (0700 + i % 64)) && status.st_uid == i &&
			 status.st_mtim.tv_sec == i + 1 && lgetxattr(in_dest(&run, name), "user.number", value, sizeof(value)) == 100;
	}
	CHECK(right == 6000);
	run_clean(&run);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	names();
	deeper_than_a_path();
	sizes();
	times();
	links();
	root_and_whiteouts();
	attributes();
	many_directories();
	return unpack_finish();
}
