/* The answer to a worker's request.
 * Owns: the lock of the worker's number, what a request replaces, the flush
 * that an answer waits for.
 * A request is answered at the end of the pass in which it came.  A worker has
 * one request at a time: a new one replaces one that has not been answered. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

void
spoold_refused(struct spoold_worker *w, unsigned int type, uint64_t value)
{
	uint64_t n = log_bound_count(&w->refusals, monotonic_ms());

	stats_inc(STATS_SPOOL_REFUSED);
	if (n > 0)
		log_warnx("spoold-refused", "slot=%u instance=%u request=%s "
		    "value=%llx times=%llu", w->who.slot, w->who.instance,
		    msg_rows[type].name, (unsigned long long)value,
		    (unsigned long long)n);
}

void
spoold_answer_done(struct spoold_worker *w, int errnum)
{
	w->answer = S_DONE;
	w->done.errnum = errnum;
}

void
spoold_answer_file(struct spoold_worker *w, int fd)
{
	w->answer = S_FILE;
	w->fd = fd;
}

void
spoold_take_back(struct spoold_worker *w)
{
	struct spool_segment segment = { .fd = w->fd,
		.header.segment = w->file.id };
	char name[SPOOL_NAME];

	if (w->answer != S_FILE)
		return;
	w->fd = -1;
	w->answer = 0;
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
		spoold_refused(w, type, ask->value);
		if (!chanev_is_behind(w->ce))
			(void)chanev_send(w->ce, S_DONE, &busy, NULL, 0, -1);
		return false;
	}
	spoold_take_back(w);
	w->answer = 0;
	return true;
}

int
spoold_number_open(struct spoold_worker *w)
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
	spoold_share_given(w);
	return 0;
}

bool
spoold_take(struct spoold_worker *w, const struct channel_msg *msg,
    struct msg_ask *ask_r)
{
	memcpy(ask_r, msg->base, sizeof(*ask_r));
	if (w->answer != 0 && !replace(w, msg->type, ask_r))
		return false;
	w->done = (struct msg_answer){ .ask = ask_r->ask };
	w->file = (struct msg_file){ .ask = ask_r->ask };
	w->wants_flush = false;
	if (w->is_open || spoold_number_open(w) == 0)
		return true;
	spoold_answer_done(w, errno);
	return false;
}

bool
spoold_owns(struct spoold_worker *w, unsigned int type, uint64_t id)
{
	if (w->is_open && spool_number(id) == w->folder.ids.number)
		return true;
	spoold_refused(w, type, id);
	return false;
}

void
spoold_send_answer(struct spoold_worker *w, int error)
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
