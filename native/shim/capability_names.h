#ifndef BERTH_SHIM_CAPABILITY_NAMES_H
#define BERTH_SHIM_CAPABILITY_NAMES_H

/* The kernel's number for "CAP_NET_ADMIN"; -1 for a name that is none. */
int capability_number(const char *name);
/* Without "CAP_"; NULL for a number that has none. */
const char *capability_name(int number);

#endif
