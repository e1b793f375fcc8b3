/* Segments as files of the spool's "incoming" folder.
 * Owns: their names, life (new, seg, free), locks, headers on disk; the scan of
 * the folder after a crash.
 * Knows nothing of batches or callbacks.
 *
 *	new.<16 hex>	being made; its maker has it locked
 *	seg.<16 hex>	in use: locked while its writer lives
 *	free.<16 hex>	of a fresh generation, to be taken by rename
 *	body.<id>	a large body; locked until its record is committed
 * The low bits of each number are the number of the writer (spool_number()): a
 * file never becomes another writer's, since the first one may still have a
 * descriptor.  A writer's descriptors are for writing alone, so that it cannot
 * read what others, or it itself before, have written.
 * All functions may block: not for a loop that has sessions. */

#ifndef CORE_SPOOL_SPOOL_SEGMENT_H
#define CORE_SPOOL_SPOOL_SEGMENT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "core/spool/spool_format.h"

#define SPOOL_SEGMENT_MIN	(64 * 1024)	/* octets, least size of a segment */
#define SPOOL_SEGMENT_OPEN_MAX	(1ULL << 30) /* octets: no worker may make the queue search a terabyte of zeros */
#define SPOOL_NAME		32		/* octets for any name here, NUL included */

struct spool_segment {
	int			 fd;		/* locked; -1: none */
	struct spool_header	 header;
};

/* spool_segment_name(prefix, id, buf): "seg.<hex>" and so on. */
void spool_segment_name(const char *prefix, uint64_t id, char buf[SPOOL_NAME]);

/* spool_nonce(): A new random number, not 0. */
uint64_t spool_nonce(void);

/* spool_body_name(id, buf): "body.<message id>". */
void spool_body_name(uint64_t id, char buf[SPOOL_NAME]);

/* spool_create_locked(dirfd, name): Make a file and lock it, so that no sweep
 * takes it for one of a dead worker.  Return its descriptor, for writing alone,
 * or -1 with errno. */
int spool_create_locked(int dirfd, const char *name);

/* spool_fill(fd, octets): Write zeros from the start, all space allocated
 * first, so that a full disk fails early.  Return 0, or -1 with errno. */
int spool_fill(int fd, uint64_t octets);

/* spool_segment_take(dirfd, number, size_octets, segment_r): Take a free
 * segment of this writer and size: it is locked and renamed to seg.*; the
 * caller flushes the folder.  Free segments of this writer that have another
 * size, or the header of an earlier version, are removed.  Return 0, or -1 with
 * errno: ENOENT, there is none. */
int spool_segment_take(int dirfd, unsigned int number, uint64_t size_octets,
    struct spool_segment *segment_r);

/* A new segment, in three steps.
 * spool_segment_new(dirfd, id): The file new.${id}, empty and locked.
 * spool_segment_format(fd, id, size_octets, is_synced, header_r): Write it with
 * zeros to its full size, header and end mark, and flush it, so that a later
 * fdatasync(2) has no metadata to write.
 * spool_segment_made(dirfd, id): Rename it to seg.${id}, unless there is one;
 * the caller flushes the folder.
 * Return a descriptor or 0, or -1 with errno (ENOSPC ...). */
int spool_segment_new(int dirfd, uint64_t id);
int spool_segment_format(int fd, uint64_t id, uint64_t size_octets,
    bool is_synced, struct spool_header *header_r);
int spool_segment_made(int dirfd, uint64_t id);

/* spool_segment_untake(dirfd, segment): Give back one in which no record was
 * ever written: rename to free.*, close. */
void spool_segment_untake(int dirfd, struct spool_segment *segment);

/* spool_segment_trim(segment, end): The records end at ${end}: give the room
 * after it back to the file system, if that has punching of holes.  The file
 * keeps its size, and reads as zeros there; spool_segment_take() allocates the
 * room again. */
void spool_segment_trim(const struct spool_segment *segment, uint64_t end);

/* spool_segment_close(segment): Close, which releases the lock. */
void spool_segment_close(struct spool_segment *segment);

