/* The text of a message on its way into the spool.
 * Owns: what the options say of its size, its line ends, its long lines and its
 * header.
 * Knows nothing of what comes before and behind: esmtp_body.c and esmtp_bdat.c. */

#include <errno.h>
#include <string.h>

#include "proto/message/esmtp_message_int.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_verb.h"

/* The octets of BODY=BINARYMIME are no lines.  Other messages are text, with
 * CRLF between its lines (RFC 3030 2). */
static bool
is_binary(const struct esmtp_txn *t)
{
	return (t->env_flags & SPOOL_ENV_BINARYMIME) != 0;
}

static int
body_policy(const struct esmtp_step *st)
{
	return is_binary(st->mc->txn) ? ESMTP_LF_IGNORE :
	    st->ac->options->lone_lf_in_body;
}

static int
header_policy(const struct esmtp_step *st)
{
	int policy = st->ac->options->lone_lf_in_headers;

	return is_binary(st->mc->txn) || policy == ESMTP_HEADER_LF_BODY ?
	    body_policy(st) : policy - ESMTP_HEADER_LF_FIRST;
}

void
esmtp_text_begin(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	struct esmtp_txn *t = st->mc->txn;

	if (t->is_chunked)
		esmtp_data_init_counted(&t->data, header_policy(st));
	else
		esmtp_data_init(&t->data, header_policy(st));
	if (!is_binary(t))
		t->line.policy = (uint8_t)o->max_line_length;
	t->header.is_checked = o->malformed_headers == ESMTP_HEADER_REJECT;
}

static bool
makes_crlf(int policy)
{
	return policy == ESMTP_LF_FIX || policy == ESMTP_LF_NOTE;
}

#define BREAK	(sizeof(ESMTP_LINE_BREAK) - 1)

size_t
esmtp_text_room(struct esmtp_step *st)
{
	const struct esmtp_host *host = st->ac->host;
	const struct esmtp_txn *t = st->mc->txn;
	size_t room;

	/* what is to be thrown away; a spool without a bound */
	if (t == NULL || t->msg == NULL || host->spool->room == NULL)
		return SIZE_MAX;
	room = host->spool->room(host->spool_closure, st->ac->handle);
	/* the next octet may be behind a break of its line */
	if (t->line.policy == ESMTP_LINE_FIX && room > BREAK + 1)
		room -= BREAK;
	if (room > 1 && (makes_crlf(body_policy(st)) ||
	    makes_crlf(header_policy(st)) ||
	    t->line.policy == ESMTP_LINE_FIX))
		room /= 2;	/* each octet may become two */
	return room;
}

/* The message cannot be accepted any more, and ${reply} will say so: what is
 * still to come of it is read and thrown away (RFC 5321 4.1.1.4: a reply in
 * the middle of the data would be lost). */
void
esmtp_text_fail(message_construct *mc, int reply)
{
	struct esmtp_txn *t = mc->txn;

	if (t->failure != -1)
		return;
	t->failure = reply;
	if (t->msg != NULL)
		mc->ac->host->spool->abort(t->msg);
	t->msg = NULL;
}

/* Pass octets of the message on to the spool; its header is looked at on the
 * way. */
static int
append(struct esmtp_step *st, const char *buf, size_t len)
{
	const struct spool_ops *spool = st->ac->host->spool;
	struct esmtp_txn *t = st->mc->txn;
	enum esmtp_reply_id id;
	const char *piece;
	size_t used, n;

	for (; len > 0 && !t->header.is_body; buf += used, len -= used) {
		used = esmtp_header_next(&t->header, buf, len, &piece, &n);
		if ((id = esmtp_submit_piece(st, piece, n)) != RPL_OK) {
			esmtp_text_fail(st->mc, (int)id);
			return 0;
		}
		if (n > 0 && spool->append(t->msg, piece, n) == -1)
			return -1;
	}
	return len > 0 ? spool->append(t->msg, buf, len) : 0;
}

/* The message has so many more octets.  Return false: that is too much. */
static bool
count(struct esmtp_step *st, size_t n)
{
	int64_t max = st->ac->options->max_message_size;
	struct esmtp_txn *t = st->mc->txn;

	t->octets += n;
	if (t->failure == -1 && max > 0 && t->octets > (uint64_t)max)
		esmtp_text_fail(st->mc, RPL_TOO_BIG);
	return t->failure == -1;
}

