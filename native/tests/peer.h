/* The daemon's side of the protocol, for tests: blocking, and ending the test when an answer never comes. */
#ifndef BERTH_TESTS_PEER_H
#define BERTH_TESTS_PEER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/buffer.h"
#include "../common/frame.h"
#include "../common/protocol.h"

struct peer {
	int fd;
	struct buffer in;
	uint32_t next_id;
};

struct message {
	uint32_t id;
	uint8_t type;
	json_t *json;       /* of a control frame; freed by the next receive into this message */
	size_t length;      /* of a data frame */
	char data[FRAME_DATA_MAX + 1];
};

/* Starts `berth-shim launcher` of the build under test and shakes hands. */
pid_t peer_launcher(struct peer *peer);
/* Connects to `directory/shim.sock` and shakes hands. */
void peer_connect(struct peer *peer, const char *directory);
/* The same without the handshake; -1 when nobody listens. */
int peer_dial(const char *directory);
void peer_close(struct peer *peer);

/* Takes the reference to `object` over. Returns the request's id. */
uint32_t peer_send(struct peer *peer, uint8_t type, json_t *object);
void peer_send_data(struct peer *peer, uint32_t id, uint8_t type, const void *bytes, size_t size);
/* False at the end of the connection. */
bool peer_receive(struct peer *peer, struct message *message);
/* Sends and waits for OK or ERROR; other frames in between are skipped. */
void peer_call(struct peer *peer, uint8_t type, json_t *object, struct message *reply);
void message_free(struct message *message);

const char *message_text(const struct message *message, const char *name);
long long message_number(const struct message *message, const char *name);
/* Is an ERROR with this step and errno. */
bool message_is_error(const struct message *message, const char *step, int code);

/* A fresh cgroup v2 directory for the test; false where there is none. */
bool test_cgroup(char *path, size_t size);

#endif
