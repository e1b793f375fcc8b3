/* A report as a whole: its header, its parts, the boundaries between them.
 * Owns: the types of the parts, how their octets are encoded.
 * Its words: dsn_words.c.  Its fields: dsn_status.c. */

#include "proto/report/dsn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/utf8.h"
#include "proto/parse/esmtp_received.h"
#include "proto/report/dsn_int.h"

#define BOUNDARY_MAX	64
#define HEADER_MAX	65536	/* octets of the header that are returned */

struct report {
	const struct dsn *d;
	struct dsn_text	 t;
	char		 boundary[BOUNDARY_MAX];
	bool		 is_8bit;	/* the way takes UTF-8: nothing need be encoded */
	bool		 is_whole;	/* the message is returned, not its header */
	unsigned int	 needs;
};

/* How what is not ASCII is encoded, unless the way takes it */
enum coding {
	CODING_NONE,		/* the type takes none, RFC 2046 5.2.1 */
	CODING_BASE64,
	CODING_QP		/* quoted-printable: text/rfc822-headers, RFC 6522 4 */
};

/* Are these lines of octets as "8bit" has them?  RFC 2045 2.8: CRLF alone ends a
 * line, no NUL, at most 998 octets. */
static bool
is_lines(const char *s, size_t len)
{
	size_t i, line = 0;

	for (i = 0; i < len; i++) {
		if (s[i] == '\0' || s[i] == '\n' || line > DSN_LINE)
			return false;
		if (s[i] != '\r') {
			line++;
			continue;
		}
		if (i + 1 == len || s[++i] != '\n')
			return false;
		line = 0;
	}
	return line <= DSN_LINE;
}

/* Does ${s} have the boundary ${b} at the start of a line? */
static bool
has_boundary(const char *s, size_t len, const char *b)
{
	return len > 0 && memmem(s, len, b, strlen(b)) != NULL;
}

/* Choose one that the message does not have: whoever wrote it may have guessed
 * what is usual. */
static void
choose_boundary(struct report *r)
{
	unsigned int n = 0;

	do
		snprintf(r->boundary, sizeof(r->boundary), "%.31s.%u",
		    r->d->id, n++);
	while (has_boundary(r->d->text, r->d->len, r->boundary));
}

