/* Messages at a rate: how many at once, and when those that come later may go. */

#include "cmd/mailmilld/relay/relay_rate_int.h"

#include <criterion/criterion.h>

/* How many of those who ask at each of ${ms} are sent */
static unsigned int
send_all(struct relay_rate *r, unsigned int rate, uint64_t from_ms,
    uint64_t ms, unsigned int at_once)
{
	unsigned int i, n = 0;
	uint64_t now;

	for (now = from_ms; now < from_ms + ms; now++)
		for (i = 0; i < at_once && relay_rate_may(r, rate, 0, now);
		    i++, n++)
			relay_rate_sent(r, rate, now);
	return n;
}

Test(relay_rate, the_first_may_be_sent_and_then_as_many_as_the_rate_says)
{
	static const unsigned int rates[] = { 1, 7, 60, 61, 600, 6000,
		1000000 };
	struct relay_rate r;
	unsigned int n;
	size_t i;

	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		r = (struct relay_rate){ 0 };
		n = send_all(&r, rates[i], 1000, 60000, 20000);
		cr_expect_geq(n, rates[i], "%u: %u", rates[i], n);
		/* and a second's share at once */
		cr_expect_leq(n, rates[i] + rates[i] / 60 + 1, "%u: %u",
		    rates[i], n);
	}
}

Test(relay_rate, those_that_were_not_asked_before_are_not_saved_up)
{
	struct relay_rate r = { 0 };

	cr_expect_eq(send_all(&r, 600, 1000, 1, 1000), 10);
	cr_expect_eq(send_all(&r, 600, 3600000, 1, 1000), 10);
	cr_expect_not(relay_rate_is_over(&r, 3600000));
	cr_expect(relay_rate_is_over(&r, 3601000));
}

/* Each gets a time of its own, and who comes later one behind them. */
Test(relay_rate, those_that_wait_book_times_one_after_the_other)
{
	struct relay_rate r = { 0 };

	cr_expect(relay_rate_may(&r, 60, 0, 5000));
	cr_expect_not(relay_rate_may(&r, 60, 1, 5000), "one more beside it");
	relay_rate_sent(&r, 60, 5000);
	cr_expect_eq(relay_rate_book(&r, 60, 1, 5000), 6000);
	cr_expect_eq(relay_rate_book(&r, 60, 1, 5001), 7000);
	cr_expect_eq(relay_rate_book(&r, 60, 3, 5002), 8000);
	cr_expect_eq(relay_rate_book(&r, 60, 1, 5003), 11000);
	cr_expect_not(relay_rate_may(&r, 60, 0, 11999));
	cr_expect(relay_rate_may(&r, 60, 0, 12000));
	/* where nothing is booked, at once */
	cr_expect_eq(relay_rate_book(&r, 60, 1, 20000), 20000);
}
