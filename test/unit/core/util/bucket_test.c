#include <criterion/criterion.h>

#include "core/util/bucket.h"

Test(bucket, gives_a_tenth_of_a_second_at_once_and_then_its_rate)
{
	struct bucket b;
	uint64_t now = 5000, taken = 0;
	unsigned int wait;

	bucket_init(&b, 1000, now);
	do
		taken++;
	while ((wait = bucket_take(&b, now)) == 0);
	cr_assert_eq(taken, 100);
	cr_assert_eq(wait, 1);
	/* a caller that waits as told gets the rate, however often it asks */
	while (now < 15000) {
		now += wait;
		do
			taken++;
		while ((wait = bucket_take(&b, now)) == 0);
	}
	cr_assert_eq(taken, 100 + 10000);
}

Test(bucket, waits_a_second_for_one_a_second)
{
	struct bucket b;

	bucket_init(&b, 1, 0);
	cr_assert_eq(bucket_take(&b, 0), 1000);
	cr_assert_eq(bucket_take(&b, 1000), 1000);
	cr_assert_eq(bucket_take(&b, 2500), 1000);
	/* too soon: nothing is owed, and nothing is given */
	cr_assert_eq(bucket_take(&b, 2600), 1000);
}

Test(bucket, tells_how_long_to_wait_and_takes_none)
{
	struct bucket b;

	bucket_init(&b, 1, 0);
	cr_assert_eq(bucket_wait(&b, 0), 0);
	cr_assert_eq(bucket_wait(&b, 0), 0);
	cr_assert_eq(bucket_take(&b, 0), 1000);
	cr_assert_eq(bucket_wait(&b, 400), 600);
	cr_assert_eq(bucket_wait(&b, 999), 1);
	cr_assert_eq(bucket_wait(&b, 1000), 0);
	cr_assert_eq(bucket_take(&b, 1000), 1000);
}

Test(bucket, rest_does_not_make_it_overflow)
{
	struct bucket b;
	uint64_t n = 0;

	bucket_init(&b, 10000000, 0);
	while (bucket_take(&b, 0) == 0)
		n++;
	cr_assert_eq(n, 999999);
	for (n = 1; bucket_take(&b, UINT64_MAX / 2) == 0; n++)
		;
	cr_assert_eq(n, 1000000);
}

Test(bucket, takes_many_or_none)
{
	struct bucket b;
	uint64_t now = 0, taken = 0;

	bucket_init(&b, 1000, now);
	cr_assert_not(bucket_take_n(&b, 101, now));
	cr_assert(bucket_take_n(&b, 60, now));
	/* what was refused has taken nothing */
	cr_assert_not(bucket_take_n(&b, 60, now));
	cr_assert(bucket_take_n(&b, 40, now));
	cr_assert_not(bucket_take_n(&b, 1, now));
	/* asking in vain, however often, costs nothing of the rate */
	for (; now < 10000; now++)
		while (bucket_take_n(&b, 7, now))
			taken += 7;
	cr_assert(taken > 9985 && taken <= 10000, "%ju", (uintmax_t)taken);
}

Test(bucket, holds_what_it_is_told)
{
	struct bucket b;

	bucket_init_room(&b, 10, 25, 0);
	cr_assert_not(bucket_take_n(&b, 26, 0));
	cr_assert(bucket_take_n(&b, 25, 0));
	cr_assert_not(bucket_take_n(&b, 1, 99));
	cr_assert(bucket_take_n(&b, 1, 100));
	cr_assert_not(bucket_take_n(&b, 26, 100000));
	cr_assert(bucket_take_n(&b, 25, 100000));
}

Test(bucket, one_that_is_resized_goes_on_with_what_it_has)
{
	struct bucket b;

	bucket_init_room(&b, 100, 100, 0);
	bucket_resize(&b, 50, 50, 0);
	cr_assert(bucket_take_n(&b, 50, 0));
	cr_assert_not(bucket_take_n(&b, 1, 0));
	/* and with what it would have got meanwhile */
	bucket_resize(&b, 200, 200, 200);
	cr_assert(bucket_take_n(&b, 40, 200));
	cr_assert_not(bucket_take_n(&b, 1, 200));
	cr_assert(bucket_take_n(&b, 20, 300));
	cr_assert_not(bucket_take_n(&b, 1, 300));
}
