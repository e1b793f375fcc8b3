/* Verbs of the program: see esmtp_own.h.
 * Knows nothing of how they read: esmtp_read.c.
 *
 * While the answer to a command is waited for, the command stays in the input;
 * it is run again when the answer has come.  Behind what a verb has read there
 * is no command left, only the answer. */

#include "proto/command/esmtp_own.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_wait.h"

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/server/esmtp_auth.h"

/* Does the built-in verb refuse the command, whatever the program says?  AUTH
 * looks at its argument; what has come behind STARTTLS is not to be run. */
static bool
is_refused(const struct esmtp_step *st, const struct esmtp_verb *v,
    const char *arg, size_t len)
{
	if (v->flags & VF_SECRET)
		return esmtp_auth_check(st, arg, len) != RPL_OK;
	return v->extension == ESMTP_EXT_STARTTLS && st->has_more &&
	    st->ac->options->starttls_injection_policy ==
	    ESMTP_INJECTION_REJECT;
}

/* The function gets a copy of the argument. */
static int
call(struct esmtp_step *st, const struct esmtp_extension *e, const char *arg,
    size_t len)
{
	char buf[LIM_AUTH_LINE];	/* the longest line */
	int result;

	memcpy(buf, arg, len);
	buf[len] = '\0';
	st->ac->failure = NULL;
	st->asking = ASK_VERB;
	result = e->func(buf, st->event, st->mc, e->closure);
	st->asking = ASK_NONE;
	explicit_bzero(buf, len);
	return result;
}

static bool
has_ticket(const struct esmtp_step *st)
{
	return answers_state(&st->ac->host->answers, st->ac->questions,
	    ASK_VERB, NULL) != ANSWERS_NONE;
}

static void
drop_ticket(struct esmtp_step *st)
{
	answers_drop(&st->ac->host->answers, &st->ac->questions, ASK_VERB);
}

/* --- what a function may do ----------------------------------------------- */

/* Can the function do no more than refuse the command? */
static bool
is_bystander(const message_construct *mc)
{
	const struct esmtp_verb *v = esmtp_last_verb(mc);

	return v != NULL && v->flags & VF_FIRST && !(v->flags & VF_SECRET);
}

enum esmtp_reply_id
esmtp_own_may_log_in(const message_construct *mc)
{
	if (is_bystander(mc))
		return RPL_RESOURCES;
	if (mc->login != NULL)
		return RPL_AUTH_AGAIN;
	/* RFC 4954 4: not during a transaction */
	return mc->txn != NULL ? RPL_BAD_SEQUENCE : RPL_OK;
}

bool
esmtp_own_may_read(const message_construct *mc)
{
	return !is_bystander(mc);
}

bool
esmtp_own_may_reply(const message_construct *mc, int code)
{
	const struct esmtp_verb *v = esmtp_last_verb(mc);

	if (code < 200 || code > 599)
		return false;
	if (v == NULL || !(v->flags & VF_FIRST) || code >= 400)
		return true;
	/* AUTH may ask the client something */
	return code / 100 == 3 && !is_bystander(mc);
}

/* --- what it reads -------------------------------------------------------- */

void
esmtp_own_stop(message_construct *mc)
{
	struct esmtp_reader r;

	if (mc->reader == NULL)
		return;
	r = *mc->reader;
	free(mc->reader);
	mc->reader = NULL;
	if (r.func != NULL && r.result == ESMTP_VERB_MORE)
		(void)r.func(mc, NULL, 0, r.closure);
}

void
esmtp_own_lines_left(struct esmtp_step *st)
{
	if (st->mc->is_closing)
		return;
	esmtp_answering(st, "", "", 0);
	esmtp_reply(st, RPL_LINES_LEFT);
}

/* --- answers -------------------------------------------------------------- */

bool
esmtp_own_has_answered(const struct esmtp_step *st)
{
	return st->nreplies > 0 && st->code / 100 != 3;
}

/* Has the client been asked, by a reply of 3xx, for something that the verb is
 * not going to read? */
static bool
has_asked_in_vain(const struct esmtp_step *st)
{
	return st->nreplies > 0 && st->code / 100 == 3;
}

/* The function has not answered: reply by its result. */
static void
reply_to(struct esmtp_step *st, int result)
{
	const struct esmtp_verb *v = esmtp_last_verb(st->mc);

	if (result == ESMTP_VERB_SYNTAX)
		esmtp_reply(st, RPL_SYNTAX);
	else if (result == ESMTP_VERB_BUILTIN)
		/* there is no built-in verb */
		esmtp_reply(st, RPL_NOT_IMPLEMENTED);
	else if (result == ESMTP_VERB_LATER || result == ESMTP_VERB_MORE ||
	    (v != NULL && v->flags & VF_FIRST))
		/* the function has not done what its result promises, or the
		 * result is not permitted for this verb */
		esmtp_reply(st, RPL_RESOURCES);
	else
		esmtp_reply(st, RPL_OK);
}

/* Go on as if the host had answered AUTH: the session takes that answer when
 * the line has been used up. */
static void
log_in(struct esmtp_step *st)
{
	esmtp_set_state(st->mc, ES_EXTENSION4);
	esmtp_wait_for(st, WAIT_AUTH);
	st->ac->is_async_done = 1;
}

/* The answer is a login, or why there is none. */
static void
claim(struct esmtp_step *st, const struct answer *a)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id = esmtp_own_may_log_in(mc);
	const char *name = mc->reader != NULL ? mc->reader->name : st->verb;

	if (id == RPL_OK && esmtp_auth_claim(mc, name,
	    (enum esmtp_auth_status)a->value, a->octets, a->len) == -1)
		id = RPL_NOMEM;
	if (id == RPL_OK)
		log_in(st);
	else
		esmtp_reply(st, id);
}

