/* The content of a regular file, sparse or not. */
#ifndef BERTH_UNPACK_CONTENT_H
#define BERTH_UNPACK_CONTENT_H

#include <stdint.h>

#include "../common/error.h"

struct archive;

/* Writes the current entry's data; what the archive leaves out stays a hole. */
int content_write(struct archive *archive, int64_t size, int fd, const char *path, struct error *err);

/* Turns libarchive's last failure into ours. */
int content_archive_error(struct archive *archive, const char *path, struct error *err);

#endif
