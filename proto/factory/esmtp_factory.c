/* The ESMTP server state machine: one step of a session.
 * Owns: the order of what a step does, from the banner to the close; what it
 * returns.
 * Knows nothing of lines, verbs or messages: the files that it calls do. */

#include "proto/esmtp_factory.h"

#include <errno.h>
#include <string.h>

#include "proto/command/esmtp_own.h"
#include "proto/factory/esmtp_factory_int.h"
#include "proto/hooks.h"
#include "proto/message/esmtp_message.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_proxy.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_wait.h"

/* As documented, Static_Banner begins with "220 "; a value without that is
 * taken as the text. */
static void
banner(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	const struct esmtp_reply_row *row = &esmtp_reply_rows[
	    options_is_lmtp(o) ? RPL_BANNER_LMTP : RPL_BANNER];
	const char *text = o->static_banner;

	if (text[0] == '\0') {
		esmtp_reply_line(st, row->code, true, esmtp_banner_hostname(o),
		    row->text);
		return;
	}
	if (strncmp(text, "220 ", 4) == 0)
		text += 4;
	esmtp_reply_line(st, row->code, true, text, "");
}

/* The PROXY header and implicit TLS, where they are configured.  The header
 * comes first: the address in it may select other options. */
static enum esmtp_want
set_up(struct esmtp_step *st)
{
	enum esmtp_want w = W_GO;

	/* XCLIENT: the session has its PROXY header and its TLS already */
	if (st->mc->wait == WAIT_CLAIM)
		return esmtp_proxy_judged(st);
	if (st->mc->wait == WAIT_PROXY && st->ac->options->proxy_protocol)
		w = esmtp_proxy(st);
	else if (st->mc->wait == WAIT_CLIENT)
		w = esmtp_proxy_judged(st);
	if (w != W_GO)
		return w;
	if (st->mc->wait != WAIT_TLS && st->ac->options->use_ssl &&
	    (w = esmtp_tls_begin(st)) != W_GO)
		return w;
	return st->mc->wait == WAIT_TLS ? esmtp_tls_step(st) : W_GO;
}

/* The variables of Context, but for those that a module has set in the phase
 * before.  A policy may refuse whoever has one: without memory for them all, no
 * session begins. */
static int
set_context(message_construct *mc)
{
	const conf_field_LIST *list = &mc->ac->options->context;
	char name[LIM_VCTX_KEY + 1];
	const char *value;
	size_t i;

	for (i = 0; i < list->n; i++)
		if ((value = options_pair(list->v[i], name)) != NULL &&
		    !validate_context_exists(&mc->vctx, VCTX_CONN, name) &&
		    validate_context_set(&mc->vctx, VCTX_CONN, name,
		    value) == -1)
			return -1;
	return 0;
}

/* The connect phase, with its hook.  What modules set in the dictionary now
 * does not come from the client, so STARTTLS does not discard it. */
static enum esmtp_want
connect_phase(struct esmtp_step *st)
{
	enum esmtp_want w;

	if (!esmtp_is_suspended(st->mc, VALIDATE_PHASE_CONNECT) &&
	    set_context(st->mc) == -1) {
		esmtp_reply(st, RPL_INTERNAL);
		return W_CLOSE;
	}
	w = esmtp_phase(st, VALIDATE_PHASE_CONNECT, NULL, NULL);
	if (w == W_GO && has_core_validate_connect_hook()) {
		call_core_validate_connect_hook(st->ac, &st->mc->vctx);
		w = esmtp_hook_end(st, false);
	}
	if (w != W_WAIT)
		validate_context_keep(&st->mc->vctx);
	return w;
}

/* Go on with a session that another process has begun.  The policies of this
 * process may refuse its client.  The client has got its banner already, so it
 * gets 421 in place of their reply; it gets theirs when it connects again. */
static enum esmtp_want
go_on(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	enum esmtp_want w;

	w = connect_phase(st);
	if (w == W_WAIT || w == W_CLOSE)
		return w;
	mc->is_resumed = 0;
	esmtp_set_state(mc, ES_BANNER);
	esmtp_settle(mc);
	if (w != W_REFUSED)
		return W_READ;
	st->out_len = 0;
	esmtp_answering(st, "", "", 0);
	esmtp_bye(st);
	return W_CLOSE;
}

/* The accept phase, before a PROXY header and TLS: the policies see the address
 * that has connected.  A refusal is sent only where a banner would be next: a
 * proxy, or a client that expects TLS, would not understand it. */
