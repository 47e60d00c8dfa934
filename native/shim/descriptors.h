#ifndef BERTH_SHIM_DESCRIPTORS_H
#define BERTH_SHIM_DESCRIPTORS_H

/*
 * Closes every descriptor from 3 on that is open on a file, a directory or a namespace, but `keep` (-1:
 * none), and whatever is numbered 64 or above. Pipes, sockets, terminals and the kernel's anonymous objects
 * below that stay, as the supervision's report channel; the exec closes them.
 */
void descriptors_drop_files(int keep);

/* Marks every descriptor from 3 on to be closed by exec, whoever opened it. */
void descriptors_close_on_exec(void);

#endif
