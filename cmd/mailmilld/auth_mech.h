/* SASL: one exchange of one mechanism, on the server's side.
 * Owns: the mechanisms (auth_mech.def), GNU SASL, the order of challenges.
 * Calls may block (the back end's do) and are made on a thread of authd's pool,
 * never two at once for one exchange. */

#ifndef CMD_MAILMILLD_AUTH_MECH_H
#define CMD_MAILMILLD_AUTH_MECH_H

#include "cmd/mailmilld/auth_back.h"
#include "proto/esmtp_factory.h"	/* enum esmtp_auth_status */

/* auth_mech_known(name): Is it a mechanism of ours (capitals)?  is_plaintext:
 * does it show the password to who listens? */
bool auth_mech_known(const char *name);
bool auth_mech_is_plaintext(const char *name);

/* auth_mech_open(): Once per process, before the threads.  Return 0 or -1. */
int auth_mech_open(void);
void auth_mech_close(void);

struct auth_exchange;

struct auth_start {
	const char		*mech;
	struct auth_back	*back;
	struct auth_client	 client;	/* copied, its texts too */
	const uint8_t		*exporter;	/* tls-exporter, 32 octets */
	size_t			 exporter_len;	/* 0: none */
	const uint8_t		*endpoint;	/* tls-server-end-point */
	size_t			 endpoint_len;
	bool			 is_plus_offered; /* a -PLUS mechanism was: RFC 5802 6 */
};

/* auth_exchange_new(start): NULL with errno (EINVAL: no such mechanism). */
struct auth_exchange *auth_exchange_new(const struct auth_start *start);
void auth_exchange_free(struct auth_exchange *x);	/* NULL does nothing */

/* auth_exchange_login(x): The name that is tried, once it is known; else NULL.
 * Of the calling thread's last step. */
const char *auth_exchange_login(const struct auth_exchange *x);

/* auth_exchange_step(x, in, len, deadline_ms, out_r, len_r): Give the client's
 * octets (NULL: it had no initial response).  Return what to tell it;
 * *out_r is malloced: the octets of ESMTP_AUTH_CHALLENGE, or NULL.
 * After anything but a challenge the exchange is over.
 * ESMTP_AUTH_BLOCKED is not its to return. */
enum esmtp_auth_status auth_exchange_step(struct auth_exchange *x,
    const char *in, size_t len, int64_t deadline_ms, char **out_r,
    size_t *len_r);

/* What a limit on failures asks before a verdict is worked for: called once
 * the login is known, before the back end; false: answer as if wrong, without
 * asking it. */
void auth_exchange_on_login(struct auth_exchange *x,
    bool (*may)(const char *login, void *closure), void *closure);

#endif
