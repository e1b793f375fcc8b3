/* Answers: gathered in the loop's one buffer, written once per step.
 * Owns: the count of errors, what is kept for a peer that does not read.
 * Knows nothing of what is answered. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/base/reply_line.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"

static bool
has_enhanced(const message_construct *mc)
{
	return (mc->extensions & ESMTP_EXT_BIT(ENHANCEDSTATUSCODES)) != 0;
}

static void
put(struct esmtp_step *st, const struct esmtp_reply_line *line)
{
	size_t n;

	if (st->mc->is_dropped)
		return;
	n = esmtp_reply_format(line, st->out + st->out_len,
	    st->out_size - st->out_len);
	st->out_line = st->out_len;
	st->out_len += n;
	if (n == 0) {
		/* room was made before, so this does not happen; if it does,
		 * end the session rather than lose a reply */
		st->mc->is_closing = 1;
		st->mc->is_hasty = 1;
	}
}

/* Say what the next reply answers: reports name it. */
void
esmtp_answering(struct esmtp_step *st, const char *verb, const char *arg,
    size_t len)
{
	st->verb = verb;
	st->arg = arg;
	st->arg_len = len;
	st->nreplies = 0;
	st->is_utf8 = false;
}

void
esmtp_answering_last(struct esmtp_step *st)
{
	const struct esmtp_verb *v = esmtp_last_verb(st->mc);

	esmtp_answering(st, v != NULL ? v->name : "", "", 0);
}

#define REPORTED_ARG	(LIM_PATH + 16)	/* octets: a path and the word before it */

static void
report_refusal(struct esmtp_step *st, int code, const char *enhanced,
    const char *detail)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_REJECTED };
	const struct esmtp_txn *t = st->mc->txn;
	char arg[REPORTED_ARG + 1];
	size_t n = st->arg_len < REPORTED_ARG ? st->arg_len : REPORTED_ARG;

	if (n > 0)
		memcpy(arg, st->arg, n);
	arg[n] = '\0';
	r.arg = arg;
	r.code = code;
	r.is_drain = st->is_drain;
	r.enhanced = enhanced;
	r.detail = detail;
	if (t != NULL) {
		r.sender = t->sender;
		r.id = t->id;
		r.nrcpts = t->rcpts.n;
		r.rcpt = t->each.rcpt != NULL ? t->each.rcpt :
		    t->rcpts.n > 0 ? esmtp_rcpts_get(&t->rcpts, 0) : NULL;
	}
	esmtp_report(st, &r);
}

void
esmtp_report(struct esmtp_step *st, struct esmtp_report *r)
{
	struct esmtp_host *host = st->ac->host;
	message_construct *mc = st->mc;

	if (mc != NULL && mc->is_dropped && r->kind != ESMTP_REPORT_END)
		return;
	if (mc != NULL) {
		mc->nrejected += r->kind == ESMTP_REPORT_REJECTED;
		mc->nauth_failed += r->kind == ESMTP_REPORT_AUTH_FAILED &&
		    !r->is_verdict;
		r->nrejected = mc->nrejected;
		r->nauth_failed = mc->nauth_failed;
	}
	r->verb = st->verb;
	r->now = st->now;
	if (r->enhanced == NULL)
		r->enhanced = "";
	if (r->detail == NULL)
		r->detail = "";
	if (r->reason == NULL)
		r->reason = "";
	if (r->id == NULL)
		r->id = "";
	if (r->arg == NULL)
		r->arg = "";
	if (host->ops->report != NULL)
		host->ops->report(host->closure, st->ac, r);
}

/* Is this about one of the recipients, behind a message that the others may
 * get?  Of LMTP. */
static bool
is_of_one_rcpt(const message_construct *mc)
{
	return mc->txn != NULL && mc->txn->lmtp != NULL &&
	    mc->txn->each.rcpt != NULL;
}

/* Count a refusal; return whether there are more than Max_Errors.  As with
 * other servers, an accepted message sets the count to 0.  Not counted are our
 * own lack of disk or memory (4.3.x), and recipients over the limit: the
 * transaction goes on with those it has (RFC 5321 4.5.3.1.10), and a client
 * that is disconnected would come back with all of them; likewise, in LMTP,
 * those that are refused behind the message. */
