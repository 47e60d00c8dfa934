#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/read.h"
#include "../common/scope.h"
#include "../common/seccomp_filter.h"

int seccomp_read_from(int fd, const char *name, struct arena *arena, const struct seccomp_filter **out, struct error *err)
{
	struct seccomp_filter_header header;
	struct seccomp_filter *filter;
	size_t size;
	struct stat st;
	int ret = read_exactly(fd, &header, sizeof(header));

	if (ret < 0 || memcmp(header.magic, SECCOMP_FILTER_MAGIC, sizeof(header.magic)) != 0)
		return error_set(err, EINVAL, "seccomp", name, "not a compiled filter");
	size = header.length * sizeof(struct sock_filter);
	if (header.length == 0 || header.length > BPF_MAXINSNS || fstat(fd, &st) < 0 ||
	    st.st_size != (off_t)(sizeof(header) + size))
		return error_set(err, EINVAL, "seccomp", name, "a compiled filter of the wrong size");
	filter = arena_alloc(arena, sizeof(*filter));
	if (filter == NULL || (filter->instructions = arena_alloc(arena, size)) == NULL)
		return error_set(err, ENOMEM, "seccomp", name, "no memory for the filter");
	ret = read_exactly(fd, filter->instructions, size);
	if (ret < 0)
		return error_set(err, -ret, "seccomp", name, "cannot read the filter: %s", strerror(-ret));
	filter->flags = header.flags;
	filter->length = (unsigned short)header.length;
	*out = filter;
	return 0;
}

int seccomp_read(const char *path, struct arena *arena, const struct seccomp_filter **out, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? error_errno(err, "seccomp", path, "cannot open the filter") :
			seccomp_read_from(fd, path, arena, out, err);
}

int seccomp_load(const struct seccomp_filter *filter, struct error *err)
{
	const struct sock_fprog program = { .len = filter->length, .filter = filter->instructions };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program) == 0)
		return 0;
	if (errno == EACCES)
		return error_set(err, EACCES, "seccomp", "", "a filter takes no_new_privs, or CAP_SYS_ADMIN for Berth itself");
	return error_errno(err, "seccomp", "", "the kernel refuses the filter");
}
