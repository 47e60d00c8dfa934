/* Layers that want out, or want too much: refused with the step and the name, and nothing touched outside. */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char outside[] = "/tmp/berth-unpack-outside-XXXXXX";
static char victim[64];
static char climbing[128];

/* Runs a layer of up to three entries and checks how it is refused. */
static void refused(const char *step, const char *path, const struct header *const *entries)
{
	struct bytes tar = { 0 };
	struct run run;

	for (; *entries != NULL; entries++)
		tar_add(&tar, *entries);
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(run_failed(&run, step, path));
	CHECK(content_is(victim, "untouched"));
	char probe[80];
	snprintf(probe, sizeof(probe), "%s/x", outside);
	CHECK(access(probe, F_OK) < 0);
	run_clean(&run);
	bytes_free(&tar);
}

/* The type of what is at `path` in the layer; 0: nothing. */
static mode_t in_layer(const struct run *run, const char *path)
{
	char full[256];
	struct stat status;

	snprintf(full, sizeof(full), "%s/%s", run->dest, path);
	return lstat(full, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

/* Runs a layer and checks that what it writes lands inside, at `path` (of a type), and nothing outside changes. */
static void contained(const char *path, mode_t type, const struct header *const *entries)
{
	struct bytes tar = { 0 };
	struct run run;
	char probe[80];

	for (; *entries != NULL; entries++)
		tar_add(&tar, *entries);
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(run.status == 0);
	CHECK(in_layer(&run, path) == type);
	CHECK(content_is(victim, "untouched"));
	snprintf(probe, sizeof(probe), "%s/x", outside);
	CHECK(access(probe, F_OK) < 0);
	run_clean(&run);
	bytes_free(&tar);
}

#define CONTAINED(path, type, ...) contained(path, type, (const struct header *const[]){ __VA_ARGS__, NULL })

#define REFUSED(step, path, ...) refused(step, path, (const struct header *const[]){ __VA_ARGS__, NULL })

static void ways_out(void)
{
	REFUSED("entry", "../x", FILE_ENTRY("../x", "out"));
	REFUSED("entry", "a/../../x", FILE_ENTRY("a/../../x", "out"));
	REFUSED("entry", "a/..", DIR_ENTRY("a/.."));
	/* A loop. */
	REFUSED("entry", "l/x", LINK_ENTRY("l", '2', "l"), FILE_ENTRY("l/x", "out"));
	REFUSED("entry", "f/x", FILE_ENTRY("f", "file"), FILE_ENTRY("f/x", "out"));
}

/* Symlinks mean what they would mean to a process in the layer. */
static void ways_that_stay_inside(void)
{
	char inner[80];

	snprintf(inner, sizeof(inner), "%s/x", outside);
	CONTAINED(inner, S_IFREG, LINK_ENTRY("l", '2', outside), FILE_ENTRY("l/x", "out"));
	CONTAINED(inner, S_IFREG, LINK_ENTRY("l", '2', climbing), FILE_ENTRY("l/x", "out"));
	CONTAINED(inner, S_IFDIR, LINK_ENTRY("l", '2', outside), FILE_ENTRY("l/x/y", "out"));
	CONTAINED("etc/x", S_IFREG, LINK_ENTRY("l", '2', "/"), FILE_ENTRY("l/etc/x", "out"));
	CONTAINED("missing/x", S_IFREG, LINK_ENTRY("l", '2', "../missing"), FILE_ENTRY("l/x", "out"));
	CONTAINED("run/x", S_IFREG, DIR_ENTRY("run"), DIR_ENTRY("var"), LINK_ENTRY("var/run", '2', "/run"), FILE_ENTRY("var/run/x", "out"));
	CONTAINED(victim, S_IFCHR, LINK_ENTRY("l", '2', outside), FILE_ENTRY("l/.wh.victim", ""));
	CONTAINED(outside, S_IFDIR, LINK_ENTRY("l", '2', outside), FILE_ENTRY("l/.wh..wh..opq", ""));
	/* A directory that is swapped for a symlink between two entries of it. */
	CONTAINED(inner, S_IFREG, FILE_ENTRY("d/first", "1"), LINK_ENTRY("d", '2', outside), FILE_ENTRY("d/x", "out"));
}

static void links_out(void)
{
	REFUSED("entry", "../victim", LINK_ENTRY("h", '1', "../victim"));
	REFUSED("entry", victim, LINK_ENTRY("h", '1', victim));
	REFUSED("entry", "l/victim", LINK_ENTRY("l", '2', outside), LINK_ENTRY("h", '1', "l/victim"), FILE_ENTRY("h", "o"));
	REFUSED("entry", "h", DIR_ENTRY("d"), LINK_ENTRY("h", '1', "d"));
	REFUSED("entry", "h", LINK_ENTRY("h", '1', "/"));
}

/* A file in the place of a symlink, and a hard link to a symlink: neither may reach what it points to. */
static void never_through_the_last_component(void)
{
	struct bytes tar = { 0 };
	struct run run;
	struct stat status;

	tar_add(&tar, LINK_ENTRY("l", '2', victim));
	tar_add(&tar, FILE_ENTRY("l", "inside"));
	tar_add(&tar, LINK_ENTRY("s", '2', victim));
	tar_add(&tar, LINK_ENTRY("h", '1', "s"));
	tar_add(&tar, LINK_ENTRY("d", '2', outside));
	tar_add(&tar, &(struct header){ .name = "d", .type = '5', .mode = 0700, .uid = 99 });
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(run_succeeded(&run));
	CHECK(content_is(in_dest(&run, "l"), "inside") && content_is(victim, "untouched"));
	CHECK(lstat(in_dest(&run, "h"), &status) == 0 && S_ISLNK(status.st_mode));
	CHECK(lstat(outside, &status) == 0 && status.st_uid == 0);
	run_clean(&run);
	bytes_free(&tar);
}

static void bad_values(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char name[5000];

	tar_pax(&tar, "uid", "4294967296", 0);
	tar_add(&tar, FILE_ENTRY("wraps", "x"));
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(run_failed(&run, "entry", "wraps"));
	run_clean(&run);
	bytes_free(&tar);

	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = i % 2 == 0 ? 'a' : '/';
	name[sizeof(name) - 1] = '\0';
	tar_pax(&tar, "path", name, 0);
	tar_add(&tar, FILE_ENTRY("deep", "x"));
	tar_end(&tar);
	run_layer(&run, &tar, NULL, NULL);
	CHECK(run_failed(&run, "entry", NULL));
	run_clean(&run);
	bytes_free(&tar);
	REFUSED("entry", ".wh.", FILE_ENTRY(".wh.", ""));
	REFUSED("entry", "a/.wh...", FILE_ENTRY("a/.wh...", ""));
	REFUSED("entry", "./", LINK_ENTRY("./", '2', "/"));
}

static void limits(void)
{
	struct bytes input = { 0 };
	struct run run;
	char name[32];

	/* 9,000 blocks of 128 KiB: 1.1 GiB out of 36 KB. All of it follows the end of the archive. */
	zstd_bomb(&input, 9000);
	run_layer(&run, &input, NULL, NULL);
	CHECK(run_failed(&run, "limit", NULL) && strstr(run.output, "times its size") != NULL);
	run_clean(&run);
	bytes_free(&input);

	zstd_bomb(&input, 80);
	run_layer(&run, &input, "--max-bytes", "10000000");
	CHECK(run_failed(&run, "limit", NULL) && strstr(run.output, "10000000 bytes") != NULL);
	run_clean(&run);
	run_layer(&run, &input, "--max-bytes", "11000000");
	CHECK(run_succeeded(&run));
	run_clean(&run);
	bytes_free(&input);

	for (int i = 0; i < 1000000; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		tar_add(&input, FILE_ENTRY(name, ""));
	}
	tar_end(&input);
	run_layer(&run, &input, "--max-entries", "500");
	CHECK(run_failed(&run, "limit", NULL) && access(in_dest(&run, "e499"), F_OK) == 0);
	CHECK(access(in_dest(&run, "e500"), F_OK) < 0);
	run_clean(&run);
	bytes_free(&input);

	tar_add(&input, FILE_ENTRY("a/name/of/20/bytes.", ""));
	tar_add(&input, FILE_ENTRY("a/name/of/21/bytes..", ""));
	tar_end(&input);
	run_layer(&run, &input, "--max-path", "19");
	CHECK(run_failed(&run, "limit", "a/name/of/21/bytes.."));
	run_clean(&run);
	bytes_free(&input);

	/* Few entries, many implied directories. */
	tar_add(&input, FILE_ENTRY("a/b/c/d/e/f/g", ""));
	tar_add(&input, FILE_ENTRY("h/i/j/k/l/m/n", ""));
	tar_add(&input, FILE_ENTRY("last", ""));
	tar_end(&input);
	run_layer(&run, &input, "--max-entries", "13");
	CHECK(run_failed(&run, "limit", NULL));
	run_clean(&run);
	bytes_free(&input);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	if (mkdtemp(outside) == NULL)
		return 1;
	snprintf(victim, sizeof(victim), "%s/victim", outside);
	snprintf(climbing, sizeof(climbing), "../../../../../..%s", outside);
	int fd = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "untouched", 9) != 9)
		return 1;
	close(fd);
	ways_out();
	ways_that_stay_inside();
	links_out();
	never_through_the_last_component();
	bad_values();
	limits();
	unlink(victim);
	CHECK(rmdir(outside) == 0);
	return unpack_finish();
}
