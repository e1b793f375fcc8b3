/* The spool's files as octets: segment headers and records.  Envelopes are in
 * core/spool/spool_envelope.h.
 * Owns: the on-disk layout, its validation, checksums.  mailmill-spool(5) is
 * the same in prose.
 * Knows nothing of files and threads: octets in, structs out.
 *
 * A segment is a header page, then records.  All numbers are little-endian.
 * A record starts at a multiple of SPOOL_ALIGN: header, envelope, body, zeros
 * up to the next multiple.  It is recognised by the nonce of the segment's
 * generation, which no client can know, and by a header checksum that covers
 * the offset, so that a copy of a record elsewhere is not one.  After the last
 * record is an end mark, which the next batch overwrites: without it, lost
 * records at the end would look like space that was never written. */

#ifndef CORE_SPOOL_SPOOL_FORMAT_H
#define CORE_SPOOL_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_PAGE		4096	/* octets of a segment's header */
#define SPOOL_ALIGN		64	/* records start at multiples of this */
#define SPOOL_RECORD_HEADER	64	/* octets before the envelope */
#define SPOOL_FORMAT_VERSION	2	/* of what is written; 1: envelopes without items */
#define SPOOL_FORMAT_OLDEST	1	/* that is read */
#define SPOOL_BODY_MAX		(1ULL << 40) /* octets: more is damage, not mail */
#define SPOOL_SEGMENT_MAX	(1ULL << 41) /* a deferred message is a segment, too */

#define SPOOL_RECORD_LARGE	0x01	/* the body is the file body.<id> */
#define SPOOL_RECORD_FLAGS	0x01	/* all that are known in a record */
#define SPOOL_RECORD_END	0x80	/* no record but the end mark: nothing was written behind it */

#define SPOOL_COPY_OFFSET	2048	/* of the second copy, in a sector of its own */
#define SPOOL_COPY_FIRST	0x01
#define SPOOL_COPY_SECOND	0x02

struct spool_header {
	uint64_t	 segment;	/* id, as in the file's name */
	uint64_t	 generation;	/* from 1, one more each time it is recycled */
	uint64_t	 nonce;		/* random, of this generation alone */
	uint64_t	 size_octets;	/* of the file */
	uint64_t	 created_us;	/* wall clock, start of this generation */
	uint32_t	 version;	/* that was read; what is written has SPOOL_FORMAT_VERSION */
	unsigned int	 bad_copies;	/* the page holds two: SPOOL_COPY_* that are damaged */
};

struct spool_record {
	uint64_t	 offset;	/* of its header in the file */
	uint64_t	 end;		/* where the next record begins */
	uint64_t	 id;		/* message id, core/spool/spool_id.h */
	uint32_t	 seq;		/* from 1 in each generation */
	uint32_t	 flags;		/* SPOOL_RECORD_* */
	uint64_t	 received_us;	/* wall clock */
	uint32_t	 envelope_octets;
	uint64_t	 body_octets;
	uint64_t	 envelope_sum;
	uint64_t	 body_sum;
	uint64_t	 body_offset;	/* in this file; 0 with SPOOL_RECORD_LARGE */
};

/* spool_sum(buf, len): The checksum of all spool files (XXH3, 64 bits).  The
 * incremental form gives the same for octets that come in pieces. */
uint64_t spool_sum(const void *buf, size_t len);
struct spool_sum;
struct spool_sum *spool_sum_new(void);	/* NULL: ENOMEM */
void spool_sum_reset(struct spool_sum *s);
void spool_sum_add(struct spool_sum *s, const void *buf, size_t len);
uint64_t spool_sum_get(const struct spool_sum *s);
void spool_sum_free(struct spool_sum *s);

/* spool_header_encode(header, page): Fill in SPOOL_PAGE octets. */
void spool_header_encode(const struct spool_header *header,
    unsigned char *page);

/* spool_header_decode(page, len, header_r): One sound copy is enough; of two
 * different ones the later generation counts.  Return 0, or -1: EBADMSG (not a
 * header, or damaged), EPROTONOSUPPORT (a version that is not known here). */
int spool_header_decode(const unsigned char *page, size_t len,
    struct spool_header *header_r);

/* spool_record_octets(envelope_octets, inline_octets): What a record takes in
 * its segment, padding included. */
uint64_t spool_record_octets(uint64_t envelope_octets, uint64_t inline_octets);

/* spool_record_encode(record, nonce, buf): Fill in SPOOL_RECORD_HEADER octets
 * for a record at record->offset; end and body_offset are not stored. */
void spool_record_encode(const struct spool_record *record, uint64_t nonce,
    unsigned char *buf);

/* spool_end_encode(offset, seq, nonce, buf): The end mark, as long as a record
 * header; ${seq} is that of the record that will take its place. */
void spool_end_encode(uint64_t offset, uint32_t seq, uint64_t nonce,
    unsigned char *buf);

enum spool_sign {
	SPOOL_SIGN_NONE,	/* nothing of this generation */
	SPOOL_SIGN_ZERO,	/* zeros: never written, or wiped */
	SPOOL_SIGN_BROKEN,	/* was a record header of this generation */
	SPOOL_SIGN_END,		/* the end mark */
	SPOOL_SIGN_RECORD	/* a sound header */
};

/* spool_record_decode(buf, offset, nonce, record_r): Look at the
 * SPOOL_RECORD_HEADER octets found at ${offset}.  ${record_r} is filled in for
 * SPOOL_SIGN_RECORD alone; its lengths are within the bounds above, but not
 * yet compared with the file's. */
enum spool_sign spool_record_decode(const unsigned char *buf, uint64_t offset,
    uint64_t nonce, struct spool_record *record_r);

#endif
