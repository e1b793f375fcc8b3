/* DATA, and what becomes of a message: into the spool, the commit, the reply.
 * Owns: what must have happened before the 250.
 * Knows nothing of lines and dots: esmtp_text.c does. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_string.h"
#include "core/util/addr.h"
#include "core/util/unique.h"
#include "proto/hooks.h"
#include "proto/message/esmtp_message_int.h"
#include "proto/parse/esmtp_received.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"
#include "proto/server/esmtp_wait.h"

static void
received_security(const struct esmtp_step *st, struct esmtp_received *r)
{
	const struct esmtp_tls *tls = st->ac->tls;

	r->is_auth = st->mc->login != NULL;
	if (st->ac->options->auth_in_received)
		r->login = st->mc->login;
	if (tls == NULL)
		return;
	r->tls_protocol = tls->protocol;
	r->tls_cipher = tls->cipher;
	r->tls_bits = tls->bits;
	r->tls_is_resumed = tls->is_resumed;
	if (tls->is_verified && !esmtp_is_claimed(st->mc))
		r->tls_peer = tls->peer_name;
}

/* The message, for hooks, which get no more than its address. */
static ec_message *
message_of(const struct esmtp_step *st)
{
	return (ec_message *)(void *)st->mc->txn;
}

/* The field in the words of a hook.  Return its octets, 0: it has none. */
static size_t
received_of_hook(struct esmtp_step *st, char buf[ESMTP_RECEIVED_OWN_MAX])
{
	message_construct *mc = st->mc;
	string response = { 0 };
	size_t n = 0;

	if (!has_core_get_received_header_text_hook())
		return 0;
	if (call_core_get_received_header_text_hook(message_of(st), mc, st->ac,
	    &mc->vctx, &response) == 1 && response.buffer != NULL)
		n = esmtp_received_own(response.buffer, (size_t)response.len,
		    buf);
	string_destroy(&response);
	(void)esmtp_hook_end(st, false);
	return n;
}

static int
put_received(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;
	const struct esmtp_options *o = st->ac->options;
	char buf[ESMTP_RECEIVED_OWN_MAX], peer[ADDR_TEXT];
	struct esmtp_received r = { .helo = st->mc->helo };
	size_t n;

	if (!o->trace_headers)
		return 0;
	/* it may change the list of recipients */
	if ((n = received_of_hook(st, buf)) > 0)
		return st->ac->host->spool->append(t->msg, buf, n);
	r.peer = addr_text(&st->ac->remote_addr.sa, peer);
	r.is_local = addr_uid(&st->ac->remote_addr.sa, &r.uid);
	if (st->mc->told != NULL)
		r.peer_name = st->mc->told->text[ESMTP_CLIENT_NAME];
	r.by = esmtp_received_hostname(o);
	r.id = t->id;
	r.is_esmtp = st->mc->is_esmtp;
	r.is_utf8 = (t->env_flags & SPOOL_ENV_SMTPUTF8) != 0;
	r.is_lmtp = options_is_lmtp(o);
	r.rcpt = t->rcpts.n == 1 ? esmtp_rcpts_get(&t->rcpts, 0) : NULL;
	r.has_priority = t->has_priority;
	r.priority = t->priority;
	r.solicit = t->solicit;
	r.seconds = st->now.tv_sec;
	received_security(st, &r);
	n = esmtp_received_format(&r, buf);
	return st->ac->host->spool->append(t->msg, buf, n);
}

/* The fields that modules have added. */
static int
put_fields(const struct esmtp_step *st)
{
	const struct esmtp_txn *t = st->mc->txn;

	return t->fields == NULL ? 0 : st->ac->host->spool->append(t->msg,
	    t->fields, strlen(t->fields));
}

/* The message's name: the spool's, or one of ours. */
static void
set_id(const struct esmtp_step *st)
{
	const struct spool_ops *spool = st->ac->host->spool;
	struct esmtp_txn *t = st->mc->txn;
	char own[UNIQUE_TEXT];

	strncpy(t->id, spool->id != NULL ? spool->id(t->msg) :
	    unique_text(&st->now, own), SPOOL_ID_MAX);
}

/* Start the message in the spool: RPL_DATA or the refusal. */
static enum esmtp_reply_id
begin_message(struct esmtp_step *st)
{
	struct esmtp_host *host = st->ac->host;
	struct esmtp_txn *t = st->mc->txn;
	int reply;

	if (host->spool->begin(host->spool_closure, st->ac->handle, &st->now,
	    &t->msg) == -1) {
		t->msg = NULL;
		return (enum esmtp_reply_id)esmtp_errno_reply(errno);
	}
	set_id(st);
	if (put_received(st) == -1 || put_fields(st) == -1 ||
	    esmtp_submit_begin(st) == -1) {
		reply = esmtp_errno_reply(errno);
		host->spool->abort(t->msg);
		t->msg = NULL;
		return (enum esmtp_reply_id)reply;
	}
	return RPL_DATA;
}

/* A module may take all recipients away: then nobody is asked any more, but for
 * one that has suspended ${phase}. */
