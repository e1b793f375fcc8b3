#include <criterion/criterion.h>
#include <string.h>

#include "test/unit/core/loop/vloop.h"

Test(scheduler_timer, a_timer_fires_at_its_trigger_and_not_a_microsecond_before)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_timer(1500001, &n, 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(v.last_timeout_ms, 1501);
	v_turn(1500000);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	v_turn(1);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_TIMEOUT);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

static char order[16];

static void
append_name(Event *, struct note *n)
{
	size_t len = strlen(order);

	order[len] = (char)n->other_note->ncalls;
}

Test(scheduler_timer, timers_fire_in_the_order_of_their_triggers)
{
	static const int64_t offsets[] = { 30, 10, 50, 20, 40 };
	struct scheduler *s = v_create();
	struct note n[5], name[5];
	size_t i;

	for (i = 0; i < 5; i++) {
		schedule_timer(offsets[i], &n[i], 0);
		name[i].ncalls = (int)('a' + i);
		n[i].other_note = &name[i];
		n[i].act = append_name;
	}
	v_turn(1000);
	cr_assert_eq(scheduler_pass(s, 0), 5);
	cr_assert_str_eq(order, "bdaec");
	scheduler_destroy(s);
}

Test(scheduler_timer, a_deadline_moved_later_by_each_command_fires_once_at_the_end)
{
	struct scheduler *s = v_create();
	struct note n;
	int i;

	schedule_note(5, E_READ, &n, E_READ | E_TIMEOUT);
	n.rearm_us = 300000;
	v.revents[5] = POLLIN;
	for (i = 0; i < 10; i++) {
		cr_assert_eq(scheduler_pass(s, 0), 1);
		cr_assert_eq(n.type, E_READ);
		v_turn(200000);
	}
	v.revents[5] = 0;
	v.turns = true;
	n.next_mask = 0;
	while (scheduler_event_count(s) > 0)
		scheduler_pass(s, -1);
	cr_assert_eq(n.ncalls, 11);
	cr_assert_eq(n.type, E_TIMEOUT);
	/* the last command came 200 ms before the clock stood still */
	cr_assert_eq(loopclock_us(&n.now) - 1700000000000000,
	    9 * 200000 + 300000);
	scheduler_destroy(s);
}

Test(scheduler_timer, a_deadline_moved_earlier_fires_earlier)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ | E_TIMEOUT, &n, E_READ | E_TIMEOUT);
	event_unschedule(e);
	e->trigger.tv_sec = v.now.tv_sec + 100;
	cr_assert_eq(schedule_event(e), 0);
	n.rearm_us = 1000;
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	v.revents[5] = 0;
	v_turn(1000);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(n.type, E_TIMEOUT);
	scheduler_destroy(s);
}

Test(scheduler_timer, a_deadline_no_longer_waited_for_does_not_fire)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_timer(1000, &n, E_ASYNC);
	schedule_event_and_dispatch(e, E_ASYNC);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	v_turn(1000000);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(v.last_timeout_ms, -1);
	scheduler_destroy(s);
}

Test(scheduler_timer, a_timer_set_for_now_by_itself_waits_for_the_next_pass)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_timer(0, &n, E_TIMEOUT);
	n.rearm_us = 0;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(v.last_timeout_ms, 0);
	scheduler_destroy(s);
}

Test(scheduler_timer, activity_that_moves_the_deadline_beats_it_in_the_same_pass)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_note(5, E_READ, &n, E_READ | E_TIMEOUT);
	n.rearm_us = 1000;
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	v_turn(1000);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(n.type, E_READ);
	scheduler_destroy(s);
}

static void
free_other(Event *, struct note *n)
{
	event_free(n->other);
	n->other_note->act = NULL;
	n->act = NULL;
}

