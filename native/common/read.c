#include "read.h"

#include <errno.h>
#include <unistd.h>

int read_exactly(int fd, void *out, size_t size)
{
	char *bytes = out;

	while (size > 0) {
		ssize_t got = read(fd, bytes, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		bytes += got;
		size -= (size_t)got;
	}
	return 0;
}
