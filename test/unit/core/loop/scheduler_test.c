#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "test/lib/misuse.h"
#include "test/unit/core/loop/vloop.h"

Test(scheduler, a_mask_goes_on_and_0_frees_the_event)
{
	struct scheduler *s = v_create();
	struct note n;

	schedule_note(5, E_READ, &n, E_READ);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(n.type, E_READ);
	n.next_mask = 0;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	cr_assert_null(get_event_by_fd(5));
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_not(v.is_polled[5]);
	scheduler_destroy(s);
}

Test(scheduler, one_event_per_descriptor)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *first, *second;

	first = schedule_note(5, E_READ, &n, E_READ);
	second = build_fd_event(5, E_WRITE, 0, noting, &n);
	cr_assert_eq(schedule_event(second), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(schedule_event(first), -1);
	cr_assert_eq(errno, EBUSY);
	cr_assert_eq(scheduler_event_count(s), 1);
	cr_assert_eq(get_event_by_fd(5), first);
	cr_assert_eq(clear_event_by_fd(5), first);
	cr_assert_null(clear_event_by_fd(5));
	cr_assert_eq(schedule_event(second), 0);
	event_free(first);
	scheduler_destroy(s);
}

Test(scheduler, refuses_an_event_that_could_never_be_called)
{
	static const struct {
		int fd, mask;
	} cases[] = {
		{ 5, 0 }, { -1, 0 }, { -1, E_READ }, { -2, E_READ },
		{ -1, E_READ | E_WRITE | E_EXCEPTION }, { 5, 0x4000 },
	};
	struct scheduler *s = v_create();
	struct note n;
	Event *e;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		e = build_fd_event(cases[i].fd, cases[i].mask, 0, noting, &n);
		cr_assert_eq(schedule_event(e), -1);
		cr_assert_eq(errno, EINVAL);
		event_free(e);
	}
	scheduler_destroy(s);
}

Test(scheduler, a_thread_has_one_and_needs_one)
{
	struct scheduler *s;
	struct note n;
	Event *e;

	e = build_fd_event(5, E_READ, 0, noting, &n);
	cr_assert_not(is_scheduler_thread());
	cr_assert_eq(schedule_event(e), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_null(get_event_by_fd(5));
	event_free(e);
	s = v_create();
	cr_assert(is_scheduler_thread());
	cr_assert_null(scheduler_create(NULL));
	cr_assert_eq(errno, EEXIST);
	scheduler_destroy(s);
	cr_assert_not(is_scheduler_thread());
	scheduler_destroy(NULL);
}

Test(scheduler, destroying_frees_what_is_scheduled_and_closes_nothing)
{
	struct scheduler *s;
	struct note a, b, c;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	s = scheduler_create(NULL);
	schedule_note(sv[0], E_READ, &a, 0);
	schedule_timer(1000, &b, 0);
	schedule_note(-1, E_ASYNC, &c, 0);
	scheduler_destroy(s);
	cr_assert_neq(fcntl(sv[0], F_GETFD), -1);
	close(sv[0]);
	close(sv[1]);
}

Test(scheduler, errors_make_true_what_is_waited_for)
{
	static const struct {
		short revents;
		int mask, type;
	} cases[] = {
		{ POLLIN, E_READ, E_READ },
		{ POLLIN | POLLOUT, E_READ | E_WRITE, E_READ | E_WRITE },
		{ POLLOUT, E_READ | E_WRITE, E_WRITE },
		{ POLLPRI, E_EXCEPTION, E_EXCEPTION },
		{ POLLHUP, E_READ, E_READ },
		{ POLLHUP, E_WRITE, E_WRITE },
		{ POLLERR, E_READ | E_EXCEPTION, E_READ | E_EXCEPTION },
		{ POLLNVAL, E_READ | E_TIMEOUT | E_ASYNC, E_READ },
	};
	struct scheduler *s = v_create();
	struct note n;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		schedule_note(5, cases[i].mask, &n, 0)->trigger.tv_sec =
		    v.now.tv_sec + 1;
		v.revents[5] = cases[i].revents;
		cr_assert_eq(scheduler_pass(s, 0), 1);
		cr_assert_eq(n.type, cases[i].type);
	}
	scheduler_destroy(s);
}

