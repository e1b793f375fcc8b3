/* Reading records: the queue process and its recovery, the delivery agents.
 * Owns: finding the next whole record, reporting damage and skipping it;
 * copying one message into a file of its own (the deferred store).
 * Reads with pread(2), not mmap(2), so that a file cut short meanwhile causes
 * an error and no signal.  All octets are hostile: a record is reported only
 * when header, envelope and body have the right checksums. */

#ifndef CORE_SPOOL_SPOOL_READER_H
#define CORE_SPOOL_SPOOL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spool/spool_envelope.h"
#include "core/spool/spool_format.h"

struct spool_reader;
struct spool_readbuf;

/* spool_readbuf_new(): A buffer that any number of readers of one thread may
 * share.  NULL: ENOMEM. */
struct spool_readbuf *spool_readbuf_new(void);
void spool_readbuf_free(struct spool_readbuf *buf);

#define SPOOL_READ_TRUST_BODY	0x01	/* do not check body checksums: the
					 * delivery agent does */

/* spool_reader_new(fd, buf, flags): A reader at the first record of the
 * segment or deferred message ${fd}, which stays the caller's and is not
 * moved (pread).  NULL: EBADMSG or EPROTONOSUPPORT (its header), ENOMEM, other
 * errno of pread(2). */
struct spool_reader *spool_reader_new(int fd, struct spool_readbuf *buf,
    unsigned int flags);
void spool_reader_free(struct spool_reader *r);

const struct spool_header *spool_reader_header(const struct spool_reader *r);

/* spool_reader_tell(r), spool_reader_seek(r, offset): Where the next record is
 * looked for; seek only to an offset that tell returned or a record's end. */
uint64_t spool_reader_tell(const struct spool_reader *r);
void spool_reader_seek(struct spool_reader *r, uint64_t offset);

/* spool_reader_durable(r, offset): All records before ${offset} were committed,
 * so an end mark before ${offset} is damage. */
void spool_reader_durable(struct spool_reader *r, uint64_t offset);

/* A whole record.  Pointers are valid until the next call with the same
 * readbuf. */
struct spool_view {
	struct spool_record		 record;
	struct spool_envelope_view	 envelope;
	const char			*body;	/* record.body_octets; NULL: not in
						 * memory, read the file at
						 * record.body_offset, or body.<id> */
};

struct spool_damage {
	uint64_t	 offset;	/* in the segment */
	uint64_t	 octets;	/* up to where reading goes on */
	uint64_t	 id;		/* of the message, when its header is sound; else 0 */
	const char	*what;		/* "record header", "envelope", "body", "cut short" */
};

#define SPOOL_TO_END	UINT64_MAX

/* spool_reader_next(r, limit, view_r, damage_r): The next record.
 * ${limit}: the end that the writer has reported as durable: all octets before
 * it must be records, anything else is damage.  Or SPOOL_TO_END, when the
 * writer is dead: records to the end of the file; what follows the last of
 * them is damage only if it was a record of this generation.
 * Return 1: *view_r is a record.  0: none up to the limit (call again when it
 * has moved).  -1 with errno EBADMSG: damage, see *damage_r; the reader has
 * moved behind it, call again.  Damage that is long may be reported in several
 * pieces, so that no call takes long.  -1 with another errno: could not be read
 * (EIO, ENOMEM); the reader has not moved. */
int spool_reader_next(struct spool_reader *r, uint64_t limit,
    struct spool_view *view_r, struct spool_damage *damage_r);

/* spool_reader_at(r, offset, view_r, damage_r): The record at ${offset}, for a
 * delivery agent.  Return 1, or -1 as above (nothing there is damage, too).
 * Does not change what next() returns. */
int spool_reader_at(struct spool_reader *r, uint64_t offset,
    struct spool_view *view_r, struct spool_damage *damage_r);

/* spool_body_copy(fd, offset, octets, sum, out_fd): Copy that part of a file to
 * ${out_fd} (-1: only read it) and compare it with its checksum.  0, or -1:
 * EBADMSG, other errno. */
int spool_body_copy(int fd, uint64_t offset, uint64_t octets, uint64_t sum,
    int out_fd);

/* Where a message was accepted.  No two records have the same. */
struct spool_origin {
	uint64_t	 segment, generation;	/* segment 0: not known */
	uint32_t	 seq;
	bool		 is_early;	/* accepted by an earlier version, which noted no origins */
};

/* spool_message_write(dirfd, name, view, id, origin, fd, body_fd, is_synced):
 * Make the file ${name} of the deferred store: a segment with this one record.
 * The body is in the record, also if it was large.  A spool_reader can read the
 * file; the record is at offset SPOOL_PAGE and has the id ${id}.  The header
 * has ${origin}, see spool_message_origin().  ${fd} is the file that ${view}
 * came from; ${body_fd} is body.<id> of a large message, else -1; with both -1 the
 * body is view->body.  The file is written as ${name}.tmp and renamed; the body
 * is checked on the way.  With ${is_synced} file and folder are flushed.  Return
 * 0, or -1 with errno (EBADMSG: the body is damaged) and nothing left behind. */
int spool_message_write(int dirfd, const char *name,
    const struct spool_view *view, uint64_t id,
    const struct spool_origin *origin, int fd, int body_fd, bool is_synced);

/* spool_message_origin(header, record, origin_r): The origin of the message in
 * a file that spool_message_write() has made. */
void spool_message_origin(const struct spool_header *header,
    const struct spool_record *record, struct spool_origin *origin_r);

#endif
