/* The spool writer as a whole.
 * Owns: opening and closing, start and end of the threads, the callbacks.
 * Knows nothing of octets: spool_ops.c gathers, spool_commit.c and
 * spool_maker.c write. */

#include "core/spool/spool_writer.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_writer_int.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define THREAD_STACK	(256 * 1024)	/* octets; nothing here recurses */
#define LARGE_MAX	(8 * 1024 * 1024)	/* octets: bodies over this are never kept in memory */

static void
init_lists(struct spool_writer *w)
{
	TAILQ_INIT(&w->open);
	RB_INIT(&w->clients);
	TAILQ_INIT(&w->helds);
	STAILQ_INIT(&w->staged);
	STAILQ_INIT(&w->free_first.blocks);
	STAILQ_INIT(&w->free_max.blocks);
	STAILQ_INIT(&w->queue);
	STAILQ_INIT(&w->done);
	STAILQ_INIT(&w->returned);
	STAILQ_INIT(&w->jobs);
	STAILQ_INIT(&w->finish);
	STAILQ_INIT(&w->batch.msgs);
}

static int
init_locks(struct spool_writer *w)
{
	int error;

	if ((error = monotonic_cond_init(&w->commit_cond)) != 0 ||
	    (error = monotonic_cond_init(&w->maker_cond)) != 0)
		return (error);
	(void)pthread_mutex_init(&w->lock, NULL);
	return (0);
}

/* With all signals blocked: they are the loop's. */
static int
start_thread(pthread_t *thread, void *(*func)(void *), struct spool_writer *w,
    const cpu_set_t *processors)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	if ((error = pthread_attr_init(&attr)) != 0)
		return (error);
	(void)pthread_attr_setstacksize(&attr, THREAD_STACK);
	if (processors != NULL)
		(void)pthread_attr_setaffinity_np(&attr, sizeof(*processors),
		    processors);
	(void)sigfillset(&all);
	/* the filter of system calls sends SIGSYS to the thread that made the
	 * call: it must not be blocked */
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, &attr, func, w);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return (error);
}

static void
stop_thread(struct spool_writer *w, bool *is_stopping, pthread_cond_t *cond,
    pthread_t thread)
{
	(void)pthread_mutex_lock(&w->lock);
	*is_stopping = true;
	(void)pthread_cond_signal(cond);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(thread, NULL);
}

static bool
config_fix(struct spool_writer_config *c)
{
	c->segment_octets -= c->segment_octets % SPOOL_PAGE;
	if (c->segment_octets < SPOOL_SEGMENT_MIN ||
	    c->segment_octets > SPOOL_SEGMENT_OPEN_MAX ||
	    c->buffer_octets < 4 * SPOOL_BLOCK_MAX)
		return (false);
	if (c->seal_ms == 0)
		c->seal_ms = SPOOL_SEAL_MS;
	if (c->seal_new_ms == 0)
		c->seal_new_ms = SPOOL_SEAL_NEW_MS;
	if (c->large_octets > LARGE_MAX)
		c->large_octets = LARGE_MAX;
	if (c->large_octets > c->segment_octets / 2)
		c->large_octets = c->segment_octets / 2;
	return (true);
}

static int
start_threads(struct spool_writer *w)
{
	int error;

	if ((error = start_thread(&w->maker, spool_maker_main, w,
	    w->config.maker_processors)) != 0)
		return (error);
	if ((error = start_thread(&w->committer, spool_commit_main, w, NULL)) !=
	    0)
		stop_thread(w, &w->is_maker_stopping, &w->maker_cond, w->maker);
	return (error);
}

/* Close the segments; one without a record becomes free again.  If a failed
 * batch could not be wiped, its messages have had no answer.  Their bodies
 * stay, since the queue process may still find their records. */
static void
let_go(struct spool_writer *w)
{
	struct spool_held *h;
	struct spool_msg *msg;

	if (w->next != NULL)
		TAILQ_INSERT_TAIL(&w->helds, w->next, link);
	while ((h = TAILQ_FIRST(&w->helds)) != NULL) {
		TAILQ_REMOVE(&w->helds, h, link);
		while ((msg = STAILQ_FIRST(&h->failed)) != NULL) {
			STAILQ_REMOVE_HEAD(&h->failed, link);
			spool_body_close(msg, true);
			spool_msg_free(msg);
		}
		if (h->segment.fd != -1 && !h->is_sealed &&
		    h->end == SPOOL_PAGE)
			w->files->untake(w->files_closure, &h->segment);
		spool_segment_close(&h->segment);
		free(h);
	}
}