Test(scheduler_timer, a_timer_cleared_by_another_one_of_the_same_moment_is_silent)
{
	struct scheduler *s = v_create();
	struct note a, b;
	Event *ea, *eb;

	ea = schedule_timer(10, &a, 0);
	eb = schedule_timer(10, &b, 0);
	a.other = eb;
	a.other_note = &b;
	b.other = ea;
	b.other_note = &a;
	a.act = b.act = free_other;
	v_turn(10);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(a.ncalls + b.ncalls, 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

static int nfreed;

static void
count_freed(Event *e)
{
	e->loop = NULL;
	nfreed++;
}

/* The documented idiom; AddressSanitizer would see a second free. */
Test(scheduler_timer, clear_timed_event_frees_what_it_finds)
{
	static struct event_loop counting = { .freeing = count_freed };
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_timer(10, &n, 0);
	cr_assert_eq(clear_timed_event(e), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	v_turn(20);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	e = build_event_from_now_f(30, -1, noting, &n);
	cr_assert_eq(clear_timed_event(e), 0);
	event_free(e);
	cr_assert_eq(clear_timed_event(NULL), 0);
	/* a loop is told of what is freed, and only of that */
	e = build_event_from_now_f(30, -1, noting, &n);
	e->loop = &counting;
	cr_assert_eq(clear_timed_event(e), 1);
	cr_assert_eq(nfreed, 1);
	scheduler_destroy(s);
}

static void
clear_self(Event *e, struct note *)
{
	cr_assert_eq(clear_timed_event(e), 1);
}

Test(scheduler_timer, a_timer_may_clear_itself_and_what_it_returns_is_ignored)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_timer(10, &n, E_TIMEOUT);
	n.act = clear_self;
	v_turn(10);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	scheduler_destroy(s);
}

Test(scheduler_timer, a_stepped_clock_moves_the_triggers_along)
{
	static const int64_t steps[] = { 7200000000LL, -7200000000LL };
	struct scheduler *s;
	struct note n;
	size_t i;

	for (i = 0; i < 2; i++) {
		s = v_create();
		schedule_timer(1000, &n, 0);
		v_turn(steps[i]);
		scheduler_shift(s, steps[i]);
		cr_assert_eq(scheduler_pass(s, 0), 0);
		v_turn(999);
		cr_assert_eq(scheduler_pass(s, 0), 0);
		v_turn(1);
		cr_assert_eq(scheduler_pass(s, 0), 1);
		scheduler_destroy(s);
	}
}

/* Also of an event that this thread has sent, and of one that is stuck. */
Test(scheduler_timer, a_stepped_clock_moves_what_this_thread_has_sent)
{
	static const int64_t steps[] = { 7200000000LL, -7200000000LL };
	struct scheduler *s;
	struct note sent, stuck, holder;
	Event *e, *held;
	size_t i;

	for (i = 0; i < 2; i++) {
		s = v_create();
		memset(&stuck, 0, sizeof stuck);
		memset(&sent, 0, sizeof sent);
		stuck.rearm_us = sent.rearm_us = -1;
		held = schedule_note(5, E_READ, &holder, 0);
		e = build_event_from_now(loopclock_tv(1000), 5, noting,
		    &stuck);
		cr_assert_eq(sp_async_schedule_event(e, 0), 0);
		cr_assert_eq(scheduler_pass(s, 0), 0);
		e = build_event_from_now(loopclock_tv(1000), -1, noting,
		    &sent);
		cr_assert_eq(sp_async_schedule_event(e, 0), 0);
		v_turn(steps[i]);
		scheduler_shift(s, steps[i]);
		event_free(held);
		cr_assert_eq(scheduler_pass(s, 0), 0);
		v_turn(999);
		cr_assert_eq(scheduler_pass(s, 0), 0);
		v_turn(1);
		cr_assert_eq(scheduler_pass(s, 0), 2);
		cr_assert_eq(sent.ncalls + stuck.ncalls, 2);
		scheduler_destroy(s);
	}
}

Test(scheduler_timer, absurd_triggers_neither_fire_nor_overflow)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_timer(0, &n, 0);
	event_unschedule(e);
	e->trigger.tv_sec = INT64_MAX;
	cr_assert_eq(schedule_event(e), 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_gt(v.last_timeout_ms, 1000000);
	scheduler_destroy(s);
}

Test(scheduler_timer, real_timers_do_not_fire_early)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note n[20];
	Event *e;
	struct timeval trigger[20];
	size_t i;

	for (i = 0; i < 20; i++) {
		e = schedule_timer((int64_t)i * 777, &n[i], 0);
		trigger[i] = e->trigger;
	}
	cr_assert_eq(scheduler_run(s), 0);
	for (i = 0; i < 20; i++) {
		cr_assert_eq(n[i].ncalls, 1);
		cr_assert(!timercmp(&n[i].now, &trigger[i], <));
	}
	scheduler_destroy(s);
}
