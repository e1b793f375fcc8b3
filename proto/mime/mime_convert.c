/* See mime_convert.h.
 *
 * An octet goes through octet(), which finds the lines that are boundaries, and from
 * there to sink(), which does with it what the state says.  What is held back is given
 * out by drain() before the next octet of the input is read. */

#include "proto/mime/mime_convert.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/array.h"
#include "proto/mime/mime_encode.h"
#include "proto/mime/mime_header.h"

#define HEAD_MAX	(LIM_MIME_BOUNDARY + 4)	/* octets of a line by which it is a boundary */
#define LINE_MAX_TEXT	998	/* octets without CRLF; RFC 5322 2.1.1 */
#define EDIT_MAX	160	/* octets of the fields that are put in at one place */
/* one octet of the input lets a line's begin and a CRLF go, each encoded */
#define ROOM		(3 * HEAD_MAX + 8 * MIME_ENCODE_MORE + EDIT_MAX)

_Static_assert(ROOM <= MIME_CONVERT_ROOM, "each step has room");

enum state {
	IN_HEADER,	/* is held back */
	IN_7BIT,	/* the body of a part that is said to be 7bit: is held back, too */
	IN_ENCODED,	/* by us */
	IN_FIXED,
	IN_IGNORED,	/* before or behind the parts of a multipart */
	IN_BOUNDARY	/* the rest of the line */
};

struct level {
	uint8_t		len;
	bool		is_digest;
	bool		has_parts;	/* one has begun */
	bool		is_fixed;	/* its parts stay as they are; its boundary is known, since another one may be the begin of it */
	char		boundary[LIM_MIME_BOUNDARY];
};

/* What is put into the header that is held back. */
struct edit {
	size_t		at, end;	/* in the place of these octets */
	char		text[EDIT_MAX];
};

struct mime_convert {
	struct mime_convert_options options;
	enum mime_why	 why;
	bool		 is_binary;	/* the last octet that may not be sent: it is no 8-bit text */
	enum state	 state, next;	/* the second: behind the line of a boundary */
	bool		 is_part;	/* the header is one of a part, not of a message */
	bool		 is_message;	/* and the part is a message, if it does not say what it is */
	bool		 is_ended;
	bool		 is_late;	/* with IN_FIXED: the part is said to be 7bit, and was, as far as it was held back */
	bool		 is_doubtful;	/* octets were replaced before the first part of the innermost multipart */
	/* lines */
	bool		 has_cr;	/* of a text, read and not given on */
	unsigned char	 last;		/* octet; 0 before the first */
	bool		 is_start;	/* of a line */
	size_t		 column;
	size_t		 nhead;
	char		 head[HEAD_MAX]; /* of a line that may be a boundary */
	/* what is held back */
	char		*held;
	size_t		 nheld, room, line_at;
	size_t		 body_at;	/* where the header has ended */
	struct mime_header header;	/* of IN_7BIT */
	struct edit	 edits[2];
	size_t		 nedits;
	bool		 is_draining;
	bool		 is_encoding;	/* what is drained of a body */
	size_t		 at, edit;	/* how far that is */
	struct mime_encoder encoder;
	/* output */
	char		*out;
	size_t		 n;
	/* the multiparts around */
	size_t		 depth;
	struct level	 levels[LIM_MIME_DEPTH];
};

static void
fail(struct mime_convert *m, enum mime_why why)
{
	if (m->why == MIME_WHY_NOT)
		m->why = why;
}

static void
put(struct mime_convert *m, unsigned char c)
{
	m->out[m->n++] = (char)c;
}

static void
hold(struct mime_convert *m, unsigned char c)
{
	char *held;

	if (m->nheld == m->room) {
		if ((held = array_fit(m->held, &m->room, m->nheld + 1,
		    1)) == NULL) {
			fail(m, MIME_WHY_MEMORY);
			return;
		}
		m->held = held;
	}
	m->held[m->nheld++] = (char)c;
}

/* May the octet not be sent as it is?  Then note what it is: if the message cannot be
 * converted, that is because of the last one of these. */
static bool
is_bad(struct mime_convert *m, unsigned char c)
{
	if (c >= 0x80 && !m->options.takes_8bit) {
		m->is_binary = false;
		return true;
	}
	/* RFC 2045 2.7, 2.8 */
	if (m->options.is_binary && (c == 0 ||
	    (c == '\n') != (m->last == '\r') ||
	    (c != '\r' && c != '\n' && m->column >= LINE_MAX_TEXT))) {
		m->is_binary = true;
		return true;
	}
	return false;
}

