/* One line of the log: conversions and escaping.
 * A formatter of its own, since a line per message goes through here. */

#include "core/process/log_line.h"

#include <string.h>

#include "core/util/utf8.h"

/* reserved for the end of a line: three dots, a quote, a newline */
#define RESERVED	5

void
log_line_init(struct log_line *l)
{
	l->len = 0;
	l->room = LOG_LINE_MAX - RESERVED;
	l->is_cut = false;
}

void
log_line_leave(struct log_line *l, size_t octets)
{
	l->room -= octets;
}

void
log_line_text(struct log_line *l, const char *s, size_t len)
{
	if (l->is_cut)
		return;
	if (len > l->room - l->len) {
		len = l->room - l->len;
		l->is_cut = true;
	}
	memcpy(l->buf + l->len, s, len);
	l->len += len;
	if (l->is_cut) {
		memcpy(l->buf + l->len, "...", 3);
		l->len += 3;
	}
}

void
log_line_str(struct log_line *l, const char *s)
{
	log_line_text(l, s, strlen(s));
}

void
log_line_end(struct log_line *l)
{
	l->buf[l->len++] = '\n';
}

static void
number_base(struct log_line *l, unsigned long long n, unsigned int base)
{
	char digits[24];
	char *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
	} while (n != 0);
	log_line_text(l, p, (size_t)(digits + sizeof(digits) - p));
}

void
log_line_number(struct log_line *l, unsigned long long n)
{
	number_base(l, n, 10);
}

static void
number_signed(struct log_line *l, long long n)
{
	if (n < 0)
		log_line_text(l, "-", 1);
	number_base(l, n < 0 ? 0 - (unsigned long long)n :
	    (unsigned long long)n, 10);
}

const char *
log_seconds(const struct timeval *tv, char buf[LOG_SECONDS])
{
	unsigned long us = (unsigned long)tv->tv_usec % 1000000;
	struct log_line l;
	char frac[8] = ".000000";
	int i;

	for (i = 6; i > 0; i--, us /= 10)
		frac[i] = (char)('0' + us % 10);
	log_line_init(&l);
	number_signed(&l, tv->tv_sec);
	log_line_text(&l, frac, sizeof(frac));	/* with its NUL */
	memcpy(buf, l.buf, l.len);
	return buf;
}

/* Whether ${c} may stand in a value without quotes. */
static bool
is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

/* Write the character at ${s}, of ${len} octets, as it stands in quotes: UTF-8 that
 * can be seen as it is, else one octet, perhaps escaped.  Return the octets
 * written, 4 at most; *${used_r} gets those read. */
static size_t
escape(const char *s, size_t len, char out[4], size_t *used_r)
{
	static const char special[5] = "\"\\\n\r\t", letter[5] = "\"\\nrt";
	unsigned char c = (unsigned char)*s;
	const char *p = memchr(special, c, sizeof(special));

	if (c >= 0x80 && (*used_r = utf8_visible(s, len)) > 0) {
		memcpy(out, s, *used_r);
		return *used_r;
	}
	*used_r = 1;
	out[0] = '\\';
	if (p != NULL) {
		out[1] = letter[p - special];
		return 2;
	}
	if (c >= ' ' && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[1] = 'x';
	out[2] = "0123456789abcdef"[c >> 4];
	out[3] = "0123456789abcdef"[c & 15];
	return 4;
}

#define BLOCK	32	/* octets checked together, so that the compiler uses vector instructions */

static const char *
skip_printable(const char *p, const char *end)
{
	unsigned char bad;
	int i;

	while (end - p >= BLOCK) {
		for (bad = 0, i = 0; i < BLOCK; i++)
			bad |= (unsigned char)(p[i] - ' ') > '~' - ' ';
		if (bad)
			break;
		p += BLOCK;
	}
	while (p < end && *p >= ' ' && *p <= '~')
		p++;
	return p;
}

void
log_line_checked(struct log_line *l, const char *s, size_t len)
{
	const char *p = s, *end = s + len;
	size_t used, n;
	char out[4];

	while (p < end) {
		p = skip_printable(p, end);
		log_line_text(l, s, (size_t)(p - s));
		if (p == end)
			break;
		n = escape(p, (size_t)(end - p), out, &used);
		log_line_text(l, out, n);
		s = p += used;
	}
}

static void
value_quoted(struct log_line *l, const char *s, size_t len, bool is_long)
{
	char out[4];
	size_t i, n, used;

	log_line_text(l, "\"", 1);
	if (l->is_cut)
		return;
	for (i = 0; i < len; i += used) {
		n = escape(s + i, len - i, out, &used);
		if (n > l->room - l->len) {
			l->is_cut = is_long = true;
			break;
		}
		memcpy(l->buf + l->len, out, n);
		l->len += n;
	}
	/* the room for these is reserved when the line is full */
	if (is_long && (l->is_cut || l->room - l->len >= 4)) {
		memcpy(l->buf + l->len, "...", 3);
		l->len += 3;
	}
	l->buf[l->len++] = '"';
	if (l->len >= l->room)
		l->is_cut = true;
}

void
log_line_value(struct log_line *l, const char *s, size_t len)
{
	bool is_long = len > LOG_VALUE_MAX;
	size_t i;

	if (l->is_cut)
		return;
	if (is_long)
		len = LOG_VALUE_MAX;
	for (i = 0; i < len && is_plain((unsigned char)s[i]); i++)
		;
	if (i < len || len == 0) {
		value_quoted(l, s, len, is_long);
		return;
	}
	log_line_text(l, s, len);
	if (is_long)
		log_line_text(l, "...", 3);
}

struct args {
	va_list	 ap;
};

/* A number with ${size} times 'l' in its conversion, extended by its sign. */
static unsigned long long
arg_number(struct args *a, int size, bool is_signed)
{
	if (size == 0)
		return is_signed ? (unsigned long long)va_arg(a->ap, int) :
		    va_arg(a->ap, unsigned int);
	if (size == 1)
		return is_signed ? (unsigned long long)va_arg(a->ap, long) :
		    va_arg(a->ap, unsigned long);
	return va_arg(a->ap, unsigned long long);
}

/* The conversion ${c}, with ${size} times 'l' before it. */
static void
convert(struct log_line *l, char c, int size, struct args *a)
{
	const char *s;
	char octet;

	switch (c) {
	case 's':
		s = va_arg(a->ap, const char *);
		log_line_value(l, s == NULL ? "-" : s,
		    s == NULL ? 1 : strnlen(s, LOG_VALUE_MAX + 1));
		break;
	case 'd':
	case 'i':
		number_signed(l, (long long)arg_number(a, size, true));
		break;
	case 'u':
		number_base(l, arg_number(a, size, false), 10);
		break;
	case 'x':
		number_base(l, arg_number(a, size, false), 16);
		break;
	case 'c':
		octet = (char)va_arg(a->ap, int);
		log_line_value(l, &octet, 1);
		break;
	case '%':
		log_line_text(l, "%", 1);
		break;
	}
}

void
log_line_vformat(struct log_line *l, const char *fmt, va_list ap)
{
	struct args a;
	const char *p;
	int size;

	va_copy(a.ap, ap);
	while (*fmt != '\0') {
		p = strchrnul(fmt, '%');
		log_line_text(l, fmt, (size_t)(p - fmt));
		if (*p == '\0')
			break;
		for (p++, size = 0; *p == 'l' || *p == 'z'; p++)
			size++;		/* z is as long as l here */
		if (*p == '\0')
			break;
		convert(l, *p, size, &a);
		fmt = p + 1;
	}
	va_end(a.ap);
}
