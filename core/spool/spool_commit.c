/* The committer: records into segments, one write and one flush per batch.
 * Owns: the current segment, the order of records, the treatment of failures.
 * While it flushes, messages gather; the next batch is all of them.  When it
 * was idle and other messages are on their way in, it waits a moment for them,
 * no longer than a flush takes: with some ten sessions this halves the number
 * of flushes, and one session alone never waits.
 *
 * If a write or flush fails, the whole batch fails: its segment is sealed at
 * the end of the batch before, and stays locked until the maker has wiped what
 * may have been written after that; the next batch goes to another segment.
 * The clients are answered after the wipe, not before: if the process died in
 * between, the queue would deliver what they had been refused. */

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/monotonic.h"

#define GATHER_MIN_NS	50000		/* a wait shorter than this costs more than it brings */
#define GATHER_MAX_NS	500000		/* however slow the disk is */
#define GATHER_SKIP_MAX	64		/* batches, after waits in vain */

static const char zeros[SPOOL_ALIGN];

/* The next segment becomes the current one; its error, or 0. */
static int
next_segment(struct spool_writer *w)
{
	int error = 0;

	(void)pthread_mutex_lock(&w->lock);
	while (w->next == NULL && w->make_error == 0 && !w->is_maker_gone)
		(void)pthread_cond_wait(&w->commit_cond, &w->lock);
	if (w->next != NULL) {
		w->cur = w->next;
		w->next = NULL;
		w->is_next_wanted = true;
		TAILQ_INSERT_TAIL(&w->helds, w->cur, link);
		__atomic_store_n(&w->cur_left,
		    w->cur->segment.header.size_octets - w->cur->end,
		    __ATOMIC_RELAXED);
		spool_wake_maker_locked(w);
	} else {
		error = w->make_error != 0 ? w->make_error : EIO;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return (error);
}

static void
fail_batch(struct spool_writer *w, int error)
{
	struct spool_batch *b = &w->batch;

	__atomic_store_n(&w->commit_error, error, __ATOMIC_RELAXED);
	(void)pthread_mutex_lock(&w->lock);
	w->cur->wipe_end = b->end;
	w->cur->error = error;
	STAILQ_CONCAT(&w->cur->failed, &b->msgs);
	w->cur->is_failed = true;
	spool_seal_locked(w);
	w->is_wipe_wanted = true;
	w->counts.failures++;
	spool_note_locked(w, SPOOL_NOTE_WRITE, error);
	spool_wake_maker_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
}

static uint64_t
body_sum(struct spool_writer *w, const struct spool_msg *msg)
{
	const struct spool_block *b = STAILQ_FIRST(&msg->blocks);

	if (msg->is_large)
		return (msg->body_sum);
	if (b != NULL && STAILQ_NEXT(b, link) == NULL)
		return (spool_sum(b->data + b->start, b->len));
	spool_sum_reset(w->sum);
	STAILQ_FOREACH(b, &msg->blocks, link)
		spool_sum_add(w->sum, b->data + b->start, b->len);
	return (spool_sum_get(w->sum));
}

static void
add_piece(struct spool_batch *b, void *p, size_t len)
{
	struct iovec *last = b->niov > 0 ? &b->iov[b->niov - 1] : NULL;

	if (len == 0)
		return;
	if (last != NULL && (char *)last->iov_base + last->iov_len == p) {
		last->iov_len += len;
		return;
	}
	b->iov[b->niov++] = (struct iovec){ .iov_base = p, .iov_len = len };
}

static void
add_padding(struct spool_batch *b, struct spool_msg *msg, size_t len)
{
	struct spool_block *last = STAILQ_LAST(&msg->blocks, spool_block, link);
	char *p;

	if (len == 0)
		return;
	if (last != NULL && last->cap - last->start - last->len >= len) {
		p = last->data + last->start + last->len;
		memset(p, 0, len);
		add_piece(b, p, len);
	} else {
		add_piece(b, (void *)(uintptr_t)zeros, len);
	}
}

/* Put ${msg} into the batch; false if segment or batch has no room for it. */
static bool
place(struct spool_writer *w, struct spool_msg *msg)
{
	struct spool_batch *b = &w->batch;
	struct spool_record rec = { 0 };
	struct spool_block *block;
	uint64_t inline_octets = msg->is_large ? 0 : msg->octets, octets;
	size_t head = SPOOL_RECORD_HEADER + msg->envelope_octets;

	if (b->nmsgs == 0)
		b->start = b->end = w->cur->end;
	octets = spool_record_octets(msg->envelope_octets, inline_octets);
	if (b->end + octets > w->cur->segment.header.size_octets ||
	    (size_t)b->niov + msg->nblocks + 3 > SPOOL_IOV)
		return (false);
	rec.offset = b->end;
	rec.id = msg->id;
	rec.seq = ++w->cur->seq;
	rec.flags = msg->is_large ? SPOOL_RECORD_LARGE : 0;
	rec.received_us = msg->received_us;
	rec.envelope_octets = msg->envelope_octets;
	rec.body_octets = msg->octets;
	rec.envelope_sum = spool_sum(msg->head + SPOOL_RECORD_HEADER,
	    msg->envelope_octets);
	rec.body_sum = body_sum(w, msg);
	spool_record_encode(&rec, w->cur->segment.header.nonce,
	    (unsigned char *)msg->head);
	add_piece(b, msg->head, head);
	STAILQ_FOREACH(block, &msg->blocks, link)
		add_piece(b, block->data + block->start, block->len);
	add_padding(b, msg, (size_t)(octets - head - inline_octets));
	b->end += octets;
	b->nmsgs++;
	return (true);
}

static int
write_batch(struct spool_batch *b, int fd)
{
	struct iovec *iov = b->iov;
	int niov = b->niov;
	off_t offset = (off_t)b->start;
	ssize_t n;

	while (niov > 0) {
		n = pwritev(fd, iov, niov, offset);
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return (-1);
		}
		offset += n;
		while (niov > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			niov--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return (0);
}

/* EINTR cannot happen: all signals are blocked in this thread. */
static int
write_and_flush(struct spool_writer *w, int fd)
{
	uint64_t start = monotonic_ns();

	if (write_batch(&w->batch, fd) == -1 ||
	    (w->config.is_synced && fdatasync(fd) == -1))
		return (-1);
	w->flush_ns += ((int64_t)(monotonic_ns() - start) - w->flush_ns) / 8;
	return (0);
}

static void
commit_batch(struct spool_writer *w)
{
	struct spool_batch *b = &w->batch;
	struct spool_held *cur = w->cur;
	uint64_t size = cur->segment.header.size_octets;
	struct spool_msg *msg;
	unsigned int n = b->nmsgs;

	if (b->end < size) {
		spool_end_encode(b->end, cur->seq + 1,
		    cur->segment.header.nonce, b->mark);
		add_piece(b, b->mark, sizeof(b->mark));
	}
	if (write_and_flush(w, cur->segment.fd) == -1) {
		fail_batch(w, errno);
	} else {
		__atomic_store_n(&w->commit_error, 0, __ATOMIC_RELAXED);
		STAILQ_FOREACH(msg, &b->msgs, link)
			spool_body_close(msg, true);
		(void)pthread_mutex_lock(&w->lock);
		cur->end = b->end;
		if (cur->first_ms == 0)
			cur->first_ms = monotonic_ms();
		cur->is_dirty = true;
		__atomic_store_n(&w->cur_left, size - b->end,
		    __ATOMIC_RELAXED);
		w->counts.commits++;
		w->counts.records += n;
		STAILQ_CONCAT(&w->done, &b->msgs);
		spool_post_locked(w);
		if (spool_id_is_due(&w->ids) && !w->is_mark_wanted) {
			w->is_mark_wanted = true;
			spool_wake_maker_locked(w);
		}
		(void)pthread_mutex_unlock(&w->lock);
	}
	b->nmsgs = 0;
	b->niov = 0;
}

static void
commit_all(struct spool_writer *w, struct spool_msgs *todo)
{
	struct spool_msg *msg;
	int error;

	while ((msg = STAILQ_FIRST(todo)) != NULL) {
		if (w->cur == NULL && (error = next_segment(w)) != 0) {
			(void)pthread_mutex_lock(&w->lock);
			spool_fail_locked(w, todo, error);
			(void)pthread_mutex_unlock(&w->lock);
			return;
		}
		if (place(w, msg)) {
			STAILQ_REMOVE_HEAD(todo, link);
			STAILQ_INSERT_TAIL(&w->batch.msgs, msg, link);
		} else if (w->batch.nmsgs > 0) {
			commit_batch(w);
		} else {
			spool_seal(w);
		}
	}
	if (w->batch.nmsgs > 0)
		commit_batch(w);
}

/* Has the lock; there are messages in the queue.  Wait for those that are on
 * their way in, unless such waits have been in vain lately: a slow client must
 * not slow down the others. */
static void
gather(struct spool_writer *w)
{
	const struct spool_msg *last = STAILQ_LAST(&w->queue, spool_msg, link);
	int64_t wait_ns = w->flush_ns;
	struct timespec end;

	if (__atomic_load_n(&w->nopen, __ATOMIC_RELAXED) == 0 ||
	    wait_ns < GATHER_MIN_NS)
		return;
	if (w->gather_skip > 0) {
		w->gather_skip--;
		return;
	}
	end = monotonic_in((uint64_t)(wait_ns < GATHER_MAX_NS ? wait_ns :
	    GATHER_MAX_NS));
	w->is_commit_gathering = true;
	while (!w->is_commit_stopping &&
	    __atomic_load_n(&w->nopen, __ATOMIC_RELAXED) > 0 &&
	    pthread_cond_timedwait(&w->commit_cond, &w->lock, &end) == 0)
		;
	w->is_commit_gathering = false;
	if (STAILQ_LAST(&w->queue, spool_msg, link) != last) {
		w->gather_vain = 0;
		return;
	}
	if (w->gather_vain < 6)
		w->gather_vain++;
	w->gather_skip = GATHER_SKIP_MAX >> (6 - w->gather_vain);
}

/* With the lock.  Sleep until there are messages, or the segment is to be
 * sealed; return whether it is. */
static bool
commit_wait(struct spool_writer *w)
{
	struct timespec end;
	uint64_t due;

	for (;;) {
		due = spool_seal_due(w);
		if (due != UINT64_MAX && due <= monotonic_ms())
			return (true);
		if (!STAILQ_EMPTY(&w->queue) || w->is_commit_stopping)
			return (false);
		w->is_commit_asleep = true;
		if (due == UINT64_MAX) {
			(void)pthread_cond_wait(&w->commit_cond, &w->lock);
		} else {
			end = monotonic_at(due);
			(void)pthread_cond_timedwait(&w->commit_cond, &w->lock,
			    &end);
		}
		w->is_commit_asleep = false;
	}
}

void *
spool_commit_main(void *closure)
{
	struct spool_writer *w = closure;
	struct spool_msgs todo = STAILQ_HEAD_INITIALIZER(todo);

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		if (commit_wait(w)) {
			(void)pthread_mutex_unlock(&w->lock);
			spool_seal_early(w);
			(void)pthread_mutex_lock(&w->lock);
			continue;
		}
		if (STAILQ_EMPTY(&w->queue))
			break;
		gather(w);
		STAILQ_CONCAT(&todo, &w->queue);
		(void)pthread_mutex_unlock(&w->lock);
		commit_all(w, &todo);
		(void)pthread_mutex_lock(&w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return (NULL);
}
