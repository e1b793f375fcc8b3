/* After records are done: recycle segments, replace a log that has grown.
 * Leftovers of crashes: queue_sweep.c.
 * Owns: the order in which these changes are made durable.
 *
 * The log must keep its entries for a segment until a new generation is in the
 * header, or the name of the segment is removed, and that has been flushed.
 * Otherwise a power cut could bring back the segment without the entries, and
 * its messages would be delivered again. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_torn.h"

static bool
is_finished(const struct queue_segment *seg)
{
	return seg->is_present && seg->is_read && seg->nheld == 0 &&
	    seg->nback == 0 && !seg->is_unusable;
}

/* The number of lines that one line about a segment set aside stands for; 0:
 * write none.  A hostile writer can cause many of them. */
static uint64_t
may_tell(struct queue_spool *sp, const struct queue_segment *seg)
{
	return log_burst_count(
	    &sp->writers[spool_number(seg->id)].kept_burst,
	    (uint64_t)sp->now_ms, QUEUE_DAMAGE_LINES);
}

static int
set_torn_aside(struct queue_spool *sp, struct queue_segment *seg)
{
	char name[SPOOL_NAME];
	uint64_t n;

	if (spool_torn_keep(sp->config.incoming_dirfd, seg->id,
	    seg->generation) == -1)
		return -1;
	spool_segment_name("torn", seg->id, name);
	if ((n = may_tell(sp, seg)) > 0)
		log_event(LOG_LEVEL_NOTICE, "segment-torn",
		    "file=%s.%llu times=%llu reason=%s", name,
		    (unsigned long long)seg->generation,
		    (unsigned long long)n, "its last batch is not whole: of no "
		    "message that was acknowledged if the power failed, else "
		    "of some; it is removed after a week");
	return 0;
}

/* A segment in which committed octets were damaged is kept for somebody to
 * look at, under a name that nobody else uses. */
static int
set_aside(struct queue_spool *sp, struct queue_segment *seg)
{
	char from[SPOOL_NAME], to[SPOOL_NAME + 32];
	uint64_t n;

	spool_segment_name("seg", seg->id, from);
	snprintf(to, sizeof(to), "damaged.%016llx.%llu",
	    (unsigned long long)seg->id,
	    (unsigned long long)seg->generation);
	if (renameat(sp->config.incoming_dirfd, from, sp->config.incoming_dirfd,
	    to) == -1)
		return -1;
	if ((n = may_tell(sp, seg)) > 0)
		log_errx("segment-kept", "file=%s times=%llu reason=%s", to,
		    (unsigned long long)n, "it had damage where whole records "
		    "should be; remove it when you have looked at it");
	return 0;
}

static int
count_free(void *closure, enum spool_entry kind, uint64_t id, const char *)
{
	struct queue_spool *sp = closure;

	if (kind == SPOOL_ENTRY_FREE)
		sp->writers[spool_number(id)].nfree++;
	return 0;
}

static void
count_all_free(struct queue_spool *sp)
{
	size_t i;

	for (i = 0; i < sizeof(sp->writers) / sizeof(sp->writers[0]); i++)
		sp->writers[i].nfree = 0;
	(void)spool_scan(sp->config.incoming_dirfd, count_free, sp);
}

/* Is ${seg} to become a free segment?  Only the same writer may get it again,
 * since that one may still have a descriptor of it.  So the writer must be
 * there, and must not have enough free segments. */
static bool
is_wanted(const struct queue_spool *sp, const struct queue_segment *seg)
{
	const struct queue_writer *w = &sp->writers[spool_number(seg->id)];

	return !sp->is_short && !seg->is_early && w->nchannels > 0 &&
	    w->nfree < MAX(QUEUE_FREE_MAX / sp->nwriters, 2);
}

static int
dispose(struct queue_spool *sp, struct queue_segment *seg)
{
	int dirfd = sp->config.incoming_dirfd;

	/* whatever is done to the segment, even if that fails */
	sp->has_removed = true;
	if (seg->is_damaged)
		return set_aside(sp, seg);
	if (seg->is_doubtful)
		return set_torn_aside(sp, seg);
	if (!is_wanted(sp, seg))
		return spool_segment_remove(dirfd, seg->id);
	if (queue_segment_open_file(sp, seg) == -1)
		return -1;
	if (queue_generation_next(sp, seg) == -1)
		return spool_segment_remove(dirfd, seg->id);
	if (spool_segment_recycle(dirfd, seg->fd, &seg->header,
	    sp->config.is_synced) == -1)
		return -1;
	sp->writers[spool_number(seg->id)].nfree++;
	return 0;
}

