/* SASL: one exchange of one mechanism, on the server's side.
 * Owns: how each mechanism of esmtp_auth_mech.def is done, the order of
 * challenges.
 * A call takes as long as the back end's do: authd makes it on a thread of its
 * pool, and a back end that answers later makes it return at once.  Never two
 * calls at once for one exchange. */

#ifndef PROTO_SASL_AUTH_MECH_H
#define PROTO_SASL_AUTH_MECH_H

#include <time.h>

#include "proto/esmtp_factory.h"	/* enum esmtp_auth_status */
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/auth_back.h"

#define AUTH_RESPONSE_MAX	12288	/* octets, decoded; RFC 4954 4 */
#define AUTH_PASSWORD_MAX	511	/* octets; crypt(3) takes no more */
#define AUTH_NONCE_MAX		1024	/* octets of a client's, sent back */

struct auth_exchange;

struct auth_start {
	const char		*mech;
	const char		*hostname;	/* ours */
	time_t			 now;		/* for CRAM-MD5's challenge */
	struct auth_back	*back;
	struct auth_client	 client;
	const uint8_t		*exporter;	/* tls-exporter, 32 octets */
	size_t			 exporter_len;	/* 0: none */
	const uint8_t		*endpoint;	/* tls-server-end-point */
	size_t			 endpoint_len;
	bool			 is_plus_offered; /* any -PLUS: RFC 5802 6 */
};

/* auth_exchange_new(start): NULL with errno (EINVAL: no such mechanism, or a
 * binding of more than 64 octets).  ${start->back} and
 * ${start->hostname} are kept, the rest is copied. */
struct auth_exchange *auth_exchange_new(const struct auth_start *start);
void auth_exchange_free(struct auth_exchange *x);	/* NULL does nothing */

/* auth_exchange_login(x): The login that the client claims, prepared as RFC
 * 4013 says, or as the back end spells it; NULL as long as it is not known. */
const char *auth_exchange_login(const struct auth_exchange *x);

/* auth_exchange_why(x): Why the last step ended the exchange; ESMTP_WHY_NONE
 * after a challenge or a success. */
enum esmtp_auth_why auth_exchange_why(const struct auth_exchange *x);

/* auth_exchange_is_refused(x): Has the back end refused the token, so that the
 * outstanding challenge only tells the client (OAUTHBEARER, XOAUTH2)?  That is
 * a failure even if the client does not answer. */
bool auth_exchange_is_refused(const struct auth_exchange *x);

/* auth_exchange_step(x, in, len, deadline_ms, out_r, len_r): Give the client's
 * octets (NULL in the first step: it had no initial response; else: empty).
 * Return what to tell it; *out_r is malloced: the octets of
 * ESMTP_AUTH_CHALLENGE, or NULL.
 * After anything but a challenge the exchange is over.  A challenge is at most
 * 4096 octets, unless a back end relays it.
 * It never returns ESMTP_AUTH_BLOCKED. */
enum esmtp_auth_status auth_exchange_step(struct auth_exchange *x,
    const char *in, size_t len, uint64_t deadline_ms, char **out_r,
    size_t *len_r);

/* What a step returns while the back end has not answered. */
#define AUTH_STEP_PENDING	((enum esmtp_auth_status)(ESMTP_AUTH_MALFORMED + 1))

/* auth_exchange_resume(x, v, out_r, len_r): The back end's answer, once, after
 * AUTH_STEP_PENDING; go on with the step.  As auth_exchange_step(). */
enum esmtp_auth_status auth_exchange_resume(struct auth_exchange *x,
    enum auth_verdict v, char **out_r, size_t *len_r);

/* auth_exchange_on_login(x, may, closure): Call ${may} when the login is known,
 * before the back end is asked; if it returns false, the answer is that of a
 * wrong password and the back end is not asked.  Where a back end does the
 * mechanism itself and a response does not show the login, ${may} is called
 * with NULL. */
void auth_exchange_on_login(struct auth_exchange *x,
    bool (*may)(const char *login, void *closure), void *closure);

#endif
