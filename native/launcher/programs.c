#include "programs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Set once at start. */
static char directory[PATH_MAX];

void programs_init(void)
{
	const char *given = getenv(PROGRAMS_VARIABLE);

	snprintf(directory, sizeof(directory), "%s", given == NULL || given[0] != '/' ? "" : given);
}

const char *programs_directory(void)
{
	return directory;
}
