/* The acknowledgement log: which records of which segments are done.
 * Owns: the files ack.<n>, their entries, the torn tail after a crash, the
 * change to a fresh file when the old one has grown.
 * Knows nothing of segments, jobs or recipients' names.
 *
 * It need not be on disk at once: recipients whose entries are lost in a crash
 * are given to a delivery agent again, which finds the message delivered.  It
 * must be on disk before a segment is recycled or a body removed. */

#ifndef CORE_DEFERRED_ACKLOG_H
#define CORE_DEFERRED_ACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACKLOG_ALL		UINT32_MAX	/* all recipients */
#define ACKLOG_PENDING_MAX	65536		/* entries kept while the disk refuses them */

struct acklog_entry {
	uint64_t	segment, generation;
	uint32_t	seq, last;	/* records ${seq} to ${last}, both included */
	uint32_t	rcpt;		/* one recipient of one record, or ACKLOG_ALL */
};

struct acklog;

/* acklog_open(dirfd, replay, closure): Open the log in the folder ${dirfd}
 * (kept, not owned) and call ${replay} for every sound entry, oldest first.
 * What follows the last sound entry of a file is cut off, and logged.  NULL
 * with errno. */
typedef void (*acklog_replay)(void *closure, const struct acklog_entry *entry);
struct acklog *acklog_open(int dirfd, acklog_replay replay, void *closure);

/* acklog_free(log): Close; what is pending is lost.  NULL does nothing. */
void acklog_free(struct acklog *log);

/* acklog_append(log, entry): Keep it in memory until the next write.  Return 0,
 * or -1 with errno: ENOMEM; or ACKLOG_PENDING_MAX entries wait, and
 * acklog_write() has failed. */
int acklog_append(struct acklog *log, const struct acklog_entry *entry);

/* acklog_pending(log): Entries not yet written. */
size_t acklog_pending(const struct acklog *log);

/* acklog_write(log): Write what is pending with one write(2).  Return 0, or -1
 * with errno: then nothing was written, and all of it is still pending. */
int acklog_write(struct acklog *log);

/* acklog_sync(log): acklog_write() and, if anything was written since the last
 * one, fdatasync(2).  Return 0 or -1 with errno. */
int acklog_sync(struct acklog *log);
bool acklog_is_synced(const struct acklog *log);

/* acklog_wants_compaction(log): The file has grown large, or a flush of it has
 * failed, after which acklog_sync() fails until a new file is begun. */
bool acklog_wants_compaction(const struct acklog *log);

/* acklog_compact(log, snapshot, closure): Start a new file with the entries
 * that ${snapshot} appends, make it durable and remove the old one.  What was
 * pending is part of the snapshot's knowledge and dropped.  Return 0, or -1
 * with errno: then the old file goes on. */
typedef int (*acklog_snapshot)(void *closure, struct acklog *log);
int acklog_compact(struct acklog *log, acklog_snapshot snapshot,
    void *closure);

#endif
