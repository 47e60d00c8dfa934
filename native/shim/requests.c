/* What a client may ask of the shim. */
#include <errno.h>
#include <signal.h>

#include "../common/protocol.h"
#include "../common/request.h"
#include "exec_session.h"
#include "shim.h"

static int subscribe(struct client *client, const struct frame *frame)
{
	struct shim *shim = client->shim;

	client->subscribed = true;
	client->subscription = frame->id;
	shim_count_losses(shim);
	channel_send_json(&client->channel, frame->id, MESSAGE_OK,
			  status_json(&shim->status, shim->id, &shim->result.user));
	return 0;
}

static int kill_container(struct client *client, const struct frame *frame, const json_t *object, struct error *err)
{
	long long signal;
	bool all;
	int result = request_integer(object, "signal", -1, 0, SIGRTMAX, &signal, err);

	result = result < 0 ? result : request_bool(object, "all", &all, err);
	if (result == 0 && signal < 0)
		result = error_set(err, EINVAL, "protocol", "signal", "signal: an integer expected");
	result = result < 0 ? result : init_kill(client->shim, (int)signal, all, err);
	if (result == 0)
		channel_send_json(&client->channel, frame->id, MESSAGE_OK, json_object());
	return result;
}

static int reopen_log(struct client *client, const struct frame *frame, struct error *err)
{
	int result = client->shim->over ? error_set(err, ESRCH, "log", "", "the container has ended") :
					  log_reopen(&client->shim->log, err);
	if (result == 0)
		channel_send_json(&client->channel, frame->id, MESSAGE_OK, json_object());
	return result;
}

/* No reply, so what is wrong with it is told to nobody. */
static void resize(struct client *client, const json_t *object)
{
	const struct init *init = &client->shim->init;
	struct error ignored;
	long long columns, rows;

	if (request_integer(object, "columns", 0, 1, 65535, &columns, &ignored) < 0 ||
	    request_integer(object, "rows", 0, 1, 65535, &rows, &ignored) < 0)
		return;
	if (client->exec != NULL)
		exec_resize(client->exec, (unsigned short)columns, (unsigned short)rows);
	else if (client->attached && init->stdio.terminal)
		stdio_resize(init->in.watch.fd, (unsigned short)columns, (unsigned short)rows);
}

static int dispatch(struct client *client, const struct frame *frame, const json_t *object, struct error *err)
{
	switch (frame->type) {
	case MESSAGE_SUBSCRIBE:
		return subscribe(client, frame);
	case MESSAGE_START:
		return init_start(client->shim, client, frame->id, err);
	case MESSAGE_KILL:
		return kill_container(client, frame, object, err);
	case MESSAGE_REOPEN_LOG:
		return reopen_log(client, frame, err);
	case MESSAGE_RESIZE:
		resize(client, object);
		return 0;
	default:
		break;
	}
	if (client->exec != NULL || client->attached || client->subscribed)
		return error_set(err, EBUSY, "protocol", "", "an exec or attach needs a connection of its own");
	return frame->type == MESSAGE_EXEC ? exec_begin(client, frame->id, object, err) :
					     attach_begin(client, frame->id, object, err);
}

static void take_input(struct client *client, const struct frame *frame)
{
	if (client->exec != NULL)
		exec_input(client->exec, frame);
	else if (client->attached)
		attach_input(client, frame);
	/* Otherwise it is late: the process ended while it was on its way. */
}

int request_handle(struct channel *channel, const struct frame *frame)
{
	struct client *client = OWNER_OF(channel, struct client, channel);
	struct error err;
	json_t *object;

	if (frame->type == MESSAGE_STDIN) {
		take_input(client, frame);
		return 0;
	}
	if (frame->type < MESSAGE_SUBSCRIBE || frame->type > MESSAGE_RESIZE) {
		error_set(&err, EBADMSG, "protocol", "", "message type %d is not for a shim", frame->type);
		channel_send_error(channel, frame->id, &err);
		return -EBADMSG;
	}
	if (request_parse(frame, &object, &err) < 0) {
		channel_send_error(channel, frame->id, &err);
		return -EBADMSG;
	}
	if (dispatch(client, frame, object, &err) < 0 && frame->type != MESSAGE_RESIZE)
		channel_send_error(channel, frame->id, &err);
	json_decref(object);
	client->served = true;
	shim_maybe_leave(client->shim);
	return 0;
}
