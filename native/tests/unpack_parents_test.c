/* Directories that layers only imply, and the figures of a tree. */
#include "unpack_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stat status_of(const struct run *run, const char *path)
{
	struct stat status = { 0 };
	CHECK(lstat(in_dest(run, path), &status) == 0);
	return status;
}

static unsigned long long figure(const struct run *run, const char *name)
{
	char value[32];

	run_field(run, name, value, sizeof(value));
	return strtoull(value, NULL, 10);
}

/* What unpacking reported is what a later count finds. */
static void figures_are(const struct run *unpacked, unsigned long long implied)
{
	static const char *const names[] = { "unpackedBytes", "contentBytes", "inodes", "implied" };
	struct run count;

	run_command(&count, "check", unpacked->dest);
	CHECK(count.status == 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK(figure(unpacked, names[i]) == figure(&count, names[i]));
	CHECK(figure(&count, "implied") == implied);
}

/* A directory that entries only imply gives way to what a lower layer says of it, and to nothing else. */
static void implied_directories(void)
{
	struct bytes lower = { 0 }, upper = { 0 };
	struct run one, two, parents;
	char made[64];

	tar_add(&lower, &(struct header){ .name = "./", .type = '5', .mode = 0711 });
	tar_add(&lower, &(struct header){ .name = "tmp", .type = '5', .mode = 01777, .mtime = 77 });
	tar_add(&lower, &(struct header){ .name = "srv", .type = '5', .mode = 0750, .uid = 5, .gid = 6, .mtime = 78 });
	tar_add(&lower, &(struct header){ .name = "srv/deep", .type = '5', .mode = 0700, .uid = 7 });
	tar_add(&lower, &(struct header){ .name = "listed", .type = '5', .mode = 0700 });
	tar_add(&lower, &(struct header){ .name = "gone", .type = '5', .mode = 0700 });
	tar_end(&lower);
	tar_add(&upper, FILE_ENTRY("tmp/x", "1"));
	tar_add(&upper, FILE_ENTRY("srv/deep/x", "1"));
	tar_add(&upper, FILE_ENTRY("new/x", "1"));
	tar_add(&upper, FILE_ENTRY("listed/x", "1"));
	tar_add(&upper, &(struct header){ .name = "listed", .type = '5', .mode = 0755 });
	tar_add(&upper, FILE_ENTRY(".wh.gone", ""));
	tar_add(&upper, FILE_ENTRY("gone/x", "1"));
	tar_end(&upper);
	run_layer(&one, &lower, NULL, NULL);
	run_layer(&two, &upper, NULL, NULL);
	figures_are(&one, 0);
	figures_are(&two, 4);
	snprintf(made, sizeof(made), "%s/made", two.parent);
	CHECK(mkdir(made, 0755) == 0);
	run_arguments(&parents, (const char *const[]){ "berth-unpack", "parents", made, two.dest, one.dest, NULL });
	snprintf(parents.dest, sizeof(parents.dest), "%s", made);
	CHECK(parents.status == 0);
	CHECK(status_of(&parents, ".").st_mode == (S_IFDIR | 0755));
	CHECK(status_of(&parents, "tmp").st_mode == (S_IFDIR | 01777) && status_of(&parents, "tmp").st_mtim.tv_sec == 77);
	CHECK(status_of(&parents, "srv").st_mode == (S_IFDIR | 0750) && status_of(&parents, "srv").st_gid == 6);
	CHECK(status_of(&parents, "srv").st_mtim.tv_sec == 78);
	CHECK(status_of(&parents, "srv/deep").st_mode == (S_IFDIR | 0700) && status_of(&parents, "srv/deep").st_uid == 7);
	CHECK(access(in_dest(&parents, "tmp/x"), F_OK) < 0 && access(in_dest(&parents, "new"), F_OK) < 0);
	CHECK(access(in_dest(&parents, "listed"), F_OK) < 0 && access(in_dest(&parents, "gone"), F_OK) < 0);
	run_command(&parents, "remove", made);
	run_clean(&one);
	run_clean(&two);
	bytes_free(&lower);
	bytes_free(&upper);
}

/* Names are no inodes, what an earlier entry made and a later one replaced is gone, and damage shows. */
static void figures(void)
{
	struct bytes tar = { 0 };
	struct run run, count;

	tar_add(&tar, FILE_ENTRY("f", "12345"));
	tar_add(&tar, LINK_ENTRY("again", '1', "f"));
	tar_add(&tar, LINK_ENTRY("third", '1', "f"));
	tar_add(&tar, FILE_ENTRY("replaced", "a longer text that is gone"));
	tar_add(&tar, FILE_ENTRY("replaced", "123"));
	tar_add(&tar, DIR_ENTRY("d"));
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(figure(&run, "inodes") == 3 && figure(&run, "contentBytes") == 8);
	figures_are(&run, 0);
	CHECK(truncate(in_dest(&run, "f"), 0) == 0);
	run_command(&count, "check", run.dest);
	CHECK(figure(&count, "contentBytes") == 3);
	run_clean(&run);
	bytes_free(&tar);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	implied_directories();
	figures();
	return unpack_finish();
}
