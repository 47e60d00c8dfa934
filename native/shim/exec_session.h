/* One exec into the running container, and the connection that carries it. */
#ifndef BERTH_SHIM_EXEC_SESSION_H
#define BERTH_SHIM_EXEC_SESSION_H

#include "shim.h"

/* Starts it; the reply follows from the loop. */
int exec_begin(struct client *client, uint32_t id, const json_t *object, struct error *err);
void exec_input(struct exec_session *exec, const struct frame *frame);
void exec_resize(struct exec_session *exec, unsigned short columns, unsigned short rows);
/* The client takes output again. */
void exec_resume(struct exec_session *exec);
/* The connection is closed: all processes of the exec are killed. */
void exec_disconnected(struct exec_session *exec);
/* The container has ended: kills what is left of every exec and stops waiting for slow readers. */
void exec_abandon_all(struct shim *shim);
/* Frees every exec, as none is waited for any longer. */
void exec_forget_all(struct shim *shim);

#endif
