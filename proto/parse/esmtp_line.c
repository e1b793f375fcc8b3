/* The length of the lines of a message that streams by; see esmtp_line.h. */

#include "proto/parse/esmtp_line.h"

#include <string.h>

#include "proto/esmtp_options.h"

#define CHARACTER_MAX	4	/* octets; RFC 3629 3 */
#define NEAR		(ESMTP_LINE_MAX - CHARACTER_MAX + 1) /* before this column nothing can be too long */

/* Octets of the character that begins with ${c}; 1, too, for one that begins
 * none. */
static unsigned int
character(unsigned char c)
{
	return c < 0xc2 || c > 0xf4 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void
end_line(struct esmtp_line *l)
{
	l->column = 0;
	l->has_cr = false;
}

/* Pass over octets that need no closer look: to the end of the line, to the
 * column where one may be too long, or to the end of ${buf}.  Return their
 * number. */
static size_t
pass(struct esmtp_line *l, const char *buf, size_t len)
{
	size_t n = l->column + l->has_cr < NEAR ?
	    (size_t)(NEAR - l->column - l->has_cr) : 0;
	const char *lf;

	if (n > len)
		n = len;
	if (n == 0)
		return 0;
	if ((lf = memchr(buf, '\n', n)) != NULL) {
		end_line(l);
		return (size_t)(lf - buf) + 1;
	}
	l->column += (uint16_t)(n - 1 + l->has_cr);
	l->has_cr = buf[n - 1] == '\r';
	l->column += !l->has_cr;
	return n;
}

/* The next octet: does the line become too long by it? */
static bool
is_beyond(struct esmtp_line *l, char c)
{
	if (c == '\n') {
		end_line(l);
		return false;
	}
	l->column += l->has_cr;
	/* the last CR of all may be of the end of the line */
	if ((l->has_cr = c == '\r'))
		return l->column > ESMTP_LINE_MAX;
	if (l->column + character((unsigned char)c) > ESMTP_LINE_MAX)
		return true;
	l->column++;
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The line has as much as it may have, and blanks behind it are being left out.
 * Return their number in ${buf}. */
static size_t
skip_blanks(struct esmtp_line *l, const char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!is_blank(buf[i])) {
			l->is_due = false;
			l->is_broken = buf[i] != '\r' && buf[i] != '\n';
			break;
		}
	return i;
}

/* One step of esmtp_line_next(), which may find a place for a break alone: no
 * octets are used then, and there is no piece. */
static size_t
step(struct esmtp_line *l, const char *buf, size_t len, const char **piece_r,
    size_t *piece_len_r)
{
	size_t i;

	if (l->is_broken) {
		l->is_broken = l->has_cr = false;
		l->column = 1;
		*piece_r = ESMTP_LINE_BREAK;
		*piece_len_r = strlen(ESMTP_LINE_BREAK);
		return 0;
	}
	*piece_r = buf;
	*piece_len_r = 0;
	if (l->is_due)
		return skip_blanks(l, buf, len);
	*piece_len_r = len;
	if (l->policy == ESMTP_LINE_IGNORE ||
	    (l->policy == ESMTP_LINE_PEDANTIC && l->is_long))
		return len;
	for (i = 0; i < len;) {
		i += pass(l, buf + i, len - i);
		if (i == len)
			break;
		if (!is_beyond(l, buf[i])) {
			i++;
			continue;
		}
		l->is_long = true;
		if (l->policy == ESMTP_LINE_PEDANTIC)
			break;
		l->is_due = is_blank(buf[i]);
		l->is_broken = !l->is_due;
		return *piece_len_r = i;
	}
	return len;
}

size_t
esmtp_line_next(struct esmtp_line *l, const char *buf, size_t len,
    const char **piece_r, size_t *piece_len_r)
{
	size_t used;

	do
		used = step(l, buf, len, piece_r, piece_len_r);
	while (used == 0 && *piece_len_r == 0);
	return used;
}
