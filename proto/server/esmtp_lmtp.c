/* LMTP, RFC 2033: behind a message, one reply to each RCPT that was accepted.
 * Owns: which RCPT commands those are, in their order, and what each is told.
 * Knows nothing of why a recipient or a message is refused.
 *
 * RFC 2033 4.2: "Even if there were multiple successful RCPT commands giving the
 * same forward-path, there must be one reply for each successful RCPT command."
 * So this list is not that of the envelope, which has each recipient once, and
 * which policies may change.
 *
 * The replies may be many: they are written one by one, as the client takes
 * them, before its next command is looked at. */

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_txn.h"

#define NLAST	8	/* an equal one is looked for among so many */

struct esmtp_lmtp {
	struct esmtp_rcpts	 told;		/* each RCPT with a reply of 250 */
	uint32_t		*own;		/* of each: where in ${lines}, from 1, the reply is that is its alone; 0: it has none; NULL: none has one */
	char			*lines;		/* each with its NUL; often it is one for many */
	size_t			 lines_len, own_size, lines_size;
	uint32_t		 last[NLAST];	/* where the last ones are, from 1, in a ring */
	size_t			 nlines;
	size_t			 at;		/* the next that gets its reply */
	char			 line[LIM_REPLY_LINE]; /* what the others get */
};

int
esmtp_lmtp_begin(struct esmtp_step *st, struct esmtp_txn *t)
{
	if (!options_is_lmtp(st->ac->options))
		return 0;
	if ((t->lmtp = calloc(1, sizeof(*t->lmtp))) == NULL)
		return -1;
	t->lmtp->told.held = &st->ac->host->held_octets;
	return 0;
}

static size_t
own_octets(const struct esmtp_lmtp *l)
{
	return l->own_size * sizeof(*l->own) + l->lines_size;
}

/* The replies of their own took ${before} octets. */
static void
count(struct esmtp_lmtp *l, size_t before)
{
	size_t more = own_octets(l) - before;

	*l->told.held += more;
	if (l->told.client != NULL)
		l->told.client->octets += more;
}

void
esmtp_lmtp_free(struct esmtp_lmtp *l)
{
	size_t before;

	if (l == NULL)
		return;
	before = own_octets(l);
	free(l->own);
	free(l->lines);
	l->own_size = l->lines_size = 0;
	count(l, before);
	esmtp_rcpts_clear(&l->told);
	free(l);
}

size_t
esmtp_lmtp_octets(const struct esmtp_lmtp *l)
{
	return l != NULL ? esmtp_rcpts_octets(&l->told) + own_octets(l) : 0;
}

size_t
esmtp_lmtp_count(const struct esmtp_lmtp *l)
{
	return l != NULL ? l->told.n : 0;
}

void
esmtp_lmtp_count_for(struct esmtp_lmtp *l, struct esmtp_client *client)
{
	if (l == NULL || client == NULL || l->told.client != NULL)
		return;
	l->told.client = client;
	client->octets += esmtp_lmtp_octets(l);
}

int
esmtp_lmtp_accept(struct esmtp_lmtp *l, const char *addr)
{
	return l != NULL ? esmtp_rcpts_add(&l->told, addr, false) : 1;
}

/* ${line} is kept.  Return where, from 1; 0: ENOMEM. */
static uint32_t
keep_line(struct esmtp_lmtp *l, const char *line)
{
	size_t len = strlen(line) + 1, i;
	char *lines;

	for (i = 0; i < NLAST && i < l->nlines; i++)
		if (strcmp(l->lines + l->last[i] - 1, line) == 0)
			return l->last[i];
	if ((lines = array_fit(l->lines, &l->lines_size, l->lines_len + len,
	    1)) == NULL)
		return 0;
	l->lines = lines;
	memcpy(lines + l->lines_len, line, len);
	i = l->lines_len + 1;
	l->lines_len += len;
	l->last[l->nlines++ % NLAST] = (uint32_t)i;
	return (uint32_t)i;
}

/* ${line} is for ${rcpt}, however often it was named.  As esmtp_lmtp_refuse(). */
static int
set_own(struct esmtp_lmtp *l, const char *rcpt, const char *line)
{
	size_t i, end;
	uint32_t *own, at;
	int is_told;

	if ((is_told = esmtp_rcpts_find(&l->told, rcpt, &i, &end)) != 1)
		return is_told;
	own = array_fit(l->own, &l->own_size, l->told.n, sizeof(*own));
	if (own == NULL)
		return -1;
	l->own = own;
	if ((at = keep_line(l, line)) == 0)
		return -1;
	for (; i < end; i++)
		own[esmtp_rcpts_number(&l->told, i)] = at;
	return 1;
}

int
esmtp_lmtp_refuse(struct esmtp_step *st, size_t mark, const char *rcpt)
{
	struct esmtp_lmtp *l = st->mc->txn->lmtp;
	size_t before = own_octets(l), end = st->out_len;
	char *line;
	int rc;

	if ((line = esmtp_reply_take_back(st, mark)) == NULL)
		return -1;
	rc = set_own(l, rcpt, line);
	count(l, before);
	if (rc == 0)
		st->out_len = end;
	free(line);
	return rc;
}

bool
esmtp_lmtp_is_complete(const struct esmtp_lmtp *l)
{
	size_t i;

	if (l == NULL || l->own == NULL)
		return false;
	for (i = 0; i < l->told.n; i++)
		if (l->own[i] == 0)
			return false;
	return true;
}

bool
esmtp_lmtp_answer(struct esmtp_step *st, size_t mark)
{
	struct esmtp_txn *t = st->mc->txn;
	struct esmtp_lmtp *l = t != NULL ? t->lmtp : NULL;
	size_t n = st->out_len - mark;

	/* RFC 5321 3.8: a 421 is the last that the client hears */
	if (l == NULL || l->told.n == 0 || st->mc->is_closing ||
	    n > sizeof(l->line) || (n < 2 && !esmtp_lmtp_is_complete(l)))
		return false;
	if (n >= 2) {
		memcpy(l->line, st->out + mark, n);
		l->line[n - 2] = '\0';	/* in place of its CRLF */
	}
	st->out_len = mark;
	t->is_answering = 1;
	t->is_in_body = t->is_chunked = 0;
	/* of the message nothing is needed any more */
	if (t->msg != NULL)
		st->ac->host->spool->abort(t->msg);
	t->msg = NULL;
	return true;
}

bool
esmtp_lmtp_next(struct esmtp_step *st)
{
	struct esmtp_lmtp *l = st->mc->txn->lmtp;
	uint32_t own = l->own != NULL ? l->own[l->at] : 0;

	esmtp_reply_give_back(st, own != 0 ? l->lines + own - 1 : l->line);
	return ++l->at < l->told.n;
}