static void
wait_for_answer(struct esmtp_step *st)
{
	esmtp_set_state(st->mc, ES_EXTENSION4);
	esmtp_wait_for(st, WAIT_VERB);
	esmtp_hear(st->mc);
}

/* The answer has come, or nobody waits for it any longer.  True: the built-in
 * verb is to act. */
static bool
heard(struct esmtp_step *st)
{
	accept_construct *ac = st->ac;
	message_construct *mc = st->mc;
	struct answer a = { .value = ESMTP_VERB_LATER };
	bool is_builtin;

	/* the client's time starts again: it could not do anything */
	mc->idle_since = moment_of(&st->now);
	esmtp_wait_for(st, WAIT_WRITE);
	esmtp_set_state(mc, ES_EXTENSION1);
	mc->own = OWN_NONE;
	(void)answers_take(&ac->host->answers, &ac->questions, ASK_VERB, &a);
	drop_ticket(st);
	is_builtin = !a.is_auth && a.code == 0 && mc->reader == NULL &&
	    mc->verb != 0 && a.value == ESMTP_VERB_BUILTIN;
	if (a.is_auth)
		claim(st, &a);
	else if (a.code != 0 && !esmtp_own_may_reply(mc, a.code))
		reply_to(st, ESMTP_VERB_LATER);
	else if (a.code != 0)
		esmtp_reply_code(st, a.code, a.octets);
	else if (!is_builtin)
		reply_to(st, a.value);
	if (a.octets != NULL)
		explicit_bzero(a.octets, a.len);
	free(a.octets);
	free(mc->reader);
	mc->reader = NULL;
	return is_builtin;
}

enum esmtp_want
esmtp_own_resume(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const char *which;

	if (esmtp_is_waiting(mc) && !esmtp_is_expired(mc, &st->now, &which))
		return W_WAIT;
	st->ac->is_async_done = 1;
	if (mc->reader == NULL)
		return W_GO;	/* the command is still in the input */
	esmtp_answering(st, mc->reader->name, "", 0);
	(void)heard(st);
	return esmtp_auth_go_on(st);
}

/* --- results -------------------------------------------------------------- */

/* Leave the command to the built-in verb: what the function has begun is
 * over. */
static bool
pass(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	drop_ticket(st);
	esmtp_own_stop(mc);
	esmtp_auth_end(mc);
	esmtp_settle(mc);
	mc->own = OWN_BUILTIN;
	return true;
}

/* It has come to ${result}, and nothing more comes of it. */
static void
end(struct esmtp_step *st, int result, bool is_answered)
{
	bool is_in_vain = has_asked_in_vain(st);

	drop_ticket(st);
	if (result != ESMTP_VERB_DONE || is_in_vain)
		esmtp_auth_end(st->mc);
	if (is_in_vain) {
		if (!is_answered)
			reply_to(st, ESMTP_VERB_LATER);
		esmtp_own_lines_left(st);
	} else if (st->mc->auth != NULL)
		log_in(st);
	else if (!is_answered)
		reply_to(st, result);
}

enum esmtp_want
esmtp_own_returned(struct esmtp_step *st, int result)
{
	message_construct *mc = st->mc;
	bool is_answered = esmtp_own_has_answered(st) ||
	    mc->reader->is_answered;

	if (result == ESMTP_VERB_LATER && !is_answered && has_ticket(st) &&
	    !has_asked_in_vain(st)) {
		mc->reader->is_over = true;
		esmtp_auth_end(mc);
		wait_for_answer(st);
		if (esmtp_is_waiting(mc))
			return W_WAIT;
		(void)heard(st);
	} else {
		free(mc->reader);
		mc->reader = NULL;
		esmtp_set_state(mc, ES_EXTENSION1);
		end(st, result, is_answered);
	}
	return esmtp_auth_go_on(st);
}

/* The verb reads. */
static void
begin_to_read(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	drop_ticket(st);
	esmtp_auth_end(mc);
	mc->reader->is_answered = esmtp_own_has_answered(st);
	esmtp_set_state(mc, ES_EXTENSION3);
}

bool
esmtp_own_run(struct esmtp_step *st, const struct esmtp_extension *e,
    const char *arg, size_t len, enum esmtp_want *want_r)
{
	message_construct *mc = st->mc;
	int result;

	if (mc->own == OWN_LATER)
		return heard(st) && pass(st);
	if (mc->verb != 0 && is_refused(st, esmtp_last_verb(mc), arg, len))
		return true;
	esmtp_set_state(mc, ES_EXTENSION1);
	result = call(st, e, arg, len);
	if (mc->is_dropped)
		return false;
	if (result == ESMTP_VERB_BUILTIN && mc->verb != 0 &&
	    st->nreplies == 0)
		return pass(st);
	if (result == ESMTP_VERB_MORE && mc->reader != NULL) {
		begin_to_read(st);
		return false;
	}
	esmtp_own_stop(mc);
	if (mc->is_dropped)
		return false;
	if (result != ESMTP_VERB_LATER || st->nreplies > 0 ||
	    !has_ticket(st)) {
		end(st, result, esmtp_own_has_answered(st));
		return false;
	}
	esmtp_auth_end(mc);
	mc->own = OWN_LATER;
	wait_for_answer(st);
	if (!esmtp_is_waiting(mc))
		return heard(st) && pass(st);
	*want_r = W_WAIT;
	return false;
}
