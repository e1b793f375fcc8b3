/* See smtp_reply.h. */

#include "proto/client/smtp_reply.h"

#include <string.h>

#include "core/util/utf8.h"

#define PREFIX	4	/* octets: a code, and a space or a hyphen */

void
smtp_reader_init(struct smtp_reader *r)
{
	memset(r, 0, sizeof(*r));
	r->is_line_done = r->is_reply_done = true;
}

static enum smtp_read
bad(struct smtp_reader *r, const char *why)
{
	r->why = why;
	return SMTP_READ_BAD;
}

static void
begin_line(struct smtp_reader *r)
{
	if (r->is_reply_done) {
		memset(&r->reply, 0, sizeof(r->reply));
		r->octets = 0;
	}
	r->len = 0;
	r->is_cut = r->is_line_done = r->is_reply_done = false;
}

/* RFC 5321 4.2: three digits, the first of them 2 to 5; the second is 0 to 5 in
 * the grammar, but a client must take any code that it does not know for what
 * its first digit says (RFC 5321 4.3.2), and servers do send 571.  Return it, or
 * 0. */
static int
code_of(const char *s, size_t len)
{
	if (len < 3 || s[0] < '2' || s[0] > '5' || s[1] < '0' || s[1] > '9' ||
	    s[2] < '0' || s[2] > '9' ||
	    (len > 3 && s[3] != ' ' && s[3] != '-'))
		return 0;
	return (s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] - '0';
}

/* Append what fits.  An octet that is neither printable ASCII nor part of a
 * visible character becomes '?'. */
static void
add_words(struct smtp_reply *p, const char *s, size_t len)
{
	size_t i, octets;

	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	if (len > 0 && p->nwords > 0 && p->nwords < LIM_CLIENT_WORDS)
		p->words[p->nwords++] = ' ';
	for (i = 0; i < len; i += octets) {
		octets = utf8_visible(s + i, len - i);
		if (p->nwords + (octets > 0 ? octets : 1) > LIM_CLIENT_WORDS)
			break;
		if (octets > 0)
			memcpy(p->words + p->nwords, s + i, octets);
		else
			p->words[p->nwords] = s[i] == '\t' ? ' ' : '?';
		octets += octets == 0;
		p->nwords += octets;
	}
	p->words[p->nwords] = '\0';
}

/* RFC 2034 4: the enhanced code is at the begin of each line; it is not among
 * the words. */
static void
take_words(struct smtp_reader *r)
{
	struct smtp_reply *p = &r->reply;
	const char *s = r->line + (r->len < PREFIX ? r->len : PREFIX);
	size_t n = esmtp_reply_enhanced(s, p->code / 100);

	if (n > 0 && p->enhanced[0] == '\0') {
		memcpy(p->enhanced, s, n);
		p->enhanced[n] = '\0';
	}
	s += n + (n > 0 && s[n] == ' ');
	add_words(p, s, (size_t)(r->line + r->len - s));
}

static enum smtp_read
end_line(struct smtp_reader *r)
{
	int code = code_of(r->line, r->len);
	bool is_last = r->len <= 3 || r->line[3] == ' ';

	r->line[r->len] = '\0';
	if (code == 0)
		return bad(r, "a line without a reply code");
	/* RFC 5321 4.2.1: the code is the same on each line */
	if (r->reply.code != 0 && r->reply.code != code)
		return bad(r, "a reply whose lines have different codes");
	r->reply.code = code;
	r->reply.nlines++;
	r->is_line_done = true;
	r->is_reply_done = is_last;
	take_words(r);
	return is_last ? SMTP_READ_REPLY : SMTP_READ_LINE;
}

enum smtp_read
smtp_reader_next(struct smtp_reader *r, const char *buf, size_t len,
    size_t *used_r)
{
	size_t i;
	char c;

	for (i = 0; i < len;) {
		c = buf[i++];
		*used_r = i;
		if (r->is_line_done)
			begin_line(r);
		if (++r->octets > LIM_CLIENT_REPLY)
			return bad(r, "a reply that is too long");
		if (r->has_cr != (c == '\n'))
			return bad(r, r->has_cr ? "a CR without LF" :
			    "an LF without CR");
		if (r->has_cr) {
			r->has_cr = false;
			return end_line(r);
		}
		if (c == '\0')
			return bad(r, "a NUL");
		if (c == '\r')
			r->has_cr = true;
		else if (r->len < LIM_CLIENT_LINE)
			r->line[r->len++] = c;
		else
			r->is_cut = true;
	}
	return SMTP_READ_MORE;
}

const char *
smtp_reader_text(const struct smtp_reader *r, size_t *len_r)
{
	size_t at = r->len < PREFIX ? r->len : PREFIX;

	*len_r = r->len - at;
	return r->line + at;
}

const char *
smtp_reader_why(const struct smtp_reader *r)
{
	return r->why != NULL ? r->why : "";
}

bool
smtp_reader_is_empty(const struct smtp_reader *r)
{
	return r->is_reply_done;
}
