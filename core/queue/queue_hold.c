/* New messages that are put on hold, given up or led elsewhere.  What the queue has in
 * memory comes here if it is led elsewhere alone; there may be many more messages than
 * it has room for.
 * Owns: their way to the deferred store, where what is on hold waits, and from where
 * what is given up is reported and what is led elsewhere goes.
 * As with what has failed, a recipient is done only when the copy of its message and
 * its row are on disk. */

#include "core/queue/queue_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"

/* A recipient.  Those of one message follow each other. */
struct queue_hold {
	struct queue_place place;
	bool		 is_whole;	/* all that are open of the message */
	bool		 is_out;	/* not to be stored */
	struct deferred_row row;	/* its texts are in ${texts} */
	char		*texts;		/* owned */
};

/* Append ${s} at *p.  Return where it is. */
static const char *
put_text(char **p, const char *s)
{
	size_t len = strlen(s) + 1;
	const char *at = memcpy(*p, s, len);

	*p += len;
	return at;
}

static bool
is_same(const struct queue_hold *x, const struct queue_hold *y)
{
	return x->place.file == y->place.file &&
	    x->place.offset == y->place.offset;
}

/* Not all recipients of the message at ${place} could be added: those that were are
 * acknowledged one by one, or the others were lost. */
static int
add_failed(struct queue_answer *a, const struct queue_place *place)
{
	const struct queue_hold this = { .place = *place };
	size_t i = a->nholds;

	while (i-- > 0 && is_same(&a->holds[i], &this))
		a->holds[i].is_whole = false;
	return -1;
}

int
queue_hold_add(struct queue_answer *a, const struct queue_record *record,
    const char *rcpt, uint32_t i, bool is_whole)
{
	const struct spool_envelope_view *env = record->envelope;
	const char *holder = env->holder != NULL ? env->holder : "";
	struct queue_hold *h;
	char *p;

	h = array_fit(a->holds, &a->holds_room, a->nholds + 1, sizeof(*h));
	if (h == NULL)
		return add_failed(a, &record->place);
	a->holds = h;
	h += a->nholds;
	if ((p = malloc(strlen(env->sender) + strlen(rcpt) + strlen(holder) +
	    3)) == NULL)
		return add_failed(a, &record->place);
	*h = (struct queue_hold){ .place = record->place,
		.is_whole = is_whole, .texts = p };
	h->row = (struct deferred_row){
		.rcpt_index = i,
		.sender = put_text(&p, env->sender),
		.rcpt = put_text(&p, rcpt),
		.holder = put_text(&p, holder),
		.transport = "",
		.received_us = record->received_us,
		.octets = record->octets,
		/* due when it is released */
		.next_attempt = env->hold_until,
		.hold_until = env->hold_until,
		.deliver_by = env->deliver_by,
		.priority = env->priority,
		.flags = env->flags,
		.since = (int64_t)(record->received_us / 1000000),
		.notify = DEFERRED_NOTIFY_UNKNOWN,
	};
	if (a->action == ACTION_HOLD)
		h->row.is_on_hold = true;
	else if (a->action == ACTION_BOUNCE)
		queue_bounce_row(a, &h->row);
	else
		queue_reroute_row(a, &h->row);
	if (a->nholds == 0 || !is_same(h, h - 1))
		a->hold_octets += record->octets;
	a->nholds++;
	return 0;
}

/* Copy the message of ${h}, and learn which id it has there.  Return 0, or -1:
 * the store cannot be written. */
static int
keep(struct queue_answer *a, struct queue_hold *h, const struct queue_hold *last)
{
	if (last != NULL && is_same(h, last)) {
		h->place.kept_id = last->place.kept_id;
		h->is_out = last->is_out && last->place.kept_id == 0;
	} else if (a->q->store_ops->keep(a->q->store, &h->place) == -1) {
		/* the next attempt to deliver it reports the damage */
		if (errno != EBADMSG && errno != ENOENT)
			return -1;
		h->place.kept_id = 0;
		h->is_out = true;
	}
	h->row.id = h->place.kept_id;
	return 0;
}

/* Return how many changes there are in ${v}, or -1 with errno. */
static int
fill(struct queue_answer *a, struct queue_change *v)
{
	struct queue_hold *h;
	int n = 0, has;

	for (h = a->holds; h < a->holds + a->nholds; h++) {
		if (keep(a, h, h > a->holds ? h - 1 : NULL) == -1)
			return -1;
		/* one that was deferred before a crash: its row has its turn
		 * when those are looked at */
		has = h->is_out ? 0 : a->q->store_ops->has(a->q->store,
		    h->row.id, h->row.rcpt_index);
		if (has == -1)
			return -1;
		h->is_out = h->is_out || has == 1;
		if (!h->is_out)
			v[n++] = (struct queue_change){ .kind = CHANGE_PUT,
				.row = h->row, .place = &h->place };
	}
	return n;
}

/* The rows are on disk. */
static void
acknowledge(struct queue_answer *a)
{
	const struct queue_store_ops *ops = a->q->store_ops;
	const struct queue_hold *h;
	struct queue_message *m;

	for (h = a->holds; h < a->holds + a->nholds; h++) {
		if (h->place.kept_id == 0)
			continue;
		if ((m = queue_message_at(a->q, &h->place)) != NULL) {
			queue_rcpt_done(a->q, m, &m->rcpts[h->row.rcpt_index]);
			queue_message_check(a->q, m);
		} else if (!h->is_whole) {
			ops->acknowledge(a->q->store, &h->place,
			    h->row.rcpt_index);
		} else if (h == a->holds || !is_same(h, h - 1)) {
			ops->acknowledge(a->q->store, &h->place,
			    QUEUE_RCPT_ALL);
		}
	}
}

int
queue_hold_store(struct queue_answer *a)
{
	struct queue_change *v;
	int n, rc = 0;

	if (a->nholds == 0)
		return 0;
	v = reallocarray(NULL, a->nholds, sizeof(v[0]));
	n = v == NULL ? -1 : fill(a, v);
	if (n > 0)
		rc = a->q->store_ops->change(a->q->store, v, (size_t)n);
	if (n != -1 && rc == 0)
		acknowledge(a);
	free(v);
	queue_hold_free(a);
	return rc == -1 ? -1 : n;
}

void
queue_hold_free(struct queue_answer *a)
{
	while (a->nholds > 0)
		free(a->holds[--a->nholds].texts);
	a->hold_octets = 0;
}
