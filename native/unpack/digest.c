#include "digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

struct digest {
	EVP_MD_CTX *context;
};

int digest_new(struct digest **out, struct error *err)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	if (digest == NULL)
		return error_set(err, ENOMEM, "read", "", "no memory for a digest");
	/* The configuration file of libcrypto could name modules to load; none is wanted here. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	digest->context = EVP_MD_CTX_new();
	if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
		digest_free(digest);
		return error_set(err, ENOMEM, "read", "", "cannot set up SHA-256");
	}
	*out = digest;
	return 0;
}

int digest_update(struct digest *digest, const void *data, size_t length, struct error *err)
{
	if (EVP_DigestUpdate(digest->context, data, length) != 1)
		return error_set(err, EIO, "read", "", "SHA-256 failed");
	return 0;
}

int digest_text(struct digest *digest, char text[DIGEST_TEXT_SIZE], struct error *err)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int length = 0;

	if (EVP_DigestFinal_ex(digest->context, raw, &length) != 1 || length != 32)
		return error_set(err, EIO, "read", "", "SHA-256 failed");
	snprintf(text, DIGEST_TEXT_SIZE, "sha256:");
	for (unsigned int i = 0; i < length; i++)
		snprintf(text + 7 + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

void digest_free(struct digest *digest)
{
	if (digest == NULL)
		return;
	EVP_MD_CTX_free(digest->context);
	free(digest);
}
