/* Mechanisms that a back end does itself: messages are passed to and fro.
 * Only the login that the client claims is read from them, for the limit on
 * failures. */

#include <stdlib.h>
#include <string.h>

#include "proto/sasl/auth_mech_int.h"

/* Ask the limit on failures: for the login that the response shows, or for the
 * client's address if it shows none. */
static enum esmtp_auth_status
peek(struct auth_exchange *x, const char *in, size_t len)
{
	char name[AUTH_LOGIN_MAX + 1];

	if (in == NULL || x->login[0] != '\0')
		return ESMTP_AUTH_CHALLENGE;
	if (x->own->peek(x, in, len, name))
		return auth_exchange_claim(x, name);
	return x->may == NULL || x->may(NULL, x->may_closure) ?
	    ESMTP_AUTH_CHALLENGE : ESMTP_AUTH_FAILED;
}

/* A challenge in answer to a bearer token tells of a refusal
 * (auth_mech_oauth.c). */
static bool
is_refusal(const struct auth_exchange *x, const char *in)
{
	return in != NULL && x->mech->needs & ESMTP_CAN_TOKEN;
}

static enum esmtp_auth_status
step(struct auth_exchange *x, const char *in, size_t len,
    struct auth_octets *out)
{
	const struct auth_back *b = x->back;
	enum esmtp_auth_status status;

	if ((status = peek(x, in, len)) != ESMTP_AUTH_CHALLENGE)
		return status;
	status = auth_verdict_status(x->is_initial ?
	    b->ops->relay_start(b->state, &x->client, x->mech->name, in, len,
	    &x->state, out) : b->ops->relay_step(x->state, in, len, out));
	if (status == ESMTP_AUTH_CHALLENGE) {
		x->is_refused = is_refusal(x, in);
		return status;
	}
	/* the back end's spelling of the name is the login; without a name
	 * nobody has logged in */
	if (out->s != NULL && !auth_name_copy(out->s, out->len, x->login) &&
	    status == ESMTP_AUTH_OK)
		return ESMTP_AUTH_LATER;
	return status == ESMTP_AUTH_OK && x->login[0] == '\0' ?
	    ESMTP_AUTH_LATER : status;
}

static void
end(struct auth_exchange *x)
{
	x->back->ops->relay_free(x->state);
}

const struct auth_mech_ops auth_mech_relay = { .step = step, .end = end };
