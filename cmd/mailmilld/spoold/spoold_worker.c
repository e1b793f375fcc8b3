/* The requests of the workers for files.
 * Owns: a channel to each worker, the lock of its number, the checks of its
 * requests.
 * A worker may name only files with its own number.  A request is answered at
 * the end of the pass in which it came.  A worker has one request at a time: a
 * new one replaces one that has not been answered. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_reserve.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define BUSY_RETRY_MS	50
#define LOOK_AT		2	/* bodies looked at for each new one: the worker may have closed some */
#define CLAIM_US	60000000ULL	/* how far ids may be ahead of the clock */

/* --- answers -------------------------------------------------------------- */

/* Count and log a request that no honest worker makes. */
static void
refused(struct spoold_worker *w, unsigned int type, uint64_t value)
{
	uint64_t n = log_bound_count(&w->refusals, monotonic_ms());

	stats_inc(STATS_SPOOL_REFUSED);
	if (n > 0)
		log_warnx("spoold-refused", "slot=%u instance=%u request=%s "
		    "value=%llx times=%llu", w->who.slot, w->who.instance,
		    msg_rows[type].name, (unsigned long long)value,
		    (unsigned long long)n);
}

static void
answer_done(struct spoold_worker *w, int errnum)
{
	w->answer = S_DONE;
	w->done.errnum = errnum;
}

static void
answer_file(struct spoold_worker *w, int fd)
{
	w->answer = S_FILE;
	w->fd = fd;
}

/* The answer is not going to be sent: remove its file, which no worker has. */
static void
take_back(struct spoold_worker *w)
{
	struct spool_segment segment = { .fd = w->fd,
		.header.segment = w->file.id };
	char name[SPOOL_NAME];

	if (w->answer != S_FILE)
		return;
	w->fd = -1;
	if (w->made == 0 && w->file.generation != 0) {
		spool_segment_untake(w->sp->dirfd, &segment);
		return;
	}
	if (w->made == 0)
		spool_segment_name("new", w->file.id, name);
	else
		spool_body_name(w->made, name);
	fileio_unlink(w->sp->dirfd, name);
	(void)close(segment.fd);
}

/* The worker sends another request before the answer to the last one: it has
 * given that one up, and would ignore the answer.  Return whether to serve the
 * new request; false: no honest worker replaces so many. */
static bool
replace(struct spoold_worker *w, unsigned int type, const struct msg_ask *ask)
{
	const struct msg_answer busy = { .ask = ask->ask, .errnum = EBUSY };

	if (++w->nreplaced > SPOOLD_REPLACED_MAX) {
		refused(w, type, ask->value);
		if (!chanev_is_behind(w->ce))
			(void)chanev_send(w->ce, S_DONE, &busy, NULL, 0, -1);
		return false;
	}
	take_back(w);
	w->answer = 0;
	return true;
}

/* Lock the number of ${w}.  Return 0, or -1 with errno: EADDRINUSE, another
 * process still has it locked. */
static int
number_open(struct spoold_worker *w)
{
	unsigned int number = spool_number(w->who.instance);

	errno = EINVAL;
	if (number == SPOOL_NUMBER_QUEUE ||
	    spool_folder_open(&w->folder, number) == -1) {
		errno = errno == EAGAIN ? EADDRINUSE : errno;
		return -1;
	}
	w->is_open = true;
	w->base_us = w->folder.ids.last_us;
	w->base_ms = monotonic_ms();
	/* the free segments of a worker that had the number before */
	spool_free_remove_of(w->sp->dirfd, number);
	if (spoold_share_scan(w) == -1)
		log_warn("spoold-number", "slot=%u instance=%u", w->who.slot,
		    w->who.instance);
	return 0;
}

/* Copy the request in ${msg} to ${ask} and prepare its answer.  Return whether
 * the caller is to serve it; false: it is refused, or already has its
 * answer. */
static bool
take(struct spoold_worker *w, const struct channel_msg *msg,
    struct msg_ask *ask)
{
	memcpy(ask, msg->base, sizeof(*ask));
	if (w->answer != 0 && !replace(w, msg->type, ask))
		return false;
	w->done = (struct msg_answer){ .ask = ask->ask };
	w->file = (struct msg_file){ .ask = ask->ask };
	w->wants_flush = false;
	if (w->is_open || number_open(w) == 0)
		return true;
	answer_done(w, errno);
	return false;
}

static bool
owns(struct spoold_worker *w, unsigned int type, uint64_t id)
{
	if (w->is_open && spool_number(id) == w->folder.ids.number)
		return true;
	refused(w, type, id);
	return false;
}

