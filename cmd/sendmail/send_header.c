/* See send_header.h. */

#include "cmd/sendmail/send_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/base64.h"
#include "core/util/utf8.h"
#include "proto/parse/esmtp_fields.h"

/* --- where it ends ------------------------------------------------------------ */

/* Does the line begin a field: ftext, perhaps white space, a colon (RFC 5322
 * 3.6.8, 4.5)?  1, 0, or -1: not known before there is more of it. */
static int
begins_field(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && s[i] > ' ' && s[i] < 127 && s[i] != ':')
		i++;
	if (i == 0 && len > 0)
		return 0;
	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	return i == len ? -1 : s[i] == ':';
}

/* A line "From " of a mailbox file, which some programs put first; also as it is
 * written where it must not begin a message */
static bool
is_mbox_line(const char *s, size_t len)
{
	return ((len >= 5 && memcmp(s, "From ", 5) == 0) ||
	    (len >= 6 && memcmp(s, ">From ", 6) == 0)) &&
	    begins_field(s, len) == 0;
}

bool
send_header_find(const char *s, size_t len, size_t *at, bool is_all,
    size_t *body_r)
{
	const char *line, *lf;
	size_t n;
	int is_field;

	for (; *at < len; *at += n) {
		line = s + *at;
		lf = memchr(line, '\n', len - *at);
		n = lf != NULL ? (size_t)(lf - line) + 1 : len - *at;
		if (n == 2 && line[0] == '\r' && line[1] == '\n') {
			*body_r = *at + 2;
			return true;
		}
		if (lf == NULL && !is_all && n < 6)
			return false;	/* "\r", ">From" */
		is_field = *at == 0 && is_mbox_line(line, n) ? 1 :
		    *at > 0 && (*line == ' ' || *line == '\t') ? 1 :
		    begins_field(line, n);
		if (is_field == 0 || (is_field == -1 && (lf != NULL || is_all))) {
			*body_r = *at;
			return true;
		}
		if (lf == NULL && !is_all)
			return false;
	}
	*body_r = *at;
	return is_all;
}

/* --- its fields --------------------------------------------------------------- */

struct make {
	const struct send_header_want	*want;
	FILE				*out;
	struct send_list		 plain, resent;
	bool				 has_resent, has_from, has_date,
					 has_message_id;
	char				*bad;
};

static bool
is_named(const struct esmtp_fields *f, const char *name)
{
	return strlen(name) == f->name_len &&
	    strncasecmp(f->name, name, f->name_len) == 0;
}

/* An address was found in ${f}.  Return 0, or -1 with errno. */
static int
take_address(struct make *m, const struct esmtp_fields *f, bool is_resent)
{
	char out[SEND_ADDRESS_MAX];

	if (!f->is_too_long && send_address(f->addr, f->len, m->want->domain,
	    out) == 0)
		return send_list_add(is_resent ? &m->resent : &m->plain, out);
	snprintf(m->bad, SEND_ADDRESS_MAX, "%s", f->addr);
	errno = EINVAL;
	return -1;
}

/* One field with the lines that it goes on in, ${len} octets */
static int
take_field(struct make *m, const char *s, size_t len)
{
	struct esmtp_fields f = { .state = 0 };
	size_t colon = 0, at = 0;
	bool is_found, is_resent, is_rcpt, is_bcc;
	int rc = 0;

	while (colon < len && s[colon] != ':')
		colon++;
	(void)esmtp_fields_next(&f, s, colon, &is_found);
	is_resent = f.name_len > 7 && strncasecmp(f.name, "resent-", 7) == 0;
	is_bcc = is_named(&f, "bcc") || is_named(&f, "resent-bcc");
	is_rcpt = is_bcc || is_named(&f, "to") || is_named(&f, "cc") ||
	    is_named(&f, "resent-to") || is_named(&f, "resent-cc");
	for (at = colon; rc == 0; ) {
		if (at < len)
			at += esmtp_fields_next(&f, s + at, len - at,
			    &is_found);
		else if (!(is_found = esmtp_fields_end(&f)))
			break;
		if (is_found && is_rcpt && m->want->takes_rcpts)
			rc = take_address(m, &f, is_resent);
	}
	m->has_resent |= is_resent;
	m->has_from |= f.has_from;
	m->has_date |= f.has_date;
	m->has_message_id |= f.has_message_id;
	if (rc == 0 && !is_bcc)
		fwrite(s, 1, len, m->out);
	return rc;
}