static bool
is_to_ask(const message_construct *mc, enum validate_phase phase)
{
	return mc->txn->rcpts.n > 0 || esmtp_is_suspended(mc, phase);
}

/* What modules say before the message comes. */
static enum esmtp_want
phases_before(struct esmtp_step *st)
{
	enum esmtp_want w = esmtp_phase_in(st, ES_RCPT_LIST_END,
	    VALIDATE_PHASE_RCPTTO_LIST_FINAL, NULL);

	if (w == W_GO && is_to_ask(st->mc, VALIDATE_PHASE_DATA))
		w = esmtp_phase_in(st, ES_DATA, VALIDATE_PHASE_DATA, NULL);
	return w;
}

enum esmtp_want
esmtp_body_begin(struct esmtp_step *st, enum esmtp_reply_id *id_r)
{
	message_construct *mc = st->mc;
	enum esmtp_want w;

	if ((is_to_ask(mc, VALIDATE_PHASE_RCPTTO_LIST_FINAL) ||
	    is_to_ask(mc, VALIDATE_PHASE_DATA)) &&
	    (w = phases_before(st)) != W_GO)
		return w;
	/* RFC 5321 3.3: DATA needs a recipient that was accepted */
	*id_r = mc->txn->rcpts.n > 0 ? begin_message(st) : RPL_NO_RCPT;
	esmtp_enter(mc, ES_DATA);
	return W_GO;
}

enum esmtp_want
esmtp_cmd_data(struct esmtp_step *st, const char *, size_t)
{
	struct esmtp_txn *t = st->mc->txn;
	enum esmtp_reply_id id;
	enum esmtp_want w;

	if (t->env_flags & SPOOL_ENV_BINARYMIME) {
		esmtp_reply(st, RPL_BINARY);
		return W_GO;
	}
	if ((w = esmtp_body_begin(st, &id)) != W_GO)
		return w == W_REFUSED ? W_GO : w;
	esmtp_reply(st, id);
	if (id == RPL_DATA) {
		t->is_in_body = 1;
		t->data_since = moment_of(&st->now);
		esmtp_text_begin(st);
	}
	return W_GO;
}

/* The transaction is over: this answers the end of data. */
static void
finish_with(struct esmtp_step *st, int reply)
{
	size_t mark = st->out_len;

	esmtp_set_state(st->mc, ES_BODY_REPLY);
	esmtp_reply(st, (enum esmtp_reply_id)reply);
	esmtp_txn_end(st, mark);
}

/* The next recipient to ask about.  Return its text, which is kept until
 * end_rcpt(), or NULL: there is no memory. */
static char *
next_rcpt(struct esmtp_txn *t)
{
	struct esmtp_each *each = &t->each;

	/* a phase that was suspended goes on */
	if (each->rcpt == NULL) {
		each->is_gone = false;
		each->rcpt = strdup(esmtp_rcpts_get(&t->rcpts, each->at));
	}
	return each->rcpt;
}

static void
end_rcpt(struct esmtp_each *each)
{
	free(each->rcpt);
	each->rcpt = NULL;
	if (!each->is_gone)
		each->at++;
}

/* Is what was refused about one recipient alone?  It is in LMTP (RFC 2033 4.2),
 * unless the session ends. */
static bool
is_alone(const struct esmtp_step *st)
{
	return st->mc->txn->lmtp != NULL && !st->mc->is_closing;
}

/* The reply from ${mark} on has refused ${rcpt}: the others get the message.  If no
 * RCPT has named it, nobody would hear of that, and the refusal is of the whole
 * message, as in SMTP. */
static enum esmtp_want
refuse_rcpt(struct esmtp_step *st, size_t mark, const char *rcpt)
{
	int rc = esmtp_lmtp_refuse(st, mark, rcpt);

	if (rc == 0)
		return W_REFUSED;
	/* a module may have removed it meanwhile */
	if (rc == -1 || (validate_context_remove_rcpt(&st->mc->vctx, rcpt) ==
	    -1 && errno != ENOENT)) {
		esmtp_reply(st, RPL_NOMEM);
		return W_REFUSED;
	}
	return W_GO;
}

/* The phase for each recipient that there is when it begins. */
static enum esmtp_want
each_rcpt(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;
	struct mailaddr addr;
	enum esmtp_want w;
	size_t mark;
	char *rcpt;

	if (!esmtp_phase_is_wanted(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT) &&
	    !has_core_validate_data_spool_each_rcpt_hook())
		return W_GO;
	if (!esmtp_is_suspended(st->mc, VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT))
		t->each = (struct esmtp_each){ .end = t->rcpts.n };
	/* a phase that was suspended goes on for its recipient, even if a
	 * module has removed that recipient meanwhile */
	while (t->each.at < t->each.end || t->each.rcpt != NULL) {
		if ((rcpt = next_rcpt(t)) == NULL) {
			esmtp_reply(st, RPL_NOMEM);
			return W_REFUSED;
		}
		mailaddr_split(rcpt, &addr);
		mark = st->out_len;
		w = esmtp_phase(st, VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, NULL,
		    &addr);
		if (w == W_REFUSED && is_alone(st)) {
			if ((w = refuse_rcpt(st, mark, rcpt)) != W_GO)
				return w;
			end_rcpt(&t->each);
			continue;
		}
		if (w != W_GO)
			return w;
		call_core_validate_data_spool_each_rcpt_hook(message_of(st),
		    st->ac, &st->mc->vctx);
		if (esmtp_hook_end(st, false) == W_REFUSED)
			return W_REFUSED;
		end_rcpt(&t->each);
	}
	return W_GO;
}

