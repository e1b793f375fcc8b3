#include <criterion/criterion.h>

#include "core/loop/after.h"
#include "test/unit/core/loop/vloop.h"

struct alarm {
	Event		*timer;
	unsigned int	 ncalls;
	unsigned int	 again_ms;	/* 0: no */
};

static void
on_alarm(void *closure)
{
	struct alarm *a = closure;

	a->timer = NULL;
	a->ncalls++;
	if (a->again_ms > 0)
		a->timer = after_ms(a->again_ms, on_alarm, a);
}

Test(after, a_timer_calls_once_in_its_time)
{
	struct scheduler *s = v_create();
	struct alarm a = { 0 };

	cr_assert_not_null(a.timer = after_ms(1500, on_alarm, &a));
	v_turn(1499999);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	v_turn(1);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(a.ncalls, 1);
	cr_assert_null(a.timer);
	v_turn(10000000);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

Test(after, a_callback_may_set_the_timer_again)
{
	struct scheduler *s = v_create();
	struct alarm a = { .again_ms = 10 };

	cr_assert_not_null(a.timer = after_ms(10, on_alarm, &a));
	v_turn(10000);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	v_turn(10000);
	cr_assert_eq(scheduler_pass(s, 0), 1);
	cr_assert_eq(a.ncalls, 2);
	after_cancel(&a.timer);
	scheduler_destroy(s);
}

Test(after, a_cancelled_timer_calls_nothing)
{
	struct scheduler *s = v_create();
	struct alarm a = { 0 };

	cr_assert_not_null(a.timer = after_ms(10, on_alarm, &a));
	after_cancel(&a.timer);
	cr_assert_null(a.timer);
	after_cancel(&a.timer);
	v_turn(20000);
	cr_assert_eq(scheduler_pass(s, 0), 0);
	cr_assert_eq(a.ncalls, 0);
	scheduler_destroy(s);
}
