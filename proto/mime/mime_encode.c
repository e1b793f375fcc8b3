/* See mime_encode.h. */

#include "proto/mime/mime_encode.h"

#include <string.h>

#include "core/util/base64.h"

#define QP_LINE		75	/* octets before a soft line break's "="; RFC 2045 6.7 (5) */
#define BASE64_LINE	76	/* RFC 2045 6.8 */

static size_t
put_crlf(struct mime_encoder *e, char *out)
{
	memcpy(out, "\r\n", 2);
	e->column = 0;
	return 2;
}

/* --- base64 --------------------------------------------------------------- */

static size_t
put_four(struct mime_encoder *e, char *out)
{
	char four[5];
	size_t n = 0;

	if (e->column == BASE64_LINE)
		n = put_crlf(e, out);
	(void)base64_encode(e->three, e->n, four, sizeof(four));
	memcpy(out + n, four, 4);
	e->n = 0;
	e->column = (uint8_t)(e->column + 4);
	return n + 4;
}

/* --- quoted-printable ------------------------------------------------------ */

/* RFC 2045 6.7 (1): as it is, or as its number. */
static size_t
put_qp(struct mime_encoder *e, unsigned char c, bool is_literal, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	if (e->column + (is_literal ? 1 : 3) > QP_LINE) {
		out[n++] = '=';
		n += put_crlf(e, out + n);
	}
	if (e->column == 0 && c == '-')
		is_literal = false;
	if (is_literal) {
		out[n++] = (char)c;
		e->column++;
		return n;
	}
	out[n] = '=';
	out[n + 1] = hex[c >> 4];
	out[n + 2] = hex[c & 15];
	e->column = (uint8_t)(e->column + 3);
	return n + 3;
}

/* RFC 2045 6.7 (3): white space does not end a line. */
static size_t
put_space(struct mime_encoder *e, bool is_literal, char *out)
{
	char c = e->space;

	e->space = 0;
	return c == 0 ? 0 : put_qp(e, (unsigned char)c, is_literal, out);
}

/* --- either ---------------------------------------------------------------- */

static size_t
put(struct mime_encoder *e, unsigned char c, char *out)
{
	size_t n;

	if (e->is_base64) {
		e->three[e->n++] = c;
		return e->n == sizeof(e->three) ? put_four(e, out) : 0;
	}
	n = put_space(e, true, out);
	if (c == ' ' || c == '\t') {
		e->space = (char)c;
		return n;
	}
	return n + put_qp(e, c, c > 32 && c < 127 && c != '=', out + n);
}

/* The CR or CRLF that was held back is content. */
static size_t
put_held(struct mime_encoder *e, char *out)
{
	bool is_line = e->has_lf;
	size_t n = 0;

	if (!e->has_cr)
		return 0;
	e->has_cr = e->has_lf = false;
	if (is_line && !e->is_base64) {
		n = put_space(e, false, out);
		return n + put_crlf(e, out + n);
	}
	n = put(e, '\r', out);
	if (is_line)
		n += put(e, '\n', out + n);
	return n;
}

size_t
mime_encode(struct mime_encoder *e, unsigned char c, char *out)
{
	size_t n;

	if (e->has_cr && !e->has_lf && c == '\n') {
		e->has_lf = true;
		return 0;
	}
	n = put_held(e, out);
	if (c == '\r') {
		e->has_cr = true;
		return n;
	}
	return n + put(e, c, out + n);
}

size_t
mime_encode_end(struct mime_encoder *e, bool is_delimited, char *out)
{
	bool is_line = is_delimited && e->has_lf;
	size_t n = 0;

	if (!is_line)
		n = put_held(e, out);
	if (e->n > 0)
		n += put_four(e, out + n);
	n += put_space(e, false, out + n);
	if (is_line || (e->is_base64 && e->column > 0))
		n += put_crlf(e, out + n);
	return n;
}
