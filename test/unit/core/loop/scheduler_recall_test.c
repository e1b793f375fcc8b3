/* Events that were sent to a scheduler and are taken back before it has them:
 * AddressSanitizer sees what is freed and still queued. */

#include <errno.h>
#include <pthread.h>

#include "test/unit/core/loop/vloop.h"

static Event *
event_on(int fd, struct note *n)
{
	Event *e;

	memset(n, 0, sizeof *n);
	n->rearm_us = -1;
	e = build_fd_event(fd, fd == -1 ? E_TIMEOUT : E_READ, 0, noting, n);
	cr_assert_not_null(e);
	return e;
}

/* Nothing of it is left: no call, no wait for it. */
static void
is_gone(struct scheduler *s, const struct note *n)
{
	cr_expect_eq(scheduler_pass(s, -1), 0);
	cr_expect_eq(v.last_timeout_ms, -1);
	cr_expect_eq(scheduler_event_count(s), 0);
	cr_expect_eq(n->ncalls, 0);
	/* it would wait for ever */
	cr_expect_eq(scheduler_run(s), 0);
}

/* The ways to take it back; ${is_freed}: the event is freed with that. */
static bool
by_freeing(Event *e)
{
	event_free(e);
	return true;
}

static bool
by_clearing(Event *e)
{
	bool is_found = clear_timed_event(e);

	cr_expect(is_found);
	return is_found;
}

static bool
by_unscheduling(Event *e)
{
	event_unschedule(e);
	return false;
}

static bool
by_closing(Event *e)
{
	event_close(e);
	cr_expect_eq(e->fd, -1);
	return false;
}

static int
close_nothing(Event *)
{
	return 0;
}

static const event_io_opset virtual_opset = { .event_close = close_nothing };

static const struct {
	const char	*name;
	bool		(*f)(Event *e);
	int		 fd;
} ways[] = {
	{ "event_free", by_freeing, -1 },
	{ "event_free", by_freeing, 5 },
	{ "clear_timed_event", by_clearing, -1 },
	{ "event_unschedule", by_unscheduling, -1 },
	{ "event_unschedule", by_unscheduling, 5 },
	{ "event_close", by_closing, 5 },
};

#define NWAYS	(sizeof ways / sizeof ways[0])

Test(scheduler_recall, before_it_is_scheduled, .timeout = 20)
{
	struct scheduler *s = v_create();
	struct note n;
	size_t i;
	int mask;
	Event *e;

	for (i = 0; i < NWAYS; i++)
		for (mask = 0; mask <= E_ASYNC; mask += E_ASYNC) {
			e = event_on(ways[i].fd, &n);
			e->io_opset = &virtual_opset;
			cr_assert_eq(sp_async_schedule_event(e, mask), 0);
			if (!ways[i].f(e)) {
				cr_expect_null(e->loop, "%s", ways[i].name);
				cr_expect_eq(clear_timed_event(e), 0);
				event_free(e);
			}
			is_gone(s, &n);
		}
	scheduler_destroy(s);
}

/* Its descriptor has another event. */
Test(scheduler_recall, while_it_cannot_be_scheduled, .timeout = 20)
{
	struct scheduler *s = v_create();
	struct note n, holder_note;
	Event *e, *holder;
	size_t i;

	for (i = 0; i < NWAYS; i++) {
		if (ways[i].fd == -1)
			continue;
		holder = schedule_note(ways[i].fd, E_READ, &holder_note,
		    E_READ);
		e = event_on(ways[i].fd, &n);
		e->io_opset = &virtual_opset;
		cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
		cr_assert_eq(scheduler_pass(s, -1), 0);
		cr_assert_eq(scheduler_pass(s, -1), 0);
		cr_assert_gt(v.last_timeout_ms, 0);
		if (!ways[i].f(e))
			event_free(e);
		event_free(holder);
		is_gone(s, &n);
	}
	scheduler_destroy(s);
}

/* Others in the same queue stay there, in their order. */
Test(scheduler_recall, leaves_the_others)
{
	struct scheduler *s = v_create();
	struct note n[5];
	Event *e[5];
	size_t i;

	for (i = 0; i < 5; i++) {
		e[i] = event_on(10 + (int)i, &n[i]);
		cr_assert_eq(sp_async_schedule_event(e[i], E_ASYNC), 0);
	}
	event_free(e[0]);
	event_free(e[2]);
	event_free(e[4]);
	cr_expect_eq(scheduler_pass(s, 0), 2);
	cr_expect_eq(n[1].ncalls, 1);
	cr_expect_eq(n[3].ncalls, 1);
	scheduler_destroy(s);
}

/* One that was taken back can be sent, or scheduled, again. */
Test(scheduler_recall, it_can_be_sent_again)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e = event_on(5, &n);

	cr_assert_eq(sp_async_schedule_event(e, E_WRITE), 0);
	event_unschedule(e);
	cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
	event_unschedule(e);
	cr_assert_eq(sp_async_schedule_event(e, E_READ), 0);
	n.next_mask = E_READ;
	cr_expect_eq(scheduler_pass(s, -1), 1);
	cr_expect_eq(n.type, E_READ, "what was dropped is not delivered");
	cr_expect_eq(get_event_by_fd(5), e);
	scheduler_destroy(s);
}

