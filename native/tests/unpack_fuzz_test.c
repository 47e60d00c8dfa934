/*
 * Damaged and made-up layers for the whole way from the compressed stream to the tree, without the confinement
 * around it: whatever comes, the unpacker succeeds or reports, within bounds, and nothing outside its directory
 * changes. Each layer has a process of its own. BERTH_FUZZ_SECONDS bounds the run, BERTH_FUZZ_SEED repeats one.
 */
#include "unpack_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../unpack/layer.h"
#include "../unpack/remove.h"

#define DEFAULT_SECONDS 8
#define BLOCK 512

static char top[] = "/tmp/berth-unpack-fuzz-XXXXXX";
static uint64_t state;

static uint32_t number(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below == 0 ? 0 : (uint32_t)(state >> 16) % below;
}

/* Every kind of entry, with long names, attributes, sparse files, whiteouts and links. */
static void plain_seed(struct bytes *tar)
{
	tar_add(tar, &(struct header){ .name = "./", .type = '5', .mode = 0755 });
	tar_add(tar, DIR_ENTRY("usr"));
	tar_add(tar, FILE_ENTRY("usr/file", "some content of a file"));
	tar_add(tar, LINK_ENTRY("lib", '2', "usr/lib"));
	tar_add(tar, FILE_ENTRY("lib/through", "x"));
	tar_add(tar, LINK_ENTRY("absolute", '2', "/usr"));
	tar_add(tar, FILE_ENTRY("absolute/below", "x"));
	tar_add(tar, LINK_ENTRY("hard", '1', "usr/file"));
	tar_pax(tar, "mtime", "1234.5", 0);
	tar_add(tar, &(struct header){ .name = "suid", .type = '0', .mode = 04755, .uid = 1000, .content = "x" });
	tar_pax(tar, "SCHILY.xattr.user.key", "value", 0);
	tar_add(tar, FILE_ENTRY("attributes", "x"));
	tar_pax(tar, "SCHILY.acl.access", "user::rwx,user:1000:r--,group::r--,mask::r--,other::---", 0);
	tar_add(tar, FILE_ENTRY("acl", "x"));
	tar_pax(tar, "GNU.sparse.major", "1", 0);
	tar_add(tar, FILE_ENTRY("sparse", "1\n0\n5\n"));
	tar_add(tar, FILE_ENTRY("deep/er/and/deep/er/file", "x"));
	tar_add(tar, FILE_ENTRY("deep/.wh.gone", ""));
	tar_add(tar, FILE_ENTRY("deep/.wh..wh..opq", ""));
	tar_add(tar, &(struct header){ .name = "device", .type = '3', .mode = 0666 });
	tar_add(tar, &(struct header){ .name = "fifo", .type = '6', .mode = 0600 });
	tar_add(tar, &(struct header){ .name = "././@LongLink", .type = 'L', .content = "a-name-that-is-told-by-an-entry-of-its-own" });
	tar_add(tar, FILE_ENTRY("short", "x"));
	tar_add(tar, FILE_ENTRY("usr", "a file in the place of a directory"));
	tar_end(tar);
}

/* Without this nearly every change ends at the header's own sum. */
static void mend_sums(struct bytes *tar)
{
	for (size_t at = 0; at + BLOCK <= tar->length; at += BLOCK) {
		unsigned char *block = (unsigned char *)tar->data + at;
		unsigned int sum = 0;

		if (memcmp(block + 257, "ustar", 5) != 0)
			continue;
		memset(block + 148, ' ', 8);
		for (int i = 0; i < BLOCK; i++)
			sum += block[i];
		snprintf((char *)block + 148, 8, "%06o", sum & 0777777);
	}
}

