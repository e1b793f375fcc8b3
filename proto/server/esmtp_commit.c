/* The answer to a commit: what the client is told of its message.
 * Owns: the 250, which promises the message to be delivered, and so is not sent
 * before the commit has succeeded.
 * Knows nothing of how messages come: esmtp_body.c does. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_verb.h"

static void
report_accepted(struct esmtp_step *st, int code, const char *enhanced)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_ACCEPTED };
	const struct esmtp_txn *t = st->mc->txn;

	r.code = code;
	r.enhanced = enhanced;
	r.id = t->id;
	r.sender = t->sender;
	r.rcpt = esmtp_rcpts_get(&t->rcpts, 0);
	r.nrcpts = t->rcpts.n;
	r.octets = t->octets;
	r.priority = t->priority;
	r.elapsed = moment_tv(moment_of(&st->now) - t->started);
	esmtp_report(st, &r);
}

/* The commit has succeeded: ${words} are the spool's for it, or NULL. */
static void
accepted(struct esmtp_step *st, int code, const char *words)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[RPL_QUEUED];
	message_construct *mc = st->mc;
	size_t mark = st->out_len;
	char enhanced[ESMTP_ENHANCED_MAX];
	const char *text;

	esmtp_set_state(mc, ES_ASYNC_REPLY);
	mc->nmessages++;
	mc->nerrors = 0;
	if (words == NULL) {
		report_accepted(st, row->code, row->enhanced);
		esmtp_reply_with(st, RPL_QUEUED, mc->txn->id,
		    strlen(mc->txn->id));
	} else {
		esmtp_reply_split(words, code, &text, enhanced);
		report_accepted(st, code, enhanced);
		esmtp_reply_code(st, code, words);
	}
	esmtp_txn_end(st, mark);
}

/* The commit has succeeded or failed: answer. */
enum esmtp_want
esmtp_commit_resume(struct esmtp_step *st)
{
	accept_construct *ac = st->ac;
	struct answer a = { .value = EIO };
	size_t mark = st->out_len;

	if (esmtp_is_waiting(st->mc))
		return W_WAIT;
	esmtp_wait_for(st, WAIT_WRITE);
	(void)answers_take(&ac->host->answers, &ac->questions, ASK_COMMIT, &a);
	esmtp_answering_last(st);
	if (a.code == 0 && a.value != 0) {
		esmtp_set_state(st->mc, ES_BODY_REPLY);
		esmtp_reply(st, (enum esmtp_reply_id)esmtp_errno_reply(
		    a.value));
		esmtp_txn_end(st, mark);
	} else if (a.code < 400)
		accepted(st, a.code, a.octets);
	else {
		esmtp_set_state(st->mc, ES_BODY_REPLY);
		esmtp_reply_code(st, a.code, a.octets);
		esmtp_txn_end(st, mark);
	}
	free(a.octets);
	return W_GO;
}
