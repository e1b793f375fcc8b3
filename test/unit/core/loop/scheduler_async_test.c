#include <criterion/criterion.h>
#include <pthread.h>

#include "test/unit/core/loop/vloop.h"

Test(scheduler_async, posts_are_gathered_into_one_call_and_need_no_waiting)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(-1, E_ASYNC, &n, E_ASYNC);
	schedule_event_and_dispatch(e, E_ASYNC);
	schedule_event_and_dispatch(e, E_READ);
	schedule_event_and_dispatch(e, E_ASYNC);
	cr_assert_eq(n.ncalls, 0);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(v.last_timeout_ms, 0);
	cr_assert_eq(n.type, E_ASYNC | E_READ);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	scheduler_destroy(s);
}

Test(scheduler_async, a_post_schedules_an_event_that_is_not)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	memset(&n, 0, sizeof n);
	n.rearm_us = -1;
	e = build_fd_event(5, 0, 0, noting, &n);
	cr_assert_eq(schedule_event_and_dispatch(e, E_WRITE), 0);
	cr_assert_eq(scheduler_event_count(s), 1);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_WRITE);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

Test(scheduler_async, unscheduling_drops_what_was_posted)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ, &n, E_READ);
	schedule_event_and_dispatch(e, E_ASYNC);
	event_unschedule(e);
	cr_assert_eq(schedule_event(e), 0);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	schedule_event_and_dispatch(e, E_ASYNC);
	cr_assert_eq(clear_event_by_fd(5), e);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	event_free(e);
	scheduler_destroy(s);
}

static void
post_other(Event *, struct note *n)
{
	schedule_event_and_dispatch(n->other, E_ASYNC);
}

Test(scheduler_async, two_events_that_post_to_each_other_do_not_starve_the_rest)
{
	struct scheduler *s = v_create();
	struct note a, b, c;
	Event *ea, *eb;
	int i;

	ea = schedule_note(-1, E_ASYNC, &a, E_ASYNC);
	eb = schedule_note(-1, E_ASYNC, &b, E_ASYNC);
	schedule_note(5, E_READ, &c, E_READ);
	a.act = b.act = post_other;
	a.other = eb;
	b.other = ea;
	v.revents[5] = POLLIN;
	schedule_event_and_dispatch(ea, E_ASYNC);
	for (i = 1; i <= 10; i++) {
		cr_assert_eq(scheduler_pass(s, -1), 2);
		cr_assert_eq(a.ncalls + b.ncalls, i);
		cr_assert_eq(c.ncalls, i);
	}
	scheduler_destroy(s);
}

#define NTHREADS	4
#define NPOSTS		20000

static struct {
	Event	*event;
	int	nposted;
	int	nseen;
} storm;

static void *
storm_thread(void *)
{
	int i;

	cr_assert_not(is_scheduler_thread());
	for (i = 0; i < NPOSTS; i++) {
		__atomic_add_fetch(&storm.nposted, 1, __ATOMIC_SEQ_CST);
		cr_assert_eq(schedule_event_and_dispatch(storm.event,
		    E_ASYNC), 0);
	}
	return NULL;
}

static int
storm_callback(Event *, int eventtype, void *, struct timeval *)
{
	cr_assert_eq(eventtype, E_ASYNC);
	storm.nseen = __atomic_load_n(&storm.nposted, __ATOMIC_SEQ_CST);
	return E_ASYNC;
}

Test(scheduler_async, no_post_of_another_thread_is_lost, .timeout = 60)
{
	struct scheduler *s = scheduler_create(NULL);
	pthread_t threads[NTHREADS];
	int i;

	storm.event = build_fd_event(-1, E_ASYNC, 0, storm_callback, NULL);
	cr_assert_eq(schedule_event(storm.event), 0);
	for (i = 0; i < NTHREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, storm_thread,
		    NULL), 0);
	/* sleeps whenever it has caught up: a lost one would be for ever */
	while (storm.nseen < NTHREADS * NPOSTS)
		cr_assert_geq(scheduler_pass(s, -1), 0);
	for (i = 0; i < NTHREADS; i++)
		pthread_join(threads[i], NULL);
	scheduler_destroy(s);
}

static void *
ping_thread(void *)
{
	ping_scheduler();
	return NULL;
}

Test(scheduler_async, a_ping_ends_the_wait, .timeout = 60)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note n;
	pthread_t t;

	schedule_note(-1, E_ASYNC, &n, 0);
	cr_assert_eq(pthread_create(&t, NULL, ping_thread, NULL), 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	pthread_join(t, NULL);
	scheduler_destroy(s);
}

/* --- an opset that holds octets poll(2) does not know of ----------------- */

static int held;

static int
held_pending(Event *)
{
	return held > 0 ? E_READ : 0;
}

static void
take_one(Event *, struct note *n)
{
	if (n->type & E_READ)
		held--;
}

Test(scheduler_async, octets_held_in_the_opset_are_dispatched_when_wanted)
{
	static const event_io_opset opset = { .event_pending = held_pending };
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ, &n, E_READ);
	e->io_opset = &opset;
	n.act = take_one;
	held = 5;
	v.revents[5] = POLLIN;
	/* with the completions of the same pass already */
	cr_assert_eq(scheduler_pass(s, -1), 2);
	cr_assert_eq(held, 3);
	v.revents[5] = 0;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(v.last_timeout_ms, 0);
	cr_assert_eq(n.type, E_READ);
	cr_assert_eq(held, 2);
	/* a wait for a completion alone gets no input */
	n.next_mask = E_ASYNC;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_eq(held, 1);
	n.next_mask = E_READ;
	schedule_event_and_dispatch(e, E_ASYNC);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_ASYNC);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(held, 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(v.last_timeout_ms, -1);
	scheduler_destroy(s);
}

Test(scheduler_async, octets_read_meanwhile_cause_no_call)
{
	static const event_io_opset opset = { .event_pending = held_pending };
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	held = 1;
	e = schedule_note(5, E_READ, &n, E_READ);
	event_unschedule(e);
	e->io_opset = &opset;
	cr_assert_eq(schedule_event(e), 0);
	held = 0;
	cr_assert_eq(scheduler_pass(s, -1), 0);
	scheduler_destroy(s);
}
