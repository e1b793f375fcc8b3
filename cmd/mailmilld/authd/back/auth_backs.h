/* What knows passwords: the back ends of authd.
 * Owns: the choice of one by "KIND:ARGUMENT" of Auth_Backend (the kinds are in
 * auth_spec.h).
 * Every call may block, and is made on a thread of authd's pool, several at a
 * time.  Knows nothing of SASL, except that one back end does the mechanisms
 * itself. */

#ifndef CMD_MAILMILLD_AUTHD_BACK_AUTH_BACKS_H
#define CMD_MAILMILLD_AUTHD_BACK_AUTH_BACKS_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/settings/auth_spec.h"	/* AUTH_ERROR_MAX */
#include "core/util/addr.h"
#include "proto/sasl/auth_back.h"

#define AUTH_SPEC(kind, argument, example, all, usual) \
	extern const struct auth_back_ops auth_back_##kind;
#include "cmd/settings/auth_spec.def"
#undef AUTH_SPEC

/* auth_back_open(spec, err_r, errlen): NULL with a message ("FILE:LINE:
 * ..."). */
struct auth_back *auth_back_open(const char *spec, char *err_r,
    size_t errlen);
void auth_back_free(struct auth_back *b);	/* NULL does nothing */

/* auth_back_answers(b, err_r, errlen): Whether the server behind it can be
 * reached now; if not, ${err_r} has why. */
bool auth_back_answers(struct auth_back *b, char *err_r, size_t errlen);

/* auth_back_address(client, buf): The client's address as text, without the
 * port.  NULL: it has none of the Internet. */
const char *auth_back_address(const struct auth_client *client,
    char buf[ADDR_TEXT]);

#endif
