/* SASL: one exchange of one mechanism, on the server's side.
 * Owns: the mechanisms (auth_mech.def), GNU SASL, the order of challenges.
 * Calls may block (the back end's do) and are made on a thread of authd's pool,
 * never two at once for one exchange. */

#ifndef CMD_MAILMILLD_AUTH_MECH_H
#define CMD_MAILMILLD_AUTH_MECH_H

#include "cmd/mailmilld/authd/back/auth_back.h"
#include "proto/esmtp_factory.h"	/* enum esmtp_auth_status */

#define AUTH_RESPONSE_MAX	12288	/* octets, decoded; RFC 4954 4 */
#define AUTH_PASSWORD_MAX	511	/* octets; crypt(3) takes no more */
#define AUTH_NONCE_MAX		1024	/* octets of a client's, sent back */

/* Who does a mechanism: a row of auth_mech.c each. */
enum auth_mech_kind { AUTH_MECH_PLAIN, AUTH_MECH_LOGIN, AUTH_MECH_SCRAM,
	AUTH_MECH_CRAM_MD5, AUTH_MECH_EXTERNAL, AUTH_MECH_OAUTHBEARER,
	AUTH_MECH_XOAUTH2 };

struct auth_mech {
	const char	*name;			/* capitals */
	bool		 is_plaintext;		/* see the table */
	bool		 is_default;		/* without Auth_Mechanisms */
	bool		 needs_tls;
	bool		 needs_certificate;	/* of the client, verified */
	enum auth_mech_kind kind;
};

/* auth_mech_at(i): The rows of auth_mech.def, in the order of preference; NULL
 * behind the last.  auth_mech_find(name): NULL: no mechanism of ours.
 * auth_mech_known, auth_mech_is_plaintext: the same, asked shorter.
 * auth_mech_is_plus(name): Does it bind to the channel, by its name in any case
 * (RFC 5802 4)? */
const struct auth_mech *auth_mech_at(size_t i);
const struct auth_mech *auth_mech_find(const char *name);
bool auth_mech_known(const char *name);
bool auth_mech_is_plaintext(const char *name);
bool auth_mech_is_plus(const char *name);

/* auth_mech_open(): Once per process, before the threads.  Return 0 or -1. */
int auth_mech_open(void);
void auth_mech_close(void);

struct auth_exchange;

struct auth_start {
	const char		*mech;
	struct auth_back	*back;
	struct auth_client	 client;
	const uint8_t		*exporter;	/* tls-exporter, 32 octets */
	size_t			 exporter_len;	/* 0: none */
	const uint8_t		*endpoint;	/* tls-server-end-point */
	size_t			 endpoint_len;
	bool			 is_plus_offered; /* any -PLUS: RFC 5802 6 */
};

/* auth_exchange_new(start): NULL with errno (EINVAL: no such mechanism, or a
 * binding of more than 64 octets).  Everything but ${start->back} is copied. */
struct auth_exchange *auth_exchange_new(const struct auth_start *start);
void auth_exchange_free(struct auth_exchange *x);	/* NULL does nothing */

/* auth_exchange_login(x): The name that is tried, prepared as RFC 4013 says, or
 * as the back end has it; NULL as long as it is not known. */
const char *auth_exchange_login(const struct auth_exchange *x);

/* auth_exchange_is_refused(x): Has the back end said no, though the client is
 * still to answer a challenge (OAUTHBEARER, XOAUTH2)?  That counts, whether it
 * does or not. */
bool auth_exchange_is_refused(const struct auth_exchange *x);

/* auth_exchange_step(x, in, len, deadline_ms, out_r, len_r): Give the client's
 * octets (NULL in the first step: it had no initial response; else: empty).
 * Return what to tell it; *out_r is malloced: the octets of
 * ESMTP_AUTH_CHALLENGE, or NULL.
 * After anything but a challenge the exchange is over.  A challenge is at most
 * 4096 octets, unless a back end relays it.
 * ESMTP_AUTH_BLOCKED is not its to return. */
enum esmtp_auth_status auth_exchange_step(struct auth_exchange *x,
    const char *in, size_t len, int64_t deadline_ms, char **out_r,
    size_t *len_r);

/* What a limit on failures asks before a verdict is worked for: called once
 * the login is known, before the back end; false: answer as if wrong, without
 * asking it.  Where the back end takes the octets themselves and they show no
 * login, it is called with NULL, for each response. */
void auth_exchange_on_login(struct auth_exchange *x,
    bool (*may)(const char *login, void *closure), void *closure);

#endif
