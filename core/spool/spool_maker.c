/* The maker: a thread for all work of the spool that takes longer than a flush,
 * so that no small message waits for it.
 * Owns: the segment made ahead of need, bodies of large messages until their
 * record is due, the wiping of failed batches, the mark of message ids. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define BODY_STEP	(1024 * 1024)	/* octets after which writing out is begun and the quota checked */

/* Is there room for ${more}?  Note what is left. */
static int
room_check(struct spool_writer *w, uint64_t more)
{
	uint64_t left;

	if (w->files->room(w->files_closure, more, &left) == -1)
		return (-1);
	__atomic_store_n(&w->free_octets, left, __ATOMIC_RELAXED);
	return (0);
}

static void
make_next(struct spool_writer *w)
{
	struct spool_held *held;
	bool is_recycled = false;
	int error = 0;

	if ((held = calloc(1, sizeof(*held))) == NULL ||
	    room_check(w, 0) == -1 ||
	    w->files->segment(w->files_closure, w->config.segment_octets,
	    &held->segment, &is_recycled) == -1) {
		error = errno;
		free(held);
		held = NULL;
	} else {
		held->end = SPOOL_PAGE;
		held->is_recycled = is_recycled;
		STAILQ_INIT(&held->failed);
	}
	(void)pthread_mutex_lock(&w->lock);
	if (held != NULL) {
		w->next = held;
		w->is_next_wanted = false;
		if (is_recycled) {
			w->counts.recycled++;
			w->nsealed = 0;
		} else {
			w->counts.created++;
		}
	} else if (w->make_error != error) {
		spool_note_locked(w, SPOOL_NOTE_MAKE, error);
	}
	__atomic_store_n(&w->make_error, error, __ATOMIC_RELAXED);
	/* The committer may wait for a segment, or for the error. */
	(void)pthread_cond_signal(&w->commit_cond);
	(void)pthread_mutex_unlock(&w->lock);
}

/* Create the file of a large body, before its first octet. */
static int
body_create(struct spool_writer *w, struct spool_msg *msg)
{
	if (room_check(w, BODY_STEP) == -1)
		return (-1);
	msg->body_fd = w->files->body(w->files_closure, msg->id);
	return (msg->body_fd == -1 ? -1 : 0);
}

static int
body_write(struct spool_writer *w, struct spool_msg *msg,
    const struct spool_block *b)
{
	const char *p = b->data + b->start;

	if (w->files->reserve(w->files_closure) == -1 ||
	    (msg->body_fd == -1 && body_create(w, msg) == -1))
		return (-1);
	spool_sum_add(msg->sum, p, b->len);
	if (fileio_pwrite(msg->body_fd, p, b->len,
	    (off_t)msg->body_written) == -1)
		return (-1);
	msg->body_written += b->len;
	if (msg->body_written - msg->body_started < BODY_STEP)
		return (0);
	/* Start writing out now, so that the flush at the end is short. */
	if (w->config.is_synced)
		(void)sync_file_range(msg->body_fd, (off_t)msg->body_started,
		    (off_t)(msg->body_written - msg->body_started),
		    SYNC_FILE_RANGE_WRITE);
	msg->body_started = msg->body_written;
	return (room_check(w, BODY_STEP));
}

static void
body_fail(struct spool_writer *w, struct spool_msg *msg, int error)
{
	__atomic_store_n(&msg->error, error, __ATOMIC_RELAXED);
	(void)pthread_mutex_lock(&w->lock);
	spool_note_locked(w, SPOOL_NOTE_BODY, error);
	(void)pthread_mutex_unlock(&w->lock);
}

static void
do_block(struct spool_writer *w, struct spool_block *b)
{
	if (b->msg->error == 0 && body_write(w, b->msg, b) == -1)
		body_fail(w, b->msg, errno);
	(void)pthread_mutex_lock(&w->lock);
	STAILQ_INSERT_TAIL(&w->returned, b, link);
	spool_post_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
}

