/*
 * The parts that read a tar for its skeleton, and a skeleton for its tar. A tar is cut into the same parts however
 * it arrives, and a skeleton of any records makes a tar or a report. See fuzz_guide.h.
 */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "../common/scope.h"
#include "../unpack/pack.h"
#include "../unpack/skeleton.h"
#include "../unpack/tar_walk.h"
#include "fuzz_guide.h"
#include "fuzz_tar.h"

static char top[] = "/tmp/berth-skeleton-fuzz-XXXXXX";

/* What each byte is: of a content or not, and whether one begins there, and how long it is said to be. */
static void classify(const struct bytes *tar, uint32_t most, uint8_t *kinds, uint64_t *sizes)
{
	static struct tar_walk walk;
	size_t at = 0;

	memset(&walk, 0, sizeof(walk));
	while (at < tar->length) {
		struct tar_span span;
		size_t part = 1 + fuzz_number(most);
		if (part > tar->length - at)
			part = tar->length - at;
		tar_walk(&walk, tar->data + at, part, &span);
		if (span.length == 0 || span.length > part)
			abort();
		memset(kinds + at, span.content, span.length);
		if (span.content && span.begins) {
			kinds[at] = 2;
			sizes[at] = span.size;
		}
		at += span.length;
	}
}

static bool walk_in_parts(const struct bytes *tar)
{
	uint8_t *kinds[2] = { calloc(1, tar->length + 1), calloc(1, tar->length + 1) };
	uint64_t *sizes[2] = { calloc(tar->length + 1, 8), calloc(tar->length + 1, 8) };

	if (kinds[0] == NULL || kinds[1] == NULL || sizes[0] == NULL || sizes[1] == NULL)
		return false;
	classify(tar, FUZZ_INPUT_MAX, kinds[0], sizes[0]);
	classify(tar, 1 + fuzz_number(700), kinds[1], sizes[1]);
	bool same = memcmp(kinds[0], kinds[1], tar->length) == 0 && memcmp(sizes[0], sizes[1], tar->length * sizeof(uint64_t)) == 0;
	for (int i = 0; i < 2; i++) {
		free(kinds[i]);
		free(sizes[i]);
	}
	return same;
}

static void record(struct bytes *input, char type, unsigned int width, uint64_t length, const char *text)
{
	bytes_add(input, &type, 1);
	while (width > 0) {
		uint8_t byte = (uint8_t)(length >> (8 * --width));
		bytes_add(input, &byte, 1);
	}
	bytes_add(input, text, strlen(text));
}

static bool seed_records(unsigned int number, struct bytes *input)
{
	if (number > 2)
		return false;
	record(input, 'R', 4, 6, "before");
	if (number > 0) {
		record(input, 'G', 8, 9, "");
		record(input, 'P', 4, 4, "file");
		record(input, 'R', 4, 7, "between");
		record(input, 'P', 4, 9, "link/file");
	}
	if (number > 1)
		record(input, 'G', 8, 9, "");
	record(input, 'E', 0, 0, "");
	return true;
}

static bool pack_records(const struct bytes *input)
{
	struct bytes whole = { 0 };
	struct error err = { 0 };
	scope_fd int skeleton = memfd_create("skeleton", MFD_CLOEXEC);
	scope_fd int output = memfd_create("tar", MFD_CLOEXEC);
	scope_fd int tree = open("tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t room = ZSTD_compressBound(input->length + SKELETON_MAGIC_SIZE);
	scope_free char *packed = malloc(room);

	bytes_add(&whole, SKELETON_MAGIC, SKELETON_MAGIC_SIZE);
	bytes_add(&whole, input->data, input->length);
	if (skeleton < 0 || output < 0 || tree < 0 || packed == NULL)
		return false;
	size_t length = ZSTD_compress(packed, room, whole.data, whole.length, 1);
	if (ZSTD_isError(length) || write(skeleton, packed, length) != (ssize_t)length)
		return false;
	int status = pack(tree, skeleton, output, &err);
	bytes_free(&whole);
	return status == 0 || (status < 0 && err.step[0] != '\0' && err.message[0] != '\0');
}

static bool make_tree(void)
{
	if (mkdir("tree", 0700) < 0 || symlink("/", "tree/link") < 0 || mkfifo("tree/fifo", 0600) < 0)
		return false;
	int fd = open("tree/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool written = fd >= 0 && write(fd, "123456789", 9) == 9;
	close(fd);
	return written;
}

int main(void)
{
	const struct fuzz_target walk = {
		.name = "tar-walk", .seed = fuzz_tar_seed, .change = fuzz_tar_change, .mend = fuzz_tar_mend, .run = walk_in_parts,
		.together = 10000,
	};
	const struct fuzz_target records = { .name = "skeleton", .seed = seed_records, .run = pack_records, .together = 1000 };

	if (mkdtemp(top) == NULL || chdir(top) < 0 || !make_tree())
		return 1;
	CHECK(fuzz(&walk));
	CHECK(fuzz(&records));
	CHECK(unlink("tree/file") == 0 && unlink("tree/link") == 0 && unlink("tree/fifo") == 0 && rmdir("tree") == 0);
	CHECK(chdir("/") == 0 && rmdir(top) == 0);
	return unpack_finish();
}
