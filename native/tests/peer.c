#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

/* No test depends on it: it turns a hang into a failure. */
#define PATIENCE_S 60

static void attach(struct peer *peer, int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };

	*peer = (struct peer){ .fd = fd, .next_id = 1 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void shake_hands(struct peer *peer)
{
	static struct message hello;
	const char *text = "{\"version\":1,\"program\":\"berthd\",\"pid\":1}";

	peer_send_data(peer, 0, MESSAGE_HELLO, text, strlen(text));
	if (!peer_receive(peer, &hello) || hello.type != MESSAGE_HELLO || message_number(&hello, "version") != 1)
		check("the handshake", false);
	message_free(&hello);
}

pid_t peer_launcher(struct peer *peer)
{
	const char *build = getenv("BERTH_BUILD");
	char program[4096];
	int ends[2];
	pid_t pid;

	snprintf(program, sizeof(program), "%s/berth-shim", build == NULL ? "../dist" : build);
	check("a socket pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	pid = fork();
	if (pid == 0) {
		if (ends[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(ends[1], 3);
		execl(program, "berth-shim", "launcher", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	attach(peer, ends[0]);
	shake_hands(peer);
	return pid;
}

int peer_dial(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/shim.sock", directory);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void peer_connect(struct peer *peer, const char *directory)
{
	int fd = peer_dial(directory);

	check("the shim listens", fd >= 0);
	attach(peer, fd);
	shake_hands(peer);
}

void peer_close(struct peer *peer)
{
	close(peer->fd);
	buffer_free(&peer->in);
}

void peer_send_data(struct peer *peer, uint32_t id, uint8_t type, const void *bytes, size_t size)
{
	uint8_t header[FRAME_HEADER_SIZE];

	frame_header(header, (uint32_t)size, id, type);
	/* A peer that closes the connection is found by the next receive. */
	if (send(peer->fd, header, sizeof(header), MSG_NOSIGNAL) == sizeof(header) && size > 0)
		(void)!send(peer->fd, bytes, size, MSG_NOSIGNAL);
}

uint32_t peer_send(struct peer *peer, uint8_t type, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	uint32_t id = peer->next_id++;

	check("a request", text != NULL);
	peer_send_data(peer, id, type, text, strlen(text));
	free(text);
	json_decref(object);
	return id;
}

static void take(struct message *message, const struct frame *frame)
{
	message_free(message);
	message->id = frame->id;
	message->type = frame->type;
	message->length = 0;
	if (!frame_is_data(frame->type)) {
		message->json = json_loadb((const char *)frame->payload, frame->length, 0, NULL);
		if (message->json == NULL)
			check("a control frame is JSON", false);
		return;
	}
	memcpy(message->data, frame->payload, frame->length);
	message->data[frame->length] = '\0';
	message->length = frame->length;
}

bool peer_receive(struct peer *peer, struct message *message)
{
	for (;;) {
		char bytes[16384];
		struct frame frame;
		int size = peer->in.length == 0 ? 0 : frame_decode(buffer_head(&peer->in), peer->in.length, &frame);
		ssize_t got;

		if (size < 0)
			check("frames are well formed", false);
		if (size > 0) {
			take(message, &frame);
			buffer_consume(&peer->in, (size_t)size);
			return true;
		}
		got = recv(peer->fd, bytes, sizeof(bytes), 0);
		if (got < 0 && errno == EAGAIN)
			check("an answer comes", false);
		if (got <= 0)
			return false;
		buffer_append(&peer->in, bytes, (size_t)got);
	}
}

void peer_call(struct peer *peer, uint8_t type, json_t *object, struct message *reply)
{
	uint32_t id = peer_send(peer, type, object);

	do {
		if (!peer_receive(peer, reply))
			check("a reply comes", false);
	} while (reply->id != id || (reply->type != MESSAGE_OK && reply->type != MESSAGE_ERROR));
}

void message_free(struct message *message)
{
	json_decref(message->json);
	message->json = NULL;
}

const char *message_text(const struct message *message, const char *name)
{
	const char *text = json_string_value(json_object_get(message->json, name));
	return text == NULL ? "" : text;
}

long long message_number(const struct message *message, const char *name)
{
	return json_integer_value(json_object_get(message->json, name));
}

bool message_is_error(const struct message *message, const char *step, int code)
{
	bool same = message->type == MESSAGE_ERROR && strcmp(message_text(message, "step"), step) == 0 &&
		    message_number(message, "errno") == code;

	if (!same) {
		char *text = json_dumps(message->json, JSON_COMPACT);
		printf("  got type %d: %s\n", message->type, text == NULL ? "" : text);
		free(text);
	}
	return same;
}

bool test_cgroup(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	bool made = false;

	while (mounts != NULL && (entry = getmntent(mounts)) != NULL) {
		if (strcmp(entry->mnt_type, "cgroup2") != 0)
			continue;
		snprintf(path, size, "%s/berth-test-%d", entry->mnt_dir, getpid());
		made = mkdir(path, 0755) == 0;
		break;
	}
	if (mounts != NULL)
		endmntent(mounts);
	return made;
}
