#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/scope.h"
#include "flow.h"

/* For the client to ask, and for each address to answer. */
#define PATIENCE_MS 10000
#define ADDRESS_COUNT 2

struct side {
	struct watch watch;
	bool gone;   /* hung up: takes nothing any more, though what it had sent may still be read */
};

struct link {
	struct loop *loop;
	struct side client, server;
	struct flow up, down;  /* to the server, to the client */
	struct timer patience;
	uint8_t request[2];
	size_t asked;          /* bytes of the request that are here */
	int address;           /* which one is being tried */
	int refusal;           /* errno of the one before */
};

static void link_free(struct link *link)
{
	timer_clear(link->loop, &link->patience);
	watch_close(link->loop, &link->client.watch);
	watch_close(link->loop, &link->server.watch);
	flow_free(&link->up);
	flow_free(&link->down);
	free(link);
}

/* False when the client cannot be told, which a socket with nothing in it always can. */
static bool answer(struct link *link, int code)
{
	uint32_t word = htonl((uint32_t)code);

	return send(link->client.watch.fd, &word, sizeof(word), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(word);
}

static void refuse(struct link *link, int code)
{
	answer(link, code);
	link_free(link);
}

/*
 * Watches a side for what is wanted of it. One that has hung up would be reported again and again, so it is
 * looked at only when it is to be read.
 */
static bool want(struct link *link, struct side *side, bool input, bool output)
{
	uint32_t events = (input ? EPOLLIN : 0u) | (output && !side->gone ? EPOLLOUT : 0u);

	if (side->gone && events == 0) {
		watch_pause(link->loop, &side->watch);
		return true;
	}
	return watch_set(link->loop, &side->watch, events) == 0;
}

/* Moves one direction; a side that fails is gone, and then nothing is carried to it any more. */
static enum flow_state carry_one(struct flow *flow, struct side *from, struct side *to)
{
	enum flow_state state;

	if (to->gone && !flow->closed)
		flow_abandon(flow);
	state = flow_move(flow, from->watch.fd, to->watch.fd);
	if (state == FLOW_SINK_BROKEN) {
		to->gone = true;
		flow_abandon(flow);
		return FLOW_CLOSED;
	}
	return state;
}

static void carry(struct link *link)
{
	enum flow_state up = carry_one(&link->up, &link->client, &link->server);
	enum flow_state down = carry_one(&link->down, &link->server, &link->client);

	if (up == FLOW_SOURCE_BROKEN || down == FLOW_SOURCE_BROKEN || (up == FLOW_CLOSED && down == FLOW_CLOSED) ||
	    !want(link, &link->client, up == FLOW_WANTS_INPUT, down == FLOW_WANTS_OUTPUT) ||
	    !want(link, &link->server, down == FLOW_WANTS_INPUT, up == FLOW_WANTS_OUTPUT))
		link_free(link);
}

static void client_carries(struct watch *watch, uint32_t events)
{
	struct link *link = OWNER_OF(watch, struct link, client.watch);

	link->client.gone |= (events & (EPOLLHUP | EPOLLERR)) != 0;
	carry(link);
}

static void server_carries(struct watch *watch, uint32_t events)
{
	struct link *link = OWNER_OF(watch, struct link, server.watch);

	link->server.gone |= (events & (EPOLLHUP | EPOLLERR)) != 0;
	carry(link);
}

static void connected(struct link *link)
{
	int on = 1, result;

	timer_clear(link->loop, &link->patience);
	/* What the client sends in small pieces is meant so. */
	setsockopt(link->server.watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	result = flow_open(&link->up);
	result = result < 0 ? result : flow_open(&link->down);
	if (result < 0) {
		refuse(link, -result);
		return;
	}
	if (!answer(link, 0)) {
		link_free(link);
		return;
	}
	link->client.watch.ready = client_carries;
	link->server.watch.ready = server_carries;
	carry(link);
}

static int address_of(const struct link *link, struct sockaddr_storage *storage, socklen_t *size)
{
	uint16_t port;

	memset(storage, 0, sizeof(*storage));
	memcpy(&port, link->request, sizeof(port));
	if (link->address == 0) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port, .sin_addr = { htonl(INADDR_LOOPBACK) } };
		memcpy(storage, &v4, *size = sizeof(v4));
	} else {
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
		memcpy(storage, &v6, *size = sizeof(v6));
	}
	return storage->ss_family;
}

static void connect_ready(struct watch *watch, uint32_t events);

/* Begins with the address of now. Returns -errno when it is of no use. */
static int begin_connect(struct link *link)
{
	struct sockaddr_storage address;
	socklen_t size;
	int family = address_of(link, &address, &size);
	scope_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	if (fd < 0 || (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS))
		return -errno;
	link->server.watch = (struct watch){ .fd = take_fd(&fd), .ready = connect_ready };
	result = watch_set(link->loop, &link->server.watch, EPOLLOUT);
	if (result < 0)
		watch_close(link->loop, &link->server.watch);
	else
		timer_set(link->loop, &link->patience, PATIENCE_MS);
	return result;
}

/* An address that this namespace does not have says less than another's refusal. */
static bool is_absence(int code)
{
	return code == 0 || code == EAFNOSUPPORT || code == EADDRNOTAVAIL || code == ENETUNREACH || code == EHOSTUNREACH;
}

static void try_on(struct link *link)
{
	for (; link->address < ADDRESS_COUNT; link->address++) {
		int result = begin_connect(link);

		if (result == 0)
			return;
		if (is_absence(link->refusal))
			link->refusal = -result;
	}
	refuse(link, link->refusal);
}

static void fail_address(struct link *link, int code)
{
	watch_close(link->loop, &link->server.watch);
	if (is_absence(link->refusal))
		link->refusal = code;
	link->address++;
	try_on(link);
}

static void connect_ready(struct watch *watch, uint32_t events)
{
	struct link *link = OWNER_OF(watch, struct link, server.watch);
	socklen_t size = sizeof(int);
	int code = 0;

	(void)events;
	if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code != 0)
		fail_address(link, code);
	else
		connected(link);
}

static void out_of_patience(struct timer *timer)
{
	struct link *link = OWNER_OF(timer, struct link, patience);

	if (link->server.watch.fd >= 0)
		fail_address(link, ETIMEDOUT);
	else
		refuse(link, ETIMEDOUT);
}

static void client_asks(struct watch *watch, uint32_t events)
{
	struct link *link = OWNER_OF(watch, struct link, client.watch);
	ssize_t got;

	if (link->asked == sizeof(link->request)) {
		/* It cannot be read yet, so this is its end. */
		link_free(link);
		return;
	}
	(void)events;
	got = recv(watch->fd, link->request + link->asked, sizeof(link->request) - link->asked, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		link_free(link);
		return;
	}
	link->asked += (size_t)got;
	if (link->asked < sizeof(link->request))
		return;
	/* Only its end is of interest until there is somewhere to carry to. */
	if (watch_set(link->loop, watch, 0) < 0 || (link->request[0] | link->request[1]) == 0)
		refuse(link, EINVAL);
	else
		try_on(link);
}

void link_start(struct loop *loop, int client)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL) {
		close(client);
		return;
	}
	link->loop = loop;
	link->client.watch = (struct watch){ .fd = client, .ready = client_asks };
	link->server.watch.fd = -1;
	link->up = link->down = (struct flow){ .reader = -1, .writer = -1 };
	link->patience.fire = out_of_patience;
	if (watch_set(loop, &link->client.watch, EPOLLIN) < 0) {
		link_free(link);
		return;
	}
	timer_set(loop, &link->patience, PATIENCE_MS);
}
