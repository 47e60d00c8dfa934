#include "listen.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../common/scope.h"

int listen_in(int directory, const char *name, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	scope_fd int fd = -1;
	int length;

	/* Through the descriptor: a socket path holds 107 bytes, and a state directory may be longer. */
	length = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, "bundle", name, "the socket's name is too long");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(err, "bundle", name, "socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(err, "bundle", name, "binding the control socket");
	if (listen(fd, SOMAXCONN) < 0)
		return error_errno(err, "bundle", name, "listen");
	return take_fd(&fd);
}