/* --- what is held back ------------------------------------------------------- */

/* A message begins. */
static void
start_message(struct mime_convert *m)
{
	m->state = IN_HEADER;
	m->is_part = m->is_message = false;
	m->line_at = 0;
}

static void
start_drain(struct mime_convert *m, bool is_encoding)
{
	m->is_draining = true;
	m->is_encoding = is_encoding;
	m->at = m->edit = 0;
}

static bool
is_drained(struct mime_convert *m)
{
	if (m->at < m->nheld)
		return false;
	m->is_draining = false;
	m->nheld = m->nedits = 0;
	return true;
}

/* Give out what is held back, as far as there is room. */
static void
drain(struct mime_convert *m, size_t size)
{
	const struct edit *e;
	size_t end, len;

	while (!is_drained(m) && size - m->n >= ROOM) {
		e = m->edit < m->nedits ? &m->edits[m->edit] : NULL;
		if (e != NULL && m->at == e->at) {
			len = strlen(e->text);
			memcpy(m->out + m->n, e->text, len);
			m->n += len;
			m->at = e->end;
			m->edit++;
			continue;
		}
		if (m->is_encoding && m->at >= m->body_at) {
			m->n += mime_encode(&m->encoder,
			    (unsigned char)m->held[m->at++], m->out + m->n);
			continue;
		}
		end = e != NULL ? e->at : m->is_encoding ? m->body_at :
		    m->nheld;
		len = end - m->at < size - m->n ? end - m->at : size - m->n;
		memcpy(m->out + m->n, m->held + m->at, len);
		m->n += len;
		m->at += len;
	}
}

/* --- headers ------------------------------------------------------------------ */

static void
edit(struct mime_convert *m, size_t at, size_t end, const char *version,
    const char *type, const char *encoding)
{
	struct edit *e = &m->edits[m->nedits++];

	e->at = at;
	e->end = end;
	snprintf(e->text, sizeof(e->text), "%s%s%s%s%s", version, type,
	    *encoding != '\0' ? "Content-Transfer-Encoding: " : "", encoding,
	    *encoding != '\0' ? "\r\n" : "");
}

/* The content is encoded, from what is held back of it on. */
static void
encode(struct mime_convert *m)
{
	const struct mime_header *h = &m->header;
	bool is_base64 = h->kind != MIME_TEXT || h->encoding == MIME_BINARY;
	const char *name = is_base64 ? "base64" : "quoted-printable";

	if (h->has_encoding)
		edit(m, h->encoding_at, h->encoding_end, "", "", name);
	edit(m, h->end, h->end, m->is_part || h->has_version ? "" :
	    "MIME-Version: 1.0\r\n", h->has_type ? "" :
	    "Content-Type: text/plain; charset=unknown-8bit\r\n",
	    h->has_encoding ? "" : name);
	m->encoder = (struct mime_encoder){ .is_base64 = is_base64 };
	m->state = IN_ENCODED;
	start_drain(m, true);
}

/* A multipart or a message is what its parts are. */
static void
declare(struct mime_convert *m)
{
	const struct mime_header *h = &m->header;
	bool is_8bit = m->options.takes_8bit;

	if (h->encoding == MIME_BINARY || (h->encoding == MIME_8BIT &&
	    !is_8bit))
		edit(m, h->encoding_at, h->encoding_end, "", "",
		    is_8bit ? "8bit" : "7bit");
	start_drain(m, false);
}

static void
enter_multipart(struct mime_convert *m, bool is_fixed)
{
	struct level *l = &m->levels[m->depth++];

	l->is_fixed = is_fixed;
	l->has_parts = false;
	l->len = m->header.boundary_len;
	l->is_digest = m->header.is_digest;
	memcpy(l->boundary, m->header.boundary, l->len);
	m->state = is_fixed ? IN_FIXED : IN_IGNORED;
}

static void
leaf(struct mime_convert *m)
{
	const struct mime_header *h = &m->header;

	if (h->encoding == MIME_7BIT)
		m->state = IN_7BIT;
	else if (h->encoding == MIME_8BIT && m->options.takes_8bit) {
		m->state = IN_FIXED;
		start_drain(m, false);
	} else
		encode(m);
}

