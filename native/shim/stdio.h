/* A process's standard streams: pipes, or a terminal. */
#ifndef BERTH_SHIM_STDIO_H
#define BERTH_SHIM_STDIO_H

#include <stdbool.h>
#include <sys/types.h>

#include "../common/error.h"

struct stdio {
	bool terminal;
	int child[3];  /* the process's side; with a terminal child[0] is the slave, the others are -1 */
	int in;        /* the shim's side, non-blocking; -1: none. With a terminal all ends of the master. */
	int out;
	int err;
};

void stdio_init(struct stdio *stdio);
/*
 * Makes the streams. Without `with_stdin` the process reads /dev/null. `ptmx` is the multiplexer to make the
 * terminal from; it is taken over.
 */
int stdio_open(struct stdio *stdio, bool terminal, bool with_stdin, int ptmx, struct error *err);
/* The host's terminal multiplexer. */
int stdio_host_ptmx(struct error *err);
/* The container's own, so that the terminal has a name there; the host's when it has none. */
int stdio_container_ptmx(pid_t init, struct error *err);
/* Gives the streams to the process's user, so that it can open /dev/stdout and its terminal again. */
void stdio_own(const struct stdio *stdio, uid_t uid, gid_t gid);
/* In the child: descriptors 0 to 2, and the controlling terminal. Returns -errno on failure. */
int stdio_install(const int child[3], bool terminal);
int stdio_resize(int terminal, unsigned short columns, unsigned short rows);
void stdio_close_child(struct stdio *stdio);
void stdio_close(struct stdio *stdio);

#endif
