/* Deadlines of events: a binary heap; see timers.h. */

#include "core/loop/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "core/util/array.h"

int
timers_reserve(struct timers *t, size_t n)
{
	struct timer_entry *heap = array_fit(t->heap, &t->size, n,
	    sizeof(*heap));

	if (heap == NULL)
		return -1;
	t->heap = heap;
	return 0;
}

static void
place(struct timers *t, size_t i, struct timer_entry entry)
{
	t->heap[i] = entry;
	entry.event->timer_slot = (unsigned int)i + 1;
}

static void
sift_up(struct timers *t, size_t i, struct timer_entry entry)
{
	while (i > 0 && t->heap[(i - 1) / 2].key_us > entry.key_us) {
		place(t, i, t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(t, i, entry);
}

static void
sift_down(struct timers *t, size_t i, struct timer_entry entry)
{
	size_t child;

	while ((child = 2 * i + 1) < t->n) {
		if (child + 1 < t->n &&
		    t->heap[child + 1].key_us < t->heap[child].key_us)
			child++;
		if (t->heap[child].key_us >= entry.key_us)
			break;
		place(t, i, t->heap[child]);
		i = child;
	}
	place(t, i, entry);
}

static void
sift(struct timers *t, size_t i, struct timer_entry entry)
{
	if (i > 0 && t->heap[(i - 1) / 2].key_us > entry.key_us)
		sift_up(t, i, entry);
	else
		sift_down(t, i, entry);
}

void
timers_set(struct timers *t, Event *e, int64_t key_us)
{
	struct timer_entry entry = { .key_us = key_us, .event = e };

	if (e->timer_slot != 0) {
		sift(t, e->timer_slot - 1, entry);
		return;
	}
	assert(t->n < t->size);
	sift_up(t, t->n++, entry);
}

int64_t
timers_key(const struct timers *t, const Event *e)
{
	return t->heap[e->timer_slot - 1].key_us;
}

void
timers_remove(struct timers *t, Event *e)
{
	size_t i;

	if (e->timer_slot == 0)
		return;
	i = e->timer_slot - 1;
	e->timer_slot = 0;
	if (i != --t->n)
		sift(t, i, t->heap[t->n]);
}

Event *
timers_first(const struct timers *t, int64_t *key_us_r)
{
	if (t->n == 0)
		return NULL;
	*key_us_r = t->heap[0].key_us;
	return t->heap[0].event;
}

void
timers_shift(struct timers *t, int64_t delta_us)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		t->heap[i].key_us += delta_us;
}

void
timers_free(struct timers *t)
{
	free(t->heap);
	t->heap = NULL;
	t->n = t->size = 0;
}
