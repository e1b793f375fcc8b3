/* Keys of each kind, certificates for them, and handshakes in memory. */

#ifndef TEST_UNIT_TLS_KEYS_FIXTURE_H
#define TEST_UNIT_TLS_KEYS_FIXTURE_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keys_kind { KEYS_RSA, KEYS_RSA_PSS, KEYS_P256, KEYS_P384,
	KEYS_P521, KEYS_ED25519, KEYS_NKINDS };

extern const char *const keys_names[KEYS_NKINDS];

/* keys_make(kind): A new one, by the default provider. */
EVP_PKEY *keys_make(enum keys_kind kind);

/* keys_certificate(key): Signed by itself. */
X509 *keys_certificate(EVP_PKEY *key);

/* keys_cert_pem(x): malloced, NUL terminated; keys_file(key): a file
 * with it in PEM (PKCS#8), keys_text_file(text): with that. */
char *keys_cert_pem(X509 *x);
int keys_file(EVP_PKEY *key);
int keys_text_file(const char *text);

/* keys_text(key, is_traditional, cipher): ${key} in PEM, malloced: traditional
 * or PKCS#8; with ${cipher}, encrypted with the passphrase "pass". */
char *keys_text(EVP_PKEY *key, bool is_traditional, const EVP_CIPHER *cipher);

/* keys_tls13(tbs, context, hash): What is signed in TLS 1.3 (RFC 8446 4.4.3),
 * with a hash of ${hash} octets.  Return its octets. */
#define KEYS_CONTEXT	"TLS 1.3, server CertificateVerify"
size_t keys_tls13(uint8_t *tbs, const char *context, size_t hash);

/* A server and a client, connected in memory. */
struct keys_link {
	SSL_CTX	*server_ctx, *client_ctx;
	SSL	*server, *client;
	int	 server_rc, client_rc;	/* of the last SSL_do_handshake() */
};

/* keys_open(p, cert, key, version): The server has the certificate and
 * speaks that version; ${key} may be one that belongs elsewhere. */
void keys_open(struct keys_link *p, X509 *cert, EVP_PKEY *key,
    int version);
void keys_close(struct keys_link *p);

/* keys_step(p): Each side once.  Return true when both are done. */
bool keys_step(struct keys_link *p);
int keys_server_error(const struct keys_link *p);	/* SSL_get_error() */

#endif