/* What is scheduled directly does not arrive, too, and its call is not lost. */
Test(scheduler_recall, one_that_is_scheduled_meanwhile_arrives_once)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e = event_on(5, &n);

	n.next_mask = E_READ;
	cr_assert_eq(sp_async_schedule_event(e, E_WRITE), 0);
	cr_assert_eq(schedule_event(e), 0);
	cr_assert_eq(schedule_event(e), -1);
	cr_assert_eq(errno, EBUSY);
	cr_expect_eq(scheduler_pass(s, -1), 1);
	cr_expect_eq(n.type, E_WRITE);
	cr_expect_eq(scheduler_pass(s, -1), 0);
	event_unschedule(e);
	cr_assert_eq(sp_async_schedule_event(e, E_WRITE), 0);
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	cr_expect_eq(scheduler_pass(s, -1), 1);
	cr_expect_eq(n.type, E_WRITE | E_ASYNC);
	event_free(e);
	n.ncalls = 0;
	is_gone(s, &n);
	scheduler_destroy(s);
}

static void
send_self(Event *e, struct note *)
{
	cr_assert_eq(clear_event_by_fd(e->fd), e);
	cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
}

/* A callback that has cleared its event, and sent it, returns 0: the dispatcher
 * frees it. */
Test(scheduler_recall, by_the_dispatcher)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_note(5, E_READ, &n, 0);
	n.act = send_self;
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	n.ncalls = 0;
	is_gone(s, &n);
	schedule_note(5, E_READ, &n, E_READ);
	n.act = send_self;
	cr_assert_eq(scheduler_pass(s, -1), 2);
	cr_expect_eq(n.type, E_ASYNC);
	scheduler_destroy(s);
}

/* What can never be called is refused, or freed if its maker has changed it
 * after it was sent: the loop would never end. */
Test(scheduler_recall, what_waits_for_nothing_is_not_kept, .timeout = 20)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e = event_on(-1, &n);

	e->mask = E_READ;
	cr_expect_eq(sp_async_schedule_event(e, 0), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(schedule_event_and_dispatch(e, 0), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(sp_async_schedule_event(NULL, E_ASYNC), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(schedule_event_and_dispatch(NULL, E_ASYNC), -1);
	cr_expect_eq(errno, EINVAL);
	event_unschedule(NULL);
	e->mask = E_TIMEOUT;
	cr_assert_eq(sp_async_schedule_event(e, 0), 0);
	e->mask = 0;
	cr_expect_eq(scheduler_pass(s, -1), 0);
	is_gone(s, &n);
	/* one that is called says itself what it waits for */
	e = event_on(-1, &n);
	e->mask = 0;
	cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
	cr_expect_eq(scheduler_pass(s, -1), 1);
	n.ncalls = 0;
	is_gone(s, &n);
	scheduler_destroy(s);
}

/* --- more threads ----------------------------------------------------------- */

static struct {
	pthread_barrier_t	 at;
	Event			*e;
	struct note		 note;
	int			 nothers;	/* calls in the other thread */
	bool			 sends_nothing;
	bool			 is_same;	/* pthread_t as the one before */
} two;

static void *
with_own_scheduler(void *)
{
	struct scheduler *s = scheduler_create(&v_backend);

	cr_assert_not_null(s);
	pthread_barrier_wait(&two.at);
	if (two.sends_nothing)
		pthread_barrier_wait(&two.at);
	else
		cr_expect_eq(sp_async_schedule_event(two.e, E_WRITE), 0);
	two.nothers = scheduler_pass(s, 0);
	scheduler_destroy(s);
	return NULL;
}

static void *
makes_an_event(void *fd)
{
	struct scheduler *s = scheduler_create(&v_backend);

	cr_assert_not_null(s);
	two.e = schedule_note(*(int *)fd, E_READ, &two.note, E_READ);
	event_unschedule(two.e);
	scheduler_destroy(s);
	return NULL;
}

/* pthread_t is used again for a later thread. */
Test(scheduler_recall, a_later_thread_is_not_the_one_that_had_it)
{
	struct scheduler *s = v_create();
	pthread_t thread;
	int fd = 5;

	cr_assert_eq(pthread_create(&thread, NULL, makes_an_event, &fd), 0);
	pthread_join(thread, NULL);
	pthread_barrier_init(&two.at, NULL, 2);
	two.sends_nothing = true;
	cr_assert_eq(pthread_create(&thread, NULL, with_own_scheduler, NULL),
	    0);
	pthread_barrier_wait(&two.at);
	if (pthread_equal(thread, two.e->scheduled_thread))
		two.is_same = true;
	/* that scheduler is gone, so this thread's takes it */
	cr_assert_eq(sp_async_schedule_event(two.e, E_ASYNC), 0);
	pthread_barrier_wait(&two.at);
	pthread_join(thread, NULL);
	cr_expect(two.is_same, "this tests nothing here");
	cr_expect_eq(two.nothers, 0);
	cr_expect_eq(scheduler_pass(s, 0), 1);
	cr_expect_eq(two.note.ncalls, 1);
	scheduler_destroy(s);
}

/* Both have a scheduler: it is in one queue only, with both masks. */
Test(scheduler_recall, sent_by_two_threads_it_arrives_once)
{
	struct scheduler *s = v_create();
	pthread_t thread;
	struct note n;

	two.e = event_on(5, &n);
	n.next_mask = E_READ;
	pthread_barrier_init(&two.at, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, with_own_scheduler, NULL),
	    0);
	cr_assert_eq(sp_async_schedule_event(two.e, E_ASYNC), 0);
	pthread_barrier_wait(&two.at);
	pthread_join(thread, NULL);
	cr_expect_eq(two.nothers, 0);
	cr_expect_eq(scheduler_pass(s, 0), 1);
	cr_expect_eq(n.type, E_ASYNC | E_WRITE);
	cr_expect_eq(get_event_by_fd(5), two.e);
	scheduler_destroy(s);
}
