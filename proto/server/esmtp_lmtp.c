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
#include <strings.h>

#include "core/lim.h"
#include "proto/server/esmtp_int.h"

struct esmtp_lmtp {
	struct esmtp_rcpts	 told;		/* each RCPT with a reply of 250 */
	char			**own;		/* of each: the reply line that is its alone, or NULL; NULL: none has one */
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

void
esmtp_lmtp_free(struct esmtp_lmtp *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; l->own != NULL && i < l->told.n; i++)
		free(l->own[i]);
	free(l->own);
	esmtp_rcpts_clear(&l->told);
	free(l);
}

size_t
esmtp_lmtp_octets(const struct esmtp_lmtp *l)
{
	return l != NULL ? esmtp_rcpts_octets(&l->told) : 0;
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
	client->octets += esmtp_rcpts_octets(&l->told);
}

int
esmtp_lmtp_accept(struct esmtp_lmtp *l, const char *addr)
{
	return l != NULL ? esmtp_rcpts_add(&l->told, addr, false) : 1;
}

/* ${line} is for ${rcpt}, however often it was named.  0, or -1: ENOMEM. */
static int
set_own(struct esmtp_lmtp *l, const char *rcpt, const char *line)
{
	size_t i;

	if (l->own == NULL &&
	    (l->own = calloc(l->told.n, sizeof(*l->own))) == NULL)
		return -1;
	for (i = 0; i < l->told.n; i++) {
		if (strcasecmp(esmtp_rcpts_get(&l->told, i), rcpt) != 0)
			continue;
		free(l->own[i]);
		if ((l->own[i] = strdup(line)) == NULL)
			return -1;
	}
	return 0;
}

int
esmtp_lmtp_refuse(struct esmtp_step *st, size_t mark, const char *rcpt)
{
	struct esmtp_lmtp *l = st->mc->txn->lmtp;
	char *line;
	int rc;

	if ((line = esmtp_reply_take_back(st, mark)) == NULL)
		return -1;
	/* one that a policy has added has nobody to be told */
	rc = l->told.n > 0 ? set_own(l, rcpt, line) : 0;
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
		if (l->own[i] == NULL)
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
	st->ac->host->spool->abort(t->msg);
	t->msg = NULL;
	return true;
}

bool
esmtp_lmtp_next(struct esmtp_step *st)
{
	struct esmtp_lmtp *l = st->mc->txn->lmtp;
	const char *own = l->own != NULL ? l->own[l->at] : NULL;

	esmtp_reply_give_back(st, own != NULL ? own : l->line);
	return ++l->at < l->told.n;
}