static bool
is_one_too_many(struct esmtp_step *st, int code, const char *enhanced)
{
	int64_t max = st->ac->options->max_errors;

	if (code < 400 || code == 421 || strncmp(enhanced, "4.3.", 4) == 0 ||
	    strcmp(enhanced, "4.5.3") == 0 || is_of_one_rcpt(st->mc))
		return false;
	st->mc->nerrors++;
	return max > 0 && st->mc->nerrors > max;
}

static void
answer(struct esmtp_step *st, int code, const char *enhanced,
    const char *text, size_t text_len, const char *extra, size_t extra_len)
{
	struct esmtp_reply_line line = { .code = code, .is_last = true,
		.enhanced = has_enhanced(st->mc) ? enhanced : NULL,
		.text = text, .text_len = text_len,
		.extra = extra, .extra_len = extra_len,
		.is_utf8 = st->is_utf8 };

	/* what 3xx asks may be nothing */
	if (line.enhanced == NULL && text_len == 0 && extra_len == 0 &&
	    code / 100 != 3) {
		line.text = "OK";
		line.text_len = 2;
	}
	put(st, &line);
	st->nreplies++;
	st->code = code;
	if (code >= 400)
		report_refusal(st, code, enhanced, text);
	if (code == 421)
		st->mc->is_closing = 1;
}

void
esmtp_reply_with(struct esmtp_step *st, enum esmtp_reply_id id,
    const char *extra, size_t len)
{
	const struct esmtp_reply_row *row = &esmtp_reply_rows[id];

	/* what cannot be had now is no error of the client's */
	if (id != RPL_AUTH_LATER && id != RPL_TLS_LATER &&
	    is_one_too_many(st, row->code, row->enhanced))
		row = &esmtp_reply_rows[RPL_ERRORS];
	answer(st, row->code, row->enhanced, row->text, row->text_len, extra,
	    len);
}

void
esmtp_reply(struct esmtp_step *st, enum esmtp_reply_id id)
{
	esmtp_reply_with(st, id, NULL, 0);
}

/* A reply that a module, a verb, the host or the configuration worded.  A refusal
 * without words has those of the table: "550 OK" would be none. */
static const char *
own_words(const char *str, int code, char enhanced_r[ESMTP_ENHANCED_MAX])
{
	const char *text;

	esmtp_reply_split(str, code, &text, enhanced_r);
	if (text[0] == '\0' && code >= 400)
		text = esmtp_reply_rows[code >= 500 ? RPL_POLICY :
		    RPL_POLICY_LATER].text;
	return text;
}

size_t
esmtp_reply_last_words(const message_construct *mc, int code, const char *str,
    char buf[LIM_REPLY_LINE])
{
	struct esmtp_reply_line line = { .code = code, .is_last = true };
	char enhanced[ESMTP_ENHANCED_MAX];

	line.text = own_words(str, code, enhanced);
	line.text_len = strlen(line.text);
	if (has_enhanced(mc))
		line.enhanced = enhanced;
	return esmtp_reply_format(&line, buf, LIM_REPLY_LINE);
}

void
esmtp_reply_code(struct esmtp_step *st, int code, const char *str)
{
	char enhanced[ESMTP_ENHANCED_MAX];
	const char *text = own_words(str, code, enhanced);

	if (is_one_too_many(st, code, enhanced)) {
		esmtp_reply(st, RPL_ERRORS);
		return;
	}
	answer(st, code, enhanced, text, strlen(text), NULL, 0);
}

/* A line of a reply that has no enhanced code: banner, EHLO. */
void
esmtp_reply_line(struct esmtp_step *st, int code, bool is_last,
    const char *text, const char *extra)
{
	struct esmtp_reply_line line = { .code = code, .is_last = is_last,
		.text = text, .text_len = strlen(text), .extra = extra,
		.extra_len = strlen(extra) };

	put(st, &line);
	if (is_last)
		st->nreplies++;
}

/* RFC 5321 4.2.1: a hyphen follows the code of all lines but the last. */
void
esmtp_reply_end(struct esmtp_step *st)
{
	if (st->out_line < st->out_len)
		st->out[st->out_line + 3] = ' ';
	st->nreplies++;
}

