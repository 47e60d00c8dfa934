/* A layer's directory and its skeleton give the very tar back, or nothing that could be taken for it. */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/berth-pack-test-XXXXXX";

static const char *skeleton_path(void)
{
	static char path[64];
	snprintf(path, sizeof(path), "%s/skeleton", directory);
	return path;
}

/* Runs `berth-unpack pack` and returns its exit status; `tar` gets what it wrote. */
static int pack(const struct run *run, struct bytes *tar)
{
	char command[4096 + 256], buffer[65536];
	const char *build = getenv("BERTH_BUILD");
	snprintf(command, sizeof(command), "%s/berth-unpack pack %s %s 2>%s/error", build == NULL ? "../dist" : build,
		 run->dest, skeleton_path(), directory);
	FILE *pipe = popen(command, "re");
	if (pipe == NULL)
		abort();
	for (size_t got; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
		bytes_add(tar, buffer, got);
	int status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool failed_with(const char *text)
{
	char path[64], content[4096] = { 0 };
	snprintf(path, sizeof(path), "%s/error", directory);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	size_t length = fread(content, 1, sizeof(content) - 1, file);
	fclose(file);
	return length > 0 && strstr(content, text) != NULL;
}

static void unpack(struct run *run, const struct bytes *tar)
{
	unlink(skeleton_path());
	run_layer(run, tar, "--skeleton", skeleton_path());
	CHECK(run_succeeded(run));
}

static bool comes_back(const struct run *run, const struct bytes *tar)
{
	struct bytes back = { 0 };
	int status = pack(run, &back);
	bool same = status == 0 && back.length == tar->length && memcmp(back.data, tar->data, tar->length) == 0;
	bytes_free(&back);
	return same;
}

static unsigned long long skeleton_bytes(const struct run *run)
{
	char text[32];
	run_field(run, "skeletonBytes", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static void add_large(struct bytes *tar, const char *name, size_t length)
{
	char *content = malloc(length + 1);
	if (content == NULL)
		abort();
	for (size_t i = 0; i < length; i++)
		content[i] = (char)('a' + (i * 7 + i / 1000) % 26);
	content[length] = '\0';
	tar_add(tar, FILE_ENTRY(name, content));
	free(content);
}

static void the_tar_comes_back(void)
{
	struct bytes tar = { 0 };
	struct run run;
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[150] = '/';
	tar_add(&tar, DIR_ENTRY("d/"));
	tar_add(&tar, FILE_ENTRY("./d/one", "1"));
	add_large(&tar, "d/block", 512);
	add_large(&tar, "d/odd", 513);
	add_large(&tar, "d/large", 700001);
	tar_add(&tar, FILE_ENTRY("d/empty", ""));
	tar_add(&tar, LINK_ENTRY("h", '1', "d/one"));
	tar_add(&tar, LINK_ENTRY("l", '2', "d"));
	tar_add(&tar, FILE_ENTRY("l/through", "a file below a link"));
	tar_add(&tar, &(struct header){ .name = "c", .type = '3', .mode = 0600, .major = 1, .minor = 3 });
	tar_add(&tar, FILE_ENTRY("d/.wh.gone", ""));
	tar_pax(&tar, "path", name, 0);
	tar_add(&tar, FILE_ENTRY("short", "long name"));
	tar_pax(&tar, "mtime", "1.5", 0);
	tar_add(&tar, FILE_ENTRY("d/late", "late"));
	tar_end(&tar);
	bytes_add(&tar, "rubbish behind the end", 22);
	unpack(&run, &tar);
	CHECK(skeleton_bytes(&run) > 0 && skeleton_bytes(&run) < 4096);
	CHECK(comes_back(&run, &tar));

	/* Compressed, it is the same tar. */
	struct bytes gzip = { 0 };
	struct run again;
	gzip_member(&gzip, tar.data, tar.length);
	unpack(&again, &gzip);
	CHECK(comes_back(&again, &tar));
	bytes_free(&gzip);
	run_clean(&again);
	run_clean(&run);
	bytes_free(&tar);
}

static void a_file_twice_is_another_tar(void)
{
	struct bytes tar = { 0 };
	struct run run;

	tar_add(&tar, FILE_ENTRY("f", "first"));
	tar_add(&tar, FILE_ENTRY("f", "again"));
	tar_end(&tar);
	unpack(&run, &tar);
	CHECK(!comes_back(&run, &tar));
	run_clean(&run);
	bytes_free(&tar);
}

static void what_follows_the_end_is_kept(void)
{
	struct bytes tar = { 0 };
	struct run run;

	/* A lone block of zeros in the middle: the archive ends there for whoever unpacks. */
	static const uint8_t zeros[1024];
	tar_add(&tar, FILE_ENTRY("f", "x"));
	bytes_add(&tar, zeros, sizeof(zeros));
	tar_add(&tar, FILE_ENTRY("g", "y"));
	tar_end(&tar);
	unpack(&run, &tar);
	/* The rest is kept as it is, so even this comes back. */
	CHECK(skeleton_bytes(&run) > 0 && comes_back(&run, &tar));
	run_clean(&run);
	bytes_free(&tar);
}

static void a_changed_tree_is_refused(void)
{
	struct bytes tar = { 0 }, back = { 0 };
	struct run run;

	tar_add(&tar, FILE_ENTRY("f", "secret"));
	tar_end(&tar);
	unpack(&run, &tar);
	CHECK(unlink(in_dest(&run, "f")) == 0 && symlink("/etc/hostname", in_dest(&run, "f")) == 0);
	CHECK(pack(&run, &back) == 1 && failed_with("\"path\":\"f\""));
	CHECK(unlink(in_dest(&run, "f")) == 0 && mkfifo(in_dest(&run, "f"), 0600) == 0);
	CHECK(pack(&run, &back) == 1 && failed_with("no longer the file"));
	CHECK(unlink(in_dest(&run, "f")) == 0);
	CHECK(pack(&run, &back) == 1 && failed_with("\"errnoName\":\"ENOENT\""));
	bytes_free(&back);
	run_clean(&run);
	bytes_free(&tar);
}

static void a_damaged_skeleton_is_refused(void)
{
	struct bytes tar = { 0 };
	struct run run;
	struct stat status;

	add_large(&tar, "f", 2000);
	tar_add(&tar, FILE_ENTRY("g", "x"));
	tar_end(&tar);
	unpack(&run, &tar);
	CHECK(stat(skeleton_path(), &status) == 0);
	int fd = open(skeleton_path(), O_RDWR | O_CLOEXEC);
	unsigned int refused = 0;
	for (off_t at = 0; at < status.st_size; at++) {
		struct bytes back = { 0 };
		uint8_t byte;
		if (pread(fd, &byte, 1, at) != 1)
			abort();
		byte ^= 0x41;
		if (pwrite(fd, &byte, 1, at) != 1)
			abort();
		int code = pack(&run, &back);
		bool same = back.length == tar.length && memcmp(back.data, tar.data, tar.length) == 0;
		refused += code == 1 || !same;
		byte ^= 0x41;
		if (pwrite(fd, &byte, 1, at) != 1)
			abort();
		bytes_free(&back);
		if (code != 0 && code != 1)
			unpack_check(false, __FILE__, __LINE__, "a damaged skeleton ends the program in order");
	}
	/* A bit of the frame's header may mean nothing. */
	CHECK(refused >= (unsigned int)status.st_size - 2);
	CHECK(ftruncate(fd, status.st_size / 2) == 0);
	close(fd);
	CHECK(!comes_back(&run, &tar) && failed_with("ends too early"));
	run_clean(&run);
	bytes_free(&tar);
}

int main(void)
{
	char command[128];

	if (mkdtemp(directory) == NULL)
		abort();
	the_tar_comes_back();
	a_file_twice_is_another_tar();
	what_follows_the_end_is_kept();
	a_changed_tree_is_refused();
	a_damaged_skeleton_is_refused();
	snprintf(command, sizeof(command), "rm -r %s", directory);
	CHECK(system(command) == 0);
	return unpack_finish();
}
