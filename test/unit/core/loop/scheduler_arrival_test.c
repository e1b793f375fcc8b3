/* Events that another thread, or a callback, wants to be scheduled. */

#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "test/unit/core/loop/vloop.h"

/* In another thread: what a job does at its end. */
static void *
resume(void *copy)
{
	cr_assert_not(is_scheduler_thread());
	cr_assert_eq(schedule_event_and_dispatch(copy, E_READ | E_WRITE), 0);
	return NULL;
}

static struct {
	Event		*copy;
	pthread_t	 job;
	int		 type;
	int		 nread;
} session;

static int
suspending(Event *event, int eventtype, void *closure, struct timeval *)
{
	char buf[10];

	if (session.copy == NULL) {
		session.copy = malloc(sizeof(*event));
		memcpy(session.copy, event, sizeof(*event));
		event_post_dup(session.copy, event);
		cr_assert_eq(clear_event_by_fd(event->fd), event);
		cr_assert_eq(pthread_create(&session.job, NULL, resume,
		    session.copy), 0);
		return 0;
	}
	cr_assert_eq(event, session.copy);
	session.type = eventtype;
	session.nread = event_read(event, buf, sizeof(buf), NULL);
	scheduler_stop(closure);
	event_close(event);
	return 0;
}

/* With real threads and a loop that sleeps; ThreadSanitizer looks at this. */
Test(scheduler_arrival, another_thread_resumes_a_suspended_session)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note n = { .rearm_us = -1 };
	Event *keeper;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv),
	    0);
	/* so that the loop does not end while nothing is scheduled */
	keeper = build_event_from_now_f(60, -1, noting, &n);
	cr_assert_eq(schedule_event(keeper), 0);
	cr_assert_eq(schedule_event(build_fd_event(sv[0], E_READ, 0,
	    suspending, s)), 0);
	cr_assert_eq(write(sv[1], "line", 4), 4);
	cr_assert_eq(scheduler_run(s), 0);
	cr_assert_eq(pthread_join(session.job, NULL), 0);
	/* the callback gets the mask that was given */
	cr_expect_eq(session.type, E_READ | E_WRITE);
	cr_expect_eq(session.nread, 4);
	cr_expect_eq(n.ncalls, 0);
	cr_expect_eq(scheduler_event_count(s), 1);
	close(sv[1]);
	scheduler_destroy(s);
}

Test(scheduler_arrival, is_queued_and_then_scheduled_and_called)
{
	struct scheduler *s = v_create();
	struct note n = { .rearm_us = -1, .next_mask = E_READ };
	Event *e = build_fd_event(5, E_READ, 0, noting, &n);

	cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
	cr_assert_eq(sp_async_schedule_event(e, E_WRITE), 0);
	cr_assert_null(get_event_by_fd(5));
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(v.last_timeout_ms, 0);
	cr_assert_eq(n.type, E_ASYNC | E_WRITE);
	cr_assert_eq(get_event_by_fd(5), e);
	/* a scheduled one is called only */
	cr_assert_eq(sp_async_schedule_event(e, E_ASYNC), 0);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(v.last_timeout_ms, -1);
	scheduler_destroy(s);
}

Test(scheduler_arrival, with_no_mask_it_is_scheduled_only)
{
	struct scheduler *s = v_create();
	struct note n = { .rearm_us = -1 };
	Event *e = build_fd_event(5, E_READ, 0, noting, &n);

	cr_assert_eq(sp_async_schedule_event(e, 0), 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(get_event_by_fd(5), e);
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_READ);
	scheduler_destroy(s);
}

