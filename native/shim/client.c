/* Connections to the shim's control socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/protocol.h"
#include "exec_session.h"
#include "shim.h"

/* More than any daemon needs; what waits in the backlog is served when others leave. */
#define CLIENTS_MAX 128
/* accept fails for want of descriptors or memory: a level-triggered listener would spin. */
#define ACCEPT_AGAIN_MS 200

static void listen_again(struct shim *shim)
{
	if (shim->listener.fd >= 0 && shim->client_count < CLIENTS_MAX)
		watch_set(&shim->loop, &shim->listener, EPOLLIN);
}

static void unlink_client(struct client *client)
{
	struct client **link = &client->shim->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client->shim->client_count--;
}

static void on_closed(struct channel *channel)
{
	struct client *client = OWNER_OF(channel, struct client, channel);
	struct shim *shim = client->shim;

	unlink_client(client);
	if (shim->init.starter == client)
		shim->init.starter = NULL;
	if (client->exec != NULL)
		exec_disconnected(client->exec);
	if (client->attached)
		attach_gone(client);
	free(client);
	listen_again(shim);
	shim_maybe_leave(shim);
}

static void on_drained(struct channel *channel)
{
	struct client *client = OWNER_OF(channel, struct client, channel);

	if (client->exec != NULL)
		exec_resume(client->exec);
	if (client->attached) {
		stream_resume(&client->shim->init.out);
		stream_resume(&client->shim->init.err);
	}
	shim_maybe_leave(client->shim);
}

static const struct channel_handlers handlers = {
	.frame = request_handle,
	.drained = on_drained,
	.closed = on_closed,
};

/* The directory keeps others out already; this holds even when somebody opens it up. */
static bool trusted(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void welcome(struct shim *shim, int fd)
{
	struct client *client = trusted(fd) ? calloc(1, sizeof(*client)) : NULL;

	if (client == NULL) {
		close(fd);
		return;
	}
	if (channel_open(&client->channel, &shim->loop, fd, "shim", &handlers) < 0) {
		free(client);
		return;
	}
	client->shim = shim;
	client->next = shim->clients;
	shim->clients = client;
	shim->client_count++;
}

static void on_connection(struct watch *watch, uint32_t events)
{
	struct shim *shim = OWNER_OF(watch, struct shim, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		welcome(shim, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		watch_pause(&shim->loop, watch);
		timer_set(&shim->loop, &shim->accept_again, ACCEPT_AGAIN_MS);
	}
	if (shim->client_count >= CLIENTS_MAX)
		watch_pause(&shim->loop, watch);
}

static void on_accept_again(struct timer *timer)
{
	listen_again(OWNER_OF(timer, struct shim, accept_again));
}

void clients_listen(struct shim *shim, int socket)
{
	shim->listener = (struct watch){ .fd = socket, .ready = on_connection };
	shim->accept_again.fire = on_accept_again;
	listen_again(shim);
}

void clients_stop_listening(struct shim *shim)
{
	int fd;

	/* Those that wait in the backlog have connected as far as they know: they are answered as well. */
	while (shim->listener.fd >= 0 && (fd = accept4(shim->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		welcome(shim, fd);
	unlinkat(shim->state_directory, "shim.sock", 0);
	watch_close(&shim->loop, &shim->listener);
	timer_clear(&shim->loop, &shim->accept_again);
}

void clients_event(struct shim *shim, const char *event)
{
	for (struct client *client = shim->clients; client != NULL; client = client->next) {
		json_t *json;

		if (!client->subscribed)
			continue;
		json = status_json(&shim->status, shim->id, &shim->result.user);
		if (json != NULL)
			json_object_set_new(json, "event", json_string(event));
		channel_send_json(&client->channel, client->subscription, MESSAGE_EVENT, json);
	}
}
