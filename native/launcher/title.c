#include "title.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* Set once at start; the kernel shows this very memory as /proc/PID/cmdline. */
static char *title_start;
static size_t title_size;

static void extend(char *text)
{
	if (title_start + title_size == text)
		title_size += strlen(text) + 1;
}

void title_init(int argc, char **argv, char **environment)
{
	title_start = argv[0];
	title_size = 0;
	for (int i = 0; i < argc; i++)
		extend(argv[i]);
	/*
	 * PR_SET_MM would need CAP_SYS_RESOURCE. But where the last byte of the arguments is not NUL, the kernel
	 * reads the command line on into the environment (fs/proc/base.c, get_mm_cmdline), which is ours.
	 */
	for (int i = 0; environment[i] != NULL; i++)
		extend(environment[i]);
}

void title_set(const char *name, const char *detail)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
	if (title_size == 0)
		return;
	memset(title_start, 0, title_size);
	snprintf(title_start, title_size, "%s %s", name, detail);
}
