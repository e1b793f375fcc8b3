/* The header of a message that streams by; see esmtp_header.h. */

#include "proto/parse/esmtp_header.h"

#include <string.h>

enum {
	AT_NAME,	/* at the start of a line, or in what may be a name */
	IN_LINE,	/* in the rest of a line that stays */
	IN_RETURN_PATH,	/* in a line that is taken out */
	AFTER_RETURN_PATH, /* at the start of the next line, which may go on */
	IN_TLS_REQUIRED, /* in a line of that field, which stays */
	AT_BODY		/* in the body, but some of it is held back */
};

/* What a line is, by its octets so far. */
enum line {
	LINE_OPEN,	/* not known yet */
	LINE_STAYS,
	LINE_RETURN_PATH,
	LINE_EMPTY,	/* the end of the header (RFC 5322 2.1) */
	LINE_NO_FIELD	/* the first line, and no field */
};

/* What the field TLS-Required has said so far */
enum {
	TLS_NOT,	/* the line before is not of that field */
	TLS_COLON,	/* nothing, it is at the colon */
	TLS_BLANK,
	TLS_N,
	TLS_NO,
	TLS_OTHER	/* anything else */
};

static const char *const names[] = { "return-path", "received",
	"tls-required" };
enum { RETURN_PATH, RECEIVED, TLS_REQUIRED, NNAMES };

static void
start_line(struct esmtp_header *h)
{
	h->state = AT_NAME;
	h->len = h->name_len = h->ruled_out = 0;
}

static bool
is_name(const struct esmtp_header *h, unsigned int i)
{
	return !(h->ruled_out & 1 << i) && names[i][h->name_len] == '\0';
}

static void
add_to_name(struct esmtp_header *h, char c)
{
	char low = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	unsigned int i;

	for (i = 0; i < NNAMES; i++)
		if (!(h->ruled_out & 1 << i) && names[i][h->name_len] != low)
			h->ruled_out |= (uint8_t)(1 << i);
	h->name_len++;
}

/* The line is no field. */
static enum line
no_field(struct esmtp_header *h)
{
	h->has_bad = true;
	return h->is_begun ? LINE_STAYS : LINE_NO_FIELD;
}

/* Take the next octet of a line that is open.  RFC 5322 3.6.8, 4.5: a field
 * begins with 1*ftext, perhaps white space, and a colon. */
static enum line
step(struct esmtp_header *h, char c)
{
	bool is_blank = c == ' ' || c == '\t';
	bool is_ended = h->len > h->name_len;	/* white space or CR before */

	if (c == '\n')
		return h->name_len == 0 ? LINE_EMPTY : no_field(h);
	if (c == ':' && h->name_len > 0) {
		h->has_field = true;
		h->nreceived += !is_ended && is_name(h, RECEIVED);
		if (!is_ended && is_name(h, TLS_REQUIRED))
			h->tls = TLS_COLON;
		return is_name(h, RETURN_PATH) ? LINE_RETURN_PATH : LINE_STAYS;
	}
	if (c == '\r' && h->len == 0) {
		h->len++;
		return LINE_OPEN;
	}
	/* RFC 5322 2.2.3: white space goes on with the field before */
	if (is_blank && h->len == 0 && h->is_begun)
		return LINE_STAYS;
	if (is_blank ? h->name_len == 0 : is_ended || c < 33 || c > 126 ||
	    c == ':')
		return no_field(h);
	if (++h->len == ESMTP_HEADER_NAME)
		return is_name(h, RETURN_PATH) ? LINE_RETURN_PATH :
		    no_field(h);
	if (!is_blank)
		add_to_name(h, c);
	return h->is_begun && !h->is_checked &&
	    h->ruled_out == (1 << NNAMES) - 1 ? LINE_STAYS : LINE_OPEN;
}

/* RFC 8689 3: "TLS-Required:" [FWS] "No" CRLF.  Take the next octet of it; blanks
 * at its end are harmless. */
static void
tls_step(struct esmtp_header *h, char c)
{
	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		if (h->tls == TLS_N)
			h->tls = TLS_OTHER;
		break;
	case ':':
		h->tls = h->tls == TLS_COLON ? TLS_BLANK : TLS_OTHER;
		break;
	case 'N':
	case 'n':
		h->tls = h->tls == TLS_BLANK ? TLS_N : TLS_OTHER;
		break;
	case 'O':
	case 'o':
		h->tls = h->tls == TLS_N ? TLS_NO : TLS_OTHER;
		break;
	default:
		h->tls = TLS_OTHER;
	}
}

/* The field is over: the next line does not continue it. */
static void
tls_end(struct esmtp_header *h)
{
	if (h->tls == TLS_NO)
		h->is_tls_optional = true;
	h->tls = TLS_NOT;
}

/* In which state the rest of a line is that stays */
static uint8_t
in_line(const struct esmtp_header *h)
{
	return h->tls != TLS_NOT ? IN_TLS_REQUIRED : IN_LINE;
}

