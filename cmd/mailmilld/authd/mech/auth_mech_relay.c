/* Mechanisms that a back end does itself: messages are passed to and fro.
 * Only the login that the client claims is read from them, for the limit on
 * failures. */

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/authd/mech/auth_mech_int.h"

static const enum esmtp_auth_status statuses[] = {
	[AUTH_RELAY_CHALLENGE] = ESMTP_AUTH_CHALLENGE,
	[AUTH_RELAY_YES] = ESMTP_AUTH_OK,
	[AUTH_RELAY_NO] = ESMTP_AUTH_FAILED,
	[AUTH_RELAY_UNSURE] = ESMTP_AUTH_LATER,
};

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
	struct auth_relay *r = x->state;
	enum esmtp_auth_status status;
	enum auth_relay_status s;

	if ((status = peek(x, in, len)) != ESMTP_AUTH_CHALLENGE)
		return status;
	s = x->is_initial ?
	    auth_relay_start(x->back, &x->client, x->mech->name, in, len, &r,
	    &out->s, &out->len) :
	    auth_relay_step(r, &x->client, in, len, &out->s, &out->len);
	x->state = r;
	status = statuses[s];
	if (status == ESMTP_AUTH_CHALLENGE) {
		x->is_refused = is_refusal(x, in);
		return r == NULL ? ESMTP_AUTH_LATER : status;
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
	auth_relay_free(x->state);
}

const struct auth_mech_ops auth_mech_relay = { .step = step, .end = end };
