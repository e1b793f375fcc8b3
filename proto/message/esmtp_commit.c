/* The answer to a commit: what the client is told of its message.
 * Owns: the 250, which promises the message to be delivered, and so is not sent
 * before the commit has succeeded.
 * Knows nothing of how messages come: esmtp_body.c does. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"
#include "proto/server/esmtp_wait.h"

static void
report_accepted(struct esmtp_step *st, int code, const char *enhanced)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_LONE_LF };
	const struct esmtp_txn *t = st->mc->txn;

	r.id = t->id;
	r.sender = t->sender;
	if (t->is_noted)
		esmtp_report(st, &r);
	r.kind = ESMTP_REPORT_ACCEPTED;
	r.code = code;
	r.enhanced = enhanced;
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

/* --- an answer for each recipient: esmtp_answer_rcpts() ------------------ */

#define LATER	451	/* for one that the answer has left out */

/* The next line of the answer is at *${at}: its code, and its words. */
static int
next_answer(char **at, const char **words_r)
{
	char *line = strsep(at, "\n");
	int code = line != NULL ? atoi(line) : LATER;

	*words_r = line != NULL && strlen(line) > 4 ? line + 4 : "";
	return code;
}

/* ${code} is about the recipient number ${i} alone.  If it is a refusal of one that
 * a policy has added, of which no RCPT can be told, the reply stays in st->out: the
 * first such one, which begins at ${mark}, is that of every RCPT without one of its
 * own.  0, or -1: ENOMEM. */
static int
say_of_rcpt(struct esmtp_step *st, size_t mark, size_t i, int code,
    const char *words)
{
	struct esmtp_txn *t = st->mc->txn;
	char *rcpt = esmtp_rcpts_get(&t->rcpts, i);
	size_t at = st->out_len;
	int rc;

	/* reports name it */
	t->each.rcpt = rcpt;
	esmtp_reply_code(st, code, words);
	t->each.rcpt = NULL;
	rc = esmtp_lmtp_refuse(st, at, rcpt);
	if (rc == 0 && (code < 400 || at > mark))
		st->out_len = at;
	if (rc != -1)
		return 0;
	/* it is not lost silently: all of them hear that something was */
	st->out_len = mark;
	esmtp_reply(st, RPL_NOMEM);
	return -1;
}

/* Where there is one reply for all, it is that of the first who has not got the
 * message. */
static void
say_one(struct esmtp_step *st, char *list)
{
	size_t mark = st->out_len, i, n = st->mc->txn->rcpts.n;
	const char *words;
	int code = 0;

	for (i = 0; i < n && code < 400; i++)
		code = next_answer(&list, &words);
	if (code < 400) {
		accepted(st, 0, NULL);
		return;
	}
	esmtp_set_state(st->mc, ES_BODY_REPLY);
	esmtp_reply_code(st, code, words);
	esmtp_txn_end(st, mark);
}

/* LMTP: RFC 2033 4.2: "a server may be able to deliver the message to some but
 * not all recipients". */
static void
say_each(struct esmtp_step *st, char *list)
{
	message_construct *mc = st->mc;
	size_t mark = st->out_len, i, n = mc->txn->rcpts.n, nrefused = 0;
	const char *words;
	int code;

	for (i = 0; i < n && !mc->is_dropped; i++) {
		code = next_answer(&list, &words);
		if (code == 0)
			continue;
		nrefused += code >= 400;
		if (say_of_rcpt(st, mark, i, code, words) == -1)
			break;
	}
	if (st->out_len == mark && nrefused < n) {
		accepted(st, 0, NULL);
		return;
	}
	esmtp_set_state(mc, ES_BODY_REPLY);
	if (st->out_len == mark) {
		/* one error of the client, however many recipients they are */
		if (esmtp_lmtp_is_complete(mc->txn->lmtp))
			mc->nerrors++;
		else	/* of one that a policy has taken away */
			esmtp_reply(st, RPL_NO_RCPT);
	}
	esmtp_txn_end(st, mark);
}

/* --- any answer ----------------------------------------------------------- */

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
	if (a.is_list && st->mc->txn->lmtp != NULL)
		say_each(st, a.octets);
	else if (a.is_list)
		say_one(st, a.octets);
	else if (a.code == 0 && a.value != 0) {
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
