/* A sandbox's namespaces: made, filled and pinned by a child that the launcher forks for it. */
#ifndef BERTH_LAUNCHER_SANDBOX_H
#define BERTH_LAUNCHER_SANDBOX_H

#include <jansson.h>
#include <sys/types.h>

#include "../common/error.h"
#include "../common/idmap.h"

struct sandbox_request {
	const char *id;
	const char *net, *ipc, *uts, *pid;  /* pin files; "" for none */
	const char *user;                   /* likewise; the others then belong to it */
	bool makes_user;                    /* else it is there already, and only a PID namespace is added */
	struct idmaps maps;                 /* of one that is made */
	const char *hostname;
	const json_t *sysctls;              /* object of strings, or NULL */
	const char *shm;
	long long shm_size;
	const char *cgroup;
	const char *directory;              /* of a probe alone */
};

/* The strings live as long as `object`. */
int sandbox_parse(const json_t *object, struct sandbox_request *request, struct error *err);

/* Changes the calling process's namespaces: run it in a child made for it. On failure nothing is left. */
int sandbox_create(const struct sandbox_request *request, pid_t *reaper, struct error *err);
int sandbox_delete(const struct sandbox_request *request, struct error *err);

#endif