/* Octets of the line at ${s} */
static size_t
line_octets(const char *s, size_t len)
{
	const char *lf = memchr(s, '\n', len);

	return lf == NULL ? len : (size_t)(lf - s) + 1;
}

static int
take_fields(struct make *m, const char *s, size_t len)
{
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = line_octets(s + at, len - at);
		while (at + n < len && (s[at + n] == ' ' || s[at + n] == '\t'))
			n += line_octets(s + at + n, len - at - n);
		if ((at > 0 || !is_mbox_line(s, n)) &&
		    take_field(m, s + at, n) == -1)
			return -1;
	}
	return 0;
}

int
send_header_make(const char *s, size_t len,
    const struct send_header_want *want, FILE *out, struct send_list *rcpts,
    char bad[SEND_ADDRESS_MAX])
{
	struct make m = { .want = want, .out = out, .bad = bad };
	const struct send_list *from;
	size_t i;
	int rc = take_fields(&m, s, len);

	if (rc == 0 && !m.has_from)
		fprintf(out, "From: %s\r\n", want->from);
	if (rc == 0 && !m.has_date)
		fprintf(out, "Date: %s\r\n", want->date);
	if (rc == 0 && !m.has_message_id)
		fprintf(out, "Message-ID: %s\r\n", want->message_id);
	fputs("\r\n", out);
	from = m.has_resent ? &m.resent : &m.plain;
	for (i = 0; i < from->n && rc == 0; i++)
		rc = send_list_add(rcpts, from->v[i]);
	send_list_free(&m.plain);
	send_list_free(&m.resent);
	return rc;
}

/* --- who it is from ------------------------------------------------------------ */

#define WORD_OCTETS	42	/* of an encoded word, which may have 75 characters, RFC 2047 2 */
#define NAME_OCTETS	200	/* of a name that is used */

/* RFC 2047: words of whole characters.  Return the octets written. */
static size_t
encode_name(const char *name, size_t len, char *out, size_t size)
{
	size_t at = 0, n, c, used = 0;
	char word[80];

	while (at < len) {
		for (n = 0; at + n < len; n += c) {
			c = utf8_visible(name + at + n, len - at - n);
			if (n + c > WORD_OCTETS)
				break;
		}
		if (base64_encode(name + at, n, word, sizeof(word)) == -1)
			break;
		c = (size_t)snprintf(out + used, size - used,
		    "%s=?UTF-8?B?%s?=", used == 0 ? "" : " ", word);
		if (c >= size - used)
			break;
		used += c;
		at += n;
	}
	return used;
}

/* A quoted-string (RFC 5322 3.2.4) */
static size_t
quote_name(const char *name, size_t len, char *out, size_t size)
{
	size_t i, used = 0;

	out[used++] = '"';
	for (i = 0; i < len && used + 3 < size; i++) {
		if (name[i] == '"' || name[i] == '\\')
			out[used++] = '\\';
		out[used++] = name[i];
	}
	out[used++] = '"';
	return used;
}

void
send_header_from(const char *name, const char *address,
    char out[SEND_FROM_MAX])
{
	size_t len = 0, c, used = 0;

	/* up to the last whole character that there is room for */
	while (name[len] != '\0') {
		c = utf8_visible(name + len, strlen(name + len));
		if (c == 0) {
			len = 0;
			break;
		}
		if (len + c > NAME_OCTETS)
			break;
		len += c;
	}
	if (len > 0)
		used = utf8_is_ascii(name, len) ?
		    quote_name(name, len, out, SEND_FROM_MAX -
		    SEND_ADDRESS_MAX) :
		    encode_name(name, len, out, SEND_FROM_MAX -
		    SEND_ADDRESS_MAX);
	snprintf(out + used, SEND_FROM_MAX - used, used > 0 ? " <%s>" : "%s",
	    address);
}
