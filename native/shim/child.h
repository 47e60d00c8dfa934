/* What the container's first process and an exec have in common while they are still the shim's own code. */
#ifndef BERTH_SHIM_CHILD_H
#define BERTH_SHIM_CHILD_H

#include <limits.h>

#include "../common/error.h"
#include "setup.h"
#include "stdio.h"

/* What a child tells through its report pipe. End of file there means that the program has taken over. */
struct report {
	bool failed;
	struct error err;
	struct setup_result result;
};

/* The pipe takes it in one piece, so a reader finds all of it or nothing. */
_Static_assert(sizeof(struct report) <= PIPE_BUF, "a report must fit PIPE_BUF");

struct child_pipe {
	int reader, writer;
};

int child_pipe_open(struct child_pipe *pipe, bool reader_nonblocking, struct error *err);
void child_pipe_close(struct child_pipe *pipe);

/*
 * The first steps in the child: signals, session, standard streams, other descriptors closed but for the
 * `count` in `keep`, which are moved (see spawn_keep_descriptors). Reports through keep[0] and exits when it
 * cannot.
 */
void child_enter(const struct stdio *stdio, int *keep, int count, const struct bundle *bundle);
void child_report(int fd, const struct report *report);
/* Reports the failure and exits as shells do: 127 when there is no such program, 126 otherwise. */
__attribute__((noreturn)) void child_fail(int fd, const struct error *err);

int child_set_oom_score(const struct bundle *bundle, struct error *err);

enum report_kind { REPORT_NONE, REPORT_GOT, REPORT_END };
enum report_kind child_read_report(int fd, struct report *report);

/* How a process ended, as waitid tells it: exit code, or 128 + signal and the signal. */
bool child_wait(int pidfd, int *exit_code, int *signal);
/* The same, waiting for the end. */
void child_await(int pidfd, int *exit_code, int *signal);

#endif
