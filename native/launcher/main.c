/* One program, its role chosen by the first argument. */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "../shim/run.h"
#include "launcher.h"
#include "programs.h"
#include "sealed.h"
#include "title.h"

static int usage(void)
{
	fprintf(stderr, "usage: berth-shim launcher            (started by berthd, which holds the other end of descriptor 3)\n"
			"       berth-shim run --bundle DIR    run an OCI bundle in the foreground\n"
			"       berth-shim --version\n");
	return 2;
}

int main(int argc, char **argv)
{
	extern char **environ;
	struct error err;

	title_init(argc, argv, environ);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("berth-shim %s\n", BERTH_VERSION);
		return 0;
	}
	if (!(argc == 2 && strcmp(argv[1], "launcher") == 0) &&
	    !(argc == 4 && strcmp(argv[1], "run") == 0 && strcmp(argv[2], "--bundle") == 0))
		return usage();
	if (sealed_ensure(argv, &err) < 0) {
		fprintf(stderr, "berth-shim: %s\n", err.message);
		return 1;
	}
	programs_init();
	/* execve made it dumpable again; forks inherit it from here (prctl(2)). */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (argc == 4)
		return run_main(argv[3]);
	title_set("berth-launcher", "");
	return launcher_main();
}
