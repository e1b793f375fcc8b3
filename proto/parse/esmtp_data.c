/* Data reader: bytes after 354, or chunks of text, in, message bytes out.
 * Owns: the end of data, dot-unstuffing, the bare CR/LF policy.
 * Knows nothing of verbs, replies or the spool.
 *
 * RFC 5321 4.1.1.4: the mail data end at CRLF "." CRLF and nowhere else: no
 * LF or CR that stands alone is ever taken for the end of a line. */

#include "proto/parse/esmtp_data.h"

#include <string.h>

#include "proto/esmtp_options.h"

enum {
	DATA_LINE,	/* at the start of a line */
	DATA_DOT,	/* a dot at the start of a line was read, not passed on */
	DATA_DOT_CR,	/* and then a CR */
	DATA_TEXT,	/* within a line */
	DATA_CR		/* within a line, after a CR (passed on, but for 'fix') */
};

void
esmtp_data_init(struct esmtp_data *d, int policy)
{
	memset(d, 0, sizeof(*d));
	d->state = DATA_LINE;
	d->policy = (unsigned char)policy;
}

void
esmtp_data_init_counted(struct esmtp_data *d, int policy)
{
	esmtp_data_init(d, policy);
	d->is_counted = true;
}

/* Does a lone CR or LF become CRLF? */
static bool
is_fixed(const struct esmtp_data *d)
{
	return d->policy == ESMTP_LF_FIX || d->policy == ESMTP_LF_NOTE;
}

/* For the policy that passes a lone CR or LF on: find the next line that starts
 * with a dot.  Return the octets before it: they belong to the message. */
static size_t
scan_ignore(struct esmtp_data *d, const char *buf, size_t len)
{
	const char *p = buf, *end = buf + len, *lf;

	while (p < end && (lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		bool is_crlf = lf > buf ? lf[-1] == '\r' : d->state == DATA_CR;

		p = lf + 1;
		d->state = is_crlf ? DATA_LINE : DATA_TEXT;
		if (is_crlf && (p == end || *p == '.'))
			return (size_t)(p - buf);
	}
	if (p < end)
		d->state = end[-1] == '\r' ? DATA_CR : DATA_TEXT;
	return len;
}

#define WINDOW	32	/* octets: less than a usual line */

/* Where the next CR or LF is, or ${len}.  memchr() looks for either in a window
 * that grows: of two searches to the end, the one for what is far away would be
 * made again and again where the other is near. */
static size_t
find_line_octet(const char *buf, size_t len)
{
	size_t at, n = WINDOW;

	for (at = 0; at < len; at += n, n *= 2) {
		const char *cr, *lf;

		if (n > len - at)
			n = len - at;
		lf = memchr(buf + at, '\n', n);
		cr = memchr(buf + at, '\r', lf != NULL ?
		    (size_t)(lf - buf) - at : n);
		if (cr != NULL || lf != NULL)
			return (size_t)((cr != NULL ? cr : lf) - buf);
	}
	return len;
}

/* For the policies that must see every lone CR and LF: stop at each. */
static size_t
scan_strict(struct esmtp_data *d, const char *buf, size_t len)
{
	size_t i = find_line_octet(buf, len);

	while (i + 1 < len && buf[i] == '\r' && buf[i + 1] == '\n') {
		i += 2;
		d->state = DATA_LINE;
		if (i == len || buf[i] == '.')
			return i;
		i += find_line_octet(buf + i, len - i);
	}
	if (i > 0)
		d->state = DATA_TEXT;
	return i;
}

/* Within a line, or at the start of one that has no dot. */
static size_t
next_text(struct esmtp_data *d, const char *buf, size_t len,
    const char **slice_r, size_t *slice_len_r)
{
	size_t n;

	*slice_r = buf;
	if (d->policy == ESMTP_LF_IGNORE)
		return *slice_len_r = scan_ignore(d, buf, len);
	if ((n = scan_strict(d, buf, len)) > 0)
		return *slice_len_r = n;
	if (*buf == '\r') {
		/* the next octet says what this CR is; it is passed on then */
		d->state = DATA_CR;
		*slice_len_r = 0;
		return 1;
	}
	d->has_lone = true;
	d->state = DATA_TEXT;
	*slice_r = is_fixed(d) ? "\r\n" : "\n";
	*slice_len_r = strlen(*slice_r);
	return 1;
}

/* A CR was held back (strict policies): say what it was.  Uses an octet only
 * if it is the LF of the pair. */
static size_t
next_after_cr(struct esmtp_data *d, const char *buf, const char **slice_r,
    size_t *slice_len_r)
{
	if (*buf == '\n') {
		d->state = DATA_LINE;
		*slice_r = "\r\n";
		*slice_len_r = 2;
		return 1;
	}
	d->has_lone = true;
	d->state = DATA_TEXT;
	*slice_r = is_fixed(d) ? "\r\n" : "\r";
	*slice_len_r = strlen(*slice_r);
	return 0;
}

/* After ".": RFC 5321 4.5.2: the end of data, or a dot that the sender added
 * and that is dropped. */
static size_t
next_after_dot(struct esmtp_data *d, const char *buf, size_t len,
    const char **slice_r, size_t *slice_len_r)
{
	if (*buf == '\r') {
		d->state = DATA_DOT_CR;
		*slice_len_r = 0;
		return 1;
	}
	d->state = DATA_TEXT;
	return next_text(d, buf, len, slice_r, slice_len_r);
}

/* After ".\r": the end, or a CR that stands alone in a line without its dot. */
static size_t
next_after_dot_cr(struct esmtp_data *d, const char *buf, const char **slice_r,
    size_t *slice_len_r)
{
	if (*buf == '\n') {
		d->is_end = true;
		*slice_len_r = 0;
		return 1;
	}
	if (d->policy != ESMTP_LF_IGNORE)
		return next_after_cr(d, buf, slice_r, slice_len_r);
	d->has_lone = true;
	d->state = DATA_CR;
	*slice_r = "\r";
	*slice_len_r = 1;
	return 0;
}

size_t
esmtp_data_next(struct esmtp_data *d, const char *buf, size_t len,
    const char **slice_r, size_t *slice_len_r)
{
	size_t used = 0;

	*slice_r = buf;
	*slice_len_r = 0;
	switch (d->state) {
	case DATA_LINE:
		if (*buf != '.' || d->is_counted)
			return next_text(d, buf, len, slice_r, slice_len_r);
		d->state = DATA_DOT;
		return 1;
	case DATA_DOT:
		return next_after_dot(d, buf, len, slice_r, slice_len_r);
	case DATA_DOT_CR:
		used = next_after_dot_cr(d, buf, slice_r, slice_len_r);
		break;
	case DATA_CR:
		if (d->policy == ESMTP_LF_IGNORE)
			return next_text(d, buf, len, slice_r, slice_len_r);
		used = next_after_cr(d, buf, slice_r, slice_len_r);
		break;
	default:
		return next_text(d, buf, len, slice_r, slice_len_r);
	}
	return used;
}

size_t
esmtp_data_end(struct esmtp_data *d, const char **slice_r)
{
	size_t n;

	/* with ESMTP_LF_IGNORE it was passed on when it came */
	if (d->state != DATA_CR || d->policy == ESMTP_LF_IGNORE)
		return 0;
	next_after_cr(d, "", slice_r, &n);
	return n;
}