static void
put_header(struct report *r)
{
	const struct dsn *d = r->d;
	char date[ESMTP_DATE_MAX];
	bool is_utf8 = (r->needs & DSN_NEEDS_SMTPUTF8) != 0;

	esmtp_date_format((time_t)d->now, date);
	dsn_put(&r->t, "Received: by ");
	dsn_put_clean(&r->t, d->hostname, false);
	dsn_put(&r->t, " (mailmill)\r\n\tid ");
	dsn_put_clean(&r->t, d->id, false);
	dsn_put(&r->t, "; ");
	dsn_put(&r->t, date);
	dsn_put(&r->t, "\r\nDate: ");
	dsn_put(&r->t, date);
	/* RFC 3464 2: a human who is responsible for this server */
	dsn_put(&r->t, "\r\nFrom: Mail server <postmaster@");
	dsn_put_clean(&r->t, d->hostname, false);
	dsn_put(&r->t, ">\r\nTo: <");
	dsn_put_clean(&r->t, d->to, is_utf8);
	dsn_put(&r->t, ">\r\nSubject: ");
	dsn_put(&r->t, dsn_subject(d));
	dsn_put(&r->t, "\r\nMessage-ID: <");
	dsn_put_clean(&r->t, d->id, false);
	dsn_put(&r->t, ".report@");
	dsn_put_clean(&r->t, d->hostname, false);
	/* RFC 3834 3.1.7, 5 */
	dsn_put(&r->t, ">\r\nAuto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"");
	dsn_put(&r->t, r->boundary);
	dsn_put(&r->t, "\"\r\n");
}

static void
put_boundary(struct report *r, const char *end)
{
	dsn_put(&r->t, "\r\n--");
	dsn_put(&r->t, r->boundary);
	dsn_put(&r->t, end);
	dsn_put(&r->t, "\r\n");
}

/* A part with its type and its octets, which are lines. */
static void
put_part(struct report *r, const char *type, const char *description,
    const char *s, size_t len, enum coding coding)
{
	static const char *const names[] = { [CODING_NONE] = "8bit",
		[CODING_BASE64] = "base64", [CODING_QP] = "quoted-printable" };
	bool is_ascii = utf8_is_ascii(s, len);

	if (is_ascii || r->is_8bit)
		coding = CODING_NONE;
	if (!is_ascii && coding == CODING_NONE)
		r->needs |= DSN_NEEDS_8BITMIME;
	put_boundary(r, "");
	dsn_put(&r->t, "Content-Type: ");
	dsn_put(&r->t, type);
	dsn_put(&r->t, "\r\nContent-Description: ");
	dsn_put(&r->t, description);
	if (!is_ascii) {
		dsn_put(&r->t, "\r\nContent-Transfer-Encoding: ");
		dsn_put(&r->t, names[coding]);
	}
	dsn_put(&r->t, "\r\n\r\n");
	if (coding == CODING_BASE64)
		dsn_put_base64(&r->t, s, len);
	else if (coding == CODING_QP)
		dsn_put_qp(&r->t, s, len);
	else
		dsn_put_octets(&r->t, s, len);
}

static void
put_words(struct report *r)
{
	struct dsn_text t = { .n = 0 };

	dsn_words(&t, r->d);
	put_part(r, utf8_is_ascii(t.p, t.n) ? "text/plain; charset=us-ascii" :
	    "text/plain; charset=utf-8", "What has happened", t.p, t.n,
	    CODING_BASE64);
	r->t.has_failed = r->t.has_failed || t.has_failed;
	free(t.p);
}

static void
put_status(struct report *r)
{
	struct dsn_text t = { .n = 0 };
	bool is_utf8;

	dsn_status(&t, r->d, r->d->is_utf8);
	/* RFC 6533 4.4: the old type, if nothing needs the new one */
	is_utf8 = !utf8_is_ascii(t.p, t.n);
	put_part(r, is_utf8 ? "message/global-delivery-status" :
	    "message/delivery-status", "Delivery report", t.p, t.n,
	    CODING_BASE64);
	r->t.has_failed = r->t.has_failed || t.has_failed;
	free(t.p);
}

/* The octets of the line at ${s}; *end_r: what follows it */
static size_t
line_at(const char *s, const char *limit, const char **end_r)
{
	const char *lf = memchr(s, '\n', (size_t)(limit - s));

	*end_r = lf == NULL ? limit : lf + 1;
	if (lf == NULL)
		lf = limit;
	else if (lf > s && lf[-1] == '\r')
		lf--;
	return (size_t)(lf - s);
}

/* The header of the message, as lines: a line that is not whole is left out, one
 * that is too long is cut. */
static void
take_header(struct dsn_text *t, const struct dsn *d)
{
	const char *s = d->text, *limit, *end;
	size_t len, i;

	if (d->len == 0)
		return;
	limit = s + (d->len < HEADER_MAX ? d->len : HEADER_MAX);
	for (; s < limit; s = end) {
		len = line_at(s, limit, &end);
		if (len == 0 || (end == limit && end[-1] != '\n'))
			return;
		for (i = 0; i < len && i < DSN_LINE; i++)
			dsn_put_octets(t, s[i] == '\0' || s[i] == '\r' ? "?" :
			    s + i, 1);
		dsn_put(t, "\r\n");
	}
}

/* RFC 3461 6.2: the whole message or its header; RFC 6533 4.2, 4.3 */
static void
put_original(struct report *r)
{
	const struct dsn *d = r->d;
	struct dsn_text t = { .n = 0 };
	bool is_utf8;

	if (r->is_whole) {
		is_utf8 = d->is_utf8 && !utf8_is_ascii(d->text, d->len);
		put_part(r, is_utf8 ? "message/global" : "message/rfc822",
		    dsn_is_for_sender(d) ? "Your message" : "The message",
		    d->text, d->len, is_utf8 ? CODING_BASE64 : CODING_NONE);
		return;
	}
	take_header(&t, d);
	if (t.n > 0) {
		is_utf8 = d->is_utf8 && !utf8_is_ascii(t.p, t.n);
		put_part(r, is_utf8 ? "message/global-headers" :
		    "text/rfc822-headers", dsn_is_for_sender(d) ?
		    "The header of your message" : "The header of the message",
		    t.p, t.n, is_utf8 ? CODING_BASE64 : CODING_QP);
	}
	r->t.has_failed = r->t.has_failed || t.has_failed;
	free(t.p);
}

static void
put_report(struct report *r)
{
	r->needs = r->is_8bit ? DSN_NEEDS_SMTPUTF8 | DSN_NEEDS_8BITMIME : 0;
	r->t.n = 0;
	put_header(r);
	put_words(r);
	put_status(r);
	put_original(r);
	put_boundary(r, "--");
}

/* RFC 6522 3: what is returned can be encoded for a way that takes 7 bits alone, or is
 * the header, as text/rfc822-headers.  No message/rfc822 can be encoded whose header,
 * or that of a part, is not ASCII, as RFC 2046 5.2.1 wants it to be; nor can what is
 * signed.  A server that had to convert such a report would have to drop it: nobody is
 * told of a report that has failed. */
static void
make_sendable(struct report *r)
{
	int rc;

	if (!r->is_whole || r->is_8bit || r->t.has_failed ||
	    (r->needs & DSN_NEEDS_8BITMIME) == 0)
		return;
	rc = dsn_can_be_7bit(r->t.p, r->t.n);
	r->t.has_failed = rc == -1;
	if (rc != 0)
		return;
	r->is_whole = false;
	put_report(r);
}

char *
dsn_compose(const struct dsn *d, size_t *len_r, unsigned int *needs_r)
{
	struct report r = { .d = d };

	/* RFC 6533 4.5: whether the way back takes UTF-8 is not known, unless it
	 * has to, for its address */
	r.is_8bit = d->is_utf8 && !utf8_is_ascii(d->to, strlen(d->to));
	r.is_whole = d->is_whole && d->len > 0 && is_lines(d->text, d->len);
	choose_boundary(&r);
	put_report(&r);
	make_sendable(&r);
	*needs_r = r.needs;
	*len_r = r.t.n;
	if (!r.t.has_failed)
		return r.t.p;
	free(r.t.p);
	return NULL;
}
