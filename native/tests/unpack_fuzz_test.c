/*
 * Damaged and made-up layers for the whole way from the compressed stream to the tree and back, without the
 * confinement around it: whatever comes, the unpacker succeeds or reports, within bounds, and nothing outside its
 * directory changes. See fuzz_guide.h.
 */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../unpack/layer.h"
#include "../unpack/pack.h"
#include "../unpack/remove.h"
#include "fuzz_guide.h"
#include "fuzz_tar.h"

static char top[] = "/tmp/berth-unpack-fuzz-XXXXXX";

/* Each archive as it is, in gzip and in zstd. */
static bool seed(unsigned int number, struct bytes *input)
{
	struct bytes tar = { 0 };

	if (!fuzz_tar_seed(number / 3, &tar))
		return false;
	if (number % 3 == 0)
		bytes_add(input, tar.data, tar.length);
	else if (number % 3 == 1)
		gzip_member(input, tar.data, tar.length);
	else
		zstd_frame(input, tar.data, tar.length);
	bytes_free(&tar);
	return true;
}

/* A success has its outcome in it; a failure says where and what. */
static bool reported(int status, const struct error *err)
{
	return status == 0 ? err->step[0] == '\0' : status < 0 && err->step[0] != '\0' && err->message[0] != '\0';
}

static bool pack_again(int tree, int skeleton, uint64_t tar_bytes)
{
	struct error err = { 0 };
	struct stat packed;
	scope_fd int output = memfd_create("tar", MFD_CLOEXEC);
	int status = pack(tree, skeleton, output, &err);

	if (output < 0 || !reported(status, &err) || fstat(output, &packed) < 0)
		return false;
	/* A path twice makes another tar, but never one of another length. */
	return status < 0 || (uint64_t)packed.st_size == tar_bytes;
}

/* After a failure the reading thread stays, so a process takes a few of these. */
static bool unpack(const struct bytes *input)
{
	const struct layer_limits limits = {
		.stream = { .max_bytes = 1 << 20, .max_ratio = 1000 }, .max_entries = 500, .max_path = 4095, .max_memory = 64 << 20,
	};
	struct layer_result result;
	struct error err = { 0 };
	/* Never closed: the thread may still read from it, and is not to read from whatever gets its number. */
	int fd = memfd_create("layer", MFD_CLOEXEC);
	scope_fd int skeleton = memfd_create("skeleton", MFD_CLOEXEC);
	/* An entry may have moved the working directory. */
	if (chdir(top) < 0)
		return false;
	int root = open("layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scope_fd int tree = open("layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || skeleton < 0 || tree < 0 || write(fd, input->data, input->length) != (ssize_t)input->length || lseek(fd, 0, SEEK_SET) != 0)
		return false;
	umask(0);
	int status = layer_unpack(fd, root, skeleton, &limits, &result, &err);
	if (!reported(status, &err))
		return false;
	if (status < 0)
		return true;
	return result.figures.inodes <= limits.max_entries + 1 && result.totals.input_bytes == input->length &&
	       (result.skeleton_bytes == 0 || pack_again(tree, skeleton, result.totals.tar_bytes));
}

static bool outside_is_untouched(void)
{
	char text[16] = "";
	struct stat status;
	int fd = open("victim", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return length == 9 && strcmp(text, "untouched") == 0 && stat("victim", &status) == 0 && status.st_nlink == 1 &&
	       status.st_mode == (S_IFREG | 0600);
}

static bool before(void)
{
	return mkdir("layer", 0700) == 0;
}

static bool after(void)
{
	struct error err = { 0 };

	return remove_tree("layer", &err) == 0 && outside_is_untouched();
}

int main(void)
{
	const struct fuzz_target target = {
		.name = "layer", .seed = seed, .change = fuzz_tar_change, .mend = fuzz_tar_mend, .run = unpack, .together = 20,
		.before = before, .after = after,
	};

	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	if (mkdtemp(top) == NULL || chdir(top) < 0)
		return 1;
	int fd = open("victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "untouched", 9) != 9 || close(fd) < 0)
		return 1;
	CHECK(fuzz(&target));
	CHECK(unlink("victim") == 0 && chdir("/") == 0 && rmdir(top) == 0);
	return unpack_finish();
}
