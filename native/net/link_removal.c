#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/scope.h"
#include "link.h"

/*
 * Deleting an interface takes some 20 ms, most of them after it is gone: the kernel takes it out of its
 * lists under the RTNL lock and then, without the lock, waits for all RCU callbacks (netdev_run_todo,
 * rcu_barrier) before it frees the memory. Only the process that asked has to wait for that. So a child
 * asks, and this process is done as soon as the interface cannot be seen any more.
 */

/* The child holds nothing that the caller of the plugin waits for, least of all its standard output. */
static void delete_and_exit(const char *name, struct nl_batch *batch, int report)
{
	struct error err = { 0 };

	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	signal(SIGPIPE, SIG_IGN);
	/* A socket of its own: on the parent's, the answers would mix. */
	int socket = nl_open(NETLINK_ROUTE, &err);
	int result = socket < 0 ? socket : link_delete(socket, batch, name, &err);
	if (result < 0 && write(report, &err, sizeof(err)) < 0)
		_exit(2);
	_exit(result < 0 ? 1 : 0);
}

/* 1: the child has ended, with its failure in `err` if it had one. */
static int child_ended(pid_t child, int report, int *result, struct error *err)
{
	int status;

	if (waitpid(child, &status, WNOHANG) != child)
		return 0;
	*result = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 1;
	*result = read(report, err, sizeof(*err)) == (ssize_t)sizeof(*err)
		? -(err->code > 0 ? err->code : EIO)
		: error_set(err, EIO, "network", "", "the process that deletes the interface failed");
	return 1;
}

int link_remove(int socket, struct nl_batch *batch, const char *name, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };
	struct link link;
	int ends[2], result = link_find(socket, batch, name, &link, err);

	if (result < 0 || !link.found)
		return result;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return link_delete(socket, batch, name, err);
	scope_fd int report = ends[0];
	pid_t child = fork();
	if (child == 0)
		delete_and_exit(name, batch, ends[1]);
	close(ends[1]);
	if (child < 0)
		return link_delete(socket, batch, name, err);
	while (child_ended(child, report, &result, err) == 0) {
		/* Waits for the RTNL lock by itself while the deletion has it. */
		result = link_find(socket, batch, name, &link, err);
		if (result < 0 || !link.found)
			return result;
		nanosleep(&pause, NULL);
	}
	return result;
}
