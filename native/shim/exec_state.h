/* The insides of an exec, shared by its launching (exec_launch.c) and its running (exec_session.c). */
#ifndef BERTH_SHIM_EXEC_STATE_H
#define BERTH_SHIM_EXEC_STATE_H

#include "exec_session.h"
#include "leaf.h"

struct exec_session {
	struct exec_session *next;
	struct shim *shim;
	struct client *client;   /* NULL once disconnected or refused */
	uint32_t id;
	pid_t pid;
	int leaf;                /* its cgroup, -1: none */
	char leaf_name[LEAF_NAME_SIZE];
	struct watch exit;       /* pidfd */
	struct watch report;
	struct stdio stdio;
	struct stream out, err;
	struct input in;
	struct timer drain;
	bool gone;
	bool killed;             /* its whole leaf was */
	int exit_code, signal;
};

/* A session with nothing open yet, linked to its client and shim; NULL when memory is out. */
struct exec_session *exec_new(struct client *client, uint32_t id);
void exec_free(struct exec_session *exec);
/* Hands the streams and pipes to the loop. */
int exec_watch(struct exec_session *exec);
void exec_kill(struct exec_session *exec);

#endif