static void
send_answer(struct spoold_worker *w, int error)
{
	unsigned int answer = w->answer;
	const void *base = &w->file;

	if (w->wants_flush && error != 0 && answer == S_FILE) {
		(void)close(w->fd);
		w->fd = -1;
		answer = S_DONE;
	}
	if (w->wants_flush && error != 0)
		w->done.errnum = error;
	if (answer == S_DONE)
		base = &w->done;
	w->answer = 0;
	w->nreplaced = 0;
	if (chanev_send(w->ce, answer, base, NULL, 0, w->fd) == -1 &&
	    w->fd != -1)
		(void)close(w->fd);
	w->fd = -1;
}

/* --- requests ------------------------------------------------------------- */

/* Can segment_size have this value?  The worker's value may differ from the one
 * of this process: it may run with the settings from before or after a
 * reload. */
static bool
is_size(uint64_t octets)
{
	return octets >= SPOOLD_SEGMENT_MIN &&
	    octets <= SPOOL_SEGMENT_OPEN_MAX && octets % SPOOL_PAGE == 0;
}

/* Take a free segment, which is on the disk already, or else make a new one, if
 * the worker's share of the disk allows it. */
static int
take_or_make(struct spoold_worker *w, uint64_t octets,
    struct spool_segment *segment_r)
{
	int rc = spool_folder_take(&w->folder, octets, segment_r);

	if (rc == -1 && errno == ENOENT &&
	    (rc = spoold_share_check(w, octets)) == 0)
		rc = spool_folder_make(&w->folder, octets, segment_r);
	/* without memory the file is not counted until the next scan */
	if (rc == 0)
		(void)spoold_share_add(&w->share, segment_r->header.segment,
		    false, octets);
	return rc;
}

static void
on_segment(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct spool_segment segment = { .fd = -1 };
	struct spoold_given *g = &w->segments;
	struct msg_ask ask;

	if (!take(w, msg, &ask))
		return;
	if (!is_size(ask.value)) {
		refused(w, S_SEGMENT, ask.value);
		answer_done(w, EINVAL);
		return;
	}
	spoold_given_look(g, w->sp->dirfd, g->n, spoold_segment_is_closed);
	if (spoold_given_room(g, SPOOLD_SEGMENTS_MAX) == -1) {
		if (errno == EMFILE)
			refused(w, S_SEGMENT, g->n);
		answer_done(w, errno);
		return;
	}
	if (take_or_make(w, ask.value, &segment) == -1) {
		answer_done(w, errno);
		return;
	}
	g->ids[g->n++] = segment.header.segment;
	w->file.id = segment.header.segment;
	w->file.generation = segment.header.generation;
	w->file.nonce = segment.header.nonce;
	w->file.octets = segment.header.size_octets;
	w->made = 0;
	/* a free one has been renamed; a new one will be when it is written */
	w->wants_flush = w->file.generation != 0;
	answer_file(w, segment.fd);
}

/* Is new.${id} complete, and locked by its writer?  Return 0, or -1 with
 * errno. */
static int
check_new(int dirfd, uint64_t id)
{
	struct spool_header header;
	char name[SPOOL_NAME];
	struct stat st;
	int fd, rv = -1;

	spool_segment_name("new", id, name);
	if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return -1;
	if (fstat(fd, &st) == -1 || spool_segment_header(fd, &header) == -1)
		goto out;
	errno = EBADMSG;
	if (header.segment == id && header.generation == 1 &&
	    header.size_octets == (uint64_t)st.st_size &&
	    is_size(header.size_octets) && flock(fd, LOCK_SH | LOCK_NB) == -1)
		rv = 0;
out:
	fileio_close(fd);
	return rv;
}

