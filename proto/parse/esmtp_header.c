/* Header scanner: counts the Received fields of a message that streams by.
 * Owns: where the header section ends, what starts a field.
 * Buffers nothing. */

#include "proto/parse/esmtp_header.h"

#include <string.h>

static const char field[] = "received:";

#define FIELD_LEN	(sizeof(field) - 1)
#define NO_MATCH	255

static void
scan_octet(struct esmtp_header *h, char c)
{
	if (h->matched != NO_MATCH) {
		char low = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;

		if (low != field[h->matched])
			h->matched = NO_MATCH;
		else if (++h->matched == FIELD_LEN) {
			h->nreceived++;
			h->matched = NO_MATCH;
		}
	}
	if (c != '\r')
		h->column = 1;
}

void
esmtp_header_scan(struct esmtp_header *h, const char *buf, size_t len)
{
	const char *p = buf, *end = buf + len;

	while (p < end && !h->is_body) {
		if (*p == '\n') {
			/* RFC 5322 2.1: an empty line ends the header */
			h->is_body = h->column == 0;
			h->column = 0;
			h->matched = 0;
			p++;
		} else if (h->matched != NO_MATCH || h->column == 0) {
			scan_octet(h, *p++);
		} else {
			p = memchr(p, '\n', (size_t)(end - p));
			if (p == NULL)
				return;
		}
	}
}
