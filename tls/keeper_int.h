/* What the files of keeper.h share. */

#ifndef TLS_KEEPER_INT_H
#define TLS_KEEPER_INT_H

#include <openssl/evp.h>

#include <stddef.h>
#include <stdint.h>

#include "tls/keeper.h"

/* The kinds of keys, as bits: a scheme may be possible with several. */
enum keeper_kind {
	KEEPER_RSA = 0x01, KEEPER_RSA_PSS = 0x02, KEEPER_P256 = 0x04,
	KEEPER_P384 = 0x08, KEEPER_P521 = 0x10, KEEPER_ED25519 = 0x20
};

/* keeper_read(fd, err_r, errlen): The private key in a file of PEM text; what
 * held the text is wiped.  NULL with a message. */
EVP_PKEY *keeper_read(int fd, char *err_r, size_t errlen);

/* keeper_tbs(tbs, len): Are these octets what a server signs in a handshake,
 * and of which TLS? */
enum keeper_tls { KEEPER_NOT_TLS, KEEPER_TLS12, KEEPER_TLS13 };
enum keeper_tls keeper_tbs(const uint8_t *tbs, size_t len);

#endif
