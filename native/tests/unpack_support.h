/* Archives made byte by byte, hostile ones included, and runs of berth-unpack on them. */
#ifndef BERTH_TESTS_UNPACK_SUPPORT_H
#define BERTH_TESTS_UNPACK_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A failed check is printed and remembered; unpack_finish() turns it into the exit status. */
#define CHECK(condition) unpack_check((condition), __FILE__, __LINE__, #condition)
bool unpack_check(bool condition, const char *file, int line, const char *text);
int unpack_finish(void);

struct bytes {
	uint8_t *data;
	size_t length;
	size_t room;
};

void bytes_add(struct bytes *bytes, const void *data, size_t length);
void bytes_free(struct bytes *bytes);

struct header {
	const char *name;
	char type; /* '0' file, '1' hard link, '2' symlink, '3' character, '4' block, '5' directory, '6' fifo */
	unsigned int mode;
	uint32_t uid;
	uint32_t gid;
	unsigned int mtime;
	const char *link;
	unsigned int major;
	unsigned int minor;
	const char *content; /* text; size from its length */
};

void tar_add(struct bytes *tar, const struct header *header);
/* A PAX header for the next entry; `value` is text unless `length` says otherwise (0: its length). */
void tar_pax(struct bytes *tar, const char *key, const void *value, size_t length);
void tar_end(struct bytes *tar);

#define FILE_ENTRY(n, text) (&(struct header){ .name = (n), .type = '0', .mode = 0644, .content = (text) })
#define DIR_ENTRY(n) (&(struct header){ .name = (n), .type = '5', .mode = 0755 })
#define LINK_ENTRY(n, kind, target) (&(struct header){ .name = (n), .type = (kind), .mode = 0777, .link = (target) })

void gzip_member(struct bytes *out, const void *data, size_t length);
void zstd_frame(struct bytes *out, const void *data, size_t length);
/* `blocks` times 128 KiB of zeros, in four bytes each. */
void zstd_bomb(struct bytes *out, size_t blocks);

struct run {
	char parent[48];
	char dest[64];
	int status; /* exit status, or -1 */
	char output[4096];
};

/* Runs `berth-unpack layer` on the input in a fresh directory. `option` and `value` may be NULL. */
void run_layer(struct run *run, const struct bytes *input, const char *option, const char *value);
/* Runs berth-unpack with one command and its argument. */
void run_command(struct run *run, const char *command, const char *argument);
/* The same with a whole list of arguments, NULL-terminated. */
void run_arguments(struct run *run, const char *const *arguments);
/* Whether the run failed in this step and names this path (NULL: any). */
bool run_failed(const struct run *run, const char *step, const char *path);
bool run_succeeded(const struct run *run);
/* A field of the result's JSON, as text without quotes. */
void run_field(const struct run *run, const char *name, char *value, size_t size);
/* Path below the destination, in one of four static buffers. */
const char *in_dest(const struct run *run, const char *path);
bool content_is(const char *path, const char *text);
void sha256_of(const struct bytes *bytes, char *text, size_t size);
void run_clean(struct run *run);

#endif
