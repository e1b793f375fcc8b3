/* The table of segments.
 * Owns: which segments there are, whether their writers live, what of them is
 * done (a bit per record), the replay of the log into these bits.
 * Reading them: queue_read.c.  Recycling them: queue_recycle.c.
 *
 * States and what makes each transition:
 *	ACTIVE -> DEAD		check_writer(): the segment could be locked, so
 *				its writer is dead, or done with it
 * A message of a writer only makes the queue look sooner; it changes no
 * state. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/array.h"
#include "core/util/fileio.h"

RB_GENERATE(queue_segments, queue_segment, entry, queue_segment_compare)
RB_GENERATE(queue_partials, queue_partial, entry, queue_partial_compare)

int
queue_segment_compare(const struct queue_segment *a,
    const struct queue_segment *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

int
queue_partial_compare(const struct queue_partial *a,
    const struct queue_partial *b)
{
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static struct queue_segment *
find_segment(struct queue_spool *sp, uint64_t id)
{
	struct queue_segment key = { .id = id };

	return RB_FIND(queue_segments, &sp->segments, &key);
}

static struct queue_segment *
segment_new(struct queue_spool *sp, uint64_t id)
{
	struct queue_segment *seg;

	if ((seg = calloc(1, sizeof(*seg))) == NULL)
		return NULL;
	seg->id = id;
	seg->fd = -1;
	seg->resume = SPOOL_PAGE;
	RB_INIT(&seg->partials);
	RB_INSERT(queue_segments, &sp->segments, seg);
	return seg;
}

static void
partial_free(struct queue_segment *seg, struct queue_partial *p)
{
	RB_REMOVE(queue_partials, &seg->partials, p);
	free(p->rcpts);
	free(p);
}

static void
partials_clear(struct queue_segment *seg)
{
	while (!RB_EMPTY(&seg->partials))
		partial_free(seg, RB_ROOT(&seg->partials));
}

static void
set_state(struct queue_spool *sp, struct queue_segment *seg,
    enum segment_state state)
{
	if (seg->fd != -1 && seg->state == SEGMENT_ACTIVE &&
	    state != SEGMENT_ACTIVE)
		sp->nopen++;
	seg->state = state;
}

static void
close_reader(struct queue_segment *seg)
{
	if (seg->reader != NULL)
		seg->resume = spool_reader_tell(seg->reader);
	spool_reader_free(seg->reader);
	seg->reader = NULL;
}

void
queue_segment_close_file(struct queue_spool *sp, struct queue_segment *seg)
{
	close_reader(seg);
	sp->user->forget(sp->queue, &seg->file);
	if (seg->fd != -1) {
		close(seg->fd);
		if (seg->state != SEGMENT_ACTIVE)
			sp->nopen--;
	}
	seg->fd = -1;
}

void
queue_segment_free(struct queue_spool *sp, struct queue_segment *seg)
{
	queue_segment_close_file(sp, seg);
	if (seg->is_ready)
		TAILQ_REMOVE(&sp->ready, seg, ready);
	RB_REMOVE(queue_segments, &sp->segments, seg);
	partials_clear(seg);
	free(seg->done);
	free(seg->back.v);
	free(seg->back_before.v);
	free(seg->last_error);
	free(seg);
}

bool
queue_segment_is_done(const struct queue_segment *seg, uint32_t seq)
{
	return seq / 8 < seg->done_octets &&
	    (seg->done[seq / 8] & 1u << (seq % 8)) != 0;
}

int
queue_segment_set_done(struct queue_segment *seg, uint32_t seq, uint32_t last)
{
	unsigned char *done;

	if (last < seq || last > QUEUE_SEQ_MAX) {
		errno = EINVAL;
		return -1;
	}
	done = array_fit(seg->done, &seg->done_octets, last / 8 + 1, 1);
	if (done == NULL)
		return -1;
	seg->done = done;
	for (; seq <= last; seq++)
		seg->done[seq / 8] |= (unsigned char)(1u << (seq % 8));
	return 0;
}

struct queue_partial *
queue_partial_find(struct queue_segment *seg, uint32_t seq)
{
	struct queue_partial key = { .seq = seq };

	return RB_FIND(queue_partials, &seg->partials, &key);
}

int
queue_partial_add(struct queue_segment *seg, uint32_t seq, uint32_t rcpt)
{
	struct queue_partial *p = queue_partial_find(seg, seq);
	uint32_t *rcpts;

	if (p == NULL) {
		if ((p = calloc(1, sizeof(*p))) == NULL)
			return -1;
		p->seq = seq;
		RB_INSERT(queue_partials, &seg->partials, p);
	}
	rcpts = array_fit(p->rcpts, &p->room, p->n + 1, sizeof(*rcpts));
	if (rcpts == NULL)
		return -1;
	p->rcpts = rcpts;
	p->rcpts[p->n++] = rcpt;
	return 0;
}

void
queue_partial_drop(struct queue_segment *seg, uint32_t seq)
{
	struct queue_partial *p = queue_partial_find(seg, seq);

	if (p != NULL)
		partial_free(seg, p);
}

void
queue_segment_ready(struct queue_spool *sp, struct queue_segment *seg)
{
	if (seg->is_ready || seg->is_unusable)
		return;
	TAILQ_INSERT_TAIL(&sp->ready, seg, ready);
	seg->is_ready = true;
}

/* The file of ${seg} is not one that can be read: say so once, leave it. */
static void
unusable(struct queue_spool *sp, struct queue_segment *seg)
{
	struct spool_damage damage = { .octets = SPOOL_PAGE };
	int errnum = errno;

	if (errnum != EBADMSG && errnum != EPROTONOSUPPORT)
		return;
	damage.what = errnum == EBADMSG ? "segment header" : "format version";
	if (!seg->is_unusable)
		queue_segment_damage(sp, seg, &damage, false);
	seg->is_unusable = true;
	if (seg->is_ready)
		TAILQ_REMOVE(&sp->ready, seg, ready);
	seg->is_ready = false;
	errno = errnum;
}

