/* The message of a report; see tlsrpt_message.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_message.h"

#include <sys/param.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/util/base64.h"
#include "proto/parse/esmtp_received.h"

#define BASE64_LINE	57	/* octets in a line of 76; RFC 2045 6.8 */
#define GZIP_BITS	(15 + 16)	/* the greatest window, and RFC 1952's header */

unsigned char *
tlsrpt_gzip(const void *in, size_t len, size_t *len_r)
{
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)in };
	unsigned char *out = NULL;
	size_t room;
	int rc;

	if (len > UINT32_MAX / 2 || deflateInit2(&z, Z_BEST_COMPRESSION,
	    Z_DEFLATED, GZIP_BITS, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		errno = ENOMEM;
		return NULL;
	}
	room = deflateBound(&z, len);
	if ((out = malloc(room)) != NULL) {
		z.avail_in = (uInt)len;
		z.next_out = out;
		z.avail_out = (uInt)room;
		/* there is room for all of it: one call does it */
		rc = deflate(&z, Z_FINISH);
		*len_r = room - z.avail_out;
		if (rc != Z_STREAM_END) {
			free(out);
			out = NULL;
		}
	}
	deflateEnd(&z);
	if (out == NULL)
		errno = ENOMEM;
	return out;
}

/* The domain of an address. */
static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

/* A text that stays one word in a header field; a quote in an address is part of
 * its local part. */
static bool
is_word(const char *s)
{
	if (*s == '\0' || strlen(s) > 512)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

/* A name that can be in a file's name */
static bool
is_name(const char *s)
{
	return is_word(s) && strpbrk(s, "\"\\/!<>") == NULL;
}

static bool
is_good(const struct tlsrpt_message *m)
{
	return is_name(m->hostname) && is_name(m->id) && is_word(m->from) &&
	    is_word(m->contact) && is_word(m->to) && is_name(m->domain) &&
	    is_name(m->report_id) && is_name(domain_of(m->contact));
}

static void
put_header(FILE *f, const struct tlsrpt_message *m)
{
	const char *submitter = domain_of(m->contact);
	char date[ESMTP_DATE_MAX];

	esmtp_date_format((time_t)m->now, date);
	fprintf(f, "Received: by %s (mailmill)\r\n\tid %s; %s\r\n", m->hostname,
	    m->id, date);
	fprintf(f, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\n", date, m->from,
	    m->to);
	/* in this form: RFC 8460 5.3 */
	fprintf(f, "Subject: Report Domain: %s\r\n Submitter: %s\r\n"
	    " Report-ID: <%s>\r\n", m->domain, submitter, m->report_id);
	fprintf(f, "Message-ID: <%s.tls@%s>\r\n", m->id, m->hostname);
	fprintf(f, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n",
	    m->domain, submitter);
	/* RFC 3834 5: no reply to another message */
	fprintf(f, "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
	    "\tboundary=\"%s.parts\"\r\n", m->id);
}

static void
put_words(FILE *f, const struct tlsrpt_message *m)
{
	char start[ESMTP_DATE_MAX], end[ESMTP_DATE_MAX];

	esmtp_date_format((time_t)m->start, start);
	esmtp_date_format((time_t)m->end, end);
	fprintf(f, "\r\n--%s.parts\r\nContent-Type: text/plain;"
	    " charset=us-ascii\r\n\r\n", m->id);
	fprintf(f, "This is a report of how connections with TLS from\r\n"
	    "%s\r\nto the mail servers of\r\n%s\r\nhave gone, from\r\n%s\r\n"
	    "to\r\n%s.\r\n\r\n", domain_of(m->contact), m->domain, start, end);
	fprintf(f, "The TXT record of _smtp._tls.%s\r\nasks for it."
	    "  Its form is that of RFC 8460.\r\n", m->domain);
}

/* RFC 8460 5.1 to 5.3 */
static void
put_file(FILE *f, const struct tlsrpt_message *m, const unsigned char *gz,
    size_t len)
{
	char line[80];
	size_t i;

	fprintf(f, "\r\n--%s.parts\r\nContent-Type: application/tlsrpt+gzip\r\n"
	    "Content-Transfer-Encoding: base64\r\n", m->id);
	fprintf(f, "Content-Disposition: attachment;\r\n"
	    "\tfilename=\"%s!%s!%lld!%lld.json.gz\"\r\n\r\n",
	    domain_of(m->contact), m->domain, (long long)m->start,
	    (long long)m->end);
	for (i = 0; i < len; i += BASE64_LINE) {
		base64_encode(gz + i, MIN(BASE64_LINE, len - i), line,
		    sizeof(line));
		fprintf(f, "%s\r\n", line);
	}
	fprintf(f, "\r\n--%s.parts--\r\n", m->id);
}

char *
tlsrpt_message(const struct tlsrpt_message *m, size_t *len_r)
{
	unsigned char *gz;
	char *text = NULL;
	size_t len;
	FILE *f;
	bool has_failed;

	if (!is_good(m)) {
		errno = EINVAL;
		return NULL;
	}
	if ((gz = tlsrpt_gzip(m->json, m->len, &len)) == NULL)
		return NULL;
	if ((f = open_memstream(&text, len_r)) != NULL) {
		put_header(f, m);
		put_words(f, m);
		put_file(f, m, gz, len);
		has_failed = ferror(f) != 0;
		if (fclose(f) != 0 || has_failed) {
			free(text);
			text = NULL;
		}
	}
	free(gz);
	if (text == NULL)
		errno = ENOMEM;
	return text;
}