static void mutate(struct bytes *input)
{
	static const unsigned char odd[] = { 0, 1, '/', '.', '0', '7', '8', '9', 0x7f, 0x80, 0xff, ' ', '\n', '=', '5', '1', '2' };

	for (uint32_t changes = 1 + number(12); changes > 0 && input->length > BLOCK; changes--) {
		uint32_t at = number((uint32_t)input->length);
		uint32_t length = 1 + number(number(4) == 0 ? 600 : 12);

		if (at + length > input->length)
			length = (uint32_t)input->length - at;
		switch (number(6)) {
		case 0:
			input->data[at] ^= (char)(1u << number(8));
			break;
		case 1:
			input->data[at] = (char)odd[number(sizeof(odd))];
			break;
		case 2:
			memset(input->data + at, odd[number(sizeof(odd))], length);
			break;
		case 3:
			memmove(input->data + number((uint32_t)input->length - length + 1), input->data + at, length);
			break;
		case 4: /* whole blocks change places */
			at -= at % BLOCK;
			if (at + BLOCK <= input->length)
				memmove(input->data + number((uint32_t)(input->length / BLOCK)) * BLOCK, input->data + at, BLOCK);
			break;
		default:
			if (number(8) == 0)
				input->length -= number((uint32_t)input->length - BLOCK);
		}
	}
}

static void pack(struct bytes *input, uint32_t how)
{
	struct bytes packed = { 0 };

	if (how == 0)
		return;
	if (how == 1)
		gzip_member(&packed, input->data, input->length);
	else
		zstd_frame(&packed, input->data, input->length);
	bytes_free(input);
	*input = packed;
}

/* In a child: a crash or a report of a sanitizer is its end, and the reading thread goes with it. */
static void unpack(const struct bytes *input)
{
	const struct layer_limits limits = {
		.stream = { .max_bytes = 1 << 20, .max_ratio = 1000 }, .max_entries = 500, .max_path = 4095,
	};
	struct layer_result result;
	struct error err = { 0 };
	int fd = memfd_create("layer", MFD_CLOEXEC);
	int root = open("layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || root < 0 || write(fd, input->data, input->length) != (ssize_t)input->length || lseek(fd, 0, SEEK_SET) != 0)
		_exit(99);
	alarm(20);
	int status = layer_unpack(fd, root, -1, &limits, &result, &err);
	_exit(status == 0 ? 0 : err.step[0] != '\0' && err.code != 0 ? 1 : 98);
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

static bool one(uint64_t seed)
{
	struct bytes input = { 0 };
	struct error err = { 0 };
	int status = 0;

	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	plain_seed(&input);
	mutate(&input);
	if (number(8) != 0)
		mend_sums(&input);
	pack(&input, number(4));
	/* And now and then what holds the archive. */
	if (number(5) == 0)
		mutate(&input);
	if (mkdir("layer", 0700) < 0)
		return false;
	pid_t child = fork();
	if (child == 0)
		unpack(&input);
	bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) <= 1;
	bytes_free(&input);
	bool removed = remove_tree("layer", &err) == 0;
	if (!ended || !removed || !outside_is_untouched())
		printf("seed %llu: wait status %x, removed %d\n", (unsigned long long)seed, (unsigned int)status, removed);
	return ended && removed && outside_is_untouched();
}

int main(void)
{
	const char *seconds = getenv("BERTH_FUZZ_SECONDS");
	const char *only = getenv("BERTH_FUZZ_SEED");
	time_t end = time(NULL) + (seconds == NULL ? DEFAULT_SECONDS : atoi(seconds));
	uint64_t seed = only == NULL ? (uint64_t)time(NULL) * 1000 : strtoull(only, NULL, 10);
	unsigned int rounds = 0;
	bool good = true;

	if (geteuid() != 0) {
		printf("skipped: needs root\n");
		return 77;
	}
	if (mkdtemp(top) == NULL || chdir(top) < 0)
		return 1;
	int fd = open("victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "untouched", 9) != 9 || close(fd) < 0)
		return 1;
	for (; good && (rounds == 0 || (only == NULL && time(NULL) < end)); rounds++)
		good = one(seed++);
	printf("%u layers\n", rounds);
	CHECK(good);
	CHECK(unlink("victim") == 0 && chdir("/") == 0 && rmdir(top) == 0);
	return unpack_finish();
}
