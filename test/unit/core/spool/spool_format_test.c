#include "core/spool/spool_format.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_envelope.h"

static const struct spool_header header = { .segment = 0x1122334455667788,
	.generation = 3, .nonce = 0xfeedfacecafebeef, .size_octets = 1 << 20,
	.created_us = 1700000000000000 };

static void
fill_record(struct spool_record *r)
{
	memset(r, 0, sizeof(*r));
	r->offset = 8192;
	r->id = 99;
	r->seq = 5;
	r->received_us = 1700000000000001;
	r->envelope_octets = 100;
	r->body_octets = 4000;
	r->envelope_sum = 11;
	r->body_sum = 12;
}

Test(spool_format, a_header_survives_the_loss_of_either_copy)
{
	unsigned char page[SPOOL_PAGE];
	struct spool_header h;

	spool_header_encode(&header, page);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.bad_copies, 0);
	cr_assert_eq(h.nonce, header.nonce);
	page[50] ^= 1;
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.bad_copies, SPOOL_COPY_FIRST);
	cr_assert_eq(h.segment, header.segment);
	cr_assert_eq(h.generation, header.generation);
	cr_assert_eq(h.size_octets, header.size_octets);
	cr_assert_eq(h.created_us, header.created_us);
	page[SPOOL_COPY_OFFSET + 3] ^= 1;
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), -1);
	cr_assert_eq(errno, EBADMSG);
	page[50] ^= 1;
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.bad_copies, SPOOL_COPY_SECOND);
	cr_assert_eq(spool_header_decode(page, 100, &h), -1);
}

Test(spool_format, of_two_header_copies_the_later_generation_counts)
{
	unsigned char page[SPOOL_PAGE], old[SPOOL_PAGE];
	struct spool_header next = header, h;

	next.generation++;
	next.nonce = 5;
	spool_header_encode(&header, old);
	spool_header_encode(&next, page);
	memcpy(page + SPOOL_COPY_OFFSET, old + SPOOL_COPY_OFFSET, 64);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.nonce, 5);
	spool_header_encode(&next, page);
	memcpy(page, old, 64);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.nonce, 5);
	cr_assert_eq(h.bad_copies, SPOOL_COPY_FIRST);
}

/* The header of another version: what follows the number is the same. */
static void
set_version(unsigned char *page, unsigned char version)
{
	uint64_t sum;

	page[8] = version;
	sum = htole64(spool_sum(page, 56));
	memcpy(page + 56, &sum, sizeof(sum));
	memcpy(page + SPOOL_COPY_OFFSET, page, 64);
}

Test(spool_format, a_header_of_an_earlier_version_is_read)
{
	unsigned char page[SPOOL_PAGE];
	struct spool_header h;

	spool_header_encode(&header, page);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.version, 2);
	set_version(page, 1);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.version, 1);
	cr_assert_eq(h.nonce, header.nonce);
	/* the second copy may be of the generation before */
	memcpy(page + SPOOL_COPY_OFFSET, page, 64);
	spool_header_encode(&header, page);
	cr_assert_eq(spool_header_decode(page, sizeof(page), &h), 0);
	cr_assert_eq(h.version, 2);
}

Test(spool_format, a_header_of_a_version_not_known_is_said_to_be_one)
{
	static const unsigned char versions[] = { 0,
		SPOOL_FORMAT_VERSION + 1, 255 };
	unsigned char page[SPOOL_PAGE];
	struct spool_header h;
	size_t i;

	for (i = 0; i < sizeof(versions); i++) {
		spool_header_encode(&header, page);
		set_version(page, versions[i]);
		cr_assert_eq(spool_header_decode(page, sizeof(page), &h), -1);
		cr_assert_eq(errno, EPROTONOSUPPORT, "version %u",
		    versions[i]);
	}
}

Test(spool_format, a_record_header_is_known_at_its_place_alone)
{
	unsigned char buf[SPOOL_RECORD_HEADER];
	struct spool_record in, out;
	size_t i;

	fill_record(&in);
	spool_record_encode(&in, 7, buf);
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out),
	    SPOOL_SIGN_RECORD);
	cr_assert_eq(out.id, in.id);
	cr_assert_eq(out.seq, in.seq);
	cr_assert_eq(out.received_us, in.received_us);
	cr_assert_eq(out.envelope_octets, in.envelope_octets);
	cr_assert_eq(out.body_octets, in.body_octets);
	cr_assert_eq(out.envelope_sum, in.envelope_sum);
	cr_assert_eq(out.body_sum, in.body_sum);
	cr_assert_eq(out.body_offset, 8192 + 64 + 100);
	cr_assert_eq(out.end, 8192 + 4224);
	cr_assert_neq(spool_record_decode(buf, 8192 + 64, 7, &out),
	    SPOOL_SIGN_RECORD);
	cr_assert_eq(spool_record_decode(buf, 8192, 8, &out), SPOOL_SIGN_NONE);
	for (i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 0x10;
		cr_assert_eq(spool_record_decode(buf, 8192, 7, &out),
		    SPOOL_SIGN_BROKEN, "octet %zu", i);
		buf[i] ^= 0x10;
	}
	memset(buf, 0, sizeof(buf));
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out), SPOOL_SIGN_ZERO);
	spool_end_encode(8192, 6, 7, buf);
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out), SPOOL_SIGN_END);
}

Test(spool_format, record_lengths_over_the_bounds_are_refused)
{
	unsigned char buf[SPOOL_RECORD_HEADER];
	struct spool_record in, out;

	fill_record(&in);
	in.body_octets = SPOOL_BODY_MAX + 1;
	spool_record_encode(&in, 7, buf);
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out),
	    SPOOL_SIGN_BROKEN);
	fill_record(&in);
	in.envelope_octets = SPOOL_ENVELOPE_MAX + 1;
	spool_record_encode(&in, 7, buf);
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out),
	    SPOOL_SIGN_BROKEN);
	fill_record(&in);
	in.flags = 0x40;
	spool_record_encode(&in, 7, buf);
	cr_assert_eq(spool_record_decode(buf, 8192, 7, &out),
	    SPOOL_SIGN_BROKEN);
}

Test(spool_format, a_sum_in_pieces_is_the_sum_of_the_whole)
{
	struct spool_sum *s = spool_sum_new();
	char buf[1000];

	memset(buf, 'a', sizeof(buf));
	cr_assert_not_null(s);
	spool_sum_add(s, buf, 1);
	spool_sum_add(s, buf + 1, 500);
	spool_sum_add(s, buf + 501, 499);
	cr_assert_eq(spool_sum_get(s), spool_sum(buf, sizeof(buf)));
	spool_sum_reset(s);
	cr_assert_eq(spool_sum_get(s), spool_sum("", 0));
	spool_sum_free(s);
}
