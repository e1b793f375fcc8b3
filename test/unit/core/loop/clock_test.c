#include <criterion/criterion.h>
#include <limits.h>

#include "core/loop/clock.h"

static int64_t mono_us, wall_us;

static int64_t
fake_us(clockid_t id)
{
	return id == CLOCK_MONOTONIC ? mono_us : wall_us;
}

static void
pass_time(int64_t us)
{
	mono_us += us;
	wall_us += us;
}

static void
setup(struct loopclock *c)
{
	mono_us = 5000000;
	wall_us = 1700000000LL * 1000000;
	loopclock_init(c, fake_us);
}

Test(clock, starts_at_the_wall_clock_and_runs_with_the_monotonic_one)
{
	struct loopclock c;
	int64_t now;

	setup(&c);
	cr_assert_eq(loopclock_read(&c, &now), 0);
	cr_assert_eq(now, wall_us);
	pass_time(123456789);
	cr_assert_eq(loopclock_read(&c, &now), 0);
	cr_assert_eq(now, wall_us);
}

Test(clock, follows_a_step_of_the_wall_clock_and_tells_by_how_much)
{
	static const int64_t steps[] = { 3600000000LL, -3600000000LL, 1000001,
		-1000001 };
	struct loopclock c;
	int64_t now;
	size_t i;

	for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		setup(&c);
		pass_time(LOOPCLOCK_CHECK_US);
		wall_us += steps[i];
		cr_assert_eq(loopclock_read(&c, &now), steps[i]);
		cr_assert_eq(now, wall_us);
		pass_time(LOOPCLOCK_CHECK_US);
		cr_assert_eq(loopclock_read(&c, &now), 0);
		cr_assert_eq(now, wall_us);
	}
}

Test(clock, leaves_small_differences_alone)
{
	struct loopclock c;
	int64_t now;

	setup(&c);
	pass_time(LOOPCLOCK_CHECK_US);
	wall_us += LOOPCLOCK_STEP_US;
	cr_assert_eq(loopclock_read(&c, &now), 0);
	cr_assert_eq(now, wall_us - LOOPCLOCK_STEP_US);
}

Test(clock, never_goes_back_between_two_looks_at_the_wall_clock)
{
	struct loopclock c;
	int64_t before, now;

	setup(&c);
	loopclock_read(&c, &before);
	wall_us -= 86400LL * 1000000;
	mono_us += LOOPCLOCK_CHECK_US - 1;
	cr_assert_eq(loopclock_read(&c, &now), 0);
	cr_assert_eq(now, before + LOOPCLOCK_CHECK_US - 1);
}

Test(clock, reads_the_system_when_told_no_other)
{
	struct loopclock c;
	struct timeval tv;
	int64_t now;

	loopclock_init(&c, NULL);
	cr_assert_eq(loopclock_read(&c, &now), 0);
	gettimeofday(&tv, NULL);
	cr_assert_lt(llabs(loopclock_us(&tv) - now), 60000000);
}

Test(clock, conversions_agree_and_saturate)
{
	static const int64_t values[] = { 0, 1, -1, 999999, -999999, 1000000,
		-1000000, 1700000000123456, -1700000000123456 };
	struct timeval tv;
	size_t i;

	for (i = 0; i < sizeof values / sizeof values[0]; i++) {
		tv = loopclock_tv(values[i]);
		cr_assert(tv.tv_usec >= 0 && tv.tv_usec < 1000000);
		cr_assert_eq(loopclock_us(&tv), values[i]);
	}
	/* the other part may be anything, too, and is not ignored */
	for (i = 0; i < 3; i++) {
		tv.tv_usec = (const suseconds_t[]){ 0, LONG_MAX,
			-LONG_MAX }[i];
		tv.tv_sec = INT64_MAX;
		cr_assert_leq(loopclock_us(&tv), INT64_MAX / 4);
		cr_assert_geq(loopclock_us(&tv), -(INT64_MAX / 4));
		tv.tv_sec = INT64_MIN;
		cr_assert_leq(loopclock_us(&tv), INT64_MAX / 4);
		cr_assert_geq(loopclock_us(&tv), -(INT64_MAX / 4));
	}
	tv = (struct timeval){ INT64_MAX, 0 };
	cr_assert_gt(loopclock_us(&tv), INT64_MAX / 5);
	tv.tv_sec = INT64_MIN;
	cr_assert_lt(loopclock_us(&tv), INT64_MIN / 5);
	tv = (struct timeval){ 5, 2500000 };
	cr_assert_eq(loopclock_us(&tv), 7500000);
	tv = (struct timeval){ 5, LONG_MAX };
	cr_assert_eq(loopclock_us(&tv), INT64_MAX / 4);
}
