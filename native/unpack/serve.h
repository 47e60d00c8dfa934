/*
 * One process that starts the others, because berthd is large and to fork it takes long, and because a process that
 * is forked from this one has its libraries loaded and set up.
 *
 * It listens at a path. What comes on a connection: the length of the arguments (4 bytes, big-endian), the arguments,
 * each ending in NUL, and the input. What goes back: the job's number and a newline, what the command prints, and,
 * when it has ended, "exit CODE\n" or "signal NUMBER\n"; then whoever asked is to close the connection. A line with a
 * job's number on standard input kills that job, as does a connection that is closed before. The end of standard input
 * ends the server, and with it every job.
 */
#ifndef BERTH_UNPACK_SERVE_H
#define BERTH_UNPACK_SERVE_H

#include "../common/error.h"

/* Carries out a command line on standard input and output, and returns the exit status. */
typedef int (*serve_command)(int count, char **arguments);

/* Reports once that it listens. Returns at the end of standard input, or a failure. */
int serve(const char *path, serve_command command, struct error *err);

#endif
