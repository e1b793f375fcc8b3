#include <criterion/criterion.h>

#include "cmd/mailmilld/master/state/backoff.h"

Test(backoff, the_first_death_is_followed_at_once)
{
	struct backoff b = { 0 };

	cr_assert(backoff_next(&b, 100) == 0);
}

Test(backoff, repeated_deaths_wait_twice_as_long_each_time_up_to_a_bound)
{
	struct backoff b = { 0 };
	unsigned int want = BACKOFF_FIRST_MS, i;

	backoff_next(&b, 0);
	for (i = 0; i < 5000; i++) {
		cr_assert(backoff_next(&b, 1) == want);
		want = want * 2 < BACKOFF_MAX_MS ? want * 2 : BACKOFF_MAX_MS;
	}
}

Test(backoff, a_long_life_is_a_new_start)
{
	struct backoff b = { 0 };
	unsigned int i;

	for (i = 0; i < 10; i++)
		backoff_next(&b, 0);
	cr_assert(backoff_next(&b, BACKOFF_FORGET_MS) == 0);
	cr_assert(backoff_next(&b, 0) == BACKOFF_FIRST_MS);
}