static enum esmtp_want
accept_phase(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const struct esmtp_options *o = st->ac->options;
	enum esmtp_want w;

	if (mc->vctx.suspended != 0 && esmtp_is_waiting(mc))
		return W_WAIT;
	w = esmtp_phase(st, VALIDATE_PHASE_ACCEPT, NULL, NULL);
	if (w == W_GO && has_core_validate_accept_hook())
		w = esmtp_hook_end(st, call_core_validate_accept_hook(st->ac,
		    &mc->vctx) == VALIDATE_DONE);
	if (w == W_GO)
		esmtp_wait_for(st, WAIT_PROXY);
	if (w != W_REFUSED)
		return w;
	esmtp_set_state(mc, ES_DENIED);
	if (!o->use_ssl && !o->proxy_protocol)
		return mc->is_closing ? W_CLOSE : W_READ;
	st->out_len = 0;
	return W_CLOSE;
}

/* The connect phase, then the banner.  Input that came before it is read after
 * it: too early, but harmless, since nothing but EHLO is served then. */
static enum esmtp_want
start(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	enum esmtp_want w;

	if (mc->is_resumed)
		return go_on(st);
	if (mc->state == ES_CONNECTED) {
		struct esmtp_report r = { .kind = ESMTP_REPORT_CONNECT };

		esmtp_set_state(mc, ES_SETUP);
		esmtp_report(st, &r);
		if (mc->is_dropped)
			return W_CLOSE;
	}
	if (mc->wait == WAIT_ACCEPT && (w = accept_phase(st)) != W_GO)
		return w;
	if (!esmtp_is_in_phase(mc)) {
		if ((w = set_up(st)) != W_GO)
			return w;
		if (st->ac->host->is_draining) {
			esmtp_bye(st);
			return W_CLOSE;
		}
	}
	st->may_read = false;
	w = connect_phase(st);
	if (w == W_WAIT || w == W_CLOSE)
		return w;
	if (w == W_REFUSED) {
		/* RFC 5321 3.1: wait for QUIT, 503 to all else */
		esmtp_set_state(mc, ES_DENIED);
		return mc->is_closing ? W_CLOSE : W_READ;
	}
	esmtp_set_state(mc, ES_BANNER);
	if (mc->told != NULL && mc->told->is_greeted) {
		mc->told->is_greeted = false;
		esmtp_reply(st, RPL_OK);
	} else
		banner(st);
	return W_READ;
}

enum esmtp_want
esmtp_setup_resume(struct esmtp_step *st)
{
	return st->mc->state == ES_EXTENSION2 ? esmtp_tls_step(st) : start(st);
}

/* Has the module that the session waits for had its time?  Then its phase ends with
 * a refusal, and the session goes on.  (Another limit ends the session.) */
static bool
is_overdue(struct esmtp_step *st)
{
	const char *which;

	if (!esmtp_is_expired(st->mc, &st->now, &which) ||
	    which != esmtp_wait_row(st->mc)->name)
		return false;
	/* no longer waited for */
	st->ac->is_async_done = 1;
	st->is_overdue = true;
	return true;
}

/* A phase that was suspended goes on: repeat the action that it belongs to. */
enum esmtp_want
esmtp_policy_resume(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	if (esmtp_is_waiting(mc) && !is_overdue(st))
		return W_WAIT;
	switch (mc->state) {
	case ES_SETUP:
		return start(st);
	case ES_ASYNC:
		return esmtp_body_finish(st);
	case ES_EXTENSION4:
		return esmtp_auth_resume(st);
	default:
		return W_GO;	/* the command is still in the input */
	}
}

/* A look-up was answered, or has taken too long: then it counts as answered
 * with ESMTP_RCPT_LATER. */
enum esmtp_want
esmtp_rcpt_resume(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const char *which;

	/* one of several may have been answered, which ends the wait */
	if (esmtp_is_expired(mc, &st->now, &which)) {
		answers_settle(&st->ac->host->answers, st->ac->questions,
		    ASK_RCPT, ESMTP_RCPT_LATER);
		esmtp_hear(mc);
	}
	return esmtp_policy_resume(st);
}

/* The host or a module has answered.  If the client has replies to take first,
 * its time for that begins now. */
static void
note_answer(struct esmtp_step *st)
{
	message_construct *mc = st->mc;

	if (mc->wait == WAIT_POLICY || mc->wait == WAIT_MESSAGE ||
	    mc->wait == WAIT_ACCEPT)
		st->ac->is_async_done = 1;
	if (mc->out != NULL && st->ac->is_async_done)
		mc->wait_since = mc->idle_since = moment_of(&st->now);
}

/* Work until something must be waited for.  Return W_WAIT, W_WRITE, W_CLOSE or
 * W_END. */