/* The header is held back whole. */
static void
header_done(struct mime_convert *m)
{
	struct mime_header *h = &m->header;

	mime_header_read(m->held, m->nheld, m->is_message, h);
	m->body_at = m->nheld;
	if (h->kind == MIME_MULTIPART && m->depth == LIM_MIME_DEPTH)
		h->kind = MIME_FIXED;
	switch (h->kind) {
	case MIME_TEXT:
	case MIME_OTHER:
		leaf(m);
		break;
	case MIME_MULTIPART:
		declare(m);
		enter_multipart(m, false);
		break;
	case MIME_MESSAGE:
		declare(m);
		start_message(m);
		break;
	case MIME_FIXED:
		m->state = IN_FIXED;
		start_drain(m, false);
		if (h->boundary_len > 0 && m->depth < LIM_MIME_DEPTH)
			enter_multipart(m, true);
		break;
	}
}

static void
in_header(struct mime_convert *m, unsigned char c)
{
	if (is_bad(m, c) && (c < 0x80 || !m->options.takes_utf8)) {
		fail(m, MIME_WHY_HEADER);
		return;
	}
	hold(m, c);
	if (c == '\n' && m->last == '\r') {
		if (m->nheld - m->line_at == 2) {
			header_done(m);
			return;
		}
		m->line_at = m->nheld;
	}
	if (m->nheld >= LIM_MIME_HELD) {
		/* longer than any that is read */
		m->state = IN_FIXED;
		start_drain(m, false);
	}
}

/* --- bodies -------------------------------------------------------------------- */

static void
in_7bit(struct mime_convert *m, unsigned char c)
{
	hold(m, c);
	if (is_bad(m, c))
		encode(m);
	else if (m->nheld >= LIM_MIME_HELD) {
		/* nothing bad so far; what has not been said to be 7bit may be
		 * encoded all the same */
		if (!m->header.has_encoding)
			encode(m);
		else {
			m->state = IN_FIXED;
			m->is_late = true;
			start_drain(m, false);
		}
	}
}

/* What is behind the octets that are held back is, until they are given out, too. */
static void
give(struct mime_convert *m, unsigned char c)
{
	if (m->is_draining)
		hold(m, c);
	else if (m->state == IN_ENCODED)
		m->n += mime_encode(&m->encoder, c, m->out + m->n);
	else
		put(m, c);
}

/* RFC 2046 5.1.1: nobody reads it.  But a CR or LF alone could become a line's end. */
static void
in_ignored(struct mime_convert *m, unsigned char c)
{
	if (!is_bad(m, c))
		give(m, c);
	else if ((c >= 0x80 || c == 0) && m->last != '\r') {
		m->is_doubtful = m->depth > 0 &&
		    !m->levels[m->depth - 1].has_parts;
		give(m, '?');
	} else
		fail(m, MIME_WHY_FIXED);
}

static void
sink(struct mime_convert *m, unsigned char c)
{
	switch (m->state) {
	case IN_HEADER:
		in_header(m, c);
		break;
	case IN_7BIT:
		in_7bit(m, c);
		break;
	case IN_IGNORED:
		in_ignored(m, c);
		break;
	case IN_FIXED:
	case IN_BOUNDARY:
		if (is_bad(m, c))
			fail(m, m->is_late ? MIME_WHY_LATE : MIME_WHY_FIXED);
		/* FALLTHROUGH */
	case IN_ENCODED:
		give(m, c);
		break;
	}
	m->is_start = c == '\n' && m->last == '\r';
	m->column = m->is_start ? 0 : m->column + 1;
	m->last = c;
	if (m->is_start && m->state == IN_BOUNDARY)
		m->state = m->next;
}

/* --- boundaries ------------------------------------------------------------------ */

/* RFC 2046 5.1.1: a line that begins with "--" and the boundary is one, whatever
 * follows.  Of several the longest, and the innermost.  Return its level, or -1. */
static ssize_t
find_level(const struct mime_convert *m)
{
	const struct level *l;
	ssize_t found = -1;
	size_t i, len = 0;

	for (i = m->depth; i-- > 0;) {
		l = &m->levels[i];
		if (l->len > len && m->nhead >= 2u + l->len &&
		    memcmp(m->head + 2, l->boundary, l->len) == 0) {
			found = (ssize_t)i;
			len = l->len;
		}
	}
	return found;
}

/* What was before the first part of the innermost multipart is all that it has: readers
 * show that, and it must not be replaced. */
static void
end_doubt(struct mime_convert *m)
{
	if (m->is_doubtful)
		fail(m, MIME_WHY_FIXED);
}

/* A boundary of ${level}: the innermost multipart has a part, or has had all. */
static void
see_parts(struct mime_convert *m, size_t level, bool is_last)
{
	if (is_last || level + 1 < m->depth) {
		end_doubt(m);
		return;
	}
	m->levels[level].has_parts = true;
	m->is_doubtful = false;
}

