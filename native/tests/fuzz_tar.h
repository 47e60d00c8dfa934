/* Tars for fuzzing: every kind of entry, and changes that know what a tar is made of. */
#ifndef BERTH_TESTS_FUZZ_TAR_H
#define BERTH_TESTS_FUZZ_TAR_H

#include "unpack_support.h"

/* An archive of every kind, or one of several small ones about a single thing. False: there is no such number. */
bool fuzz_tar_seed(unsigned int number, struct bytes *tar);
void fuzz_tar_change(struct bytes *tar);
/* Gives every header the sum that it should have: without it nearly every change ends there. */
void fuzz_tar_mend(struct bytes *tar);

#endif
