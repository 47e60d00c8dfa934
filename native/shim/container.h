/* What the steps of one container's set-up share: descriptors that live from one step to a later one. */
#ifndef BERTH_SHIM_CONTAINER_H
#define BERTH_SHIM_CONTAINER_H

#include <stdbool.h>

#include "bundle.h"

struct container {
	const struct bundle *bundle;
	int directory_fd; /* the bundle's, in the container's mount namespace; the root is attached over it */
	int root_fd;
	int user_namespace;         /* that the container is in; -1: the host's */
	const struct idmaps *maps;  /* its maps, or NULL */
	int proc_fd;       /* the root of the container's procfs, from fsmount; -1: none */
	int console_fd;    /* the terminal's slave side, -1: none */
	int console_mount; /* a detached mount of it, for /dev/console; -1: none */
	int *sources;      /* one detached mount per bind mount, -1 for others */
	int hooks;         /* to the process that runs hooks, -1: none */
	bool own_dev;      /* /dev is the container's own, to be filled; not a directory of the host */
	bool foreign_formats; /* the host has binfmt_misc entries, so any file may be a program */
};

#endif
