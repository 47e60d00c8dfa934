/*
 * Fuzzing that is guided by coverage: what reaches code that nothing has reached before, or reaches it another
 * number of times, is kept and changed further. The code under test is compiled with -fsanitize-coverage=trace-pc,
 * which calls the guide at every edge, in files of their own (see the Makefile). Inputs are
 * tried in a process beside the one that makes them.
 *
 * BERTH_FUZZ_SECONDS bounds the run, BERTH_FUZZ_SEED repeats one, BERTH_FUZZ_INPUT tries the input in one file.
 * An input at fault is kept in a file below BERTH_FUZZ_KEEP (/tmp), and its path is printed.
 */
#ifndef BERTH_TESTS_FUZZ_GUIDE_H
#define BERTH_TESTS_FUZZ_GUIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "unpack_support.h"

#define FUZZ_INPUT_MAX (64 * 1024)

struct fuzz_target {
	const char *name;
	/* Adds one input from which the others are made; false: there is no such. */
	bool (*seed)(unsigned int number, struct bytes *input);
	/* One change. NULL: of bytes alone. */
	void (*change)(struct bytes *input);
	/* Done to every input before it is tried. NULL: nothing. */
	void (*mend)(struct bytes *input);
	/* Whether what it saw is right. It may end the process, which is wrong. */
	bool (*run)(const struct bytes *input);
	/* So many inputs are tried in one process, for what a run leaves behind in it. */
	unsigned int together;
	/* Around it, in the parent. NULL: nothing. */
	bool (*before)(void);
	bool (*after)(void);
};

/* Prints what it did. False: an input was at fault. */
bool fuzz(const struct fuzz_target *target);

/* For changes: a number below `below`, and one change of bytes. */
uint32_t fuzz_number(uint32_t below);
void fuzz_change_bytes(struct bytes *input);
/* Puts `length` bytes in at `at`; no longer than FUZZ_INPUT_MAX in all. */
void fuzz_insert(struct bytes *input, size_t at, const void *data, size_t length);
void fuzz_remove(struct bytes *input, size_t at, size_t length);

#endif