/* The part that a boundary follows is over. */
static void
leave_part(struct mime_convert *m)
{
	m->is_late = false;
	if (m->state == IN_ENCODED)
		m->n += mime_encode_end(&m->encoder, true, m->out + m->n);
	else if (m->state == IN_HEADER || m->state == IN_7BIT)
		start_drain(m, false);
}

/* What follows a boundary of that level, behind its line */
static void
enter_part(struct mime_convert *m, const struct level *l, bool is_last)
{
	m->state = IN_BOUNDARY;
	if (l->is_fixed)
		m->next = IN_FIXED;
	else if (is_last)
		m->next = IN_IGNORED;
	else {
		m->next = IN_HEADER;
		m->is_part = true;
		m->is_message = l->is_digest;
		m->line_at = 0;
	}
}

/* The line in m->head: is it a boundary, or else what? */
static void
decide(struct mime_convert *m)
{
	ssize_t level = find_level(m);
	size_t i, n = m->nhead, end;
	bool is_last;

	m->nhead = 0;
	m->is_start = false;
	if (level == -1) {
		for (i = 0; i < n; i++)
			sink(m, (unsigned char)m->head[i]);
		return;
	}
	end = 2u + m->levels[level].len;
	is_last = n >= end + 2 && memcmp(m->head + end, "--", 2) == 0;
	see_parts(m, (size_t)level, is_last);
	leave_part(m);
	enter_part(m, &m->levels[level], is_last);
	m->depth = (size_t)level + !is_last;
	for (i = 0; i < n; i++)
		sink(m, (unsigned char)m->head[i]);
}

static void
octet(struct mime_convert *m, unsigned char c)
{
	bool is_head = m->nhead > 0 || (m->is_start && m->depth > 0);

	if (!is_head || (m->nhead < 2 && c != '-')) {
		if (m->nhead > 0)
			decide(m);
		sink(m, c);
		return;
	}
	m->head[m->nhead++] = (char)c;
	if (m->nhead == sizeof(m->head) || (c == '\n' &&
	    m->head[m->nhead - 2] == '\r'))
		decide(m);
}

/* --- the message ------------------------------------------------------------------ */

/* Read an octet of the input.  Return whether that is done: before a CR or LF that
 * stands alone in a text, a line is ended first. */
static bool
step(struct mime_convert *m, unsigned char c)
{
	if (m->options.is_binary) {
		octet(m, c);
		return true;
	}
	if (m->has_cr || c == '\n') {
		octet(m, '\r');
		octet(m, '\n');
		m->has_cr = false;
		return c == '\n';
	}
	m->has_cr = c == '\r';
	if (!m->has_cr)
		octet(m, c);
	return true;
}

/* All is read. */
static void
end(struct mime_convert *m)
{
	m->is_ended = true;
	if (m->has_cr) {
		octet(m, '\r');
		octet(m, '\n');
	}
	if (m->nhead > 0)
		decide(m);
	end_doubt(m);
}

/* ... and given out. */
static void
finish(struct mime_convert *m)
{
	if (m->state == IN_ENCODED)
		m->n += mime_encode_end(&m->encoder, false, m->out + m->n);
	else if (m->nheld > 0)
		start_drain(m, false);
	m->state = IN_IGNORED;
}

struct mime_convert *
mime_convert_new(const struct mime_convert_options *options)
{
	struct mime_convert *m;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	m->options = *options;
	m->is_start = true;
	start_message(m);
	return m;
}

void
mime_convert_free(struct mime_convert *m)
{
	if (m == NULL)
		return;
	free(m->held);
	free(m);
}

ssize_t
mime_convert_next(struct mime_convert *m, const char *in, size_t len,
    bool is_last, size_t *used_r, char *out, size_t size)
{
	size_t i = 0;

	m->out = out;
	m->n = 0;
	while (size - m->n >= ROOM && m->why == MIME_WHY_NOT) {
		if (m->is_draining)
			drain(m, size);
		else if (i < len)
			i += step(m, (unsigned char)in[i]);
		else if (is_last && !m->is_ended)
			end(m);
		else if (is_last && (m->state == IN_ENCODED || m->nheld > 0))
			finish(m);
		else
			break;
	}
	*used_r = i;
	return m->why != MIME_WHY_NOT ? -1 : (ssize_t)m->n;
}

enum mime_why
mime_convert_why(const struct mime_convert *m)
{
	return m->why;
}

bool
mime_convert_is_binary(const struct mime_convert *m)
{
	return m->is_binary;
}
