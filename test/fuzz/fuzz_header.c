/* A message that streams through the readers of headers and lines: flags, a seed
 * for the fragments, then the message.  In any fragments it becomes the same. */

#include "test/fuzz/fuzz.h"

#include <string.h>

#include "proto/esmtp_options.h"
#include "proto/parse/esmtp_fields.h"
#include "proto/parse/esmtp_header.h"
#include "proto/parse/esmtp_line.h"
#include "test/lib/simrand.h"

#define TEXT_MAX	8192
#define PIECE_MAX	11

/* What a reader has made of it: its octets, and the rest as octets, too. */
struct outcome {
	char	text[TEXT_MAX];
	size_t	len;
};

static void
put(struct outcome *o, const void *s, size_t len)
{
	FUZZ_HOLDS(len <= sizeof(o->text) - o->len);
	if (len > 0)
		memcpy(o->text + o->len, s, len);
	o->len += len;
}

static size_t
piece_of(size_t left, struct simrand *r)
{
	if (r == NULL)
		return left;
	return 1 + simrand_below(r, (uint32_t)(left < PIECE_MAX ? left :
	    PIECE_MAX));
}

static void
header_end(struct outcome *o, struct esmtp_header *h)
{
	const char *piece;
	size_t n;

	while (!h->is_body && (n = esmtp_header_end(h, &piece)) > 0)
		put(o, piece, n);
	put(o, &h->nreceived, sizeof(h->nreceived));
	put(o, &(char){ (char)h->has_field }, 1);
	put(o, &(char){ (char)(h->is_checked && h->has_bad) }, 1);
	put(o, &(char){ (char)h->is_tls_optional }, 1);
}

static void
header(struct outcome *o, const struct fuzz_input *in, uint8_t flags,
    struct simrand *r)
{
	struct esmtp_header h = { .is_checked = flags & 1,
		.marks_end = (flags & 2) != 0 };
	const char *s = (const char *)in->p, *piece;
	size_t used = 0, n, len, left = 0, still = 0;

	o->len = 0;
	while (used < in->left && !h.is_body) {
		if (left == 0)
			left = piece_of(in->left - used, r);
		n = esmtp_header_next(&h, s + used, left, &piece, &len);
		FUZZ_HOLDS(n <= left);
		still = n > 0 || len > 0 ? 0 : still + 1;
		FUZZ_HOLDS(still < 4);
		put(o, piece, len);
		used += n;
		left -= n;
	}
	put(o, s + used, in->left - used);
	header_end(o, &h);
}

static void
lines(struct outcome *o, const struct fuzz_input *in, uint8_t flags,
    struct simrand *r)
{
	struct esmtp_line l = { .policy = flags % 3 };
	const char *s = (const char *)in->p, *piece;
	size_t used = 0, n, len, left;

	o->len = 0;
	while (used < in->left) {
		for (left = piece_of(in->left - used, r); left > 0; left -= n) {
			n = esmtp_line_next(&l, s + used, left, &piece, &len);
			FUZZ_HOLDS(n <= left && (n > 0 || len > 0));
			put(o, piece, len);
			used += n;
		}
	}
	put(o, &(char){ (char)l.is_long }, 1);
}

static void
put_address(struct outcome *o, const struct esmtp_fields *f)
{
	FUZZ_HOLDS(f->len <= sizeof(f->addr));
	put(o, f->is_from ? "F" : "-", 1);
	put(o, f->is_too_long ? "L" : "-", 1);
	put(o, f->addr, f->len);
	(void)esmtp_fields_is_qualified(f->addr, f->len);
}

static void
fields(struct outcome *o, const struct fuzz_input *in, struct simrand *r)
{
	struct esmtp_fields f = { 0 };
	const char *s = (const char *)in->p;
	size_t used = 0, n, left, still = 0;
	bool is_found;

	o->len = 0;
	while (used < in->left) {
		for (left = piece_of(in->left - used, r); left > 0; left -= n) {
			is_found = false;
			n = esmtp_fields_next(&f, s + used, left, &is_found);
			FUZZ_HOLDS(n <= left);
			still = n > 0 ? 0 : still + 1;
			FUZZ_HOLDS(still < 4);
			if (is_found)
				put_address(o, &f);
			used += n;
		}
	}
	if (esmtp_fields_end(&f))
		put_address(o, &f);
	put(o, &(char){ (char)f.has_date }, 1);
	put(o, &(char){ (char)f.has_message_id }, 1);
}

static void
one_way(struct outcome *o, const struct fuzz_input *in, uint8_t flags,
    struct simrand *r)
{
	switch (flags >> 6) {
	case 0:
	case 1:
		header(o, in, flags, r);
		break;
	case 2:
		lines(o, in, flags, r);
		break;
	default:
		fields(o, in, r);
	}
}

void
fuzz_header(const uint8_t *data, size_t len)
{
	static struct outcome whole, cut;
	struct fuzz_input in = { data, len };
	uint8_t flags = fuzz_octet(&in);
	struct simrand r;

	simrand_seed(&r, fuzz_octet(&in));
	one_way(&whole, &in, flags, NULL);
	one_way(&cut, &in, flags, &r);
	FUZZ_HOLDS(whole.len == cut.len);
	FUZZ_HOLDS(memcmp(whole.text, cut.text, whole.len) == 0);
}
