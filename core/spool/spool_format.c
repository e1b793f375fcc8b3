/* The spool's files as octets.
 * Owns: the layout of header pages and record headers.
 * Knows nothing of files: core/spool/spool_segment.c and core/spool/spool_reader.c do. */

#include "core/spool/spool_format.h"

#include <sys/endian.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/spool/spool_envelope.h"

/* Header page, twice: at 0 and at SPOOL_COPY_OFFSET. */
#define H_MAGIC		0	/* 8 octets */
#define H_VERSION	8	/* u32 */
#define H_PAGE		12	/* u32 */
#define H_SEGMENT	16
#define H_GENERATION	24
#define H_NONCE		32
#define H_SIZE		40
#define H_CREATED	48
#define H_SUM		56	/* of what is before */
#define H_OCTETS	64

/* Record header. */
#define R_NONCE		0
#define R_SUM		8	/* u32: of what follows, seeded with nonce and offset */
#define R_SEQ		12	/* u32 */
#define R_ID		16
#define R_RECEIVED	24
#define R_ENVELOPE	32	/* u32 */
#define R_FLAGS		36	/* u32 */
#define R_BODY		40
#define R_ENVELOPE_SUM	48
#define R_BODY_SUM	56
_Static_assert(R_BODY_SUM + 8 == SPOOL_RECORD_HEADER, "record header");

static const char magic[8] = { 'M', 'M', 's', 'p', 'o', 'o', 'l', '\n' };

uint64_t
spool_sum(const void *buf, size_t len)
{
	return (XXH3_64bits(buf, len));
}

struct spool_sum *
spool_sum_new(void)
{
	XXH3_state_t *s;

	if ((s = XXH3_createState()) == NULL) {
		errno = ENOMEM;
		return (NULL);
	}
	XXH3_64bits_reset(s);
	return ((struct spool_sum *)s);
}

void
spool_sum_reset(struct spool_sum *s)
{
	XXH3_64bits_reset((XXH3_state_t *)s);
}

void
spool_sum_add(struct spool_sum *s, const void *buf, size_t len)
{
	XXH3_64bits_update((XXH3_state_t *)s, buf, len);
}

uint64_t
spool_sum_get(const struct spool_sum *s)
{
	return (XXH3_64bits_digest((const XXH3_state_t *)s));
}

void
spool_sum_free(struct spool_sum *s)
{
	XXH3_freeState((XXH3_state_t *)s);
}

void
spool_header_encode(const struct spool_header *header, unsigned char *page)
{
	memset(page, 0, SPOOL_PAGE);
	memcpy(page + H_MAGIC, magic, sizeof(magic));
	le32enc(page + H_VERSION, SPOOL_FORMAT_VERSION);
	le32enc(page + H_PAGE, SPOOL_PAGE);
	le64enc(page + H_SEGMENT, header->segment);
	le64enc(page + H_GENERATION, header->generation);
	le64enc(page + H_NONCE, header->nonce);
	le64enc(page + H_SIZE, header->size_octets);
	le64enc(page + H_CREATED, header->created_us);
	le64enc(page + H_SUM, spool_sum(page, H_SUM));
	memcpy(page + SPOOL_COPY_OFFSET, page, H_OCTETS);
}

static int
copy_decode(const unsigned char *p, struct spool_header *h)
{
	if (memcmp(p + H_MAGIC, magic, sizeof(magic)) != 0 ||
	    le64dec(p + H_SUM) != spool_sum(p, H_SUM)) {
		errno = EBADMSG;
		return (-1);
	}
	memset(h, 0, sizeof(*h));
	h->version = le32dec(p + H_VERSION);
	if (h->version < SPOOL_FORMAT_OLDEST ||
	    h->version > SPOOL_FORMAT_VERSION ||
	    le32dec(p + H_PAGE) != SPOOL_PAGE) {
		errno = EPROTONOSUPPORT;
		return (-1);
	}
	h->segment = le64dec(p + H_SEGMENT);
	h->generation = le64dec(p + H_GENERATION);
	h->nonce = le64dec(p + H_NONCE);
	h->size_octets = le64dec(p + H_SIZE);
	h->created_us = le64dec(p + H_CREATED);
	if (h->generation == 0 || h->nonce == 0 ||
	    h->size_octets < SPOOL_PAGE || h->size_octets > SPOOL_SEGMENT_MAX ||
	    h->size_octets % SPOOL_ALIGN != 0) {
		errno = EBADMSG;
		return (-1);
	}
	return (0);
}

