/* A transaction: MAIL, RCPT, DATA, and what became of each recipient.
 * Owns: which commands may be sent before which replies have come (RFC 2920),
 * the limits that a server has told (RFC 9422).
 * Knows nothing of how commands are worded and of the body. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/client/smtp_client_int.h"

/* An outcome that the server knows nothing of. */
static struct smtp_result
own_result(const struct smtp_client *c, enum smtp_why why)
{
	struct smtp_result r;

	smtp_result_why(c, why, why == SMTP_WHY_MEMORY ? ENOMEM : 0, &r);
	r.command = "";
	return r;
}

static void
tell_why(struct smtp_client *c, size_t i, enum smtp_why why)
{
	struct smtp_result r = own_result(c, why);

	smtp_tell(c, i, &r);
}

static void
tell_all_said(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_said(c, &r);
	smtp_tell_all(c, &r);
}

/* What the server has said is not of this message. */
static void
tell_unsent(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_said(c, &r);
	r.outcome = SMTP_UNSENT;
	smtp_tell_all(c, &r);
}

/* All recipients have their outcome. */
static void
txn_over(struct smtp_client *c)
{
	c->ops->done(c->host, c);
	smtp_convert_end(c);
	free(c->txn.of);
	memset(&c->txn, 0, sizeof(c->txn));
	c->owed = 0;
	c->may_ask = true;
	smtp_enter(c, SS_IDLE);
	if (c->is_leaving)
		c->is_ending = true;
}

/* --- what is sent -------------------------------------------------------- */

/* RFC 9422 4.3: only so many domains in a session.  As other clients do, we
 * send to one where there is a limit at all. */
static bool
is_other_domain(struct smtp_client *c, const char *address)
{
	const char *at = strrchr(address, '@');

	if (c->ehlo.domain_max == 0 || at == NULL)
		return false;
	if (c->domain == NULL && (c->domain = strdup(at + 1)) == NULL) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return false;
	}
	return strcasecmp(c->domain, at + 1) != 0;
}

/* Why recipient ${i} cannot be in this transaction, beside ${n} others;
 * SMTP_NWHYS: it can. */
static enum smtp_why
left_out(struct smtp_client *c, size_t i, size_t n)
{
	enum smtp_why why = smtp_lacks_of_rcpt(c, i);

	if (why != SMTP_NWHYS)
		return why;
	if (c->ehlo.rcpt_max > 0 && n >= c->ehlo.rcpt_max)
		return SMTP_WHY_RCPT_MAX;
	return is_other_domain(c, c->txn.m.env->rcpts[i]) ?
	    SMTP_WHY_DOMAIN_MAX : SMTP_NWHYS;
}

/* How the message is sent: as it is, or converted for this server. */
static void
choose_body(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;
	unsigned int flags = t->m.env->flags;

	t->is_converted = smtp_lacks_of_body(c) != SMTP_NWHYS;
	t->is_binary = (flags & SPOOL_ENV_BINARYMIME) != 0 && !t->is_converted;
	t->is_8bit = (flags & SPOOL_ENV_8BITMIME) != 0 && !t->is_converted;
	/* a binary message is 8-bit text where that is enough */
	if (t->is_converted && smtp_ehlo_has(&c->ehlo, SMTP_HAS(8BITMIME)))
		t->is_8bit = true;
	/* RFC 3030 3: a binary message has no other way */
	t->is_bdat = t->is_binary || (c->options.is_bdat_preferred &&
	    smtp_ehlo_has(&c->ehlo, SMTP_HAS(CHUNKING)));
}

