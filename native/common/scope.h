/* Scope-exit clean-up: `scope_fd int fd = open(…);` closes the descriptor whichever way the block is left. */
#ifndef BERTH_COMMON_SCOPE_H
#define BERTH_COMMON_SCOPE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void scope_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void scope_free_memory(void *pointer)
{
	free(*(void **)pointer);
}

static inline void scope_close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

static inline void scope_close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

#define scope_fd __attribute__((cleanup(scope_close_fd)))
#define scope_free __attribute__((cleanup(scope_free_memory)))
#define scope_file __attribute__((cleanup(scope_close_file)))
#define scope_dir __attribute__((cleanup(scope_close_dir)))

/* Hands a descriptor out of its scope: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
