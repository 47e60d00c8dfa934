#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/loop.h"
#include "../common/spawn.h"
#include "../launcher/confine.h"
#include "../launcher/title.h"
#include "link.h"
#include "system_calls.h"

/* For whoever asked for the forwarder to come. */
#define EXPECT_MS 10000
/* accept fails for want of descriptors or memory: a level-triggered listener would spin. */
#define ACCEPT_AGAIN_MS 200

struct server {
	struct loop loop;
	struct watch listener;
	struct watch session;        /* the first connection; -1: it has not come yet */
	struct timer expect, accept_again;
};

static void nobody_came(struct timer *timer)
{
	loop_stop(&OWNER_OF(timer, struct server, expect)->loop);
}

static void session_ready(struct watch *watch, uint32_t events)
{
	struct server *server = OWNER_OF(watch, struct server, session);
	char ignored[64];
	ssize_t got = recv(watch->fd, ignored, sizeof(ignored), MSG_DONTWAIT);

	(void)events;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		loop_stop(&server->loop);
}

static void accept_one(struct watch *watch, uint32_t events)
{
	struct server *server = OWNER_OF(watch, struct server, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0 && server->session.fd >= 0) {
		link_start(&server->loop, fd);
	} else if (fd >= 0) {
		timer_clear(&server->loop, &server->expect);
		server->session.fd = fd;
		if (watch_set(&server->loop, &server->session, EPOLLIN) < 0)
			loop_stop(&server->loop);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		watch_pause(&server->loop, watch);
		timer_set(&server->loop, &server->accept_again, ACCEPT_AGAIN_MS);
	}
}

static void on_accept_again(struct timer *timer)
{
	struct server *server = OWNER_OF(timer, struct server, accept_again);

	watch_set(&server->loop, &server->listener, EPOLLIN);
}

/* A connection takes six descriptors. The soft limit is raised as far as it may be without a privilege. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int serve(int socket)
{
	struct server server = { .listener = { .fd = socket, .ready = accept_one },
				 .session = { .fd = -1, .ready = session_ready },
				 .expect = { .fire = nobody_came },
				 .accept_again = { .fire = on_accept_again } };
	struct error err;

	raise_limit();
	if (confine_root("forward", &err) < 0 || confine_privileges("forward", &err) < 0 ||
	    loop_open(&server.loop, &err) < 0 || system_calls_restrict(&err) < 0 ||
	    watch_set(&server.loop, &server.listener, EPOLLIN) < 0)
		return 1;
	timer_set(&server.loop, &server.expect, EXPECT_MS);
	/* Connections that are left are closed by the process's end, at once. */
	return loop_run(&server.loop, &err) < 0 ? 1 : 0;
}

int forward_serve(int directory, const char *name, int socket)
{
	int code;

	spawn_reset_signals();
	signal(SIGPIPE, SIG_IGN);
	setsid();
	title_set("berth-forward", "");
	code = serve(socket);
	unlinkat(directory, name, 0);
	return code;
}
