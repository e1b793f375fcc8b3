/* Telling the queue process how far the segments are committed, and what clients
 * ask for.
 * Owns: the channel to the queue, the news that is held back for it.
 * A later position makes an earlier one of the same segment superfluous, so
 * under load the queue is told every TELL_MS only; after a pause, at once. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <errno.h>
#include <string.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define TELL_MS	10

static void
tell(struct worker *w, const struct spool_position *position)
{
	struct tell *t = &w->tell;
	struct msg_committed mc = {
		.segment = position->segment,
		.generation = position->generation,
		.end = position->end,
		.is_sealed = position->is_sealed
	};

	t->told_ms = monotonic_ms();
	/* EPIPE: there is no queue now; tell_connect() tells the next one */
	if (chanev_send(t->queue, Q_COMMITTED, &mc, NULL, 0, -1) == -1 &&
	    errno != EPIPE)
		t->is_lost = true;
}

/* The position of each segment that this worker has locked: it is all that the
 * queue knows about a segment that is still written to. */
static void
tell_all(struct worker *w)
{
	struct spool_position position;
	unsigned int i;

	w->tell.is_lost = false;
	for (i = 0; !w->tell.is_lost &&
	    spool_writer_position(w->spool, i, &position) == 1; i++)
		tell(w, &position);
}

static void
tell_held(struct worker *w)
{
	struct tell *t = &w->tell;

	after_cancel(&t->timer);
	if (t->held.segment != 0)
		tell(w, &t->held);
	t->held.segment = 0;
}

static void
on_timer(void *closure)
{
	struct worker *w = closure;

	w->tell.timer = NULL;
	tell_held(w);
}

void
tell_committed(struct worker *w, const struct spool_position *position)
{
	struct tell *t = &w->tell;

	if (t->held.segment != 0 && t->held.segment != position->segment)
		tell_held(w);
	t->held = *position;
	if (!position->is_sealed && monotonic_ms() - t->told_ms < TELL_MS) {
		if (t->timer == NULL)
			t->timer = after_ms(TELL_MS, on_timer, w);
		if (t->timer != NULL)
			return;
	}
	tell_held(w);
}

void
tell_end_of_pass(struct worker *w)
{
	if (w->tell.is_lost)
		tell_all(w);
}

static void
on_room(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;

	memcpy(&w->tell.room, msg->base, sizeof(w->tell.room));
}

/* The client is told at once whether the queue takes it, so the queue must have
 * room for all that it has not read yet, too. */
int
tell_start(struct worker *w, const char *domain, bool has_subdomains)
{
	struct msg_start ms = { .has_subdomains = has_subdomains };
	struct tell *t = &w->tell;

	if (t->nstarts - t->room.nheard >= t->room.room) {
		errno = ENOSPC;
		return -1;
	}
	if (chanev_send(t->queue, Q_START, &ms, domain,
	    (unsigned int)strlen(domain), -1) == -1)
		return -1;
	t->nstarts++;
	return 0;
}

/* --- the channel ---------------------------------------------------------- */

static void
queue_gone(void *closure)
{
	struct worker *w = closure;

	w->tell.queue = NULL;
}

static const struct chanev_ops queue_ops = {
	.on = { [Q_HELD] = host_held_on_told, [Q_ROOM] = on_room },
	.gone = queue_gone
};

void
tell_connect(struct worker *w, int fd)
{
	chanev_free(w->tell.queue);
	w->tell.nstarts = 0;
	w->tell.room = (struct msg_room){ 0, 0 };
	w->tell.queue = chanev_open(fd, ROLE_WORKER, ROLE_QUEUE, &queue_ops, w);
	if (w->tell.queue == NULL) {
		log_warn("queue-connect", "slot=%u", w->child->init.slot);
		return;
	}
	tell_all(w);
}

void
tell_close(struct worker *w)
{
	tell_held(w);
	chanev_free(w->tell.queue);
	w->tell.queue = NULL;
}
