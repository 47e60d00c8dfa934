#include "hold.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/spawn.h"
#include "title.h"

/* A berthd that dies between asking for the process and for its scope would leave it behind for good. */
#define PATIENCE_SECONDS 120

static bool read_cgroup(char *text, size_t size)
{
	scope_fd int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	text[got < 0 ? 0 : got] = '\0';
	return got > 0;
}

void hold_live(unsigned patience)
{
	char before[4096], after[4096];
	bool known = read_cgroup(before, sizeof(before));

	while (patience > 0)
		patience = sleep(patience);
	if (known && read_cgroup(after, sizeof(after)) && strcmp(before, after) == 0)
		_exit(0);
	for (;;)
		pause();
}

int hold_start(const char *id, pid_t *pid, struct error *err)
{
	struct spawn how = { .cgroup = -1 };
	pid_t child = spawn(&how, NULL);

	if (child < 0)
		return error_set(err, -child, "hold", "", "clone3: %s", strerror(-child));
	if (child == 0) {
		char short_id[13];

		spawn_reset_signals();
		snprintf(short_id, sizeof(short_id), "%.12s", id);
		title_set("berth-hold", short_id);
		setsid();
		close_range(0, ~0u, 0);
		if (chdir("/") < 0)
			_exit(1);
		hold_live(PATIENCE_SECONDS);
	}
	*pid = child;
	return 0;
}
