/* The body of a message: from the host, through smtp_dots.h, in DATA or in
 * chunks.
 * Owns: how much of it is under way. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/client/smtp_client_int.h"

#define PIECE		4096	/* octets that the host is asked for at once */
#define PIECE_OUT	(PIECE * SMTP_DOTS_GROWTH + SMTP_DOTS_MORE)
#define HEAD		40	/* octets of the longest "BDAT n LAST" */
#define CHUNKS_MAX	64	/* whose replies are due, with PIPELINING: the server does not run out of room for them */

void
smtp_body_begin(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	smtp_set_state(c, SS_BODY);
	t->dots = (struct smtp_dots) { .is_chunk = t->is_bdat };
	if (t->is_converted && !t->is_void)
		smtp_convert_begin(c);
}

/* The next octets of the message, as the server is to have it. */
static ssize_t
read_piece(struct smtp_client *c, char *buf)
{
	struct smtp_txn *t = &c->txn;
	ssize_t n;

	if (t->is_void)
		return 0;
	if (t->convert != NULL)
		return smtp_convert_read(c, buf, PIECE);
	n = c->ops->read(c->host, c, t->offset, buf, PIECE);
	t->offset += n > 0 ? (uint64_t)n : 0;
	return n;
}

/* The next octets, as they are sent.  Return their number; 0: that was the end,
 * or -1: there are none now, or the connection ends. */
static ssize_t
fill(struct smtp_client *c, char *out)
{
	struct smtp_txn *t = &c->txn;
	char piece[PIECE];
	ssize_t n = read_piece(c, t->is_binary ? out : piece);

	if (n == -1) {
		if (errno != EAGAIN && !c->is_ending)
			smtp_end(c, SMTP_WHY_SOURCE, errno);
		return -1;
	}
	if (n == 0) {
		t->is_whole = true;
		return 0;
	}
	return t->is_binary ? n :
	    (ssize_t)smtp_dots_next(&t->dots, piece, (size_t)n, out);
}

/* Put what the host has into the output, from ${at} on.  Return the octets. */
static size_t
fill_all(struct smtp_client *c, size_t at)
{
	struct smtp_txn *t = &c->txn;
	size_t len = 0;
	ssize_t n = 0;

	while (!t->is_whole && n != -1 &&
	    at + len + PIECE_OUT <= LIM_CLIENT_OUTPUT) {
		n = fill(c, c->out + at + len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (t->is_whole && !t->is_binary)
		len += smtp_dots_end(&t->dots, c->out + at + len);
	return len;
}

/* RFC 3030 2: the length of the chunk is known when it is there. */
static bool
send_chunk(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;
	char head[HEAD + 1];
	size_t len = fill_all(c, HEAD);
	int n;

	if (c->is_ending || (len == 0 && !t->is_whole))
		return false;
	n = snprintf(head, sizeof(head), "BDAT %zu%s\r\n", len,
	    t->is_whole ? " LAST" : "");
	memcpy(c->out + HEAD - n, head, (size_t)n);
	c->out_at = (size_t)(HEAD - n);
	c->out_len = HEAD + len;
	if (!t->is_whole) {
		t->nchunks++;
		c->owed++;
	} else
		c->owed += c->options.is_lmtp ? t->naccepted : 1;
	return true;
}

static bool
send_data(struct smtp_client *c)
{
	size_t len = fill_all(c, 0);

	if (c->is_ending)
		return false;
	c->out_len = len;
	return len > 0;
}

void
smtp_body_flushed(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;

	if (!t->is_whole || !smtp_is_flushed(c) || t->is_failed)
		return;
	/* the server may take it from now on, whatever replies it still owes */
	t->is_sent = !t->is_void;
	if (t->nchunks > 0)
		return;
	if (!t->is_bdat)
		c->owed = c->options.is_lmtp ? t->naccepted : 1;
	t->nheard = 0;
	t->since = c->now;
	smtp_set_state(c, SS_DOT);
}

bool
smtp_body_send(struct smtp_client *c)
{
	struct smtp_txn *t = &c->txn;
	size_t max = smtp_ehlo_has(&c->ehlo, SMTP_HAS(PIPELINING)) ?
	    CHUNKS_MAX : 1;

	if (t->is_whole || t->nchunks >= max) {
		smtp_enter(c, SS_CHUNK);
		return false;
	}
	if (smtp_room(c, LIM_CLIENT_OUTPUT) == NULL)
		return false;
	if (!(t->is_bdat ? send_chunk(c) : send_data(c))) {
		if (!c->is_ending)
			smtp_enter(c, SS_SOURCE);
		return false;
	}
	/* what the host has kept the server waiting is not of its time */
	if (c->state == SS_SOURCE)
		t->since += c->now - c->since;
	smtp_enter(c, SS_BODY);
	return true;
}
