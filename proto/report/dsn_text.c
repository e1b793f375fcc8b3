/* The text of a report as it grows.
 * Owns: that no octet of others gets into it that does not belong there, and where
 * lines of words end. */

#include "proto/report/dsn_int.h"

#include <stdio.h>
#include <string.h>

#include "core/util/array.h"
#include "core/util/base64.h"
#include "core/util/utf8.h"
#include "proto/mime/mime_encode.h"

#define BASE64_LINE	57	/* octets in a line of 76; RFC 2045 6.8 */

void
dsn_put_octets(struct dsn_text *t, const char *s, size_t len)
{
	char *p;

	if (t->has_failed || len == 0)
		return;
	if ((p = array_fit(t->p, &t->room, t->n + len, 1)) == NULL) {
		t->has_failed = true;
		return;
	}
	t->p = p;
	memcpy(t->p + t->n, s, len);
	t->n += len;
}

void
dsn_put(struct dsn_text *t, const char *s)
{
	dsn_put_octets(t, s, strlen(s));
}

void
dsn_put_number(struct dsn_text *t, int64_t n)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%lld", (long long)n);
	dsn_put(t, buf);
}

/* The octets of the character that ${s} begins with; 0: it is replaced. */
static size_t
clean(const char *s, size_t len, bool is_utf8)
{
	if ((unsigned char)*s < 0x80)
		return *s >= ' ' && *s <= '~';
	return is_utf8 ? utf8_visible(s, len) : 0;
}

void
dsn_put_clean_octets(struct dsn_text *t, const char *s, size_t len,
    bool is_utf8)
{
	size_t i, n;

	if (len > DSN_TEXT)
		len = DSN_TEXT;
	for (i = 0; i < len; i += n) {
		n = clean(s + i, len - i, is_utf8);
		if (n == 0) {
			dsn_put(t, "?");
			n = 1;
		} else
			dsn_put_octets(t, s + i, n);
	}
}

void
dsn_put_clean(struct dsn_text *t, const char *s, bool is_utf8)
{
	dsn_put_clean_octets(t, s, strlen(s), is_utf8);
}

/* Octets of the last line so far */
static size_t
column(const struct dsn_text *t)
{
	size_t n;

	for (n = 0; n < t->n && t->p[t->n - n - 1] != '\n'; n++)
		continue;
	return n;
}

void
dsn_put_words(struct dsn_text *t, const char *s, bool is_utf8,
    const char *indent)
{
	bool is_first = true;
	size_t n;

	for (; *s != '\0'; s += n) {
		while (*s == ' ')
			s++;
		if ((n = strcspn(s, " ")) == 0)
			break;
		if (!is_first && column(t) + 1 + n > DSN_FOLD) {
			dsn_put(t, "\r\n");
			dsn_put(t, indent);
		} else if (!is_first)
			dsn_put(t, " ");
		is_first = false;
		dsn_put_clean_octets(t, s, n, is_utf8);
	}
}

void
dsn_put_base64(struct dsn_text *t, const char *s, size_t len)
{
	char line[BASE64_LINE / 3 * 4 + 1];
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = len - i < BASE64_LINE ? len - i : BASE64_LINE;
		(void)base64_encode(s + i, n, line, sizeof(line));
		dsn_put(t, line);
		dsn_put(t, "\r\n");
	}
}

void
dsn_put_qp(struct dsn_text *t, const char *s, size_t len)
{
	struct mime_encoder e = { .is_base64 = false };
	char out[MIME_ENCODE_MORE];
	size_t i;

	for (i = 0; i < len; i++)
		dsn_put_octets(t, out, mime_encode(&e, (unsigned char)s[i],
		    out));
	dsn_put_octets(t, out, mime_encode_end(&e, false, out));
}