void
smtp_txn_begin(struct smtp_client *c, const struct smtp_message *m)
{
	struct smtp_txn *t = &c->txn;
	struct smtp_result r;
	enum smtp_why why;
	size_t i, n = 0;

	memset(t, 0, sizeof(*t));
	t->m = *m;
	t->since = c->now;
	t->of = calloc(m->env->nrcpts > 0 ? m->env->nrcpts : 1,
	    sizeof(*t->of));
	if (t->of == NULL) {
		r = own_result(c, SMTP_WHY_MEMORY);
		for (i = 0; i < m->env->nrcpts; i++)
			c->ops->rcpt(c->host, c, i, &r);
		c->ops->done(c->host, c);
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	if ((why = smtp_lacks(c)) != SMTP_NWHYS) {
		r = own_result(c, why);
		smtp_tell_all(c, &r);
	}
	for (i = 0; i < m->env->nrcpts && t->of[i] != SR_TOLD; i++) {
		if ((why = left_out(c, i, n)) != SMTP_NWHYS)
			tell_why(c, i, why);
		else
			n++;
	}
	if (c->is_ending)
		return;
	if (n == 0) {
		txn_over(c);
		return;
	}
	choose_body(c);
	if (c->is_open) {
		smtp_set_state(c, SS_RSET);
		c->owed = 1;
		smtp_put(c, "RSET", NULL);
	}
}

static bool
is_pipelining(const struct smtp_client *c)
{
	return smtp_ehlo_has(&c->ehlo, SMTP_HAS(PIPELINING));
}

/* The next recipient that RCPT is to be sent for; their number: none. */
static size_t
next_rcpt(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	while (t->nsent < t->m.env->nrcpts && t->of[t->nsent] != SR_NEW)
		t->nsent++;
	return t->nsent;
}

/* smtp_mail() or smtp_rcpt() has written nothing. */
static enum smtp_why
why_unsendable(void)
{
	return errno == EBADMSG ? SMTP_WHY_PARAMETER : SMTP_WHY_ADDRESS;
}

static void
put_mail(struct smtp_client *c, char *out)
{
	struct smtp_result r;
	size_t n = smtp_mail(c, out, LIM_CLIENT_COMMAND);

	if (n == 0 && errno == ENOMEM) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	if (n == 0) {
		r = own_result(c, why_unsendable());
		smtp_tell_all(c, &r);
		txn_over(c);
		return;
	}
	c->out_len += n;
	c->owed++;
	c->ntxns++;
	c->txn.is_mail_sent = true;
}

static void
put_rcpt(struct smtp_client *c, size_t i, char *out)
{
	size_t n = smtp_rcpt(c, i, out, LIM_CLIENT_COMMAND);

	if (n == 0 && errno == ENOMEM) {
		smtp_end(c, SMTP_WHY_MEMORY, ENOMEM);
		return;
	}
	if (n == 0) {
		tell_why(c, i, why_unsendable());
		return;
	}
	c->out_len += n;
	c->owed++;
	c->txn.of[i] = SR_OWED;
	c->txn.nowed++;
}

/* May DATA be sent?  RFC 2920 3.1: in one group with MAIL and RCPT, as its
 * last; else when there is a recipient. */
static bool
may_put_data(const struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;

	return !t->is_data_sent && !t->is_bdat && !t->is_failed &&
	    t->is_mail_sent && (t->naccepted > 0 || t->nowed > 0) &&
	    (c->owed == 0 || is_pipelining(c));
}

/* The next command.  Return whether there was one. */
static bool
put_next(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;
	char *out;
	size_t i;

	if (t->of == NULL || c->is_ending || (c->owed > 0 &&
	    (!is_pipelining(c) || c->state == SS_RSET)))
		return false;
	if ((out = smtp_room(c, LIM_CLIENT_COMMAND)) == NULL)
		return false;
	if (!t->is_mail_sent)
		put_mail(c, out);
	else if (!t->is_failed && (i = next_rcpt(c)) < t->m.env->nrcpts)
		put_rcpt(c, i, out);
	else if (may_put_data(c)) {
		smtp_put(c, "DATA", NULL);
		c->owed++;
		t->is_data_sent = true;
	} else
		return false;
	return true;
}

/* What the client waits for, of the envelope. */
static void
settle(struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;

	if (t->of == NULL || c->owed == 0 || c->is_ending || !t->is_mail_sent)
		return;
	smtp_enter(c, !t->is_mail_heard ? SS_MAIL : t->nowed > 0 ? SS_RCPT :
	    SS_DATA);
}

/* All that was sent is answered: is there anything left to do but the body? */
static void
conclude(struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;

	if (t->of == NULL || c->owed > 0 || c->is_ending || !t->is_mail_heard)
		return;
	if (t->is_failed || (t->naccepted == 0 &&
	    next_rcpt(c) == t->m.env->nrcpts))
		txn_over(c);
	else if (t->is_bdat && next_rcpt(c) == t->m.env->nrcpts)
		smtp_body_begin(c);
}

bool
smtp_txn_send(struct smtp_client *c)
{
	bool was_idle = c->owed == 0, has_sent = false;

	while (put_next(c))
		has_sent = true;
	if (has_sent && was_idle)
		c->since = c->now;
	settle(c);
	conclude(c);
	return has_sent;
}

/* --- what is answered ---------------------------------------------------- */

/* A reply of the envelope was taken: the time for the next one begins. */
static void
next_reply(struct smtp_client *c)
{
	c->since = c->now;
	settle(c);
	conclude(c);
}

void
smtp_on_rset(struct smtp_client *c)
{
	struct smtp_result r;

	if (smtp_class(c) == 2) {
		c->is_open = false;
		return;
	}
	tell_unsent(c);
	smtp_result_said(c, &r);
	smtp_note_end(c, &r);
	c->is_ending = true;
}

void
smtp_on_mail(struct smtp_client *c)
{
	c->txn.is_mail_heard = true;
	if (smtp_class(c) == 3) {
		smtp_end(c, SMTP_WHY_CODE, 0);
		return;
	}
	if (smtp_class(c) == 2)
		c->is_open = true;
	else {
		/* the replies to the rest of the group say nothing more */
		tell_all_said(c);
		c->txn.is_failed = true;
	}
	next_reply(c);
}

/* RFC 5321 4.5.3.1.10: recipients behind those that there is room for are to be
 * sent again, and nothing is wrong with them; 552 is an older form of 452.  Both
 * are also those of a full mailbox, with another enhanced code. */
static bool
is_one_too_many(const struct smtp_client *c)
{
	const struct smtp_reply *p = &c->reader.reply;

	return (p->code == 452 || p->code == 552) && c->txn.naccepted > 0 &&
	    (p->enhanced[0] == '\0' || strcmp(p->enhanced + 1, ".5.3") == 0);
}

void
smtp_on_rcpt(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;
	struct smtp_result r;

	if (smtp_class(c) == 3) {
		smtp_end(c, SMTP_WHY_CODE, 0);
		return;
	}
	t->nowed--;
	if (!t->is_failed) {
		while (t->of[t->nheard] != SR_OWED)
			t->nheard++;
		smtp_result_said(c, &r);
		if (is_one_too_many(c))
			r.outcome = SMTP_UNSENT;
		if (r.outcome == SMTP_ACCEPTED) {
			t->of[t->nheard] = SR_ACCEPTED;
			t->naccepted++;
		} else
			smtp_tell(c, t->nheard, &r);
	}
	next_reply(c);
}

/* RFC 2920 3.1: a server may say 354 although it has accepted no recipient; it
 * gets an empty message then.  After a MAIL that it has refused it makes no
 * sense; and in LMTP nothing would answer the dot (RFC 2033 4.2). */
void
smtp_on_data(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (c->reader.reply.code == 354) {
		t->is_void = t->naccepted == 0;
		if (t->is_failed || (t->is_void && c->options.is_lmtp))
			smtp_end(c, SMTP_WHY_CODE, 0);
		else
			smtp_body_begin(c);
		return;
	}
	if (smtp_class(c) < 4) {
		smtp_end(c, SMTP_WHY_CODE, 0);
		return;
	}
	tell_all_said(c);
	txn_over(c);
}

/* A chunk that is not the last one of the message. */
static void
on_chunk(struct smtp_client *c)
{
	c->txn.nchunks--;
	if (smtp_class(c) == 2) {
		if (c->state == SS_CHUNK)
			c->since = c->now;
		smtp_body_flushed(c);
	} else if (smtp_class(c) == 3)
		smtp_end(c, SMTP_WHY_CODE, 0);
	else {
		/* the rest of what is under way is written, and its replies are
		 * awaited, but nobody knows how many the last chunk has in
		 * LMTP */
		tell_all_said(c);
		c->txn.is_failed = true;
		if (c->options.is_lmtp)
			smtp_end_said(c);
	}
}

/* A reply while the body is sent.  None is due to DATA before its end: a server
 * that refuses the message then closes, and what it says is the answer; the end
 * is not sent.  250 to a message that it has not got is no answer. */
void
smtp_on_early(struct smtp_client *c)
{
	if (c->txn.is_failed)
		return;
	if (c->txn.nchunks > 0)
		on_chunk(c);
	else if (smtp_class(c) >= 4) {
		tell_all_said(c);
		smtp_end_said(c);
	} else
		smtp_end(c, SMTP_WHY_UNASKED, 0);
}

bool
smtp_txn_give_up(struct smtp_client *c)
{
	if (!c->txn.is_failed)
		return false;
	if (c->owed == 0)
		txn_over(c);
	else
		smtp_enter(c, SS_CHUNK);
	return true;
}

static void
on_lmtp(struct smtp_client *c, const struct smtp_result *r)
{
	struct smtp_txn *t = &c->txn;

	/* RFC 2033 4.2: one reply for each recipient that was accepted, in the
	 * order of RCPT */
	while (t->of[t->nheard] != SR_ACCEPTED)
		t->nheard++;
	smtp_tell(c, t->nheard, r);
	c->since = c->now;
	if (c->owed == 0)
		txn_over(c);
}

void
smtp_on_dot(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_said(c, &r);
	if (r.why != SMTP_WHY_SAID) {
		smtp_end(c, r.why, 0);
		return;
	}
	/* RFC 3030 2: a chunk that was refused leaves a transaction */
	c->is_open = c->txn.is_bdat && r.outcome != SMTP_ACCEPTED;
	if (r.code == 421) {
		/* behind the last reply it closes */
		c->is_leaving = true;
		smtp_note_end(c, &r);
	}
	if (c->options.is_lmtp)
		on_lmtp(c, &r);
	else {
		smtp_tell_all(c, &r);
		txn_over(c);
	}
}

/* RFC 5321 3.8, 4.2.1: 421 may have been on its way before MAIL was: a server
 * that ends a session, since it was idle or long enough, has not looked at the
 * message that comes then.  To the first MAIL of a session it is an answer. */
static bool
is_not_of_message(const struct smtp_client *c)
{
	return !c->txn.is_mail_sent ||
	    (!c->txn.is_mail_heard && c->ntxns > 1);
}

void
smtp_on_421(struct smtp_client *c)
{
	if (c->state == SS_DOT) {
		smtp_on_dot(c);
		return;
	}
	if (c->txn.of != NULL && is_not_of_message(c))
		tell_unsent(c);
	else if (c->txn.of != NULL)
		tell_all_said(c);
	smtp_end_said(c);
}