static void
on_made(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	char name[SPOOL_NAME];
	struct msg_ask ask;
	struct stat st;
	int rc;

	if (!take(w, msg, &ask))
		return;
	if (!owns(w, S_MADE, ask.value)) {
		answer_done(w, EPERM);
		return;
	}
	rc = check_new(w->sp->dirfd, ask.value);
	if (rc == 0)
		rc = spool_segment_made(w->sp->dirfd, ask.value);
	else if (errno == EBADMSG)
		refused(w, S_MADE, ask.value);
	else if (errno == ENOENT) {
		/* has a spoold that died renamed it, and not answered? */
		spool_segment_name("seg", ask.value, name);
		rc = fstatat(w->sp->dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
	}
	w->wants_flush = rc == 0;
	answer_done(w, rc == 0 ? 0 : errno);
}

/* Make the file of a body.  If it exists, a spoold that died has made it for
 * the same request and has not answered: then it is empty and not locked, and
 * is used.  Any other file there is EEXIST. */
static int
make_body(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];
	struct stat st;
	int fd;

	spool_body_name(id, name);
	if ((fd = spool_create_locked(dirfd, name)) != -1 || errno != EEXIST)
		return fd;
	if ((fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1)
		return fd;
	(void)close(fd);
	errno = EEXIST;
	return -1;
}

static void
on_body(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct spoold_given *g = &w->bodies;
	struct msg_ask ask;
	int fd;

	if (!take(w, msg, &ask))
		return;
	if (!owns(w, S_BODY, ask.value)) {
		answer_done(w, EPERM);
		return;
	}
	spoold_given_look(g, w->sp->dirfd, LOOK_AT, spoold_body_is_closed);
	if (spool_reserve_is_given_up(w->sp->dirfd)) {
		answer_done(w, ENOSPC);
		return;
	}
	if (spoold_share_check(w, 0) == -1 ||
	    spoold_given_room(g, SPOOLD_BODIES_MAX) == -1 ||
	    spoold_share_add(&w->share, ask.value, true, 0) == -1 ||
	    (fd = make_body(w->sp->dirfd, ask.value)) == -1) {
		answer_done(w, errno);
		return;
	}
	g->ids[g->n++] = ask.value;
	w->made = ask.value;
	answer_file(w, fd);
}

static void
on_flush(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_ask ask;

	if (!take(w, msg, &ask))
		return;
	w->wants_flush = true;
	answer_done(w, 0);
}

static void
on_room(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_ask ask;
	int errnum = 0;

	if (!take(w, msg, &ask))
		return;
	w->done.left = UINT64_MAX;
	w->done.is_short = spool_reserve_is_given_up(w->sp->dirfd);
	if (ask.value > SPOOL_SEGMENT_OPEN_MAX) {
		refused(w, S_ROOM, ask.value);
		errnum = EINVAL;
	} else if (spool_folder_room(&w->folder, ask.value, &w->done.left) ==
	    -1) {
		errnum = errno;
	}
	answer_done(w, errnum);
}

/* Is ${name} the file ${st}? */
static bool
is_named(int dirfd, const char *name, const struct stat *st)
{
	struct stat named;

	return fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st->st_dev == named.st_dev && st->st_ino == named.st_ino;
}

/* The worker has the file open, so it has it from this process, and is its
 * writer.  A segment that is named already stays: the answer to S_MADE came too
 * late for the worker, and the queue removes the segment, in which nothing is. */
static void
on_drop(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	char name[SPOOL_NAME], made[SPOOL_NAME];
	int dirfd = w->sp->dirfd;
	struct msg_drop drop;
	struct stat st;

	memcpy(&drop, msg->base, sizeof(drop));
	if (msg->fd == -1 || !owns(w, S_DROP, drop.id))
		return;		/* the queue process removes it later */
	if (drop.is_segment)
		spool_segment_name("new", drop.id, name);
	else
		spool_body_name(drop.id, name);
	spool_segment_name("seg", drop.id, made);
	if (fstat(msg->fd, &st) == 0 && is_named(dirfd, name, &st))
		(void)unlinkat(dirfd, name, 0);
	else if (!drop.is_segment || !is_named(dirfd, made, &st))
		refused(w, S_DROP, drop.id);
}

/* A worker's ids may be ahead of the clock, when the clock was set back or when
 * it makes very many; but they cannot advance faster than time does. */
static void
on_mark(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_mark mark;
	uint64_t most;

	memcpy(&mark, msg->base, sizeof(mark));
	if (!w->is_open)
		return;
	most = MAX(spool_id_now_us(), w->base_us +
	    (monotonic_ms() - w->base_ms) * 1000) + CLAIM_US;
	if (mark.us > most)
		refused(w, S_MARK, mark.us);
	spool_id_reach(&w->folder.ids, MIN(mark.us, most));
	if (spool_id_is_due(&w->folder.ids))
		(void)spool_id_extend(&w->folder.ids);
}

/* --- life ----------------------------------------------------------------- */

static void
worker_free(struct spoold_worker *w)
{
	TAILQ_REMOVE(&w->sp->workers, w, link);
	after_cancel(&w->timer);
	chanev_free(w->ce);
	spool_folder_close(&w->folder);
	fileio_close(w->fd);
	free(w->segments.ids);
	free(w->bodies.ids);
	spoold_share_free(&w->share);
	free(w);
}

static void
worker_gone(void *closure)
{
	struct spoold_worker *w = closure;
	struct spoold *sp = w->sp;

	worker_free(w);
	if (TAILQ_EMPTY(&sp->workers))
		sp->done(sp->closure);
}

static const struct chanev_ops worker_ops = {
	.on = {
		[S_MARK] = on_mark,
		[S_SEGMENT] = on_segment,
		[S_MADE] = on_made,
		[S_BODY] = on_body,
		[S_FLUSH] = on_flush,
		[S_ROOM] = on_room,
		[S_DROP] = on_drop
	},
	.gone = worker_gone
};

static void
send_number(struct spoold_worker *w, int errnum)
{
	const struct msg_number number = {
		.number = spool_number(w->who.instance), .errnum = errnum,
		.lowest_us = w->base_us };

	if (errnum != 0)
		log_warnx("spoold-number", "slot=%u instance=%u error=%s",
		    w->who.slot, w->who.instance, strerror(errnum));
	(void)chanev_send(w->ce, S_NUMBER, &number, NULL, 0, -1);
	chanev_resume(w->ce);
}

/* Another process may still have the number locked.  The spoold that this one
 * replaces unlocks it when the worker has closed its channel to that one; the
 * spoold of a master that has died, when its worker with this number ends.  So
 * try again for SPOOLD_BUSY_MS.  Then the worker is told that it cannot have
 * its number yet, and each of its requests is another attempt. */
static void
worker_start(void *closure)
{
	struct spoold_worker *w = closure;
	int errnum;

	w->timer = NULL;
	errnum = number_open(w) == 0 ? 0 : errno;
	if (errnum == EADDRINUSE &&
	    monotonic_ms() - w->asked_ms < SPOOLD_BUSY_MS &&
	    (w->timer = after_ms(BUSY_RETRY_MS, worker_start, w)) != NULL)
		return;
	send_number(w, errnum);
}

int
spoold_worker_open(struct spoold *sp, const struct msg_peer *who, int fd)
{
	const struct settings *s = sp->settings;
	struct spoold_worker *w, *next;

	TAILQ_FOREACH_SAFE (w, &sp->workers, link, next)
		if (w->who.instance == who->instance)
			worker_free(w);
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		fileio_close(fd);
		return -1;
	}
	w->sp = sp;
	w->who = *who;
	w->fd = -1;
	w->asked_ms = monotonic_ms();
	w->folder = (struct spool_folder){ .dirfd = sp->dirfd,
		.quota_octets = (uint64_t)s->spool_quota,
		.is_synced = s->spool_sync == SPOOL_SYNC_COMMIT,
		.ids = { .fd = -1 } };
	w->ce = chanev_open(fd, ROLE_SPOOLD, ROLE_WORKER, &worker_ops, w);
	chanev_name(w->ce, who->slot, who->instance);
	if (w->ce == NULL) {
		free(w);
		return -1;
	}
	TAILQ_INSERT_TAIL(&sp->workers, w, link);
	chanev_hold(w->ce);
	worker_start(w);
	return 0;
}

