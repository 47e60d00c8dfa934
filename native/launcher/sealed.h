/* The program's private copy: nothing that runs in a container can reach or change the file it came from. */
#ifndef BERTH_LAUNCHER_SEALED_H
#define BERTH_LAUNCHER_SEALED_H

#include "../common/error.h"

/*
 * Returns 0 when this process already runs from a sealed memfd. Otherwise copies the program into one and
 * executes that with the same arguments and an environment of its own; returns only on failure.
 */
int sealed_ensure(char **argv, struct error *err);

#endif
