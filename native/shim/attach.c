/* Clients that share the container's own standard streams. */
#include <errno.h>

#include "../common/protocol.h"
#include "../common/request.h"
#include "shim.h"

static bool wants(const struct client *client, uint8_t type)
{
	return client->attached && (type == MESSAGE_STDOUT ? client->wants_stdout : client->wants_stderr);
}

/* A terminal has one output; a stream that has ended says so to newcomers as well. */
static void tell_ended(struct client *client)
{
	const struct init *init = &client->shim->init;

	if (client->wants_stdout && init->out.ended)
		channel_send(&client->channel, client->attachment, MESSAGE_STDOUT, "", 0);
	if (client->wants_stderr && init->err.ended)
		channel_send(&client->channel, client->attachment, MESSAGE_STDERR, "", 0);
}

int attach_begin(struct client *client, uint32_t id, const json_t *object, struct error *err)
{
	int result = request_bool(object, "stdin", &client->wants_stdin, err);

	result = result < 0 ? result : request_bool(object, "stdout", &client->wants_stdout, err);
	result = result < 0 ? result : request_bool(object, "stderr", &client->wants_stderr, err);
	if (result < 0)
		return result;
	if (client->shim->over || client->shim->init.gone)
		return error_set(err, ESRCH, "exec", "", "the container has ended");
	client->attached = true;
	client->attachment = id;
	channel_send_json(&client->channel, id, MESSAGE_OK, json_object());
	tell_ended(client);
	return 0;
}

void attach_data(struct shim *shim, uint8_t type, const void *bytes, size_t size)
{
	for (struct client *client = shim->clients; client != NULL; client = client->next)
		if (wants(client, type))
			channel_send(&client->channel, client->attachment, type, bytes, size);
}

void attach_stream_end(struct shim *shim, uint8_t type)
{
	attach_data(shim, type, "", 0);
}

bool attach_full(struct shim *shim, uint8_t type)
{
	for (struct client *client = shim->clients; client != NULL; client = client->next)
		if (wants(client, type) && channel_full(&client->channel))
			return true;
	return false;
}

void attach_break_full(struct shim *shim)
{
	for (struct client *client = shim->clients; client != NULL; client = client->next)
		if (client->attached && channel_full(&client->channel))
			channel_break(&client->channel);
}

void attach_input(struct client *client, const struct frame *frame)
{
	struct input *input = &client->shim->init.in;

	if (!client->wants_stdin)
		return;
	if (frame->length > 0)
		input_write(input, frame->payload, frame->length);
	else if (bundle_stdin_once(client->shim->bundle) && !client->shim->init.stdio.terminal)
		input_end(input);
	if (input_full(input))
		channel_hold(&client->channel, true);
}

void attach_input_drained(struct shim *shim)
{
	for (struct client *client = shim->clients, *next; client != NULL; client = next) {
		next = client->next;
		if (client->attached && client->wants_stdin)
			channel_hold(&client->channel, false);
	}
}

void attach_exit(struct shim *shim)
{
	for (struct client *client = shim->clients; client != NULL; client = client->next) {
		if (!client->attached)
			continue;
		channel_send_json(&client->channel, client->attachment, MESSAGE_EXIT,
				  json_pack("{s:i, s:i}", "exitCode", shim->status.exit_code, "signal",
					    shim->status.signal));
		client->attached = false;
	}
}

void attach_gone(struct client *client)
{
	struct shim *shim = client->shim;

	client->attached = false;
	/* The CRI's stdin_once: the first client that brings input is also the last. */
	if (client->wants_stdin && bundle_stdin_once(shim->bundle) && !shim->init.gone)
		input_end(&shim->init.in);
	/* It may have been the one that held the output up. */
	stream_resume(&shim->init.out);
	stream_resume(&shim->init.err);
}
