/* The workers' channels.
 * Owns: their list, the time for which a worker waits for its number, the pass
 * in which all are answered. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define BUSY_RETRY_MS	50

static void
worker_free(struct spoold_worker *w)
{
	TAILQ_REMOVE(&w->sp->workers, w, link);
	after_cancel(&w->timer);
	chanev_free(w->ce);
	spool_folder_close(&w->folder);
	fileio_close(w->fd);
	spoold_given_free(w->sp, &w->segments);
	spoold_given_free(w->sp, &w->bodies);
	spoold_share_free(&w->share);
	free(w);
}

static void
worker_gone(void *closure)
{
	struct spoold_worker *w = closure;
	struct spoold *sp = w->sp;

	spoold_watch_left(w);
	worker_free(w);
	if (!TAILQ_EMPTY(&sp->workers) || !TAILQ_EMPTY(&sp->lefts))
		return;
	spoold_watch_stop(sp);
	sp->done(sp->closure);
}

static const struct chanev_ops worker_ops = {
	.on = {
		[S_MARK] = spoold_on_mark,
		[S_SEGMENT] = spoold_on_segment,
		[S_MADE] = spoold_on_made,
		[S_BODY] = spoold_on_body,
		[S_FLUSH] = spoold_on_flush,
		[S_ROOM] = spoold_on_room,
		[S_DROP] = spoold_on_drop
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
	errnum = spoold_number_open(w) == 0 ? 0 : errno;
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
		if (w->who.instance == who->instance) {
			spoold_watch_left(w);
			worker_free(w);
		}
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
	spoold_watch(sp);
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
			spoold_send_answer(w, error);
		see_whether_it_reads(w);
	}
}

void
spoold_workers_close(struct spoold *sp)
{
	struct spoold_worker *w;

	spoold_watch_stop(sp);
	while ((w = TAILQ_FIRST(&sp->workers)) != NULL)
		worker_free(w);
}
