/* One container's supervisor: what its parts share, and what each part offers the others. */
#ifndef BERTH_SHIM_SHIM_H
#define BERTH_SHIM_SHIM_H

#include "../common/channel.h"
#include "../common/idmap.h"
#include "hooks.h"
#include "input.h"
#include "log.h"
#include "setup.h"
#include "status.h"
#include "stdio.h"
#include "stream.h"

struct exec_session;
struct shim;

/* A connection. One that carries an EXEC or ATTACH serves nothing else until that is over. */
struct client {
	struct channel channel;
	struct client *next;
	struct shim *shim;
	bool served;            /* it has asked for something and got a reply */
	bool subscribed;
	uint32_t subscription;
	struct exec_session *exec;
	bool attached, wants_stdin, wants_stdout, wants_stderr;
	uint32_t attachment;
};

/* The container's first process. */
struct init {
	struct shim *shim;
	pid_t pid;
	struct watch exit;     /* the pidfd; open until the shim ends, for signals */
	struct watch report;   /* the set-up's result, then end of file when the program has taken over */
	int start;             /* writing a byte lets it execute; -1 afterwards */
	struct watch builder;  /* the pidfd of the process that builds the root of one in a user namespace */
	struct idmaps *maps;   /* of its user namespace, or NULL */
	bool gone;
	struct stdio stdio;
	struct stream out, err;
	struct input in;
	struct client *starter; /* who waits for START's reply */
	uint32_t start_id;
	struct hook_runner hook_runner;
	struct watch hooks;     /* its answers; the descriptor is the runner's `requests` */
	bool hooks_asked[HOOK_STAGE_COUNT], hooks_done[HOOK_STAGE_COUNT];
};

struct shim {
	struct loop loop;
	char id[65];
	int state_directory;
	struct watch listener;
	struct timer accept_again;
	struct bundle *bundle;
	int cgroup;             /* -1: none */
	struct setup_result result;
	struct status status;
	struct log log;
	struct init init;
	struct client *clients;
	int client_count;
	struct exec_session *execs;
	unsigned exec_number;
	bool stray_leaves;      /* an exec's leaf outlived it, for what still lives there */
	struct timer log_tell;  /* tells of lost log entries, in the log and to clients */
	uint64_t losses_told;   /* how many of them clients have heard of */
	struct timer drain;     /* bounds the waiting for output after the end */
	int drain_rounds;
	bool over;              /* the last state is out: leave once the clients have what is theirs */
	struct timer linger;
	struct timer sweep;     /* for leaves whose killed processes were not gone yet */
	int sweep_rounds;
};

/* Runs the supervisor in a process made for it; takes both descriptors over. Returns the exit code. */
int shim_main(const char *id, const char *bundle, int state_directory, int socket);

/* shim.c */
void shim_set_state(struct shim *shim, enum container_state state, const char *event);
/* The container failed to come up, or ended: leaves when nothing more is to be told. */
void shim_maybe_finish(struct shim *shim);
void shim_maybe_leave(struct shim *shim);
/* Removes the empty leaves of execs; `killed`: what is left in one is dying, so look again soon. */
void shim_sweep(struct shim *shim, bool killed);
/* Takes output of the container into its log. */
void shim_log(struct shim *shim, enum log_stream stream, const char *bytes, size_t size);
/* Brings the status up to date with the log's losses. */
void shim_count_losses(struct shim *shim);

/* init_process.c */
int init_create(struct shim *shim, struct error *err);
int init_start(struct shim *shim, struct client *client, uint32_t id, struct error *err);
/* What START asked for has come to pass. */
void init_answer_start(struct init *init);
int init_kill(struct shim *shim, int signal, bool all, struct error *err);
/* The output and input ended or are given up. */
bool init_streams_ended(const struct shim *shim);
void init_bound_streams(struct shim *shim);
void init_drop_streams(struct shim *shim);

/* hook_stages.c */
void hooks_watch(struct shim *shim);
/* Asks for the hooks of HOOK_POSTSTART or HOOK_POSTSTOP, once. True as long as they are not over. */
bool hooks_pending(struct shim *shim, enum hook_stage stage);

/* client.c */
void clients_listen(struct shim *shim, int socket);
void clients_stop_listening(struct shim *shim);
void clients_event(struct shim *shim, const char *event);

/* attach.c */
int attach_begin(struct client *client, uint32_t id, const json_t *object, struct error *err);
void attach_data(struct shim *shim, uint8_t type, const void *bytes, size_t size);
void attach_stream_end(struct shim *shim, uint8_t type);
bool attach_full(struct shim *shim, uint8_t type);
void attach_input(struct client *client, const struct frame *frame);
void attach_input_drained(struct shim *shim);
void attach_exit(struct shim *shim);
/* Ends clients that do not read, so that the container's end is not held up by them. */
void attach_break_full(struct shim *shim);
/* The connection is closed. */
void attach_gone(struct client *client);

/* requests.c */
int request_handle(struct channel *channel, const struct frame *frame);

#endif
