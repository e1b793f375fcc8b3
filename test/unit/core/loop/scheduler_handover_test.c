/* A connection that goes from one event to another: clear_event_by_fd() and
 * event_post_dup(). */

#include <errno.h>
#include <malloc.h>

#include "test/unit/core/loop/vloop.h"

/* What a callback does with its event before it returns. */
static struct {
	bool	 frees;
	bool	 reschedules;
	bool	 replaces;	/* another event takes the descriptor */
	Event	*copy;
	struct note copy_note;
} plan;

/* As documented for suspending a session. */
static void
hand_over(Event *e, struct note *n)
{
	Event *copy = malloc(sizeof(*copy));

	cr_assert_not_null(copy);
	memcpy(copy, e, sizeof(*copy));
	event_post_dup(copy, e);
	n->act = NULL;
	plan.copy = copy;
	cr_assert_eq(clear_event_by_fd(e->fd), e);
}

Test(scheduler_handover, a_session_is_suspended_and_resumed_as_documented)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e;

	e = schedule_note(5, E_READ, &n, 0);
	n.act = hand_over;
	v.revents[5] = POLLIN;
	/* the scheduler frees the first event, as 0 was returned */
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	cr_assert_null(get_event_by_fd(5));
	cr_assert_neq(plan.copy, e);
	cr_assert_eq(plan.copy->fd, 5);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	v.revents[5] = 0;
	n.next_mask = E_READ;
	cr_assert_eq(schedule_event_and_dispatch(plan.copy, E_READ | E_WRITE),
	    0);
	cr_assert_eq(scheduler_pass(s, -1), 1);
	cr_assert_eq(n.type, E_READ | E_WRITE);
	cr_assert_eq(get_event_by_fd(5), plan.copy);
	v.revents[5] = POLLIN;
	cr_assert_eq(scheduler_pass(s, 0), 1);
	scheduler_destroy(s);
}

static void
clear_self(Event *e, struct note *)
{
	Event *other;

	cr_assert_eq(clear_event_by_fd(e->fd), e);
	cr_assert_null(clear_event_by_fd(e->fd));
	if (plan.reschedules)
		cr_assert_eq(schedule_event(e), 0);
	if (plan.frees)
		event_free(e);
	if (plan.replaces) {
		other = schedule_note(e->fd, E_WRITE, &plan.copy_note, 0);
		cr_assert_eq(get_event_by_fd(5), other);
	}
}

/* Whatever it does, the event is freed once or is scheduled: AddressSanitizer
 * would see a second free. */
Test(scheduler_handover, an_event_that_clears_itself_is_the_dispatchers_still)
{
	static const struct {
		bool frees, reschedules, replaces;
		int next_mask;
		int nleft;
	} cases[] = {
		{ false, false, false, 0, 0 },
		{ false, false, false, E_READ, 1 },
		{ false, false, false, 0x4000, 0 },
		{ true, false, false, 0, 0 },
		{ true, false, false, E_READ, 0 },
		{ false, true, false, 0, 0 },
		{ false, true, false, E_READ, 1 },
		{ true, true, false, E_READ, 0 },
		{ false, false, true, 0, 1 },
		{ false, false, true, E_READ, 1 },
		{ true, false, true, E_READ, 1 },
	};
	struct scheduler *s;
	struct note n;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		s = v_create();
		plan.frees = cases[i].frees;
		plan.reschedules = cases[i].reschedules;
		plan.replaces = cases[i].replaces;
		schedule_note(5, E_READ, &n, cases[i].next_mask);
		n.act = clear_self;
		v.revents[5] = POLLIN;
		cr_expect_eq(scheduler_pass(s, 0), 1);
		cr_expect_eq(scheduler_event_count(s), cases[i].nleft,
		    "case %zu", i);
		n.act = NULL;
		n.next_mask = 0;
		cr_expect_eq(scheduler_pass(s, 0),
		    cases[i].nleft == 1 && !cases[i].replaces, "case %zu", i);
		scheduler_destroy(s);
	}
}

/* As the sample returns 0; it would fill the memory otherwise. */
Test(scheduler_handover, an_event_that_clears_itself_and_returns_0_is_freed)
{
	enum { TURNS = 2000 };
	struct scheduler *s = v_create();
	struct mallinfo2 before;
	struct note n;
	int i;

	memset(&plan, 0, sizeof plan);
	v.revents[5] = POLLIN;
	for (i = 0; i < TURNS + 10; i++) {
		/* the first ones make room for tables */
		if (i == 10)
			before = mallinfo2();
		schedule_note(5, E_READ, &n, 0);
		n.act = clear_self;
		cr_assert_eq(scheduler_pass(s, 0), 1);
	}
	cr_assert_lt(mallinfo2().uordblks, before.uordblks +
	    TURNS * sizeof(Event) / 2);
	scheduler_destroy(s);
}

Test(scheduler_handover, a_duplicate_names_the_thread_and_is_not_scheduled)
{
	struct scheduler *s = v_create();
	struct note n;
	Event *e, copy;

	e = schedule_note(5, E_READ, &n, 0);
	cr_assert(pthread_equal(e->scheduled_thread, pthread_self()));
	schedule_event_and_dispatch(e, E_ASYNC);
	memcpy(&copy, e, sizeof(copy));
	event_post_dup(&copy, e);
	cr_assert(pthread_equal(copy.scheduled_thread, pthread_self()));
	cr_assert_eq(schedule_event(&copy), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(clear_timed_event(&copy), 0);
	cr_assert_eq(clear_event_by_fd(5), e);
	cr_assert_eq(schedule_event(&copy), 0);
	/* what was posted to the one is not posted to the other */
	cr_assert_eq(scheduler_pass(s, 0), 0);
	event_unschedule(&copy);
	event_free(e);
	scheduler_destroy(s);
}
