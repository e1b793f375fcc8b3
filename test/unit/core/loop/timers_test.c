#include <criterion/criterion.h>
#include <string.h>

#include "core/loop/timers.h"

#define N 200

static void
check_heap(const struct timers *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		cr_assert_eq(t->heap[i].event->timer_slot, i + 1);
		if (i > 0)
			cr_assert_leq(t->heap[(i - 1) / 2].key_us,
			    t->heap[i].key_us);
	}
}

static unsigned int
next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

Test(timers, keeps_order_through_any_mixture_of_changes)
{
	static Event events[N];
	static int64_t keys[N];
	struct timers t = { 0 };
	unsigned int seed = 1, i, round;
	int64_t key, lowest;
	Event *first;

	cr_assert_eq(timers_reserve(&t, N), 0);
	for (round = 0; round < 20000; round++) {
		i = next_random(&seed) % N;
		if (next_random(&seed) % 3 == 0) {
			timers_remove(&t, &events[i]);
			keys[i] = 0;
		} else {
			keys[i] = 1 + next_random(&seed) % 100;
			timers_set(&t, &events[i], keys[i]);
			cr_assert_eq(timers_key(&t, &events[i]), keys[i]);
		}
		check_heap(&t);
		lowest = INT64_MAX;
		for (i = 0; i < N; i++)
			if (keys[i] != 0 && keys[i] < lowest)
				lowest = keys[i];
		first = timers_first(&t, &key);
		if (first == NULL)
			cr_assert_eq(lowest, INT64_MAX);
		else
			cr_assert_eq(key, lowest);
	}
	timers_free(&t);
}

Test(timers, shift_moves_every_key)
{
	struct timers t = { 0 };
	Event a, b;
	int64_t key;

	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	cr_assert_eq(timers_reserve(&t, 2), 0);
	timers_set(&t, &a, 20);
	timers_set(&t, &b, 10);
	timers_shift(&t, -100);
	cr_assert_eq(timers_first(&t, &key), &b);
	cr_assert_eq(key, -90);
	cr_assert_eq(timers_key(&t, &a), -80);
	timers_free(&t);
}

Test(timers, an_empty_heap_has_no_first)
{
	struct timers t = { 0 };
	Event e;
	int64_t key;

	memset(&e, 0, sizeof e);
	cr_assert_null(timers_first(&t, &key));
	timers_remove(&t, &e);
	timers_free(&t);
}