/* The bodies of ${todo} are complete: flush them and their names. */
static void
finish_all(struct spool_writer *w, struct spool_msgs *todo)
{
	struct spool_msgs good = STAILQ_HEAD_INITIALIZER(good);
	struct spool_msgs bad = STAILQ_HEAD_INITIALIZER(bad);
	struct spool_msg *msg;
	bool is_any = false;
	int error = 0;

	STAILQ_FOREACH(msg, todo, link) {
		if (msg->is_aborted || msg->error != 0)
			continue;
		msg->body_sum = spool_sum_get(msg->sum);
		if (w->config.is_synced && fdatasync(msg->body_fd) == -1)
			body_fail(w, msg, errno);
		is_any = true;
	}
	if (is_any && w->files->flush(w->files_closure) == -1)
		error = errno;
	while ((msg = STAILQ_FIRST(todo)) != NULL) {
		STAILQ_REMOVE_HEAD(todo, link);
		if (error != 0 && msg->error == 0)
			body_fail(w, msg, error);
		if (msg->is_aborted || msg->error != 0) {
			spool_body_close(msg, false);
			STAILQ_INSERT_TAIL(&bad, msg, link);
		} else {
			STAILQ_INSERT_TAIL(&good, msg, link);
		}
	}
	(void)pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&w->queue, &good);
	STAILQ_CONCAT(&w->done, &bad);
	spool_wake_commit_locked(w);
	spool_post_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
}

/* Overwrite the failed batch with zeros, then write the end mark.  If the
 * descriptor cannot be written to at all, nothing of the batch was written. */
static int
wipe(const struct spool_writer *w, const struct spool_held *h)
{
	static const char zeros[SPOOL_PAGE];
	unsigned char mark[SPOOL_RECORD_HEADER];
	uint64_t at, n;

	for (at = h->end; at < h->wipe_end + SPOOL_ALIGN; at += n) {
		n = h->segment.header.size_octets - at;
		if (n == 0)
			break;
		if (n > sizeof(zeros))
			n = sizeof(zeros);
		if (fileio_pwrite(h->segment.fd, zeros, n, (off_t)at) == -1)
			return (errno == EBADF || errno == ESPIPE ? 0 : -1);
	}
	spool_end_encode(h->end, h->seq + 1, h->segment.header.nonce, mark);
	if (fileio_pwrite(h->segment.fd, mark, sizeof(mark),
	    (off_t)h->end) == -1)
		return (-1);
	return (w->config.is_synced ? fdatasync(h->segment.fd) : 0);
}

/* With the lock.  The first failed segment from ${h} on; NULL: none.  The loop
 * frees no segment that has failed, so it stays without the lock. */
static struct spool_held *
failed_from(struct spool_held *h)
{
	while (h != NULL && !h->is_failed)
		h = TAILQ_NEXT(h, link);
	return (h);
}

void
spool_wipe_all(struct spool_writer *w)
{
	struct spool_held *h, *next;
	bool is_any_left = false;
	int fd, error;

	(void)pthread_mutex_lock(&w->lock);
	w->is_wipe_wanted = false;
	for (h = failed_from(TAILQ_FIRST(&w->helds)); h != NULL; h = next) {
		(void)pthread_mutex_unlock(&w->lock);
		error = wipe(w, h) == -1 ? errno : 0;
		(void)pthread_mutex_lock(&w->lock);
		next = failed_from(TAILQ_NEXT(h, link));
		if (error != 0) {
			spool_note_locked(w, SPOOL_NOTE_WIPE, error);
			is_any_left = true;
			continue;
		}
		fd = h->segment.fd;
		h->segment.fd = -1;
		h->is_failed = false;
		spool_fail_locked(w, &h->failed, h->error);
		(void)close(fd);
	}
	if (is_any_left)
		w->is_wipe_wanted = true;
	(void)pthread_mutex_unlock(&w->lock);
}