/* The same, with a look at the length of the lines. */
static int
append_lines(struct esmtp_step *st, const char *buf, size_t len)
{
	struct esmtp_line *l = &st->mc->txn->line;
	const char *piece;
	size_t used, n;

	for (; len > 0 && st->mc->txn->failure == -1; buf += used,
	    len -= used) {
		used = esmtp_line_next(l, buf, len, &piece, &n);
		if (used == 0 && n > 0 && !count(st, n))	/* a break */
			return 0;
		if (n > 0 && append(st, piece, n) == -1)
			return -1;
	}
	return 0;
}

/* The next octets of the message, with the line ends that it will have. */
static void
slice(struct esmtp_step *st, const char *buf, size_t len)
{
	const struct esmtp_txn *t = st->mc->txn;
	int rc;

	if (!count(st, len) || len == 0)
		return;
	rc = t->line.policy == ESMTP_LINE_IGNORE ? append(st, buf, len) :
	    append_lines(st, buf, len);
	if (rc == -1)
		esmtp_text_fail(st->mc, esmtp_errno_reply(errno));
}

/* A CR or LF that stood alone in what was read by this policy. */
static void
judge_ends(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;

	if (!t->data.has_lone)
		return;
	if (t->data.policy == ESMTP_LF_PEDANTIC)
		esmtp_text_fail(st->mc, RPL_LONE_LF);
	if (t->data.policy == ESMTP_LF_NOTE)
		t->is_noted = 1;
	t->data.has_lone = false;
}

/* How many of these octets are read by one policy?  It changes where the header
 * ends, which is known at the end of a line. */
static size_t
same_policy(const struct esmtp_step *st, const char *buf, size_t len)
{
	const char *lf;

	if (st->mc->txn->data.policy == body_policy(st) ||
	    (lf = memchr(buf, '\n', len)) == NULL)
		return len;
	return (size_t)(lf - buf) + 1;
}

size_t
esmtp_text(struct esmtp_step *st, const char *buf, size_t len)
{
	struct esmtp_txn *t = st->mc->txn;
	const char *piece;
	size_t used, n;

	/* no dots, no end, and each octet stays what it is */
	if (t->data.is_counted && t->data.policy == ESMTP_LF_IGNORE &&
	    body_policy(st) == ESMTP_LF_IGNORE) {
		slice(st, buf, len);
		return len;
	}
	len = same_policy(st, buf, len);
	for (used = 0; used < len && !t->data.is_end;) {
		used += esmtp_data_next(&t->data, buf + used, len - used,
		    &piece, &n);
		slice(st, piece, n);
	}
	if (t->header.is_body && buf[used - 1] == '\n' &&
	    t->data.policy != body_policy(st)) {
		judge_ends(st);
		t->data.policy = (unsigned char)body_policy(st);
	}
	return used;
}

/* What is known of the lines and of the header when all has come. */
static void
judge(struct esmtp_step *st)
{
	const struct esmtp_options *o = st->ac->options;
	const struct esmtp_txn *t = st->mc->txn;

	judge_ends(st);
	if (t->line.policy == ESMTP_LINE_PEDANTIC && t->line.is_long)
		esmtp_text_fail(st->mc, RPL_LONG_LINE);
	if (o->missing_headers == ESMTP_HEADER_REJECT && !t->header.has_field)
		esmtp_text_fail(st->mc, RPL_NO_HEADER);
	if (o->malformed_headers == ESMTP_HEADER_REJECT && t->header.has_bad)
		esmtp_text_fail(st->mc, RPL_BAD_HEADER);
}

void
esmtp_text_end(struct esmtp_step *st)
{
	struct esmtp_txn *t = st->mc->txn;
	enum esmtp_reply_id id;
	const char *rest;
	size_t n;

	if ((n = esmtp_data_end(&t->data, &rest)) > 0)
		slice(st, rest, n);
	while (t->failure == -1 &&
	    (n = esmtp_header_end(&t->header, &rest)) > 0) {
		if ((id = esmtp_submit_piece(st, rest, n)) != RPL_OK)
			esmtp_text_fail(st->mc, (int)id);
		else if (st->ac->host->spool->append(t->msg, rest, n) == -1)
			esmtp_text_fail(st->mc, esmtp_errno_reply(errno));
	}
	if (t->failure == -1 && (id = esmtp_submit_end(st)) != RPL_OK)
		esmtp_text_fail(st->mc, (int)id);
	judge(st);
}
