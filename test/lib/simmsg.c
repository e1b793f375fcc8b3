/* Stored messages: see simmsg.h. */

#include "test/lib/simmsg.h"

#include <string.h>

size_t
simmsg_strip_received(const struct spool_msg *m, const char **why_r)
{
	const char *p = m->body, *end = m->body + m->len, *nl, *line;

	if (m->len < 10 || memcmp(p, "Received: ", 10) != 0) {
		*why_r = "the body does not start with Received: ";
		return 0;
	}
	/* the message itself may begin with a space: the header ends where its
	 * date does (RFC 5321 4.4) */
	do {
		line = p;
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
	} while (p - line < 8 || memcmp(p - 8, " +0000\r\n", 8) != 0);
	if (memmem(m->body, (size_t)(p - m->body), m->id, strlen(m->id))
	    == NULL) {
		*why_r = "the Received header does not name the id";
		return 0;
	}
	return (size_t)(p - m->body);
}