/* While a worker does not read its answers, its requests are not read either.
 * So such a worker can make this process keep only the unread answers and one
 * more. */
static void
see_whether_it_reads(struct spoold_worker *w)
{
	bool is_stuck = chanev_is_behind(w->ce);
	uint64_t n;

	if (is_stuck == w->is_stuck)
		return;
	w->is_stuck = is_stuck;
	if (!is_stuck) {
		chanev_resume(w->ce);
		return;
	}
	chanev_hold(w->ce);
	if ((n = log_bound_count(&w->stucks, monotonic_ms())) > 0)
		log_warnx("spoold-stuck", "slot=%u instance=%u times=%llu "
		    "reason=%s effect=%s", w->who.slot, w->who.instance,
		    (unsigned long long)n, "it asks and does not read the "
		    "answers", "it gets no files until it does");
}

void
spoold_pass(struct spoold *sp)
{
	struct spoold_worker *w;
	bool is_any = false;
	int error = 0;

	TAILQ_FOREACH (w, &sp->workers, link)
		is_any = is_any || (w->answer != 0 && w->wants_flush &&
		    w->folder.is_synced && !chanev_is_behind(w->ce));
	if (is_any && fsync(sp->dirfd) == -1)
		error = errno;
	TAILQ_FOREACH (w, &sp->workers, link) {
		if (w->answer != 0 && !chanev_is_behind(w->ce))
			send_answer(w, error);
		see_whether_it_reads(w);
	}
}

void
spoold_workers_close(struct spoold *sp)
{
	struct spoold_worker *w;

	while ((w = TAILQ_FIRST(&sp->workers)) != NULL)
		worker_free(w);
}
