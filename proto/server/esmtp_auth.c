/* The exchange of AUTH, RFC 4954: what the client says goes to the host, what
 * the host says to the client.
 * Owns: struct esmtp_auth, the login.  Both states of it are of the session:
 * ES_EXTENSION3 while the client is to answer, ES_EXTENSION4 while the host is.
 * Knows nothing of mechanisms. */

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/server/esmtp_verb.h"

/* --- what is in progress -------------------------------------------------- */

bool
esmtp_auth_is_reading(const message_construct *mc)
{
	return mc->auth != NULL && mc->auth->stage == ESMTP_AUTH_CLIENT;
}

/* May the line hold a password?  A client that does not wait for the reply to
 * AUTH, or takes a refusal for a challenge, sends one as a command line; and
 * what a verb of the program reads may be one. */
bool
esmtp_auth_is_secret(const message_construct *mc, const char *s, size_t len)
{
	const struct esmtp_verb *last = esmtp_last_verb(mc);

	/* white space in front of AUTH is not passed over here, since a line
	 * that comes in pieces would be searched again with each */
	return mc->auth != NULL || mc->is_body_refused ||
	    (last != NULL && last->flags & VF_SECRET) ||
	    (len > 0 && (*s == ' ' || *s == '\t')) ||
	    esmtp_verb_may_be_secret(s, len);
}

static void
exchange_free(message_construct *mc)
{
	struct esmtp_auth *x = mc->auth;

	mc->auth = NULL;
	answers_drop(&mc->ac->host->answers, &mc->ac->questions, ASK_AUTH);
	free(x->octets);
	free(x);
}

void
esmtp_auth_end(message_construct *mc)
{
	struct esmtp_host *host = mc->ac->host;
	struct esmtp_auth *x = mc->auth;

	if (x == NULL)
		return;
	/* after its last answer the host has forgotten the exchange */
	if (x->stage == ESMTP_AUTH_CLIENT || x->stage == ESMTP_AUTH_HOST ||
	    (x->stage == ESMTP_AUTH_HEARD &&
	    x->status == ESMTP_AUTH_CHALLENGE))
		host->ops->auth_cancel(esmtp_auth_closure(host), mc->ac);
	exchange_free(mc);
}

void
esmtp_auth_forget(message_construct *mc)
{
	esmtp_auth_end(mc);
	free(mc->login);
	mc->login = NULL;
}

const char *
esmtp_session_login(const accept_construct *ac)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL ? mc->login : NULL;
}

/* --- what the host says --------------------------------------------------- */

void
esmtp_auth_done(accept_construct *ac, enum esmtp_auth_status status,
    const char *octets, size_t len)
{
	message_construct *mc = accept_construct_get_message_construct(ac);
	struct esmtp_auth *x = mc != NULL ? mc->auth : NULL;

	if (x == NULL || x->stage != ESMTP_AUTH_HOST)
		return;
	x->stage = ESMTP_AUTH_HEARD;
	x->status = status;
	ac->is_async_done = 1;
	if (octets == NULL)
		return;
	if (len > LIM_AUTH_OCTETS || (x->octets = malloc(len + 1)) == NULL) {
		x->is_lost = true;
		return;
	}
	memcpy(x->octets, octets, len);
	x->octets[len] = '\0';
	x->len = len;
}

void
esmtp_auth_hear(message_construct *mc)
{
	accept_construct *ac = mc->ac;
	struct answer a;

	if (!answers_take(&ac->host->answers, &ac->questions, ASK_AUTH, &a))
		return;
	esmtp_auth_done(ac, (enum esmtp_auth_status)a.value, a.octets, a.len);
	if (a.octets != NULL)
		explicit_bzero(a.octets, a.len);
	free(a.octets);
}

int
esmtp_auth_claim(message_construct *mc, const char *mech,
    enum esmtp_auth_status status, const char *octets, size_t len)
{
	struct esmtp_auth *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return -1;
	if (octets != NULL) {
		if ((x->octets = malloc(len + 1)) == NULL) {
			free(x);
			return -1;
		}
		memcpy(x->octets, octets, len);
		x->octets[len] = '\0';
		x->len = len;
	}
	x->stage = ESMTP_AUTH_HEARD;
	x->status = status;
	snprintf(x->mechanism, sizeof(x->mechanism), "%s", mech);
	mc->auth = x;
	return 0;
}

/* The reply to each status that ends an exchange without a login. */
static const enum esmtp_reply_id refusals[] = {
	[ESMTP_AUTH_FAILED] = RPL_AUTH_FAILED,
	[ESMTP_AUTH_LATER] = RPL_AUTH_LATER,
	[ESMTP_AUTH_BLOCKED] = RPL_AUTH_BLOCKED,
	[ESMTP_AUTH_MALFORMED] = RPL_AUTH_MALFORMED,
};

#define NREFUSALS	(sizeof(refusals) / sizeof(refusals[0]))

