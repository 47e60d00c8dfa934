/* Compression, digests, damage; and the two commands beside `layer`. */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void sample(struct bytes *tar)
{
	char *text = malloc(700001);
	for (int i = 0; i < 700000; i++)
		text[i] = (char)('a' + i % 23);
	text[700000] = '\0';
	tar_add(tar, FILE_ENTRY("big", text));
	tar_add(tar, FILE_ENTRY("small", "s"));
	tar_end(tar);
	free(text);
}

static void digests_match(const struct bytes *input, const struct bytes *tar, int line)
{
	struct run run;
	char wanted[80], got[80], size[32];

	run_layer(&run, input, NULL, NULL);
	unpack_check(run_succeeded(&run), __FILE__, line, "it unpacks");
	sha256_of(input, wanted, sizeof(wanted));
	run_field(&run, "digest", got, sizeof(got));
	unpack_check(strcmp(wanted, got) == 0, __FILE__, line, "the digest is that of the whole input");
	sha256_of(tar, wanted, sizeof(wanted));
	run_field(&run, "diffId", got, sizeof(got));
	unpack_check(strcmp(wanted, got) == 0, __FILE__, line, "the diff id is that of the whole tar");
	run_field(&run, "size", size, sizeof(size));
	unpack_check(strtoull(size, NULL, 10) == input->length, __FILE__, line, "the size is that of the input");
	unpack_check(content_is(in_dest(&run, "small"), "s"), __FILE__, line, "the file is there");
	run_clean(&run);
}

static void forms(const struct bytes *tar)
{
	struct bytes input = { 0 }, padded = { 0 };
	static const uint8_t zeros[9000];

	digests_match(tar, tar, __LINE__);
	gzip_member(&input, tar->data, tar->length);
	digests_match(&input, tar, __LINE__);
	/* Padding behind the last member counts for the digest alone. */
	bytes_add(&input, zeros, sizeof(zeros));
	digests_match(&input, tar, __LINE__);
	bytes_free(&input);
	/* Several members, one of them empty, cut in the middle of a tar block. */
	gzip_member(&input, tar->data, 300001);
	gzip_member(&input, "", 0);
	gzip_member(&input, tar->data + 300001, tar->length - 300001);
	digests_match(&input, tar, __LINE__);
	bytes_free(&input);
	zstd_frame(&input, tar->data, 400000);
	bytes_add(&input, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* a skippable frame */
	zstd_frame(&input, tar->data + 400000, tar->length - 400000);
	digests_match(&input, tar, __LINE__);
	bytes_free(&input);
	/* Whatever follows the archive's end is part of the diff id. */
	bytes_add(&padded, tar->data, tar->length);
	bytes_add(&padded, zeros, sizeof(zeros));
	bytes_add(&padded, "garbage", 7);
	gzip_member(&input, padded.data, padded.length);
	digests_match(&input, &padded, __LINE__);
	bytes_free(&input);
	bytes_free(&padded);
}

static void fails(const struct bytes *input, const char *step, int line)
{
	struct run run;
	run_layer(&run, input, NULL, NULL);
	unpack_check(run_failed(&run, step, NULL), __FILE__, line, step);
	run_clean(&run);
}

static void damage(const struct bytes *tar)
{
	struct bytes input = { 0 }, nothing = { 0 }, empty = { 0 };
	struct run run;

	fails(&nothing, "read", __LINE__);
	tar_end(&empty);
	run_layer(&run, &empty, NULL, NULL);
	CHECK(run_succeeded(&run));
	run_clean(&run);
	bytes_free(&empty);

	bytes_add(&input, "this is no archive at all", 25);
	fails(&input, "archive", __LINE__);
	bytes_free(&input);
	gzip_member(&input, "neither is this, but it is compressed", 37);
	fails(&input, "archive", __LINE__);
	bytes_free(&input);

	gzip_member(&input, tar->data, tar->length);
	size_t whole = input.length;
	input.length = whole - 3; /* within the trailer: every byte of tar is there */
	fails(&input, "decompress", __LINE__);
	input.length = whole / 2;
	fails(&input, "decompress", __LINE__);
	input.length = 5;
	fails(&input, "decompress", __LINE__);
	input.length = whole;
	input.data[whole - 6] ^= 1; /* the checksum */
	fails(&input, "decompress", __LINE__);
	bytes_free(&input);

	zstd_frame(&input, tar->data, tar->length);
	input.length -= 100;
	fails(&input, "decompress", __LINE__);
	bytes_free(&input);

	bytes_add(&input, tar->data, 400000); /* a plain tar, cut within a file */
	fails(&input, "archive", __LINE__);
	bytes_free(&input);
}

static void removing(void)
{
	char top[] = "/tmp/berth-unpack-remove-XXXXXX", path[128];
	struct run run;

	if (mkdtemp(top) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/keep", top);
	int keep = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	snprintf(path, sizeof(path), "%s/tree", top);
	CHECK(keep >= 0 && mkdir(path, 0700) == 0);
	/* Deeper than any path or descriptor table reaches. */
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 5000 && fd >= 0; i++) {
		CHECK(mkdirat(fd, "d", 0700) == 0 && symlinkat("../keep", fd, "l") == 0 && symlinkat(top, fd, "m") == 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	run_command(&run, "sync", path);
	CHECK(run.status == 0);
	run_command(&run, "remove", path);
	CHECK(run.status == 0 && access(path, F_OK) < 0);
	run_command(&run, "remove", path); /* what is gone is removed */
	CHECK(run.status == 0);
	/* A symlink is removed, not followed. */
	CHECK(symlink(top, path) == 0);
	run_command(&run, "remove", path);
	CHECK(run.status == 0 && access(path, F_OK) < 0);
	snprintf(path, sizeof(path), "%s/keep", top);
	CHECK(unlink(path) == 0 && rmdir(top) == 0);
	close(keep);
	run_command(&run, "sync", path);
	CHECK(run_failed(&run, "sync", path));
	run_command(&run, "remove", "/");
	CHECK(run_failed(&run, "args", "/"));
}

static void arguments(const struct bytes *tar)
{
	struct run run;

	run_layer(&run, tar, "--max-bytes", "-1");
	CHECK(run_failed(&run, "args", "--max-bytes"));
	struct run second;
	close(open(in_dest(&run, "occupied"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	run_layer(&second, tar, "--dest", run.dest);
	CHECK(run_failed(&second, "args", run.dest) && strstr(second.output, "not empty") != NULL);
	run_clean(&second);
	char gone[64];
	snprintf(gone, sizeof(gone), "%s", run.dest);
	run_clean(&run);
	run_layer(&run, tar, "--dest", gone);
	CHECK(run_failed(&run, "args", gone));
	run_clean(&run);
	run_layer(&run, tar, "--dest", "/proc/self");
	CHECK(run_failed(&run, "args", "/proc/self"));
	run_clean(&run);
	run_command(&run, "nonsense", "x");
	CHECK(run_failed(&run, "args", "nonsense"));
}

int main(void)
{
	struct bytes tar = { 0 };

	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	sample(&tar);
	forms(&tar);
	damage(&tar);
	removing();
	arguments(&tar);
	bytes_free(&tar);
	return unpack_finish();
}
