/* Segment headers and records.  The octets as they are; and what they say as
 * numbers, written, then changed in one octet: a checksum that a client cannot
 * know cannot be found by chance. */

#include "test/fuzz/fuzz.h"

#include <string.h>

#include "core/spool/spool_format.h"

static uint64_t
number(struct fuzz_input *in)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < 8; i++)
		n = n << 8 | fuzz_octet(in);
	return n;
}

static void
record(struct fuzz_input *in)
{
	unsigned char buf[SPOOL_RECORD_HEADER];
	struct spool_record r = { .offset = number(in) / SPOOL_ALIGN *
		SPOOL_ALIGN, .id = number(in), .seq = (uint32_t)number(in),
		.flags = fuzz_octet(in) & SPOOL_RECORD_FLAGS,
		.received_us = number(in),
		.envelope_octets = (uint32_t)number(in) % (1 << 20) + 1,
		.body_octets = number(in) % SPOOL_BODY_MAX,
		.envelope_sum = number(in), .body_sum = number(in) }, got;
	uint64_t nonce = number(in);
	size_t at = fuzz_octet(in) % sizeof(buf);
	uint8_t change = fuzz_octet(in);

	r.offset %= SPOOL_SEGMENT_MAX;
	spool_record_encode(&r, nonce, buf);
	FUZZ_HOLDS(spool_record_decode(buf, r.offset + SPOOL_ALIGN, nonce,
	    &got) != SPOOL_SIGN_RECORD);
	if (spool_record_decode(buf, r.offset, nonce, &got) ==
	    SPOOL_SIGN_RECORD) {
		FUZZ_HOLDS(got.id == r.id && got.seq == r.seq &&
		    got.envelope_octets == r.envelope_octets &&
		    got.body_octets == r.body_octets &&
		    got.envelope_sum == r.envelope_sum &&
		    got.body_sum == r.body_sum && got.flags == r.flags &&
		    got.received_us == r.received_us);
		FUZZ_HOLDS(got.end > got.offset && got.end % SPOOL_ALIGN == 0);
	}
	buf[at] ^= change;
	if (change != 0)
		FUZZ_HOLDS(spool_record_decode(buf, r.offset, nonce, &got) !=
		    SPOOL_SIGN_RECORD);
}

static void
segment(struct fuzz_input *in)
{
	static unsigned char page[SPOOL_PAGE];
	struct spool_header h = { .segment = number(in),
		.generation = number(in), .nonce = number(in),
		.size_octets = number(in), .created_us = number(in) }, got;
	size_t at = (number(in) % SPOOL_PAGE);
	uint8_t change = fuzz_octet(in);

	spool_header_encode(&h, page);
	if (spool_header_decode(page, sizeof(page), &got) == -1)
		return;
	/* one copy may be damaged */
	page[at] ^= change;
	FUZZ_HOLDS(spool_header_decode(page, sizeof(page), &got) == 0);
	FUZZ_HOLDS(got.segment == h.segment && got.nonce == h.nonce &&
	    got.generation == h.generation && got.size_octets ==
	    h.size_octets && got.created_us == h.created_us);
}

void
fuzz_record(const uint8_t *data, size_t len)
{
	static unsigned char page[SPOOL_PAGE];
	struct fuzz_input in = { data, len };
	unsigned char buf[SPOOL_RECORD_HEADER] = { 0 };
	struct spool_record r;
	struct spool_header h;

	if (len >= sizeof(buf))
		memcpy(buf, data, sizeof(buf));
	(void)spool_record_decode(buf, 0, 0, &r);
	memset(page, 0, sizeof(page));
	if (len > 0)
		memcpy(page, data, len < sizeof(page) ? len : sizeof(page));
	(void)spool_header_decode(page, sizeof(page), &h);
	record(&in);
	segment(&in);
}
