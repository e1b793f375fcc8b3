/* Deadlines: what a session waits for, and how long.
 * Owns: the meaning of the timeout options (RFC 5321 4.5.3.2).
 * A session has one Event, so one deadline at a time: the nearest. */

#include "core/lim.h"
#include "proto/server/esmtp_auth.h"

static void
sooner(struct timeval *when, const char **which, const struct timeval *since,
    int64_t seconds, const char *name)
{
	struct timeval t = *since;

	t.tv_sec += (time_t)seconds;
	if (*which == NULL || timercmp(&t, when, <)) {
		*when = t;
		*which = name;
	}
}

void
esmtp_deadline(const message_construct *mc, struct timeval *when_r,
    const char **which_r)
{
	const struct esmtp_options *o = mc->ac->options;
	const char *which = NULL;

	if (mc->tls_stage == TLS_HANDSHAKE ||
	    (mc->state == ES_SETUP && mc->setup == SETUP_PROXY)) {
		bool is_tls = mc->tls_stage == TLS_HANDSHAKE;

		sooner(when_r, &which, &mc->wait_since, is_tls ?
		    o->tls_handshake_timeout : o->proxy_protocol_timeout,
		    is_tls ? "TLS handshake" : "PROXY header");
		*which_r = which;
		return;
	}
	if (!mc->is_closing && (mc->is_committing ||
	    (mc->is_suspended && !mc->is_answered))) {
		sooner(when_r, &which, &mc->wait_since, LIM_ASYNC_SECONDS,
		    "completion");
		*which_r = which;
		return;
	}
	if (!mc->is_closing && esmtp_auth_has_asked(mc)) {
		/* a host that forgets to answer; esmtp_auth_resume() */
		sooner(when_r, &which, &mc->wait_since, LIM_AUTH_SECONDS,
		    "login");
		*which_r = which;
		return;
	}
	if (mc->txn != NULL && mc->txn->is_in_body)
		sooner(when_r, &which, &mc->txn->data_since, o->data_timeout,
		    "data");
	if (mc->is_waiting_room) {
		/* it is we who do not read */
		*which_r = which;
		return;
	}
	if (mc->txn != NULL && mc->txn->is_in_body && mc->out == NULL)
		sooner(when_r, &which, &mc->idle_since, o->data_block_timeout,
		    "data block");
	else
		sooner(when_r, &which, &mc->wait_since, o->command_timeout,
		    "command");
	if (o->idle_time > 0)
		sooner(when_r, &which, &mc->idle_since, o->idle_time, "idle");
	*which_r = which;
}

bool
esmtp_is_expired(const message_construct *mc, const struct timeval *now,
    const char **which_r)
{
	struct timeval when;

	esmtp_deadline(mc, &when, which_r);
	return !timercmp(now, &when, <);
}
