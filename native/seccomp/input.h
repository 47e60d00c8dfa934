#ifndef BERTH_SECCOMP_INPUT_H
#define BERTH_SECCOMP_INPUT_H

#include <jansson.h>

#include "../common/error.h"

/* Reads the profile from a descriptor to its end. */
int input_read(int fd, json_t **out, struct error *err);

#endif