/* The exchange has come to nothing, which ${code} has told the client. */
static void
report_failure(struct esmtp_step *st, int code, const char *enhanced,
    const char *reason)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_AUTH_FAILED };
	const struct esmtp_auth *x = st->mc->auth;

	r.code = code;
	r.enhanced = enhanced;
	r.detail = x->mechanism;
	r.reason = reason;
	r.is_verdict = x->status == ESMTP_AUTH_FAILED && reason != NULL &&
	    reason == st->ac->failure;
	if (x->octets != NULL && x->status != ESMTP_AUTH_CHALLENGE)
		r.arg = x->octets;
	esmtp_report(st, &r);
}

/* End the exchange with the reply ${id}; the host has ended it already.
 * ${reason} NULL: the host's, or else the reply's own words. */
static void
fail(struct esmtp_step *st, enum esmtp_reply_id id, const char *reason)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[id];

	if (reason == NULL)
		reason = st->ac->failure;
	esmtp_set_state(st->mc, ES_EXTENSION1);
	report_failure(st, row->code, row->enhanced, reason != NULL ? reason :
	    row->text);
	exchange_free(st->mc);
	esmtp_reply(st, id);
}

/* The host cannot be asked, or does not answer. */
static void
give_up(struct esmtp_step *st, bool is_begun)
{
	struct esmtp_host *host = st->ac->host;

	if (is_begun)
		host->ops->auth_cancel(esmtp_auth_closure(host), st->ac);
	st->mc->auth->status = ESMTP_AUTH_LATER;
	free(st->mc->auth->octets);
	st->mc->auth->octets = NULL;
	fail(st, RPL_AUTH_LATER, NULL);
}

/* RFC 4954 4: "334 " and nothing but the challenge, which may be longer than
 * other replies.  There is room for it, since it is the first reply of a
 * step. */
static void
challenge(struct esmtp_step *st)
{
	struct esmtp_auth *x = st->mc->auth;
	char *p = st->out + st->out_len;

	if (4 + base64_octets(x->len) + 2 > st->out_size - st->out_len) {
		give_up(st, true);
		return;
	}
	memcpy(p, "334 ", 4);
	p += 4;
	if (x->len > 0)
		p += base64_encode(x->octets, x->len, p,
		    base64_octets(x->len) + 1);
	memcpy(p, "\r\n", 2);
	st->out_len = (size_t)(p + 2 - st->out);
	st->nreplies++;
	x->stage = ESMTP_AUTH_CLIENT;
	free(x->octets);
	x->octets = NULL;
	x->len = 0;
	esmtp_set_state(st->mc, ES_EXTENSION3);
}

/* May ${s} be a login?  It is written into headers and the log: no controls. */
bool
esmtp_auth_is_login(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return len > 0 && len <= LIM_LOGIN;
}

/* The host has verified the client; a policy module may still refuse the
 * login. */
static enum esmtp_want
right(struct esmtp_step *st)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_AUTH };
	message_construct *mc = st->mc;
	struct esmtp_auth *x = mc->auth;
	enum esmtp_want w;

	x->stage = ESMTP_AUTH_PHASE;
	w = esmtp_phase(st, VALIDATE_PHASE_AUTH, x->octets, NULL);
	if (w == W_WAIT)
		return w;
	esmtp_wait_over(mc);
	esmtp_set_state(mc, ES_EXTENSION1);
	if (w == W_REFUSED) {
		report_failure(st, st->code, "", "refused by a policy");
		exchange_free(mc);
		return W_GO;
	}
	mc->login = x->octets;
	x->octets = NULL;
	mc->verb = 0;	/* what follows is no part of it */
	r.detail = x->mechanism;
	esmtp_report(st, &r);
	exchange_free(mc);
	esmtp_reply(st, RPL_AUTH_OK);
	return W_GO;
}

static enum esmtp_want
heard(struct esmtp_step *st)
{
	const struct esmtp_auth *x = st->mc->auth;

	if (x->is_lost)
		give_up(st, x->status == ESMTP_AUTH_CHALLENGE);
	else if (x->status == ESMTP_AUTH_CHALLENGE)
		challenge(st);
	else if (x->status == ESMTP_AUTH_OK && x->octets != NULL &&
	    esmtp_auth_is_login(x->octets, x->len))
		return right(st);
	else if ((size_t)x->status < NREFUSALS && refusals[x->status] != 0)
		fail(st, refusals[x->status], NULL);
	else
		give_up(st, false);
	return W_GO;
}

