/* Containers under a real launcher and shim, for the tests of the supervision. */
#ifndef BERTH_TESTS_SHIM_SUPPORT_H
#define BERTH_TESTS_SHIM_SUPPORT_H

#include "peer.h"
#include "setup_support.h"

#define CONTAINER_ID "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

struct world {
	struct setup_fixture fixture;
	struct peer launcher;
	pid_t launcher_pid;
	char base_cgroup[200], cgroup[232];
	char state[96], log[96];
	unsigned count;
	pid_t shim_pid;          /* of the last container */
};

/* Ends the test as skipped where there is no root or cgroup v2. */
void world_begin(struct world *world);
void world_end(struct world *world);

struct launch {
	const char *script;      /* for /bin/sh -c */
	const char *args;        /* or a JSON array */
	const char *namespaces;  /* JSON array; NULL: all of its own */
	const char *process;     /* as in setup_case */
	const char *linux_members;
	const char *top;
	bool terminal, with_stdin, stdin_once;
};

/* Creates a container in a fresh cgroup, connects and subscribes; waits until it is created or failed. */
void world_create(struct world *world, const struct launch *launch, struct peer *shim, struct message *state);
/* The same, and starts it. */
void world_run(struct world *world, const struct launch *launch, struct peer *shim);
/* Kills all of it and waits for the end. Checks that cgroup and socket are free. */
void world_kill(struct world *world, struct peer *shim);
/* Reads events up to the last one (exited or failed) and the connection's end; leaves it in `last`. */
void await_end(struct peer *shim, struct message *last);
/* The end of the shim has left nothing in the cgroup. */
void world_check_gone(struct world *world);
/* The content of status.json as the message's JSON. */
void world_status(const struct world *world, struct message *status);
bool world_log_has(const struct world *world, const char *text);
/* How many processes the cgroup at this path below the container's holds. */
int world_processes(const struct world *world, const char *below);

struct execution {
	const char *args;        /* JSON array */
	bool terminal, with_stdin;
	int columns, rows;
};

/* Starts one on this connection; false, with the ERROR in `reply`, when it was refused. */
bool exec_send(struct peer *shim, const struct execution *what, uint32_t *id, struct message *reply);
/* Takes everything up to EXIT. */
struct exec_result {
	int exit_code, signal;
	size_t out_size, err_size;
	int out_ends, err_ends;
	char out[4096];          /* its beginning */
};
void exec_collect(struct peer *shim, uint32_t id, struct exec_result *result);

#endif