char *
esmtp_reply_take_back(struct esmtp_step *st, size_t mark)
{
	char *line = strndup(st->out + mark, st->out_len - mark);

	if (line != NULL)
		line[strcspn(line, "\r\n")] = '\0';
	st->out_len = mark;
	return line;
}

/* It is a line that esmtp_reply_format() has made: short, with a code. */
void
esmtp_reply_give_back(struct esmtp_step *st, const char *line)
{
	struct esmtp_reply_line l = { .code = atoi(line), .is_last = true,
		.text = line + 4, .text_len = strlen(line + 4) };

	put(st, &l);
	st->nreplies++;
}

/* RFC 5321 4.2.3: 452 is for storage, 451 for what else went wrong here. */
int
esmtp_errno_reply(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return RPL_DISK;
	case ENOMEM:
		return RPL_NOMEM;
	default:
		return RPL_RESOURCES;
	}
}

/* RFC 5321 3.8: a server that shuts down answers 421. */
void
esmtp_bye(struct esmtp_step *st)
{
	/* a session that has moved and is refused then is not told for that */
	st->is_drain = st->ac->host->is_draining;
	if (st->ac->host->is_reconfigured)
		esmtp_reply_code(st, esmtp_reply_rows[RPL_RECONFIG].code,
		    st->ac->options->reconfig_message);
	else
		esmtp_reply(st, RPL_SHUTDOWN);
	st->is_drain = false;
}

/* The peer is gone: ${errnum}, or 0 for an end of file.  One that has said
 * QUIT may go when it likes. */
enum esmtp_want
esmtp_gone(struct esmtp_step *st, int errnum)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_ABORT };

	if (st->mc->is_closing)
		return W_END;
	r.detail = esmtp_message_factory_state(st->mc->state);
	r.errnum = errnum;
	esmtp_report(st, &r);
	return W_END;
}

/* Write ${len} octets at ${buf}: octets written, or -1 when the peer is
 * gone. */
static ssize_t
write_some(struct esmtp_step *st, const char *buf, size_t len)
{
	size_t done = 0;
	int n, need = 0;

	while (done < len) {
		n = event_write(st->event, buf + done, (int)(len - done),
		    &need);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	st->mc->need_write = (uint8_t)(need != 0 ? need : E_WRITE);
	if (done > 0)
		st->mc->idle_since = moment_of(&st->now);
	return (ssize_t)done;
}

static enum esmtp_want
flush_kept(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	struct esmtp_kept *out = mc->out;
	ssize_t n;

	n = write_some(st, out->octets + out->at, out->len - out->at);
	if (n == -1)
		return esmtp_gone(st, errno);
	out->at += (uint32_t)n;
	if (out->at < out->len)
		return W_WRITE;
	free(out);
	mc->out = NULL;
	mc->wait_since = moment_of(&st->now);
	return W_GO;
}

/* Keep what the peer would not take; nothing more is read until it has. */
static enum esmtp_want
keep_rest(struct esmtp_step *st, size_t done)
{
	message_construct *mc = st->mc;
	size_t len = st->out_len - done;

	st->out_len = 0;
	if ((mc->out = malloc(sizeof(*mc->out) + len)) == NULL)
		return esmtp_gone(st, ENOMEM);
	mc->out->size = mc->out->len = (uint32_t)len;
	mc->out->at = 0;
	memcpy(mc->out->octets, st->out + done, len);
	mc->wait_since = moment_of(&st->now);
	return W_WRITE;
}

enum esmtp_want
esmtp_flush(struct esmtp_step *st)
{
	enum esmtp_want w;
	ssize_t n;

	if (st->mc->out != NULL && (w = flush_kept(st)) != W_GO) {
		/* nothing but a final 421 can be there beside what is kept */
		st->out_len = 0;
		return w;
	}
	if (st->out_len == 0)
		return W_GO;
	n = write_some(st, st->out, st->out_len);
	if (n == -1)
		return esmtp_gone(st, errno);
	if ((size_t)n < st->out_len)
		return keep_rest(st, (size_t)n);
	st->out_len = 0;
	st->mc->wait_since = moment_of(&st->now);
	return W_GO;
}
