#include <criterion/criterion.h>

#include "proto/base/moment.h"

static void
same(time_t sec, suseconds_t usec, int64_t moment)
{
	struct timeval tv = { .tv_sec = sec, .tv_usec = usec };

	cr_expect_eq(moment_of(&tv), moment);
	tv = moment_tv(moment);
	cr_expect_eq(tv.tv_sec, sec);
	cr_expect_eq(tv.tv_usec, usec);
}

Test(moment, is_a_timeval_in_one_number)
{
	same(0, 0, 0);
	same(0, 1, 1);
	same(1, 999999, 1999999);
	same(-1, 999999, -1);
	same(-2, 0, -2 * MOMENT_S);
	same(1700000000, 5, 1700000000 * MOMENT_S + 5);
	same(MOMENT_MAX_S - 1, 999999, MOMENT_MAX - 1);
	same(1 - MOMENT_MAX_S, 0, MOMENT_S - MOMENT_MAX);
}

/* Whatever a clock says, sums and differences of two are in range. */
Test(moment, is_bounded)
{
	const struct timeval late = { .tv_sec = INT64_MAX, .tv_usec = 999999 },
	    early = { .tv_sec = INT64_MIN }, odd = { .tv_usec = INT64_MAX };

	cr_expect_eq(moment_of(&late), MOMENT_MAX);
	cr_expect_eq(moment_of(&early), -MOMENT_MAX);
	cr_expect_lt(moment_of(&odd), MOMENT_S);
	cr_expect_eq(moment_in(INT64_MAX), MOMENT_MAX);
	cr_expect_eq(moment_in(30), 30 * MOMENT_S);
	cr_expect_lt(MOMENT_MAX, INT64_MAX / 4);
}
