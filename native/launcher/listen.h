/* The shim's control socket. */
#ifndef BERTH_LAUNCHER_LISTEN_H
#define BERTH_LAUNCHER_LISTEN_H

#include "../common/error.h"

/* Binds and listens on `name` inside an open directory; returns the non-blocking socket. */
int listen_in(int directory, const char *name, struct error *err);

#endif