enum esmtp_want
esmtp_auth_resume(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const char *which;
	bool is_late = esmtp_is_expired(mc, &st->now, &which);

	/* the client's time starts again: it could not do anything */
	mc->idle_since = moment_of(&st->now);
	esmtp_answering_last(st);
	if (mc->auth->stage == ESMTP_AUTH_PHASE)
		return right(st);
	if (!esmtp_is_waiting(mc)) {
		esmtp_wait_for(st, WAIT_WRITE);
		return heard(st);
	}
	if (!st->ac->host->is_draining && !is_late)
		return W_WAIT;
	esmtp_wait_for(st, WAIT_WRITE);
	if (st->ac->host->is_draining) {
		/* no transaction can follow: 421 is the answer to AUTH */
		esmtp_set_state(mc, ES_EXTENSION1);
		esmtp_auth_end(mc);
		esmtp_bye(st);
	} else
		give_up(st, true);
	return W_GO;
}

/* --- what the client says ------------------------------------------------- */

/* The host is going to be asked: esmtp_auth_done() may come before its function
 * returns. */
static void
wait_for_host(struct esmtp_step *st)
{
	esmtp_set_state(st->mc, ES_EXTENSION4);
	st->mc->auth->stage = ESMTP_AUTH_HOST;
	esmtp_wait_for(st, WAIT_AUTH);
}

/* The host could not be asked, whatever it has said meanwhile. */
static void
not_asked(struct esmtp_step *st, bool is_begun)
{
	esmtp_wait_for(st, WAIT_WRITE);
	give_up(st, is_begun);
}

enum esmtp_want
esmtp_auth_go_on(struct esmtp_step *st)
{
	enum esmtp_want w;

	if (st->mc->wait != WAIT_AUTH || esmtp_is_waiting(st->mc) ||
	    st->mc->is_dropped)
		return W_GO;
	/* a challenge needs more room than other replies.  While the client
	 * takes those before it, the answer waits as if it came later */
	w = esmtp_flush(st);
	if (w == W_GO)
		return esmtp_auth_resume(st);
	return w == W_WRITE ? W_WAIT : w;
}

void
esmtp_auth_begin(struct esmtp_step *st, const char *mech, const char *initial,
    size_t len)
{
	struct esmtp_host *host = st->ac->host;
	message_construct *mc = st->mc;
	int result;

	if ((mc->auth = calloc(1, sizeof(*mc->auth))) == NULL) {
		esmtp_reply(st, RPL_NOMEM);
		return;
	}
	strcpy(mc->auth->mechanism, mech);
	st->ac->failure = NULL;
	wait_for_host(st);
	st->asking = ASK_AUTH;
	result = host->ops->auth_start(esmtp_auth_closure(host), st->ac, mech,
	    initial, len);
	st->asking = ASK_NONE;
	esmtp_auth_hear(st->mc);
	if (result == -1)
		not_asked(st, false);
}

void
esmtp_auth_break(struct esmtp_step *st, enum esmtp_reply_id id)
{
	struct esmtp_host *host = st->ac->host;

	host->ops->auth_cancel(esmtp_auth_closure(host), st->ac);
	fail(st, id, id == RPL_AUTH_CANCELLED ? "cancelled by the client" :
	    esmtp_reply_rows[id].text);
}

/* Is ${s} in the form of a mechanism's name (RFC 4422 3.1)?  Anything else may
 * be what the client did not mean to say in the clear. */
static bool
is_mechanism(const char *s, size_t len)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t i;

	for (i = 0; i < len; i++)
		if (memchr(set, s[i], sizeof(set) - 1) == NULL)
			return false;
	return len > 0 && len <= LIM_AUTH_MECHANISM;
}

void
esmtp_auth_refuse(struct esmtp_step *st, const char *mech, size_t len,
    enum esmtp_reply_id id)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[id];
	struct esmtp_report r = { .kind = ESMTP_REPORT_AUTH_FAILED,
		.code = row->code, .enhanced = row->enhanced,
		.reason = row->text };
	char name[LIM_AUTH_MECHANISM + 1] = "";

	if (is_mechanism(mech, len))
		memcpy(name, mech, len);
	r.detail = name;
	esmtp_report(st, &r);
	esmtp_reply(st, id);
}

void
esmtp_auth_line(struct esmtp_step *st, const char *line, size_t len)
{
	struct esmtp_host *host = st->ac->host;
	char octets[LIM_AUTH_OCTETS];
	ssize_t n;
	int result;

	esmtp_answering_last(st);
	if (len == 1 && line[0] == '*') {
		/* RFC 4954 4: the line "*" cancels; the reply is 501 */
		esmtp_auth_break(st, RPL_AUTH_CANCELLED);
		return;
	}
	n = base64_decode(line, len, octets, sizeof(octets));
	if (n == -1) {
		esmtp_auth_break(st, RPL_AUTH_BASE64);
		explicit_bzero(octets, sizeof(octets));
		return;
	}
	wait_for_host(st);
	st->asking = ASK_AUTH;
	result = host->ops->auth_step(esmtp_auth_closure(host), st->ac, octets,
	    (size_t)n);
	st->asking = ASK_NONE;
	esmtp_auth_hear(st->mc);
	if (result == -1)
		not_asked(st, true);
	explicit_bzero(octets, (size_t)n);
}