static bool
is_past(const struct timespec *t)
{
	return (monotonic_ns() >=
	    (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec);
}

/* With the lock.  Sleep until there is work.  With ${is_retrying} some work has
 * failed, and is tried again at ${retry}, however much other work there is.
 * Return whether the failed work may be tried now. */
static bool
maker_wait(struct spool_writer *w, bool is_retrying,
    const struct timespec *retry)
{
	bool is_time = !is_retrying || is_past(retry);

	while (STAILQ_EMPTY(&w->jobs) && STAILQ_EMPTY(&w->finish) &&
	    !w->is_mark_wanted && !w->is_maker_stopping &&
	    !(w->is_next_wanted && (is_time || w->make_error == 0)) &&
	    !(w->is_wipe_wanted && is_time)) {
		w->is_maker_asleep = true;
		if (!is_retrying)
			(void)pthread_cond_wait(&w->maker_cond, &w->lock);
		else if (pthread_cond_timedwait(&w->maker_cond, &w->lock,
		    retry) == ETIMEDOUT)
			is_time = true;
		w->is_maker_asleep = false;
		if (is_time && is_retrying)
			break;
	}
	return (is_time);
}

static void
do_jobs(struct spool_writer *w, struct spool_blocks *jobs,
    struct spool_msgs *finish)
{
	struct spool_block *b;

	while ((b = STAILQ_FIRST(jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(jobs, link);
		do_block(w, b);
	}
	if (!STAILQ_EMPTY(finish))
		finish_all(w, finish);
}

/* Wait for the number of this writer: without it no message can begin.  Return
 * 0, or -1: there is none, or the writer is being closed. */
static int
number_wait(struct spool_writer *w)
{
	uint64_t lowest_us;
	unsigned int number;
	bool is_stopping = false;
	int error = EAGAIN;

	while (error == EAGAIN && !is_stopping) {
		error = w->files->number(w->files_closure, true, &number,
		    &lowest_us) == 0 ? 0 : errno;
		(void)pthread_mutex_lock(&w->lock);
		is_stopping = w->is_maker_stopping;
		(void)pthread_mutex_unlock(&w->lock);
	}
	if (error == EAGAIN)
		return (-1);
	(void)pthread_mutex_lock(&w->lock);
	if (error == 0)
		spool_id_start(number, lowest_us, &w->ids);
	w->is_open_told = false;
	__atomic_store_n(&w->open_error, error, __ATOMIC_RELEASE);
	spool_post_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
	return (error == 0 ? 0 : -1);
}

void *
spool_maker_main(void *closure)
{
	struct spool_writer *w = closure;
	struct spool_blocks jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct spool_msgs finish = STAILQ_HEAD_INITIALIZER(finish);
	struct timespec retry = { 0 };
	bool is_retrying = false, is_failed, is_time, is_mark, is_next;

	if (w->open_error != 0 && number_wait(w) == -1)
		goto out;
	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		is_time = maker_wait(w, is_retrying, &retry);
		if (w->is_maker_stopping && STAILQ_EMPTY(&w->jobs) &&
		    STAILQ_EMPTY(&w->finish))
			break;
		STAILQ_CONCAT(&jobs, &w->jobs);
		STAILQ_CONCAT(&finish, &w->finish);
		is_mark = w->is_mark_wanted;
		is_next = w->is_next_wanted && (is_time || w->make_error == 0);
		w->is_mark_wanted = false;
		(void)pthread_mutex_unlock(&w->lock);
		/* First the segment, for which all messages may wait. */
		if (is_next)
			make_next(w);
		do_jobs(w, &jobs, &finish);
		if (is_mark)
			w->files->mark(w->files_closure,
			    spool_id_extend(&w->ids));
		if (is_time)
			spool_wipe_all(w);
		(void)pthread_mutex_lock(&w->lock);
		is_failed = w->make_error != 0 || w->is_wipe_wanted;
		if (is_failed && (is_time || !is_retrying))
			retry = monotonic_in(SPOOL_RETRY_MS * 1000000ULL);
		is_retrying = is_failed;
	}
	(void)pthread_mutex_unlock(&w->lock);

out:	(void)pthread_mutex_lock(&w->lock);
	w->is_maker_gone = true;
	(void)pthread_cond_signal(&w->commit_cond);
	(void)pthread_mutex_unlock(&w->lock);
	return (NULL);
}
