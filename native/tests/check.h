/* One check: prints what holds, or what does not and where, and ends the test. */
#ifndef BERTH_TESTS_CHECK_H
#define BERTH_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define SKIPPED 77

#define check(title, condition)                                                          \
	do {                                                                             \
		if (!(condition)) {                                                      \
			printf("FAILED: %s (%s:%d: %s)\n", title, __FILE__, __LINE__, #condition); \
			exit(1);                                                         \
		}                                                                        \
		printf("ok: %s\n", title);                                               \
	} while (0)

#endif
