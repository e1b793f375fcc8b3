/* A report of any message: flags, the number of recipients, texts up to LF each,
 * then the message. */

#include "test/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/report/dsn.h"

#define RCPTS	4
#define TEXT	512
#define LINE	998	/* RFC 5322 2.1.1 */
#define TYPE	"\r\nContent-Type: multipart/report;"

/* The next text, with a NUL; the caller's */
static char *
text(struct fuzz_input *in)
{
	size_t len, n;
	const char *s = fuzz_line(in, &len);
	char *copy;

	n = len < TEXT ? len : TEXT;
	copy = calloc(1, n + 1);
	FUZZ_HOLDS(copy != NULL);
	memcpy(copy, s, n);
	return copy;
}

/* Lines end in CRLF, none is too long, and the delimiters are three or four. */
static void
check_lines(const char *s, size_t len, unsigned int needs)
{
	const char *p, *end = s + len, *cr, *b;
	char delimiter[80];
	unsigned int n = 0;

	/* an address may have the word, too */
	b = memmem(s, len, TYPE, strlen(TYPE));
	FUZZ_HOLDS(b != NULL);
	b = memmem(b, (size_t)(end - b), "boundary=\"", 10);
	FUZZ_HOLDS(b != NULL);
	snprintf(delimiter, sizeof(delimiter), "--%.*s",
	    (int)strcspn(b + 10, "\""), b + 10);
	for (p = s; p < end; p = cr + 2) {
		cr = memchr(p, '\r', (size_t)(end - p));
		FUZZ_HOLDS(cr != NULL && cr + 1 < end && cr[1] == '\n');
		FUZZ_HOLDS(memchr(p, '\n', (size_t)(cr - p)) == NULL);
		FUZZ_HOLDS(memchr(p, '\0', (size_t)(cr - p)) == NULL);
		FUZZ_HOLDS(cr - p <= LINE);
		n += (size_t)(cr - p) >= strlen(delimiter) &&
		    memcmp(p, delimiter, strlen(delimiter)) == 0;
	}
	FUZZ_HOLDS(n == 3 || n == 4);
	for (p = s; p < end; p++)
		FUZZ_HOLDS((unsigned char)*p < 0x80 ||
		    (needs & DSN_NEEDS_8BITMIME) != 0);
}

void
fuzz_dsn(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	struct dsn_rcpt rcpts[RCPTS];
	char *texts[4 + 4 * RCPTS];
	size_t ntexts = 0, n = 0, i;
	uint8_t flags = fuzz_octet(&in);
	struct dsn d = { .hostname = "mx.example.org", .id = "06JP0ZDGQ9R47",
		.of = "06JP0ZDGQ0000", .now = 1700000000, .rcpts = rcpts };
	unsigned int needs;
	char *report;

	d.nrcpts = 1 + fuzz_octet(&in) % RCPTS;
	d.is_utf8 = (flags & 1) != 0;
	d.is_whole = (flags & 2) != 0;
	d.to = texts[ntexts++] = text(&in);
	d.sender = (flags & 4) != 0 ? "" :
	    (flags & 64) != 0 ? "s\xc3\xa4@example.org" : d.to;
	if ((flags & 8) != 0)
		d.envid = texts[ntexts++] = text(&in);
	for (i = 0; i < d.nrcpts; i++) {
		struct dsn_rcpt *r = &rcpts[i];

		*r = (struct dsn_rcpt){ .enhanced = "",
			.action = fuzz_octet(&in) % DSN_ACTIONS,
			.why = fuzz_octet(&in) % 3 };
		r->code = (flags & 16) != 0 ? 500 + fuzz_octet(&in) % 100 : 0;
		r->last_attempt = r->retry_until = r->code;
		r->rcpt = texts[ntexts++] = text(&in);
		r->remote = texts[ntexts++] = text(&in);
		r->text = texts[ntexts++] = text(&in);
		if ((flags & 32) != 0)
			r->orcpt = texts[ntexts++] = text(&in);
	}
	d.text = (const char *)in.p;
	d.len = in.left;
	report = dsn_compose(&d, &n, &needs);
	FUZZ_HOLDS(report != NULL);
	check_lines(report, n, needs);
	free(report);
	while (ntexts > 0)
		free(texts[--ntexts]);
}