/* When the last segment of a dead writer, or of the process before this one, has
 * gone, so may bodies that were kept because it was torn, or that there was no
 * time to remove. */
static void
see_leftovers(struct queue_spool *sp)
{
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &sp->segments)
		if ((seg->is_old || seg->state == SEGMENT_DEAD) &&
		    !seg->is_unusable)
			return;
	queue_sweep_soon(sp);
}

/* ${seg} could not be recycled, with errno, and stays for now.  Its file is
 * closed meanwhile: other segments may need the descriptor. */
static void
not_disposed(struct queue_spool *sp, struct queue_segment *seg)
{
	seg->trouble_ms = sp->now_ms + QUEUE_TROUBLE_MS;
	if (errno != EWOULDBLOCK && errno != sp->recycle_errnum) {
		sp->recycle_errnum = errno;
		log_warn("segment-recycle", "segment=%llu",
		    (unsigned long long)seg->id);
	}
	queue_segment_close_file(sp, seg);
}

void
queue_recycle(struct queue_spool *sp)
{
	struct queue_segment *seg, *next;
	bool is_counted = false, has_left;

	RB_FOREACH_SAFE (seg, queue_segments, &sp->segments, next) {
		if (!is_finished(seg) || seg->trouble_ms > sp->now_ms)
			continue;
		if (!is_counted)
			count_all_free(sp);
		is_counted = true;
		if (dispose(sp, seg) == 0 || errno == ENOENT) {
			has_left = seg->is_old || seg->state == SEGMENT_DEAD;
			queue_segment_free(sp, seg);
			sp->recycle_errnum = 0;
			if (has_left)
				see_leftovers(sp);
			continue;
		}
		not_disposed(sp, seg);
	}
}

/* Runs of done records of one segment */
static int
snapshot_bits(struct acklog *log, const struct queue_segment *seg)
{
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation, .rcpt = ACKLOG_ALL };
	uint32_t seq, end = (uint32_t)seg->done_octets * 8;

	for (seq = 0; seq < end; seq++) {
		if (!queue_segment_is_done(seg, seq))
			continue;
		e.seq = seq;
		while (seq + 1 < end && queue_segment_is_done(seg, seq + 1))
			seq++;
		e.last = seq;
		if (acklog_append(log, &e) == -1)
			return -1;
	}
	return 0;
}

static int
snapshot_partials(struct acklog *log, struct queue_segment *seg)
{
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation };
	struct queue_partial *p;
	uint32_t i;

	RB_FOREACH (p, queue_partials, &seg->partials) {
		e.seq = e.last = p->seq;
		for (i = 0; i < p->n; i++) {
			e.rcpt = p->rcpts[i];
			if (acklog_append(log, &e) == -1)
				return -1;
		}
	}
	return 0;
}

static int
snapshot(void *closure, struct acklog *log)
{
	struct queue_spool *sp = closure;
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &sp->segments)
		if (snapshot_bits(log, seg) == -1 ||
		    snapshot_partials(log, seg) == -1)
			return -1;
	return 0;
}

void
queue_log_failed(struct queue_spool *sp, const char *event)
{
	if (sp->acklog_errnum != errno)
		log_err(event, "folder=%s", sp->config.folder);
	sp->acklog_errnum = errno;
}

static int
flush_log(struct queue_spool *sp)
{
	int rc = sp->config.is_synced ? acklog_sync(sp->acklog) :
	    acklog_write(sp->acklog);

	sp->nflushes += rc == 0;
	return rc;
}

/* Before the log forgets segments that were removed, the removal of their names
 * must be on disk. */
static int
compact(struct queue_spool *sp)
{
	if (sp->has_removed && sp->config.is_synced &&
	    fsync(sp->config.incoming_dirfd) == -1)
		return -1;
	sp->has_removed = false;
	return acklog_compact(sp->acklog, snapshot, sp);
}

/* Flush the log, and then remove the bodies that had to wait for that. */
void
queue_maintain_log(struct queue_spool *sp)
{
	int rc = 0;

	if (acklog_wants_compaction(sp->acklog)) {
		do {
			rc = compact(sp);
		} while (rc == -1 && queue_room_make(sp));
	}
	if (rc == -1)
		queue_log_failed(sp, "acklog-compact");
	while ((rc = flush_log(sp)) == -1 && queue_room_make(sp))
		;
	if (rc == -1) {
		queue_log_failed(sp, "acklog-sync");
		return;
	}
	sp->acklog_errnum = 0;
	queue_bodies_remove(sp);
}
