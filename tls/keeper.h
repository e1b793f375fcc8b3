/* The private keys of the process that has them, and what it signs with them.
 * Owns: the keys, the check that a request is a server's part of a handshake
 * and nothing else.
 * A key that leaves this module is a bug: there is no function that gives one
 * out, and whatever held one is wiped. */

#ifndef TLS_KEEPER_H
#define TLS_KEEPER_H

#include <stddef.h>
#include <stdint.h>

#include "tls/remote.h"

#define KEEPER_ERROR_MAX 256	/* octets of a message */

struct keeper;

struct keeper *keeper_new(void);	/* NULL: ENOMEM */
void keeper_free(struct keeper *k);	/* wipes; NULL does nothing */

/* keeper_load(k, version, pair, key_fd, cert, len, err_r, errlen): Read a PEM
 * private key (PKCS#8 or traditional, not encrypted) from the start of the file
 * ${key_fd}, which stays open; it must belong to the first certificate of the
 * PEM text ${cert}.  Return 0, or -1 with what is wrong ("does not belong to
 * the certificate", "is encrypted: ..."), and then the pair has no key. */
int keeper_load(struct keeper *k, uint32_t version, uint32_t pair, int key_fd,
    const char *cert, size_t len, char *err_r, size_t errlen);

/* keeper_forget(k, version): Wipe the keys of all versions before it. */
void keeper_forget(struct keeper *k, uint32_t version);

/* keeper_sign(k, version, pair, scheme, tbs, len, sig_r, len_r): Sign what a
 * TLS server signs: the content of a TLS 1.3 CertificateVerify with the
 * server's context string (RFC 8446 4.4.3), or randoms and ECDHE parameters of
 * a TLS 1.2 ServerKeyExchange (RFC 8422 5.4).  Return 0, or -1 with errno:
 * ENOKEY (no such key), EINVAL (scheme does not fit the key or the version),
 * EPERM (something else is to be signed), EIO (OpenSSL). */
int keeper_sign(struct keeper *k, uint32_t version, uint32_t pair,
    enum tls_scheme scheme, const uint8_t *tbs, size_t len,
    uint8_t sig_r[TLS_SIG_MAX], size_t *len_r);

#endif
