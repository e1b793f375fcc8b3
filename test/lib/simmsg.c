/* Stored messages: see simmsg.h. */

#include "test/lib/simmsg.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

size_t
simmsg_strip_received(const struct spool_msg *m, const char **why_r)
{
	const char *p = m->body, *end = m->body + m->len, *nl;

	if (m->len < 10 || memcmp(p, "Received: ", 10) != 0) {
		*why_r = "the body does not start with Received: ";
		return 0;
	}
	do {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL || nl == p || nl[-1] != '\r') {
			*why_r = "the Received header has a line without CRLF";
			return 0;
		}
		if (nl + 1 - p > 1000) {
			*why_r = "the Received header has a line too long";
			return 0;
		}
		p = nl + 1;
	} while (p < end && (*p == ' ' || *p == '\t'));
	if (p - m->body < 8 || memcmp(p - 8, " +0000\r\n", 8) != 0) {
		*why_r = "the Received header does not end with its date";
		return 0;
	}
	if (memmem(m->body, (size_t)(p - m->body), m->id, strlen(m->id))
	    == NULL) {
		*why_r = "the Received header does not name the id";
		return 0;
	}
	return (size_t)(p - m->body);
}

/* RFC 5322 2.2, 4.5: Is ${s} a line "name:", with blanks before the colon?  And
 * is the name ${name}, if that is not NULL? */
static bool
is_field(const char *s, size_t len, const char *name)
{
	size_t n = 0, i;

	while (n < len && s[n] > ' ' && s[n] < 0x7f && s[n] != ':')
		n++;
	for (i = n; i < len && (s[i] == ' ' || s[i] == '\t'); i++)
		;
	return n > 0 && i < len && s[i] == ':' && (name == NULL ||
	    (n == strlen(name) && strncasecmp(s, name, n) == 0));
}

static size_t
line_octets(const char *s, size_t len)
{
	const char *nl = memchr(s, '\n', len);

	return nl == NULL ? len : (size_t)(nl + 1 - s);
}

static size_t
put_text(char *out, size_t n, const char *text)
{
	size_t len = strlen(text);

	memcpy(out + n, text, len);
	return n + len;
}

size_t
simmsg_expect_added(const char *in, size_t len, struct simmsg_added *added,
    char *out)
{
	bool is_first = true, is_bad = false, has_date = false, has_id = false;
	size_t n = 0, line;

	while (len > 0 && *in != '\n' &&
	    (len < 2 || memcmp(in, "\r\n", 2) != 0)) {
		line = line_octets(in, len);
		if (is_field(in, line, "return-path")) {
			do {
				in += line;
				len -= line;
				line = line_octets(in, len);
			} while (len > 0 && (*in == ' ' || *in == '\t'));
			continue;
		}
		if (is_first && !is_field(in, line, NULL)) {
			is_bad = true;
			break;
		}
		is_first = false;
		has_date |= is_field(in, line, "date");
		has_id |= is_field(in, line, "message-id");
		memcpy(out + n, in, line);
		n += line;
		in += line;
		len -= line;
	}
	/* the message may end within a line of its header */
	if (added != NULL && len == 0 && n > 0 && out[n - 1] != '\n')
		n = put_text(out, n, "\r\n");
	if (added != NULL)
		added->date_at = has_date ? SIZE_MAX : n;
	if (added != NULL && !has_date)
		n = put_text(out, n, added->date);
	if (added != NULL && !has_id)
		n = put_text(out, n, added->message_id);
	if (is_bad)
		n = put_text(out, n, "\r\n");
	memcpy(out + n, in, len);
	return n + len;
}

size_t
simmsg_expect(const char *in, size_t len, char *out)
{
	return simmsg_expect_added(in, len, NULL, out);
}