/* A module or a hook took all recipients away, or, in LMTP, has refused them,
 * which is one error of the client, however many they are. */
static void
finish_empty(struct esmtp_step *st, size_t mark)
{
	if (!esmtp_lmtp_is_complete(st->mc->txn->lmtp)) {
		finish_with(st, RPL_NO_RCPT);
		return;
	}
	esmtp_set_state(st->mc, ES_BODY_REPLY);
	st->mc->nerrors++;
	esmtp_txn_end(st, mark);
}

/* The hooks right before the commit, in which a program signs messages, for
 * example. */
static enum esmtp_want
final_hooks(struct esmtp_step *st)
{
	validate_context *vctx = &st->mc->vctx;
	ec_message *msg = message_of(st);
	bool is_done;
	int result;

	result = call_core_final_validation2_hook(msg, st->ac, vctx);
	if (result != EC_HOOK_CONT) {
		is_done = result == EC_HOOK_DONE;
		if (vctx->code / 100 != (is_done ? 5 : 4))
			validate_refuse(vctx, is_done ? RPL_POLICY :
			    RPL_POLICY_LATER);
		return esmtp_hook_end(st, true);
	}
	call_core_final_validation_hook(msg, st->ac, vctx);
	(void)call_core_post_final_validation_hook(msg, st->ac, vctx);
	return esmtp_hook_end(st, false);
}

/* May the message be held, as MAIL has asked for?  Only now it is known how large
 * it is.  One whose time has passed meanwhile is not held. */
static bool
may_hold(const struct esmtp_step *st)
{
	const struct esmtp_host *host = st->ac->host;
	const message_construct *mc = st->mc;
	const struct esmtp_txn *t = mc->txn;

	return t->hold_until <= st->now.tv_sec || mc->login == NULL ||
	    host->ops->may_hold == NULL || host->ops->may_hold(host->closure,
	    st->ac, mc->login, t->octets, t->rcpts.n) != 0;
}

/* The message is complete: run the last phases, then commit.  Called again when
 * a phase that was suspended goes on. */
enum esmtp_want
esmtp_body_finish(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	size_t mark = st->out_len;
	enum esmtp_want w;
	int reply;

	esmtp_answering_last(st);
	w = esmtp_phase(st, VALIDATE_PHASE_DATA_SPOOL, NULL, NULL);
	if (w == W_GO)
		w = each_rcpt(st);
	if (w == W_GO && mc->txn->rcpts.n > 0)
		w = final_hooks(st);
	if (w == W_WAIT)
		return w;
	if (w == W_REFUSED || mc->is_dropped) {
		esmtp_set_state(mc, ES_BODY_REPLY);
		esmtp_txn_end(st, mark);
		return W_GO;
	}
	if (mc->txn->rcpts.n == 0) {
		finish_empty(st, mark);
		return W_GO;
	}
	if (esmtp_txn_is_late(mc->txn, &st->now)) {
		finish_with(st, RPL_BY_PASSED);
		return W_GO;
	}
	if (!may_hold(st)) {
		finish_with(st, RPL_HOLD_ROOM);
		return W_GO;
	}
	/* the wait begins before the call: the answer may come in it */
	esmtp_wait_for(st, WAIT_COMMIT);
	if (esmtp_txn_commit(st) == -1) {
		reply = esmtp_errno_reply(errno);
		answers_drop(&st->ac->host->answers, &st->ac->questions,
		    ASK_COMMIT);
		esmtp_wait_for(st, WAIT_WRITE);
		finish_with(st, reply);
		return W_GO;
	}
	mc->txn->msg = NULL;	/* the spool's */
	esmtp_hear(mc);
	return esmtp_commit_resume(st);
}

enum esmtp_want
esmtp_body_end(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;

	esmtp_answering_last(st);
	esmtp_text_end(st);
	t->is_in_body = t->is_chunked = 0;
	t->data_since = moment_of(&st->now);
	if (t->failure != -1) {
		finish_with(st, t->failure);
		return W_GO;
	}
	esmtp_set_state(st->mc, ES_ASYNC);
	return esmtp_body_finish(st);
}

enum esmtp_want
esmtp_body(struct esmtp_step *st)
{
	const struct esmtp_txn *t = st->mc->txn;
	size_t used;

	esmtp_settle(st->mc);
	while (st->in_len > 0 && !t->data.is_end) {
		used = esmtp_text(st, st->in, st->in_len);
		st->in += used;
		st->in_len -= used;
	}
	return t->data.is_end ? esmtp_body_end(st) : W_READ;
}
