/* Sysctls of a sandbox, written from inside its namespaces. */
#ifndef BERTH_LAUNCHER_SYSCTL_H
#define BERTH_LAUNCHER_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"

/* The namespaces that are the sandbox's own; a sysctl outside of them would change the host's. */
struct sysctl_scope {
	bool net, ipc, uts;
};

/* Makes a path below /proc/sys of a name as sysctl(8) reads it: "net.ipv4.x" and "net/ipv4/x" alike. */
int sysctl_path(const char *name, char *out, size_t size);

int sysctl_write(const struct sysctl_scope *scope, const char *name, const char *value, size_t length,
		 struct error *err);

#endif
