/* Message bodies: see body.h. */

#include "test/sim/body.h"

#include <stdlib.h>
#include <string.h>

#include "test/lib/simclock.h"

static void
body_reserve(struct body *b, size_t raw)
{
	size_t size = 2 * raw + 16;	/* every octet a dot, or a lone LF */

	if (size <= b->size)
		return;
	body_free(b);
	simalloc_quiet++;
	b->raw = malloc(size);
	b->wire = malloc(size);
	b->stored = malloc(size);
	simalloc_quiet--;
	if (b->raw == NULL || b->wire == NULL || b->stored == NULL)
		abort();
	b->size = size;
}

void
body_free(struct body *b)
{
	simalloc_quiet++;
	free(b->raw);
	free(b->wire);
	free(b->stored);
	simalloc_quiet--;
	memset(b, 0, sizeof(*b));
}

/* Write a part of a header, if it fits in ${room}.  Return how many octets. */
static size_t
put_header(char *out, size_t room, struct simrand *r)
{
	static const char *const parts[] = { "Subject: a\r\n",
	    "Return-Path: <x>\r\n", "RETURN-PATH \t:\r\n\t<y>\r\n .\r\n",
	    "return-pat", "Return-path", "Received: x\r\n", "re", "X-Long-: ",
	    " fold\r\n", "From x Mon\r\n", ":", "\r\n", "dAte \t: x\r\n",
	    "Date", "Message-ID:\r\n <x>\r\n", "Message-I" };
	const char *part = parts[simrand_below(r,
	    sizeof(parts) / sizeof(parts[0]))];
	size_t n = strlen(part);

	if (n > room)
		return 0;
	memcpy(out, part, n);
	return n;
}

/* Text with many parts of headers, dots, line ends and, if ${may_be_lone}, CRs
 * and LFs that stand alone. */
static void
make_raw(struct body *b, struct simrand *r, size_t len, bool may_be_lone)
{
	static const char pieces[] = "x.. \t\x80\xff";
	size_t i = 0, parts = simrand_below(r, 12);
	uint32_t c;

	for (; parts > 0 && i + 2 < len; parts--)
		i += put_header(b->raw + i, len - i - 2, r);
	while (i + 2 < len) {
		c = simrand_below(r, 40);
		if (c < 8) {
			b->raw[i++] = '\r';
			b->raw[i++] = '\n';
		} else if (c < 12)
			b->raw[i++] = '.';
		else if (c < 14 && may_be_lone)
			b->raw[i++] = c == 12 ? '\r' : '\n';
		else if (c == 15 && may_be_lone)
			b->raw[i++] = '\0';
		else
			b->raw[i++] = pieces[c % (sizeof(pieces) - 1)];
	}
	if (len >= 2) {
		b->raw[i++] = '\r';
		b->raw[i++] = '\n';
	}
	b->raw_len = i;
}

static void
make_wire(struct body *b)
{
	bool is_start = true;
	size_t i, n = 0;

	for (i = 0; i < b->raw_len; i++) {
		if (is_start && b->raw[i] == '.')
			b->wire[n++] = '.';
		b->wire[n++] = b->raw[i];
		is_start = b->raw[i] == '\n' && i > 0 && b->raw[i - 1] == '\r';
	}
	memcpy(b->wire + n, ".\r\n", 3);
	b->wire_len = n + 3;
}

static void
make_stored(struct body *b, bool is_fix)
{
	size_t i, n = 0;
	char c;

	b->has_lone = false;
	for (i = 0; i < b->raw_len; i++) {
		c = b->raw[i];
		if (c == '\r' && i + 1 < b->raw_len && b->raw[i + 1] == '\n') {
			b->stored[n++] = '\r';
			b->stored[n++] = '\n';
			i++;
		} else if (c == '\r' || c == '\n') {
			b->has_lone = true;
			if (is_fix) {
				b->stored[n++] = '\r';
				b->stored[n++] = '\n';
			} else
				b->stored[n++] = c;
		} else
			b->stored[n++] = c;
	}
	b->stored_len = n;
}

void
body_make(struct body *b, struct simrand *r, size_t max, bool may_be_lone,
    bool is_fix, bool is_cut)
{
	size_t len = simrand_below(r, (uint32_t)max + 1);

	if (len == 1)
		len = 0;
	body_reserve(b, len);
	make_raw(b, r, len, may_be_lone);
	if (is_cut)
		b->raw_len = simrand_below(r, (uint32_t)b->raw_len + 1);
	if (is_cut && !may_be_lone && b->raw_len > 0 &&
	    b->raw[b->raw_len - 1] == '\r')
		b->raw_len--;
	make_wire(b);
	make_stored(b, is_fix);
}
