#ifndef BERTH_FORWARD_SERVE_H
#define BERTH_FORWARD_SERVE_H

/*
 * Serves the session's connections until its first one closes, in a process made for it, whose network
 * namespace is the pod's and whose mount namespace is its own. Takes the descriptors over. Removes `name`, the
 * socket, from the directory. Returns the exit code.
 */
int forward_serve(int directory, const char *name, int socket);

#endif