/* Forget what is known of another generation of the same file. */
static void
set_generation(struct queue_segment *seg, uint64_t generation)
{
	if (seg->generation == generation)
		return;
	seg->generation = generation;
	free(seg->done);
	seg->done = NULL;
	seg->done_octets = 0;
	seg->is_reading_on = seg->is_at_end = false;
	partials_clear(seg);
}

/* The header of ${seg} has been read for the first time.  Until then its
 * generation was what the log or a worker said. */
static void
now_known(struct queue_spool *sp, struct queue_segment *seg)
{
	seg->is_known = true;
	if (seg->limit != 0 && seg->told_generation != seg->header.generation)
		seg->limit = 0;		/* it was about an older generation */
	set_generation(seg, queue_generation_see(sp, seg));
}

int
queue_segment_open_file(struct queue_spool *sp, struct queue_segment *seg)
{
	struct stat st;

	if (seg->fd != -1)
		return 0;
	seg->fd = spool_segment_open(sp->config.incoming_dirfd, seg->id,
	    &seg->header);
	if (seg->fd == -1)
		goto err1;
	if (fstat(seg->fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    seg->header.size_octets > QUEUE_SEGMENT_MAX ||
	    seg->header.generation > QUEUE_GENERATION_MAX ||
	    seg->header.size_octets > (uint64_t)st.st_size) {
		errno = EBADMSG;
		goto err1;
	}
	/* in an earlier version a group could write to the segments, and their
	 * numbers did not tell the writer */
	seg->is_early = (st.st_mode & S_IWGRP) != 0;
	if (!seg->is_known)
		now_known(sp, seg);
	if (seg->state != SEGMENT_ACTIVE)
		sp->nopen++;
	return 0;
err1:
	unusable(sp, seg);
	fileio_close(seg->fd);
	seg->fd = -1;
	return -1;
}

/* Take an entry of the log, before it is known which segments there are.  If
 * there is no memory for it, the message would be delivered again: so the start
 * fails. */
static void
replay(void *closure, const struct acklog_entry *e)
{
	struct queue_spool *sp = closure;
	struct queue_segment *seg = find_segment(sp, e->segment);
	int rc;

	if (e->last > QUEUE_SEQ_MAX)
		return;
	if (seg == NULL && (seg = segment_new(sp, e->segment)) == NULL) {
		sp->replay_errnum = errno;
		return;
	}
	if (e->generation < seg->generation)
		return;
	set_generation(seg, e->generation);
	seg->least_generation = e->generation;
	rc = e->rcpt != ACKLOG_ALL ?
	    queue_partial_add(seg, e->seq, e->rcpt) :
	    queue_segment_set_done(seg, e->seq, e->last);
	if (rc == -1)
		sp->replay_errnum = errno;
	else if (e->rcpt == ACKLOG_ALL && e->seq == e->last)
		queue_partial_drop(seg, e->seq);
}

/* Does the file that ${seg} has open bear its name? */
static bool
has_name(const struct queue_spool *sp, const struct queue_segment *seg)
{
	char name[SPOOL_NAME];
	struct stat st, named;

	spool_segment_name("seg", seg->id, name);
	return fstat(seg->fd, &st) == 0 && fstatat(sp->config.incoming_dirfd, name, &named,
	    AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == named.st_dev && st.st_ino == named.st_ino;
}

/* There is no ${seg}.  If it is used again, then with a generation that comes
 * after what the log has. */
static void
has_gone(struct queue_spool *sp, struct queue_segment *seg)
{
	if (seg->least_generation != 0)
		(void)queue_generation_note(sp, seg->id,
		    seg->least_generation + 1);
	queue_segment_free(sp, seg);
}

/* The worker has given ${seg} back unused.  Another may take it and begin with
 * the same generation, so forget it. */
static void
given_back(struct queue_spool *sp, struct queue_segment *seg)
{
	if (seg->nheld == 0)
		has_gone(sp, seg);
}

/* Is the process that writes ${seg} dead, or done with it?  That is so when it
 * can be locked while it has its name: from then on nobody but us changes
 * either.  May free ${seg}. */
static void
check_writer(struct queue_spool *sp, struct queue_segment *seg)
{
	bool was_open = seg->fd != -1, is_named;

	if (seg->state != SEGMENT_ACTIVE || seg->is_unusable)
		return;
	if (queue_segment_open_file(sp, seg) == -1) {
		if (errno == ENOENT)
			given_back(sp, seg);
		else if (!seg->is_unusable)
			queue_segment_trouble(sp, seg, false);
		return;
	}
	if (spool_segment_lock(seg->fd) == -1) {
		if (!was_open)
			queue_segment_close_file(sp, seg);
		return;
	}
	is_named = has_name(sp, seg);
	spool_segment_unlock(seg->fd);
	if (!is_named) {
		given_back(sp, seg);
		return;
	}
	set_state(sp, seg, SEGMENT_DEAD);
	seg->durable = MIN(seg->limit, seg->header.size_octets);
	seg->limit = SPOOL_TO_END;
	seg->trouble_ms = 0;
	/* a record that was being written when it was read may have looked
	 * damaged: read all of the segment again */
	if (seg->has_skipped)
		seg->rewind_ms = sp->now_ms;
	/* a reader that checks bodies, too: the last ones may be torn */
	close_reader(seg);
	queue_segment_ready(sp, seg);
	/* It has its generation now.  Open again when its turn to be read has
	 * come: a backlog has more segments than descriptors. */
	if (!was_open)
		queue_segment_close_file(sp, seg);
}

void
queue_segment_check_writers(struct queue_spool *sp, bool is_any)
{
	struct queue_segment *seg, *next;

	RB_FOREACH_SAFE (seg, queue_segments, &sp->segments, next)
		if (is_any || seg->is_sealed)
			check_writer(sp, seg);
}

static int
scan_entry(void *closure, enum spool_entry kind, uint64_t id, const char *)
{
	struct queue_spool *sp = closure;
	struct queue_segment *seg;

	if (kind != SPOOL_ENTRY_SEGMENT)
		return 0;
	seg = find_segment(sp, id);
	if (seg != NULL && seg->is_present)
		return 0;
	if (seg == NULL && (seg = segment_new(sp, id)) == NULL)
		return -1;
	seg->is_present = true;
	seg->is_old = sp->is_first_scan;
	seg->old_end = seg->is_old ? UINT64_MAX : 0;
	/* if the file cannot be opened now, check_writer() tries again */
	if (queue_segment_open_file(sp, seg) == 0)
		queue_segment_close_file(sp, seg);
	return 0;
}

int
queue_segment_scan(struct queue_spool *sp)
{
	if (spool_scan(sp->config.incoming_dirfd, scan_entry, sp) != 0) {
		log_err("spool-scan", "folder=%s", "incoming");
		return -1;
	}
	queue_segment_check_writers(sp, true);
	return 0;
}

int
queue_segments_open(struct queue_spool *sp)
{
	struct queue_segment *seg, *next;
	int saved;

	do {
		sp->acklog = acklog_open(sp->config.queue_dirfd, replay, sp);
	} while (sp->acklog == NULL && queue_room_make(sp));
	if (sp->acklog == NULL) {
		log_err("acklog-open", "folder=%s", sp->config.folder);
		return -1;
	}
	if (sp->replay_errnum != 0) {
		errno = sp->replay_errnum;
		log_err("acklog-open", "folder=%s step=%s", sp->config.folder,
		    "replay");
		goto err1;
	}
	/* An entry whose segment the scan does not find is forgotten below.  So
	 * a scan that has failed must not count: messages would be delivered
	 * again. */
	sp->is_first_scan = true;
	/* the process before this one may have removed names, and that need not
	 * be on disk yet */
	sp->has_removed = true;
	if (queue_segment_scan(sp) == -1)
		goto err1;
	sp->is_first_scan = false;
	RB_FOREACH_SAFE (seg, queue_segments, &sp->segments, next)
		if (!seg->is_present)
			has_gone(sp, seg);
	return 0;
err1:
	/* the log must not be replaced by what is in memory now */
	saved = errno;
	acklog_free(sp->acklog);
	sp->acklog = NULL;
	errno = saved;
	return -1;
}

void
queue_segments_close(struct queue_spool *sp)
{
	struct queue_segment *seg;

	while ((seg = RB_MIN(queue_segments, &sp->segments)) != NULL)
		queue_segment_free(sp, seg);
}

/* A segment that is told of for the first time */
static struct queue_segment *
first_told(struct queue_spool *sp, uint64_t id, uint64_t generation)
{
	struct queue_segment *seg;

	if ((seg = segment_new(sp, id)) == NULL)
		return NULL;
	seg->is_present = true;
	if (queue_segment_open_file(sp, seg) == 0)
		return seg;
	if (seg->is_unusable)
		return NULL;
	if (errno == ENOENT) {
		queue_segment_free(sp, seg);
		return NULL;
	}
	/* There are no descriptors or no memory.  The worker may send no more
	 * messages for a long time, so use its generation until the file can be
	 * opened. */
	set_generation(seg, generation);
	return seg;
}

bool
queue_segment_owns(const struct queue_segment *seg, uint64_t id)
{
	return seg->is_early || spool_number(id) == spool_number(seg->id);
}

/* The writer of ${seg}, which has been read to its end, says that there is
 * more: read on.  To search for more takes long.  So if nothing is found once,
 * the writer is not believed again: an honest writer says only what is true. */
static void
read_on(struct queue_spool *sp, struct queue_segment *seg, uint64_t end)
{
	if (!seg->is_read || end <= seg->read_end || seg->is_at_end)
		return;
	close_reader(seg);
	seg->resume = seg->read_end;
	seg->durable = end;
	seg->is_read = false;
	seg->is_reading_on = true;
	queue_segment_ready(sp, seg);
}

void
queue_segment_committed(void *store, unsigned int writer, uint64_t segment,
    uint64_t generation, uint64_t end, bool is_sealed)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg;

	if (spool_number(segment) != writer) {
		queue_segment_foreign(sp, writer, segment);
		return;
	}
	if ((seg = find_segment(sp, segment)) == NULL &&
	    (seg = first_told(sp, segment, generation)) == NULL)
		return;
	if (seg->is_unusable || seg->is_early ||
	    (seg->is_known && seg->header_generation != generation))
		return;		/* it was about an older generation */
	/* One that is known is opened when its turn to be read has come: its
	 * writer can speak of as many as it likes. */
	if (!seg->is_known && queue_segment_open_file(sp, seg) == -1) {
		if (seg->is_unusable)
			return;
		queue_segment_trouble(sp, seg, false);
		seg->trouble_ms = sp->now_ms + QUEUE_TROUBLE_MS;
		seg->told_generation = generation;
	} else if (seg->header_generation != generation) {
		return;		/* about an older generation, as the header says */
	} else if (end > seg->header.size_octets || end < SPOOL_PAGE) {
		queue_segment_wrong_end(sp, seg, end);
		return;
	}
	if (seg->state == SEGMENT_DEAD) {
		read_on(sp, seg, end);
		return;
	}
	/* A writer tells one queue process at a time, so the one before this
	 * cannot know more than we are told first. */
	if (seg->limit == 0 && seg->is_old)
		seg->old_end = end;
	if (end > seg->limit)
		seg->limit = end;
	queue_segment_ready(sp, seg);
	if (is_sealed) {
		seg->is_sealed = true;
		check_writer(sp, seg);	/* may free it */
	}
}
