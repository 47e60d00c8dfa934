/* The plugin's operations, each complete: what fails has undone what it did. */
#ifndef BERTH_NET_ATTACH_H
#define BERTH_NET_ATTACH_H

#include "../common/error.h"
#include "config.h"
#include "link.h"
#include "store.h"

struct attached {
	struct attachment attachment;
	struct link bridge;
	struct link host;
	struct link pod;
};

int attach_add(const struct config *config, const struct attachment *wanted, const char *netns, struct attached *attached,
	       struct error *err);
/* Succeeds on what is gone already, the network namespace included. */
int attach_delete(const struct config *config, const struct attachment *attachment, struct error *err);
int attach_check(const struct config *config, const struct attachment *attachment, const char *netns, struct error *err);
/* Deletes every attachment of the network that cni.dev/valid-attachments does not name. */
int attach_collect(const struct config *config, struct error *err);
/* Whether ADD could work: the store can be written, and the kernel has what is needed. */
int attach_status(const struct config *config, struct error *err);

#endif