static enum esmtp_want
work(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	const struct esmtp_wait_row *row = &esmtp_wait_rows[mc->wait];
	enum esmtp_want w;

	if (row->events == E_ASYNC)
		esmtp_hear(mc);
	if (st->eventtype & row->events & E_ASYNC)
		note_answer(st);
	if (mc->out != NULL && (w = esmtp_flush(st)) != W_GO)
		return w;
	if (mc->is_closing)
		return W_CLOSE;
	w = row->resume != NULL ? row->resume(st) : W_GO;
	while (w == W_GO) {
		w = esmtp_consume(st);
		if (w == W_READ && st->may_read)
			w = esmtp_fill(st);
	}
	if (w == W_READ)
		w = esmtp_wait_for(st, esmtp_is_in_data(mc) ||
		    esmtp_is_reading(mc) ? WAIT_DATA : WAIT_COMMAND);
	else if (w == W_WRITE)
		esmtp_wait_for(st, WAIT_WRITE);
	return w;
}

/* May no reply be written, since the peer expects TLS or is a proxy? */
static bool
is_silent(const message_construct *mc)
{
	return esmtp_wait_row(mc)->reply == ESMTP_NREPLIES;
}

/* A limit has passed: say so and close. */
static enum esmtp_want
time_out(struct esmtp_step *st, const char *which)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_TIMEOUT };

	r.detail = which;
	esmtp_report(st, &r);
	if (is_silent(st->mc))
		return st->mc->wait == WAIT_TLS ?
		    esmtp_tls_failed(st, "timeout", ETIMEDOUT) : W_END;
	esmtp_answering(st, "", "", 0);
	/* RFC 5321 4.5.3.2.7: a server has a timeout for its client */
	esmtp_reply(st, esmtp_wait_row(st->mc)->reply);
	st->mc->is_hasty = 1;
	return W_CLOSE;
}

/* Is the session between two commands?  A chunk that belongs to no transaction
 * is part of a command that was refused. */
static bool
is_idle(const message_construct *mc)
{
	return (mc->wait == WAIT_COMMAND ||
	    (mc->wait == WAIT_DATA && mc->is_in_chunk)) &&
	    mc->txn == NULL && mc->out == NULL;
}

/* Must the loop call the session again at once?  It must when the client has
 * taken all replies and the session can go on, or when an answer has come that
 * had to wait for that: no event would call the session then. */
static bool
must_go_on(const message_construct *mc, enum esmtp_want w)
{
	return mc->out == NULL && (w == W_WRITE ||
	    (esmtp_wait_rows[mc->wait].events == E_ASYNC &&
	    mc->ac->is_async_done));
}

/* The end of a step: write the replies, keep the rest of the input, return the
 * mask to wait for. */
static int
finish(struct esmtp_step *st, enum esmtp_want w)
{
	message_construct *mc = st->mc;
	const char *which;
	int mask;

	if (w == W_WAIT && st->ac->host->is_draining && is_silent(mc) &&
	    !esmtp_is_waiting(mc))
		w = W_END;
	if (w == W_WAIT && st->ac->host->is_draining && is_idle(mc) &&
	    !mc->is_dropped) {
		if (esmtp_move(st))
			return esmtp_session_end_here(st);
		esmtp_answering(st, "", "", 0);
		esmtp_bye(st);
		w = W_CLOSE;
	} else if (w != W_CLOSE && w != W_END && st->out_len == 0 &&
	    esmtp_is_expired(mc, &st->now, &which))
		w = time_out(st, which);
	if (w == W_END)
		return esmtp_session_end(st);
	if (w != W_CLOSE && esmtp_save_input(st) == -1) {
		if (is_silent(mc))
			return esmtp_session_end(st);
		esmtp_answering(st, "", "", 0);
		esmtp_reply(st, RPL_INTERNAL);
		w = W_CLOSE;
	}
	switch (esmtp_flush(st)) {
	case W_END:
		return esmtp_session_end(st);
	case W_GO:
		if (w == W_CLOSE)
			return esmtp_session_end(st);
		esmtp_settle(mc);
		break;
	default:
		if (mc->is_hasty)
			return esmtp_session_end(st);
		break;
	}
	esmtp_deadline(mc, &st->event->trigger, &which);
	mask = must_go_on(mc, w) ? E_TIMEOUT | E_WRITE : esmtp_wait_mask(mc);
	if (which != NULL)
		return mask;
	st->event->trigger = st->now;	/* not waited for */
	return mask & ~E_TIMEOUT;
}

int
esmtp_run_step(struct esmtp_step *st)
{
	int mask;

	st->may_read = st->eventtype & (E_EXCEPTION |
	    (st->mc->need_read != 0 ? st->mc->need_read : E_READ));
	esmtp_load_input(st);
	/* its client's next command is for the process that it moves to: what
	 * is read here gets 421 */
	if (st->ac->host->is_draining && is_idle(st->mc) && esmtp_can_move(st))
		st->may_read = false;
	mask = finish(st, work(st));
	/* the replies given before it was dropped were written, if the client
	 * took them at once */
	if (mask != 0 && st->mc->is_dropped)
		mask = esmtp_session_end(st);
	if (st->was_secret)
		explicit_bzero(st->scratch, st->scratch_used);
	return mask;
}
