/* SHA-256 as OCI writes it: "sha256:" and 64 hex digits. */
#ifndef BERTH_UNPACK_DIGEST_H
#define BERTH_UNPACK_DIGEST_H

#include <stddef.h>

#include "../common/error.h"

#define DIGEST_TEXT_SIZE (7 + 64 + 1)

struct digest;

int digest_new(struct digest **out, struct error *err);
int digest_update(struct digest *digest, const void *data, size_t length, struct error *err);
/* Once, at the end. */
int digest_text(struct digest *digest, char text[DIGEST_TEXT_SIZE], struct error *err);
void digest_free(struct digest *digest);

#endif
