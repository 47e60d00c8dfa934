/* A plain OCI bundle in the foreground: set up, started, waited for. */
#ifndef BERTH_SHIM_RUN_H
#define BERTH_SHIM_RUN_H

/* Returns the program's exit code, 128 + signal when it was killed, 125 when it could not be set up. */
int run_main(const char *bundle);

#endif
