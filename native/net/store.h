/*
 * What the plugin remembers, below DATADIR/NAME:
 *   lock                          flock'ed while addresses are chosen and shared parts are set up
 *   ADDRESS                       one file per address in use; content: container id, a space, interface
 *   last.SET                      the address that was given last, so that addresses rest before they return
 *   attachments/ID-INTERFACE      JSON; written before anything is set up, removed after all is gone
 */
#ifndef BERTH_NET_STORE_H
#define BERTH_NET_STORE_H

#include <net/if.h>
#include <stdbool.h>

#include "../common/error.h"
#include "config.h"

/* One interface of one container. */
struct attachment {
	char container[256];
	char interface[IFNAMSIZ];
	char host_interface[IFNAMSIZ];
	unsigned int address_count;
	struct address addresses[MAX_SETS];
	unsigned int port_count;
	struct port ports[MAX_PORTS];
};

struct store {
	int directory;
	int attachments;
	int lock;
};

int store_open(const struct config *config, struct store *store, struct error *err);
void store_close(struct store *store);
/* Held until store_unlock or the end of the process. */
int store_lock(struct store *store, struct error *err);
void store_unlock(struct store *store);

/* Chooses an address from each set into the attachment. Needs the lock. */
int store_reserve(struct store *store, const struct config *config, struct attachment *attachment, struct error *err);
/* Releases the attachment's addresses, those too that only the address files know of. */
int store_release(struct store *store, const struct attachment *attachment, struct error *err);

bool store_known(struct store *store, const struct attachment *attachment);
int store_save(struct store *store, const struct attachment *attachment, struct error *err);
/* Fills the rest of an attachment with id and interface set; -ENOENT without `err` when there is no record. */
int store_load(struct store *store, struct attachment *attachment, struct error *err);

/* Calls `visit` for every attachment, of which container, interface and host interface are filled in. */
typedef int (*store_visitor)(const struct attachment *attachment, void *argument, struct error *err);
int store_each(struct store *store, store_visitor visit, void *argument, struct error *err);

/* The host side's name follows from id and interface, so DEL finds it without a record. */
void attachment_name(struct attachment *attachment, const char *container, const char *interface);

#endif