/* spool_segment_open(dirfd, id, header_r): Open seg.${id} for reading and
 * recycling and check its header.  Return the descriptor, not locked, or -1:
 * ENOENT, EBADMSG (header; or over SPOOL_SEGMENT_OPEN_MAX) or EPROTONOSUPPORT,
 * other errno. */
int spool_segment_open(int dirfd, uint64_t id, struct spool_header *header_r);

/* spool_segment_reader(dirfd, id): Open seg.${id} again, for reading alone;
 * this descriptor has no part in the lock.  Return it, or -1 with errno. */
int spool_segment_reader(int dirfd, uint64_t id);

/* spool_segment_header(fd, header_r): Read and check the header page of an
 * open segment or deferred message.  Return 0, or -1 as above. */
int spool_segment_header(int fd, struct spool_header *header_r);

/* spool_segment_lock(fd): Return 0: locked now, so its writer is dead or has
 * closed it; -1: EWOULDBLOCK, its writer lives.  spool_segment_unlock(). */
int spool_segment_lock(int fd);
void spool_segment_unlock(int fd);

/* spool_segment_recycle(dirfd, fd, header, is_synced): All its records are
 * done: write a header with the next generation and a new nonce, flush, rename
 * to free.*.  Takes the lock for that, so -1 with EWOULDBLOCK means: try later.
 * ${header} is changed to the new one.  A file that has been cut short is
 * removed instead.  After success the caller closes ${fd} at once, which
 * releases the lock. */
int spool_segment_recycle(int dirfd, int fd, struct spool_header *header,
    bool is_synced);

/* spool_segment_remove(dirfd, id): Unlink seg.${id} (one that is damaged in
 * its header, or one too many).  Return 0 or -1 with errno. */
int spool_segment_remove(int dirfd, uint64_t id);

/* spool_body_open(dirfd, id): Open body.${id} for reading.  Return the
 * descriptor, or -1: EBADMSG, it is no plain file; other errno. */
int spool_body_open(int dirfd, uint64_t id);

/* spool_body_remove(dirfd, id): Unlink body.${id}; 0, or -1 with errno. */
int spool_body_remove(int dirfd, uint64_t id);

enum spool_entry {
	SPOOL_ENTRY_SEGMENT,	/* seg.* */
	SPOOL_ENTRY_FREE,	/* free.* */
	SPOOL_ENTRY_NEW,	/* new.* */
	SPOOL_ENTRY_BODY,	/* body.*: id is a message id */
	SPOOL_ENTRY_TORN,	/* torn.*: see spool_torn.h */
	SPOOL_ENTRY_DAMAGED,	/* damaged.*, of a segment */
	SPOOL_ENTRY_OTHER	/* not ours; "instances" and the reserve are not reported */
};

/* spool_scan(dirfd, each, closure): Call ${each} for every file of the folder,
 * in no order.  ${each} returns 0 to go on.  Return 0, the non-zero value of
 * ${each}, or -1 with errno.
 * spool_scan_one(dirfd, each, closure): The same up to the first file that ${each}
 * has a use for: it returns 1.  Return 0, or -1 with errno: ENOENT, there is
 * none. */
typedef int (*spool_scan_func)(void *closure, enum spool_entry kind,
    uint64_t id, const char *name);
int spool_scan(int dirfd, spool_scan_func each, void *closure);
int spool_scan_one(int dirfd, spool_scan_func each, void *closure);

/* spool_usage(dirfd, octets_r, free_r): *octets_r are the octets of all files
 * that
 * spool_scan() reports, without the room that spool_segment_trim() has given
 * back of segments in use.  *free_r is the part of them that free segments and
 * torn ones have.  Return 0 or -1.
 * spool_free_remove(dirfd): Remove one free segment; 0, or -1 with errno:
 * ENOENT, there is none.
 * spool_free_remove_of(dirfd, number): Remove all free ones of this writer. */
int spool_usage(int dirfd, uint64_t *octets_r, uint64_t *free_r);
int spool_free_remove(int dirfd);
void spool_free_remove_of(int dirfd, unsigned int number);

#endif
