/* The hashes of crypt(5).
 * Owns: how they are computed. */

#include "core/table/passwdfile_int.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/util/base64.h"
#include "core/util/wipe.h"

int
passwdfile_crypt(const char *password, const char *setting, char *buf,
    size_t size)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;
	int rc = -1;

	if (data == NULL)
		return -1;
	hash = crypt_rn(password, setting, data, sizeof(*data));
	if (hash != NULL && hash[0] != '*') {
		if (strlcpy(buf, hash, size) < size)
			rc = 0;
		else
			errno = ENOSPC;
	}
	wipe_free(data, sizeof(*data));
	return rc;
}

int
passwdfile_token_text(const char *token, char buf[PASSWDFILE_TOKEN_TEXT])
{
	uint8_t hash[32];

	if (!EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL))
		return errno = ENOMEM, -1;
	if (base64_encode(hash, sizeof(hash), buf, PASSWDFILE_TOKEN_TEXT) == -1)
		return -1;
	return 0;
}