Test(scheduler, async_alone_is_not_polled_so_a_hang_up_does_not_spin)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ, &n, E_ASYNC);
	v.revents[5] = POLLIN | POLLHUP;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_not(v.is_polled[5]);
	cr_assert_eq(get_event_by_fd(5), e);
	n.next_mask = E_READ;
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_ASYNC);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(n.type, E_READ);
	scheduler_destroy(s);
}

static void
close_self(Event *e, struct note *)
{
	cr_assert_eq(event_close(e), 0);
	cr_assert_eq(e->fd, -1);
}

Test(scheduler, an_event_may_close_itself_and_live_on_for_a_completion)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note n;
	int sv[2];
	Event *e;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	e = schedule_note(sv[0], E_READ, &n, E_ASYNC | E_READ);
	n.act = close_self;
	close(sv[1]);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(fcntl(sv[0], F_GETFD), -1);
	cr_assert_null(get_event_by_fd(sv[0]));
	cr_assert_eq(scheduler_event_count(s), 1);
	n.act = NULL;
	n.next_mask = 0;
	schedule_event_and_dispatch(e, E_ASYNC);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

Test(scheduler, a_closed_event_that_waits_for_its_descriptor_is_finished)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note n;
	int sv[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	schedule_note(sv[0], E_WRITE, &n, E_READ);
	n.act = close_self;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	close(sv[1]);
	scheduler_destroy(s);
}

static void
unschedule_self(Event *e, struct note *)
{
	event_unschedule(e);
}

static void
reschedule_self(Event *e, struct note *)
{
	event_unschedule(e);
	e->mask = E_WRITE;
	cr_assert_eq(schedule_event(e), 0);
}

Test(scheduler, an_event_may_unschedule_itself_and_then_belongs_to_its_maker)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ, &n, 0);
	n.act = unschedule_self;
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	n.act = reschedule_self;
	cr_assert_eq(schedule_event(e), 0);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(get_event_by_fd(5), e);
	cr_assert_eq(e->mask, E_WRITE);
	scheduler_destroy(s);
}

/* close the other one and take its descriptor's number for a new event */
static void
replace_other(Event *, struct note *n)
{
	int fd, old;

	old = n->other->fd;
	event_close(n->other);
	event_free(n->other);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fd, old);
	schedule_note(fd, E_READ, n->other_note, 0);
	n->act = NULL;
	n->other_note->act = NULL;
}

Test(scheduler, a_descriptor_reused_in_the_pass_gets_no_old_readiness)
{
	struct scheduler *s = scheduler_create(NULL);
	struct note a, b, fresh;
	int sa[2], sb[2];
	Event *ea, *eb;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sa), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sb), 0);
	ea = schedule_note(sa[0], E_WRITE, &a, E_ASYNC);
	eb = schedule_note(sb[0], E_WRITE, &b, E_ASYNC);
	memset(&fresh, 0, sizeof fresh);
	a.act = b.act = replace_other;
	a.other = eb;
	b.other = ea;
	/* whichever is called first replaces the other, which is ready too;
	 * the new one is readable, but poll(2) has not said so */
	a.other_note = b.other_note = &fresh;
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(a.ncalls + b.ncalls, 1);
	cr_assert_eq(fresh.ncalls, 0);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(fresh.ncalls, 1);
	scheduler_destroy(s);
}

static struct scheduler *running;

static void
stop_running(Event *, struct note *)
{
	scheduler_stop(running);
}

static void
nest(Event *, struct note *)
{
	cr_assert_eq(scheduler_pass(running, 0), -1);
	cr_assert_eq(errno, EDEADLK);
}

Test(scheduler, runs_until_stopped_or_empty)
{
	struct note n;

	running = v_create();
	cr_assert_eq(scheduler_run(running), 0);
	schedule_timer(0, &n, E_TIMEOUT);
	n.act = stop_running;
	cr_assert_eq(scheduler_run(running), 0);
	cr_assert_eq(n.ncalls, 1);
	n.act = nest;
	n.next_mask = 0;
	cr_assert_eq(scheduler_run(running), 0);
	cr_assert_eq(n.ncalls, 2);
	scheduler_destroy(running);
}

static int nrecurred;

static int
recur(void *closure, struct timeval *now)
{
	cr_assert_eq(closure, &nrecurred);
	cr_assert_eq(now->tv_sec, v.now.tv_sec);
	/* what it returns has no meaning */
	return nrecurred++ % 2;
}

