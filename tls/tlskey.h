/* Private keys: reading one from PEM text, and which kinds can be used.
 * Whatever held the text of a file is wiped.
 * Knows nothing of certificates and signatures. */

#ifndef TLS_TLSKEY_H
#define TLS_TLSKEY_H

#include <openssl/evp.h>

#include <stddef.h>

#define TLSKEY_ERROR_MAX 256	/* octets of a message */

/* The kinds of keys, as bits: a scheme may be possible with several. */
enum tlskey_kind {
	TLSKEY_RSA = 0x01, TLSKEY_RSA_PSS = 0x02, TLSKEY_P256 = 0x04,
	TLSKEY_P384 = 0x08, TLSKEY_P521 = 0x10, TLSKEY_ED25519 = 0x20
};

/* tlskey_kind(key, err_r, errlen): The kind of a key; 0 with a message: it
 * cannot be used. */
unsigned int tlskey_kind(const EVP_PKEY *key, char *err_r, size_t errlen);

/* tlskey_parse(text, len, err_r, errlen): The private key in a PEM text, which
 * stays the caller's; tlskey_read(fd, err_r, errlen): at the start of a file.
 * PKCS#8 or traditional, not encrypted.  NULL with a message. */
EVP_PKEY *tlskey_parse(const char *text, size_t len, char *err_r,
    size_t errlen);
EVP_PKEY *tlskey_read(int fd, char *err_r, size_t errlen);

#endif
