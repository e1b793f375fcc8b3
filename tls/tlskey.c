/* Private keys as octets and in files; see tlskey.h.
 * Owns: the messages about a text that cannot be used. */

#include "tls/tlskey.h"

#include <openssl/bio.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util/fileio.h"
#include "tls/remote.h"

#define FILE_MAX	65536	/* octets; RSA of 8192 bits takes 6,400 */
#define RSA_BITS_MIN	2048	/* what OpenSSL's security level 2 takes */
#define RSA_BITS_MAX	(TLS_SIG_MAX * 8)

/* --- kinds ---------------------------------------------------------------- */

static const struct {
	const char	*name;		/* of the key or the group in OpenSSL */
	const char	*group;		/* NULL: none */
	unsigned int	 kind;
} kinds[] = {
	{ "RSA", NULL, TLSKEY_RSA },
	{ "RSA-PSS", NULL, TLSKEY_RSA_PSS },
	{ "EC", "prime256v1", TLSKEY_P256 },
	{ "EC", "secp384r1", TLSKEY_P384 },
	{ "EC", "secp521r1", TLSKEY_P521 },
	{ "ED25519", NULL, TLSKEY_ED25519 },
};

unsigned int
tlskey_kind(const EVP_PKEY *key, char *err_r, size_t errlen)
{
	char group[64] = "";
	int bits = EVP_PKEY_get_bits(key);
	size_t i;

	if (EVP_PKEY_is_a(key, "EC"))
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!EVP_PKEY_is_a(key, kinds[i].name) ||
		    (kinds[i].group != NULL &&
		    strcmp(kinds[i].group, group) != 0))
			continue;
		if ((kinds[i].kind & (TLSKEY_RSA | TLSKEY_RSA_PSS)) == 0 ||
		    (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX))
			return kinds[i].kind;
		snprintf(err_r, errlen, "is an RSA key of %d bits: use %d to "
		    "%d", bits, RSA_BITS_MIN, RSA_BITS_MAX);
		return 0;
	}
	snprintf(err_r, errlen, "is a key of type %s%s%s: use RSA, ECDSA on "
	    "P-256, P-384 or P-521, or Ed25519",
	    EVP_PKEY_get0_type_name(key) == NULL ? "unknown" :
	    EVP_PKEY_get0_type_name(key), group[0] == '\0' ? "" : " ", group);
	return 0;
}

/* --- text ----------------------------------------------------------------- */

static bool
has_text(const char *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

/* RFC 7468 11, and RFC 1421 4.6.1.1 for the traditional form */
static bool
is_encrypted(const char *text, size_t len)
{
	return has_text(text, len, "-----BEGIN ENCRYPTED PRIVATE KEY-----") ||
	    has_text(text, len, "Proc-Type: 4,ENCRYPTED");
}

/* Never called, since encrypted keys are refused before; but without a function
 * OpenSSL would ask at the terminal. */
static int
no_passphrase(char *, int, int, void *)
{
	return -1;
}

static EVP_PKEY *
parse_der(const unsigned char *der, size_t len)
{
	OSSL_DECODER_CTX *ctx;
	EVP_PKEY *key = NULL;

	ctx = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, NULL,
	    OSSL_KEYMGMT_SELECT_ALL, NULL, NULL);
	if (ctx != NULL && OSSL_DECODER_from_data(ctx, &der, &len) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	OSSL_DECODER_CTX_free(ctx);
	return key;
}

/* PEM_bytes_read_bio_secmem(3) clears the buffers that it has used; the plain
 * reader does not. */
static EVP_PKEY *
parse(const char *text, size_t len)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = NULL;
	unsigned char *der;
	char *name = NULL;
	long n;

	if (bio == NULL)
		return NULL;
	if (PEM_bytes_read_bio_secmem(&der, &n, &name, PEM_STRING_EVP_PKEY,
	    bio, no_passphrase, NULL) == 1) {
		key = parse_der(der, (size_t)n);
		OPENSSL_secure_clear_free(der, (size_t)n);
		OPENSSL_free(name);
	}
	BIO_free(bio);
	return key;
}

EVP_PKEY *
tlskey_parse(const char *text, size_t len, char *err_r, size_t errlen)
{
	EVP_PKEY *key;

	if (len >= FILE_MAX) {
		snprintf(err_r, errlen, "is larger than %d octets: not a private key",
		    FILE_MAX - 1);
		return NULL;
	}
	if (is_encrypted(text, len)) {
		snprintf(err_r, errlen, "is encrypted, and the server cannot ask "
		    "for the passphrase: remove it (openssl pkey -in OLD "
		    "-out NEW)");
		return NULL;
	}
	ERR_clear_error();
	if ((key = parse(text, len)) == NULL)
		snprintf(err_r, errlen, has_text(text, len, "PRIVATE KEY---") ?
		    "is damaged: its PEM private key cannot be decoded" :
		    "contains no PEM private key (-----BEGIN PRIVATE KEY-----)");
	ERR_clear_error();
	return key;
}

EVP_PKEY *
tlskey_read(int fd, char *err_r, size_t errlen)
{
	EVP_PKEY *key = NULL;
	char *text = OPENSSL_malloc(FILE_MAX);
	ssize_t len;

	if (text == NULL) {
		snprintf(err_r, errlen, "cannot be read: %s", strerror(ENOMEM));
		return NULL;
	}
	if ((len = fileio_pread(fd, text, FILE_MAX, 0)) == -1)
		snprintf(err_r, errlen, "cannot be read: %s", strerror(errno));
	else
		key = tlskey_parse(text, (size_t)len, err_r, errlen);
	OPENSSL_clear_free(text, FILE_MAX);
	return key;
}