/* Skip a Return-Path field; octets used. */
static size_t
skip(struct esmtp_header *h, const char *buf, size_t len)
{
	const char *lf;

	if (h->state == AFTER_RETURN_PATH && *buf != ' ' && *buf != '\t') {
		start_line(h);
		return 0;
	}
	h->state = IN_RETURN_PATH;
	if ((lf = memchr(buf, '\n', len)) == NULL)
		return len;
	h->state = AFTER_RETURN_PATH;
	return (size_t)(lf + 1 - buf);
}

static void
give_held(struct esmtp_header *h, const char **piece_r, size_t *piece_len_r)
{
	*piece_r = h->held;
	*piece_len_r = h->nheld;
	h->nheld = 0;
}

/* What the octet ${at} of ${buf} has decided of the line that begins at
 * ${line}, or is held back. */
static size_t
decide(struct esmtp_header *h, enum line what, size_t len, size_t line,
    size_t at, const char **piece_r, size_t *piece_len_r)
{
	bool was_held = h->nheld > 0;

	switch (what) {
	case LINE_RETURN_PATH:
		h->state = IN_RETURN_PATH;
		h->nheld = 0;
		*piece_len_r = was_held ? 0 : line;
		return at + 1;
	case LINE_NO_FIELD:
		h->state = AT_BODY;
		h->is_body = !was_held;
		h->is_end = h->marks_end;
		*piece_r = "\r\n";
		*piece_len_r = 2;
		return was_held ? at : 0;
	case LINE_EMPTY:
		/* it begins a piece of its own */
		if (h->marks_end && !was_held && line > 0) {
			start_line(h);
			return *piece_len_r = line;
		}
		h->is_end = h->marks_end;
		/* FALLTHROUGH */
	default:
		h->is_begun = true;
		h->is_body = what == LINE_EMPTY;
		h->state = h->is_body ? AT_BODY : in_line(h);
		if (!was_held)
			return *piece_len_r = len;
		give_held(h, piece_r, piece_len_r);
		return at;
	}
}

/* ${c} is the next octet: does it go on with a line of TLS-Required, where the
 * line before was one?  If not, that field is complete. */
static bool
tls_goes_on(struct esmtp_header *h, char c)
{
	if (h->tls == TLS_NOT || h->len != 0)
		return false;
	if (c == ' ' || c == '\t') {
		h->state = IN_TLS_REQUIRED;
		return true;
	}
	tls_end(h);
	return false;
}

/* All of ${buf} was read, and what is in it stays: pass it on, but for what may be
 * a name, at ${line}, which is held back. */
static size_t
all_read(struct esmtp_header *h, const char *buf, size_t len, size_t line,
    size_t *piece_len_r)
{
	if (h->nheld > 0)
		return len;
	*piece_len_r = len;
	if (h->state == AT_NAME && h->len > 0) {
		h->nheld = (uint8_t)(len - line);
		memcpy(h->held, buf + line, h->nheld);
		*piece_len_r = line;
	}
	return len;
}

size_t
esmtp_header_next(struct esmtp_header *h, const char *buf, size_t len,
    const char **piece_r, size_t *piece_len_r)
{
	size_t i = 0, line = 0;
	const char *lf;
	enum line what;

	*piece_r = buf;
	*piece_len_r = 0;
	if (h->state == IN_RETURN_PATH || h->state == AFTER_RETURN_PATH)
		return skip(h, buf, len);
	if (h->state == AT_BODY) {
		h->is_body = true;
		give_held(h, piece_r, piece_len_r);
		return 0;
	}
	while (i < len) {
		if (h->state == IN_LINE) {
			if ((lf = memchr(buf + i, '\n', len - i)) == NULL)
				break;
			line = i = (size_t)(lf + 1 - buf);
			start_line(h);
			continue;
		}
		if (h->state == IN_TLS_REQUIRED) {
			tls_step(h, buf[i]);
			if (buf[i++] == '\n') {
				line = i;
				start_line(h);
			}
			continue;
		}
		if (tls_goes_on(h, buf[i]))
			continue;
		what = step(h, buf[i]);
		if (what == LINE_STAYS && h->nheld == 0) {
			h->is_begun = true;
			h->state = in_line(h);
		} else if (what != LINE_OPEN)
			return decide(h, what, len, line, i, piece_r,
			    piece_len_r);
		else if (h->nheld > 0)
			h->held[h->nheld++] = buf[i++];
		else
			i++;
	}
	return all_read(h, buf, len, line, piece_len_r);
}

size_t
esmtp_header_end(struct esmtp_header *h, const char **piece_r)
{
	size_t n;

	h->has_bad |= h->nheld > 0 && h->state == AT_NAME;
	tls_end(h);
	if (h->nheld > 0 && h->state == AT_NAME && !h->is_begun) {
		/* the first line, and no colon has come */
		h->state = AT_BODY;
		h->is_end = h->marks_end;
		*piece_r = "\r\n";
		return 2;
	}
	give_held(h, piece_r, &n);
	return n;
}

bool
esmtp_header_is_in_line(const struct esmtp_header *h)
{
	return h->state == IN_LINE || h->state == IN_TLS_REQUIRED ||
	    (h->state == AT_NAME && h->len > 0);
}