/* The threads have ended, or were never started. */
static void
writer_free(struct spool_writer *w)
{
	struct spool_block *b;
	int saved = errno;

	let_go(w);
	STAILQ_CONCAT(&w->free_first.blocks, &w->free_max.blocks);
	while ((b = STAILQ_FIRST(&w->free_first.blocks)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->free_first.blocks, link);
		free(b);
	}
	(void)pthread_cond_destroy(&w->maker_cond);
	(void)pthread_cond_destroy(&w->commit_cond);
	(void)pthread_mutex_destroy(&w->lock);
	if (w->ids.number != 0)
		w->files->mark(w->files_closure, w->ids.last_us);
	spool_folder_close(&w->folder);
	fileio_close(w->event_fd);
	spool_sum_free(w->sum);
	free(w->waiters);
	free(w);
	errno = saved;
}

static int
open_files(struct spool_writer *w)
{
	const struct spool_writer_config *c = &w->config;
	uint64_t lowest_us;
	unsigned int number;

	w->files = c->files;
	w->files_closure = c->files_closure;
	if (w->files == NULL) {
		w->files = &spool_folder_ops;
		w->files_closure = &w->folder;
		w->folder = (struct spool_folder){ .dirfd = c->dirfd,
			.quota_octets = c->quota_octets,
			.is_synced = c->is_synced };
		if (spool_folder_open(&w->folder, c->number) == -1)
			return (-1);
	}
	w->is_open_told = true;
	if (w->files->number(w->files_closure, false, &number, &lowest_us) == 0)
		spool_id_start(number, lowest_us, &w->ids);
	else if ((w->open_error = errno) != EAGAIN)
		return (-1);
	return (0);
}

struct spool_writer *
spool_writer_open(const struct spool_writer_config *config,
    const struct spool_writer_callbacks *callbacks, void *closure)
{
	struct spool_writer *w;
	int error;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (NULL);
	w->config = *config;
	w->callbacks = *callbacks;
	w->closure = closure;
	w->event_fd = w->folder.ids.fd = w->ids.fd = -1;
	w->is_next_wanted = true;
	w->free_octets = UINT64_MAX;
	init_lists(w);
	if ((error = init_locks(w)) != 0)
		errno = error;
	else if (!config_fix(&w->config))
		errno = EINVAL;
	else if ((w->sum = spool_sum_new()) != NULL &&
	    (w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) != -1 &&
	    open_files(w) == 0) {
		if ((error = start_threads(w)) == 0)
			return (w);
		errno = error;
	}
	writer_free(w);
	return (NULL);
}

bool
spool_writer_is_open(const struct spool_writer *w)
{
	return (__atomic_load_n(&w->open_error, __ATOMIC_ACQUIRE) == 0);
}

int
spool_writer_fd(const struct spool_writer *w)
{
	return (w->event_fd);
}

static const char *
advice(int error)
{
	switch (error) {
	case ENOSPC:
		return ("make room on the spool's file system");
	case EDQUOT:
		return ("spool_quota, or a quota of the file system, is used "
		    "up: see what waits in the queue, or raise it");
	case EMFILE:
	case ENFILE:
		return ("raise the limit of open descriptors");
	case ETIMEDOUT:
		return ("the process that makes the files does not answer: see "
		    "what the log says of it");
	case EIO:
		return ("see what the kernel has logged of the disk");
	default:
		return ("none of this batch was acknowledged");
	}
}

static void
tell_log(const int notes[SPOOL_NNOTES])
{
	static const char *const events[SPOOL_NNOTES] = {
		[SPOOL_NOTE_MAKE] = "spool-segment-failed",
		[SPOOL_NOTE_WRITE] = "spool-commit-failed",
		[SPOOL_NOTE_WIPE] = "spool-wipe-failed",
		[SPOOL_NOTE_BODY] = "spool-body-failed",
	};
	int i;

	for (i = 0; i < SPOOL_NNOTES; i++) {
		/* ECANCELED: the writer is being closed, nothing is wrong */
		if (notes[i] == 0 || notes[i] == ECANCELED)
			continue;
		errno = notes[i];
		log_warn(events[i], "advice=%s", advice(notes[i]));
	}
}

static void
count(const struct spool_counts *c)
{
	stats_add(STATS_COMMITS, c->commits);
	stats_add(STATS_COMMIT_RECORDS, c->records);
	stats_add(STATS_COMMIT_FAILURES, c->failures);
	stats_add(STATS_SEGMENTS_CREATED, c->created);
	stats_add(STATS_SEGMENTS_RECYCLED, c->recycled);
}

static struct spool_position
position_of(const struct spool_held *h)
{
	return ((struct spool_position){
		.segment = h->segment.header.segment,
		.generation = h->segment.header.generation,
		.end = h->end, .is_sealed = h->is_sealed });
}

/* Report the position of one segment that has changed, or free one that is
 * closed.  Return whether there was one. */
static bool
tell_position(struct spool_writer *w)
{
	struct spool_held *h;
	struct spool_position p;
	bool is_dirty = false;

	(void)pthread_mutex_lock(&w->lock);
	TAILQ_FOREACH(h, &w->helds, link)
		if (h->is_dirty || h->segment.fd == -1)
			break;
	if (h != NULL) {
		is_dirty = h->is_dirty;
		h->is_dirty = false;
		p = position_of(h);
		if (!is_dirty)
			TAILQ_REMOVE(&w->helds, h, link);
	}
	(void)pthread_mutex_unlock(&w->lock);
	if (h == NULL)
		return (false);
	if (!is_dirty)
		free(h);
	else if (w->callbacks.committed != NULL)
		w->callbacks.committed(w->closure, &p);
	return (true);
}