Test(scheduler, recurrent_functions_run_at_the_end_of_each_pass)
{
	struct scheduler *s;

	cr_assert_eq(scheduler_recurrent_func_add(recur, &nrecurred), -1);
	s = v_create();
	cr_assert_eq(scheduler_recurrent_func_add(recur, &nrecurred), 0);
	scheduler_pass(s, 0);
	scheduler_pass(s, 0);
	scheduler_pass(s, 0);
	cr_assert_eq(nrecurred, 3);
	cr_assert_eq(scheduler_recurrent_func_add(NULL, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	scheduler_destroy(s);
}

Test(scheduler, the_time_is_that_of_the_pass_and_without_a_scheduler_the_systems)
{
	struct scheduler *s = v_create();
	struct timeval now;

	v_turn(5000000);
	scheduler_pass(s, 0);
	v_turn(7000000);
	get_now(&now);
	cr_expect_eq(now.tv_sec, 1700000005);
	cr_expect_eq(get_now_ts(), 1700000005);
	scheduler_destroy(s);
	get_now(&now);
	cr_expect_gt(now.tv_sec, 1700000005);
	cr_expect_geq(get_now_ts(), now.tv_sec);
}

/* --- misuse --------------------------------------------------------------- */

static struct scheduler *to_destroy;

static void
destroy_it(Event *, struct note *)
{
	scheduler_destroy(to_destroy);
}

static int
destroying(void *, struct timeval *)
{
	scheduler_destroy(to_destroy);
	return 0;
}

static int
destroying_wait(void *, struct pollfd *, nfds_t, int)
{
	scheduler_destroy(to_destroy);
	return 0;
}

static void
one_pass(void *s)
{
	(void)scheduler_pass(s, 0);
}

#define DESTROYED "mailmill: scheduler_destroy(): not inside a callback of " \
	"the scheduler: scheduler_stop(), and when scheduler_run() has returned"

Test(scheduler, is_not_destroyed_in_its_callbacks)
{
	static const struct scheduler_backend backend = {
		.size = sizeof(backend), .wait = destroying_wait };
	struct note n;

	/* of a descriptor, of a timer, of a post; at the end of a pass; in the
	 * wait */
	to_destroy = v_create();
	schedule_note(5, E_READ, &n, 0);
	n.act = destroy_it;
	v.revents[5] = POLLIN;
	cr_expect_str_eq(misuse_ends(one_pass, to_destroy), DESTROYED);
	scheduler_destroy(to_destroy);

	to_destroy = v_create();
	schedule_timer(0, &n, 0);
	n.act = destroy_it;
	cr_expect_str_eq(misuse_ends(one_pass, to_destroy), DESTROYED);
	scheduler_destroy(to_destroy);

	to_destroy = v_create();
	(void)schedule_event_and_dispatch(schedule_note(-1, E_ASYNC, &n, 0),
	    E_ASYNC);
	n.act = destroy_it;
	cr_expect_str_eq(misuse_ends(one_pass, to_destroy), DESTROYED);
	scheduler_destroy(to_destroy);

	to_destroy = v_create();
	cr_assert_eq(scheduler_recurrent_func_add(destroying, NULL), 0);
	cr_expect_str_eq(misuse_ends(one_pass, to_destroy), DESTROYED);
	scheduler_destroy(to_destroy);

	to_destroy = scheduler_create(&backend);
	cr_expect_str_eq(misuse_ends(one_pass, to_destroy), DESTROYED);
	scheduler_destroy(to_destroy);
}

static int
passing_wait(void *, struct pollfd *, nfds_t, int)
{
	errno = 0;
	cr_expect_eq(scheduler_pass(to_destroy, 0), -1);
	cr_expect_eq(errno, EDEADLK);
	errno = EBADF;
	return -1;
}

/* A wait that fails is no pass: the next one may be made. */
Test(scheduler, a_pass_is_not_made_inside_the_wait)
{
	static const struct scheduler_backend backend = {
		.size = sizeof(backend), .wait = passing_wait };
	int i;

	to_destroy = scheduler_create(&backend);
	for (i = 0; i < 2; i++) {
		cr_expect_eq(scheduler_pass(to_destroy, 0), -1);
		cr_expect_eq(errno, EBADF);
	}
	scheduler_destroy(to_destroy);
}
