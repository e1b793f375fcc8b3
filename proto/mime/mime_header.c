/* See mime_header.h. */

#include "proto/mime/mime_header.h"

#include <string.h>
#include <strings.h>

#define WORD_MAX	(LIM_MIME_BOUNDARY + 1)	/* octets of a word; one that is longer is none that is known */

/* The value of a field, as it is read. */
struct text {
	const char	*p, *end;
	char		 word[WORD_MAX];	/* the last one, without quotes */
	size_t		 len;
	bool		 is_bad;	/* no grammar has this */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 2045 5.1 */
static bool
is_token(char c)
{
	return c > ' ' && c < 127 && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* White space and comments, which nest (RFC 5322 3.2.2). */
static void
skip_blanks(struct text *t)
{
	size_t depth = 0;

	for (; t->p < t->end; t->p++) {
		if (*t->p == '(')
			depth++;
		else if (*t->p == ')' && depth > 0)
			depth--;
		else if (depth > 0 && *t->p == '\\' && t->p + 1 < t->end)
			t->p++;
		else if (depth == 0 && !is_blank(*t->p))
			return;
	}
	t->is_bad |= depth > 0;
}

static void
add(struct text *t, char c)
{
	if (t->len < sizeof(t->word))
		t->word[t->len++] = c;
}

/* The next octet that is no blank; 0: the end. */
static char
peek(struct text *t)
{
	skip_blanks(t);
	return t->p < t->end ? *t->p : 0;
}

static bool
is_next(struct text *t, char c)
{
	if (peek(t) != c)
		return false;
	t->p++;
	return true;
}

static void
read_token(struct text *t)
{
	t->len = 0;
	(void)peek(t);
	while (t->p < t->end && is_token(*t->p))
		add(t, *t->p++);
	t->is_bad |= t->len == 0;
}

static void
read_quoted(struct text *t)
{
	for (; t->p < t->end && *t->p != '"'; t->p++) {
		if (*t->p == '\\' && t->p + 1 < t->end)
			t->p++;
		/* the CRLF of a fold is not of it (RFC 5322 3.2.4) */
		if (*t->p != '\r' && *t->p != '\n')
			add(t, *t->p);
	}
	t->is_bad |= t->p == t->end;
	t->p += t->p < t->end;
}

/* Many write a boundary with "=" in it, and no quotes. */
static void
read_value(struct text *t)
{
	t->len = 0;
	if (is_next(t, '"')) {
		read_quoted(t);
		return;
	}
	while (t->p < t->end && !is_blank(*t->p) && *t->p != ';' &&
	    *t->p != '(')
		add(t, *t->p++);
}

static bool
is_word(const struct text *t, const char *s)
{
	return t->len == strlen(s) && strncasecmp(t->word, s, t->len) == 0;
}

/* --- fields ----------------------------------------------------------------- */

/* RFC 2045 6.1 */
static enum mime_encoding
read_encoding(const char *s, size_t len)
{
	struct text t = { .p = s, .end = s + len };

	read_token(&t);
	if (t.is_bad || peek(&t) != 0 || t.is_bad)
		return MIME_ENCODED;
	return is_word(&t, "7bit") ? MIME_7BIT : is_word(&t, "8bit") ?
	    MIME_8BIT : is_word(&t, "binary") ? MIME_BINARY : MIME_ENCODED;
}

/* RFC 2046 5.1.1; what is longer than that has it is still used by some.  Twice, or
 * in pieces (RFC 2231 3), readers do not agree which one it is. */
static void
take_boundary(struct text *t, struct mime_header *h)
{
	if (h->boundary_len > 0 || t->len == 0 ||
	    t->len > sizeof(h->boundary) || is_blank(t->word[t->len - 1])) {
		t->is_bad = true;
		return;
	}
	memcpy(h->boundary, t->word, t->len);
	h->boundary_len = (uint8_t)t->len;
}

static void
read_parameters(struct text *t, struct mime_header *h)
{
	bool is_boundary;

	while (is_next(t, ';')) {
		if (peek(t) == 0)
			break;
		read_token(t);
		is_boundary = is_word(t, "boundary");
		if (t->len > 9 && strncasecmp(t->word, "boundary*", 9) == 0)
			t->is_bad = true;
		if (!is_next(t, '=')) {
			t->is_bad = true;
			return;
		}
		read_value(t);
		if (is_boundary)
			take_boundary(t, h);
	}
	t->is_bad |= peek(t) != 0;
}

/* RFC 1847 2.1: what is signed must stay as it is. */
static enum mime_kind
multipart(struct text *t, struct mime_header *h)
{
	bool is_signed = is_word(t, "signed");

	h->is_digest = is_word(t, "digest");
	read_parameters(t, h);
	if (t->is_bad)
		h->boundary_len = 0;
	return is_signed || h->boundary_len == 0 ? MIME_FIXED : MIME_MULTIPART;
}

/* RFC 2046 5.2: only message/rfc822 can be changed inside (5.2.2.1: not
 * message/partial, whose pieces are put together again); RFC 6532 3.7, RFC 6533 4:
 * message/global and its kin may be encoded as a whole. */
static enum mime_kind
message(const struct text *t)
{
	static const char global[] = "global";

	if (is_word(t, "rfc822") || is_word(t, "news"))
		return MIME_MESSAGE;
	return t->len >= strlen(global) &&
	    strncasecmp(t->word, global, strlen(global)) == 0 ? MIME_OTHER :
	    MIME_FIXED;
}

/* RFC 2045 5.1; 5.2: what is none is text. */
static enum mime_kind
read_type(const char *s, size_t len, struct mime_header *h)
{
	struct text t = { .p = s, .end = s + len };
	bool is_multipart, is_message, is_text;

	read_token(&t);
	is_multipart = is_word(&t, "multipart");
	is_message = is_word(&t, "message");
	is_text = is_word(&t, "text");
	if (t.is_bad || !is_next(&t, '/'))
		return is_multipart || is_message ? MIME_FIXED : MIME_TEXT;
	read_token(&t);
	if (is_multipart)
		return multipart(&t, h);
	if (is_message)
		return t.is_bad ? MIME_FIXED : message(&t);
	return is_text ? MIME_TEXT : MIME_OTHER;
}

static bool
is_named(const char *s, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(s, name, len) == 0;
}

static bool
is_leaf(enum mime_kind kind)
{
	return kind == MIME_TEXT || kind == MIME_OTHER;
}

/* A second field that says something else is believed by some readers. */
static void
take_type(struct mime_header *h, const char *s, size_t len)
{
	enum mime_kind kind = read_type(s, len, h);

	if (h->has_type && !(is_leaf(h->kind) && is_leaf(kind)))
		kind = MIME_FIXED;
	h->has_type = true;
	h->kind = kind;
}

/* The field from ${s} to ${end}, with its CRLF.  Return whether it is one. */
static bool
take_field(struct mime_header *h, const char *start, const char *s,
    const char *end)
{
	const char *colon = memchr(s, ':', (size_t)(end - s));
	size_t name, len;

	if (colon == NULL)
		return false;
	for (name = 0; s[name] > ' ' && s[name] < 127 && s[name] != ':'; name++)
		continue;
	for (len = name; s[len] == ' ' || s[len] == '\t'; len++)
		continue;
	if (name == 0 || s + len != colon)
		return false;
	len = (size_t)(end - colon - 1);
	if (is_named(s, name, "MIME-Version"))
		h->has_version = true;
	else if (is_named(s, name, "Content-Type"))
		take_type(h, colon + 1, len);
	else if (is_named(s, name, "Content-Transfer-Encoding")) {
		h->encoding = h->has_encoding ? MIME_ENCODED :
		    read_encoding(colon + 1, len);
		h->has_encoding = true;
		h->encoding_at = (size_t)(s - start);
		h->encoding_end = (size_t)(end - start);
	}
	return true;
}

/* Where the line that begins at ${s} ends, behind its CRLF. */
static const char *
line_end(const char *s, const char *end)
{
	const char *lf = s;

	while ((lf = memchr(lf, '\n', (size_t)(end - lf))) != NULL) {
		if (lf > s && lf[-1] == '\r')
			return lf + 1;
		lf++;
	}
	return end;
}

void
mime_header_read(const char *s, size_t len, bool is_message,
    struct mime_header *h_r)
{
	const char *p = s, *end = s + len, *next;
	bool is_field = true;

	memset(h_r, 0, sizeof(*h_r));
	h_r->kind = is_message ? MIME_MESSAGE : MIME_TEXT;
	while (p < end && *p != '\r') {
		next = line_end(p, end);
		while (next < end && (*next == ' ' || *next == '\t'))
			next = line_end(next, end);
		is_field &= take_field(h_r, s, p, next);
		p = next;
	}
	h_r->end = (size_t)(p - s);
	/* some readers let the body begin at a line that is no field */
	if (!is_field || h_r->encoding == MIME_ENCODED)
		h_r->kind = MIME_FIXED;
}