static void
finish_msg(struct spool_writer *w, struct spool_msg *msg, bool is_told)
{
	struct spool_block *b;
	uint64_t handle = msg->handle, ticket = msg->ticket;
	bool is_aborted = msg->is_aborted;
	int error = msg->error;

	STAILQ_FOREACH(b, &msg->blocks, link)
		w->away_octets -= spool_block_octets(b);
	spool_msg_free(msg);
	if (is_aborted)
		return;
	w->nbusy--;
	if (is_told)
		w->callbacks.done(w->closure, handle, ticket, error);
}

static void
take_results(struct spool_writer *w, bool is_told)
{
	struct spool_msgs done = STAILQ_HEAD_INITIALIZER(done);
	struct spool_blocks returned = STAILQ_HEAD_INITIALIZER(returned);
	struct spool_counts counts;
	struct spool_block *b;
	struct spool_msg *msg;
	int notes[SPOOL_NNOTES];

	(void)pthread_mutex_lock(&w->lock);
	STAILQ_CONCAT(&done, &w->done);
	STAILQ_CONCAT(&returned, &w->returned);
	counts = w->counts;
	memset(&w->counts, 0, sizeof(w->counts));
	memcpy(notes, w->notes, sizeof(notes));
	memset(w->notes, 0, sizeof(w->notes));
	w->is_posted = false;
	(void)pthread_mutex_unlock(&w->lock);
	while ((b = STAILQ_FIRST(&returned)) != NULL) {
		STAILQ_REMOVE_HEAD(&returned, link);
		w->away_octets -= spool_block_octets(b);
		spool_block_free(w, b);
	}
	while ((msg = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, link);
		finish_msg(w, msg, is_told);
	}
	count(&counts);
	tell_log(notes);
}

static void
tell_opened(struct spool_writer *w)
{
	bool is_told;
	int error;

	(void)pthread_mutex_lock(&w->lock);
	is_told = w->is_open_told;
	error = w->open_error;
	w->is_open_told = true;
	(void)pthread_mutex_unlock(&w->lock);
	if (!is_told && w->callbacks.opened != NULL)
		w->callbacks.opened(w->closure, error);
}

void
spool_writer_dispatch(struct spool_writer *w)
{
	uint64_t n;

	if (read(w->event_fd, &n, sizeof(n)) == -1 && errno != EAGAIN &&
	    errno != EINTR)
		log_warn("spool-eventfd-failed", "fd=%d", w->event_fd);
	take_results(w, true);
	while (tell_position(w))
		;
	tell_opened(w);
}

void
spool_writer_pass(struct spool_writer *w)
{
	if (w->nstaged > 0) {
		(void)pthread_mutex_lock(&w->lock);
		STAILQ_CONCAT(&w->queue, &w->staged);
		spool_wake_commit_locked(w);
		(void)pthread_mutex_unlock(&w->lock);
		w->nstaged = 0;
	}
	spool_waiters_wake(w);
}

int
spool_writer_position(struct spool_writer *w, unsigned int i,
    struct spool_position *position_r)
{
	struct spool_held *h;

	(void)pthread_mutex_lock(&w->lock);
	TAILQ_FOREACH(h, &w->helds, link)
		if (i-- == 0)
			break;
	if (h != NULL)
		*position_r = position_of(h);
	(void)pthread_mutex_unlock(&w->lock);
	return (h != NULL);
}

int
spool_writer_drain(struct spool_writer *w, int timeout_ms)
{
	struct pollfd pfd = { .fd = w->event_fd, .events = POLLIN };
	uint64_t end = monotonic_ms() + (unsigned int)timeout_ms, now;

	for (;;) {
		spool_writer_pass(w);
		spool_writer_dispatch(w);
		if (w->nbusy == 0)
			return (0);
		if ((now = monotonic_ms()) >= end) {
			errno = ETIMEDOUT;
			return (-1);
		}
		if (poll(&pfd, 1, (int)(end - now)) == -1 && errno != EINTR)
			return (-1);
	}
}

void
spool_writer_close(struct spool_writer *w)
{
	struct spool_msg *msg;

	if (w == NULL)
		return;
	while ((msg = TAILQ_FIRST(&w->open)) != NULL)
		spool_writer_ops.abort(msg);
	spool_writer_pass(w);
	if (w->files->cancel != NULL)
		w->files->cancel(w->files_closure);
	stop_thread(w, &w->is_maker_stopping, &w->maker_cond, w->maker);
	stop_thread(w, &w->is_commit_stopping, &w->commit_cond, w->committer);
	spool_wipe_all(w);
	take_results(w, false);
	writer_free(w);
}