int
spool_header_decode(const unsigned char *page, size_t len,
    struct spool_header *header_r)
{
	struct spool_header second;
	int have_first, have_second;

	if (len < SPOOL_PAGE) {
		errno = EBADMSG;
		return (-1);
	}
	have_second = copy_decode(page + SPOOL_COPY_OFFSET, &second) == 0;
	have_first = copy_decode(page, header_r) == 0;
	if (!have_first && !have_second)
		return (-1);
	if (!have_first ||
	    (have_second && second.generation > header_r->generation)) {
		*header_r = second;
		header_r->bad_copies = SPOOL_COPY_FIRST;
	} else if (!have_second || second.generation < header_r->generation) {
		header_r->bad_copies = SPOOL_COPY_SECOND;
	}
	return (0);
}

uint64_t
spool_record_octets(uint64_t envelope_octets, uint64_t inline_octets)
{
	uint64_t n;

	n = SPOOL_RECORD_HEADER + envelope_octets + inline_octets;
	return ((n + SPOOL_ALIGN - 1) / SPOOL_ALIGN * SPOOL_ALIGN);
}

static uint32_t
record_sum(const unsigned char *buf, uint64_t offset, uint64_t nonce)
{
	return ((uint32_t)XXH3_64bits_withSeed(buf + R_SEQ,
	    SPOOL_RECORD_HEADER - R_SEQ, nonce ^ offset));
}

void
spool_record_encode(const struct spool_record *record, uint64_t nonce,
    unsigned char *buf)
{
	le64enc(buf + R_NONCE, nonce);
	le32enc(buf + R_SEQ, record->seq);
	le64enc(buf + R_ID, record->id);
	le64enc(buf + R_RECEIVED, record->received_us);
	le32enc(buf + R_ENVELOPE, record->envelope_octets);
	le32enc(buf + R_FLAGS, record->flags);
	le64enc(buf + R_BODY, record->body_octets);
	le64enc(buf + R_ENVELOPE_SUM, record->envelope_sum);
	le64enc(buf + R_BODY_SUM, record->body_sum);
	le32enc(buf + R_SUM, record_sum(buf, record->offset, nonce));
}

void
spool_end_encode(uint64_t offset, uint32_t seq, uint64_t nonce,
    unsigned char *buf)
{
	struct spool_record mark = { .offset = offset, .seq = seq,
		.flags = SPOOL_RECORD_END };

	spool_record_encode(&mark, nonce, buf);
}

enum spool_sign
spool_record_decode(const unsigned char *buf, uint64_t offset, uint64_t nonce,
    struct spool_record *record_r)
{
	static const unsigned char zeros[SPOOL_RECORD_HEADER];
	struct spool_record *r = record_r;
	bool is_sum, is_nonce;

	is_nonce = le64dec(buf + R_NONCE) == nonce;
	is_sum = le32dec(buf + R_SUM) == record_sum(buf, offset, nonce);
	if (!is_nonce && !is_sum)
		return (memcmp(buf, zeros, sizeof(zeros)) == 0 ?
		    SPOOL_SIGN_ZERO : SPOOL_SIGN_NONE);
	if (!is_nonce || !is_sum)
		return (SPOOL_SIGN_BROKEN);
	memset(r, 0, sizeof(*r));
	r->offset = offset;
	r->seq = le32dec(buf + R_SEQ);
	r->id = le64dec(buf + R_ID);
	r->received_us = le64dec(buf + R_RECEIVED);
	r->envelope_octets = le32dec(buf + R_ENVELOPE);
	r->flags = le32dec(buf + R_FLAGS);
	r->body_octets = le64dec(buf + R_BODY);
	r->envelope_sum = le64dec(buf + R_ENVELOPE_SUM);
	r->body_sum = le64dec(buf + R_BODY_SUM);
	if (r->flags == SPOOL_RECORD_END)
		return (SPOOL_SIGN_END);
	if ((r->flags & ~SPOOL_RECORD_FLAGS) != 0 ||
	    r->envelope_octets > SPOOL_ENVELOPE_MAX ||
	    r->body_octets > SPOOL_BODY_MAX)
		return (SPOOL_SIGN_BROKEN);
	if (r->flags & SPOOL_RECORD_LARGE) {
		r->end = offset + spool_record_octets(r->envelope_octets, 0);
	} else {
		r->body_offset = offset + SPOOL_RECORD_HEADER +
		    r->envelope_octets;
		r->end = offset + spool_record_octets(r->envelope_octets,
		    r->body_octets);
	}
	return (SPOOL_SIGN_RECORD);
}
