/* SCRAM keys.
 * Owns: how they are computed and written. */

#include "core/table/passwdfile_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/util/base64.h"

static const EVP_MD *
digest(enum passwdfile_scram_hash hash)
{
	return hash == PASSWDFILE_SHA256 ? EVP_sha256() : EVP_sha1();
}

/* RFC 5802 3: SaltedPassword, ClientKey, StoredKey, ServerKey */
int
passwdfile_scram_make(enum passwdfile_scram_hash hash, const char *password,
    struct passwdfile_scram *scram)
{
	static const unsigned char client[] = "Client Key";
	static const unsigned char server[] = "Server Key";
	const EVP_MD *md = digest(hash);
	uint8_t salted[32], key[32];
	int len = EVP_MD_get_size(md), rc = -1;

	if (len <= 0 || (size_t)len > sizeof(salted) ||
	    !PKCS5_PBKDF2_HMAC(password, (int)strlen(password), scram->salt,
	    (int)scram->salt_len, (int)scram->iterations, md, len, salted) ||
	    HMAC(md, salted, len, client, sizeof(client) - 1, key, NULL) ==
	    NULL ||
	    !EVP_Digest(key, (size_t)len, scram->stored_key, NULL, md, NULL) ||
	    HMAC(md, salted, len, server, sizeof(server) - 1,
	    scram->server_key, NULL) == NULL)
		errno = ENOMEM;
	else
		rc = 0;
	scram->key_len = (size_t)len;
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(key, sizeof(key));
	return rc;
}

int
passwdfile_scram_text(const struct passwdfile_scram *scram, char *buf,
    size_t size)
{
	char salt[96], stored[48], server[48];
	int n;

	if (base64_encode(scram->salt, scram->salt_len, salt,
	    sizeof(salt)) == -1 ||
	    base64_encode(scram->stored_key, scram->key_len, stored,
	    sizeof(stored)) == -1 ||
	    base64_encode(scram->server_key, scram->key_len, server,
	    sizeof(server)) == -1)
		return -1;
	n = snprintf(buf, size, "%u,%s,%s,%s", scram->iterations, salt, stored,
	    server);
	explicit_bzero(stored, sizeof(stored));
	explicit_bzero(server, sizeof(server));
	return n < 0 || (size_t)n >= size ? (errno = ENOSPC, -1) : 0;
}

/* The octets of base64 up to ${end} at ${*s}, which goes behind it. */
static ssize_t
part(const char **s, char end, void *out, size_t size)
{
	const char *p = end == '\0' ? *s + strlen(*s) : strchr(*s, end);
	ssize_t n;

	if (p == NULL)
		return -1;
	n = base64_decode(*s, (size_t)(p - *s), out, size);
	*s = p + 1;
	return n;
}

const char *
passwdfile_scram_parse(enum passwdfile_scram_hash hash, const char *value,
    struct passwdfile_scram *scram_r)
{
	ssize_t want = hash == PASSWDFILE_SHA256 ? 32 : 20, n;
	unsigned long iterations;
	char *end;

	errno = 0;
	iterations = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end != ',')
		return "expected ITERATIONS,SALT,STOREDKEY,SERVERKEY";
	if (errno != 0 || iterations < PASSWDFILE_ITER_MIN ||
	    iterations > PASSWDFILE_ITER_MAX)
		return "iterations have to be from 4096 to 10000000";
	scram_r->iterations = (unsigned int)iterations;
	value = end + 1;
	n = part(&value, ',', scram_r->salt, sizeof(scram_r->salt));
	if (n < 1)
		return "the salt is not 1 to 64 octets of base64";
	scram_r->salt_len = (size_t)n;
	if (part(&value, ',', scram_r->stored_key, (size_t)want) != want ||
	    part(&value, '\0', scram_r->server_key, (size_t)want) != want)
		return "a key is not base64 of the length of the hash";
	scram_r->key_len = (size_t)want;
	return NULL;
}
