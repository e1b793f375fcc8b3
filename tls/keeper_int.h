/* What the files of keeper.h share. */

#ifndef TLS_KEEPER_INT_H
#define TLS_KEEPER_INT_H

#include <stddef.h>
#include <stdint.h>

#include "tls/keeper.h"

/* keeper_tbs(tbs, len): Are these octets what a server signs in a handshake,
 * and of which TLS? */
enum keeper_tls { KEEPER_NOT_TLS, KEEPER_TLS12, KEEPER_TLS13 };
enum keeper_tls keeper_tbs(const uint8_t *tbs, size_t len);

#endif