/* A resume can come before the callback that suspends has returned. */
Test(scheduler_arrival, waits_until_its_descriptor_is_free)
{
	struct scheduler *s = v_create();
	struct note a, b = { .rearm_us = -1, .next_mask = E_READ };
	Event *first, *second = build_fd_event(5, E_READ, 0, noting, &b);

	first = schedule_note(5, E_READ, &a, E_READ);
	cr_assert_eq(sp_async_schedule_event(second, E_ASYNC), 0);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(get_event_by_fd(5), first);
	/* not in a loop that never sleeps, and not for ever */
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_gt(v.last_timeout_ms, 0);
	cr_assert_leq(v.last_timeout_ms, 100);
	cr_assert_eq(sp_async_schedule_event(second, E_WRITE), 0);
	event_free(first);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(b.type, E_ASYNC | E_WRITE);
	cr_assert_eq(get_event_by_fd(5), second);
	cr_assert_eq(scheduler_pass(s, -1), 0);
	cr_assert_eq(v.last_timeout_ms, -1);
	scheduler_destroy(s);
}

/* The sender has given them away; AddressSanitizer looks for leaks. */
Test(scheduler_arrival, is_freed_with_the_scheduler)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_note(5, E_READ, &n, E_READ);
	sp_async_schedule_event(build_fd_event(5, E_READ, 0, noting, &n), 0);
	scheduler_pass(s, -1);
	sp_async_schedule_event(build_fd_event(6, E_READ, 0, noting, &n), 0);
	scheduler_destroy(s);
}

Test(scheduler_arrival, keeps_the_loop_running)
{
	struct scheduler *s = v_create();
	struct note n = { .rearm_us = -1 };

	sp_async_schedule_event(build_fd_event(5, E_READ, 0, noting, &n),
	    E_READ);
	cr_assert_eq(scheduler_run(s), 0);
	cr_assert_eq(n.ncalls, 1);
	scheduler_destroy(s);
}

Test(scheduler_arrival, refuses_what_no_scheduler_can_take)
{
	struct note n;
	Event *e = build_fd_event(5, E_READ, 0, noting, &n);
	struct scheduler *s;

	cr_assert_eq(sp_async_schedule_event(e, E_READ), -1);
	cr_assert_eq(errno, EINVAL);
	s = v_create();
	e->fd = -2;
	cr_assert_eq(sp_async_schedule_event(e, E_READ), -1);
	cr_assert_eq(errno, EINVAL);
	e->fd = INT_MAX;
	cr_assert_eq(sp_async_schedule_event(e, E_READ), -1);
	cr_assert_eq(errno, EBADF);
	event_free(e);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	scheduler_destroy(s);
}

/* --- more than one scheduler ------------------------------------------- */

static struct {
	pthread_barrier_t	 at;
	Event			*own;
	struct note		 note;
} other;

static void *
other_thread(void *)
{
	struct scheduler *s = scheduler_create(&v_backend);
	Event *e;

	cr_assert_not_null(s);
	e = schedule_note(7, E_READ, &other.note, E_READ);
	event_unschedule(e);
	other.own = e;
	pthread_barrier_wait(&other.at);
	/* the main thread sends it back */
	pthread_barrier_wait(&other.at);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(get_event_by_fd(7), e);
	event_unschedule(e);
	scheduler_destroy(s);
	pthread_barrier_wait(&other.at);
	return NULL;
}

Test(scheduler_arrival, goes_to_the_scheduler_that_it_was_on)
{
	struct scheduler *s = v_create();
	pthread_t thread;

	cr_assert_eq(pthread_barrier_init(&other.at, NULL, 2), 0);
	cr_assert_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_barrier_wait(&other.at);
	cr_assert_eq(schedule_event_and_dispatch(other.own, E_ASYNC), 0);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_null(get_event_by_fd(7));
	pthread_barrier_wait(&other.at);
	pthread_barrier_wait(&other.at);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	/* that one is gone */
	cr_assert_eq(schedule_event_and_dispatch(other.own, E_ASYNC), 0);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(get_event_by_fd(7), other.own);
	cr_assert_eq(other.note.ncalls, 2);
	scheduler_destroy(s);
}
