/* When reports are due, in virtual time: the turn of a day, the spread over some hours,
 * restarts, days without a server, clocks that are set. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_walk.h"

#define DAY_S	86400
#define DAY	((int64_t)19675 * DAY_S)
#define MANY	400

/* The counts, in the order of the store, and what was asked of each */
static struct count {
	int64_t		 day;
	char		 domain[32];
	bool		 is_gone;
	unsigned int	 ntries;
	int64_t		 first_s, last_s;
	enum tlsrpt_verdict verdict;	/* the last */
} counts[MANY];
static size_t ncounts;

static int64_t now_s;
static unsigned int in_step;	/* domains that were due in it */
static bool is_lasting;		/* what is tried fails */
static bool is_busy;		/* nothing can be tried */
static bool is_failing;		/* the store is */
static struct tlsrpt_walk w;

static int
next(void *, int64_t *day, char domain[LIM_DOMAIN + 1], int64_t before)
{
	const struct count *c;

	if (is_failing)
		return -1;
	for (c = counts; c < counts + ncounts; c++) {
		if (c->is_gone || c->day >= before || c->day < *day ||
		    (c->day == *day && strcmp(c->domain, domain) <= 0))
			continue;
		*day = c->day;
		strlcpy(domain, c->domain, LIM_DOMAIN + 1);
		return 1;
	}
	return 0;
}

static bool
due(void *, int64_t day, const char *domain, enum tlsrpt_verdict verdict)
{
	struct count *c;

	if (is_busy)
		return false;
	for (c = counts; c->day != day || strcmp(c->domain, domain) != 0; c++)
		cr_assert_lt(c, counts + ncounts);
	if (c->ntries++ == 0)
		c->first_s = now_s;
	c->last_s = now_s;
	c->verdict = verdict;
	c->is_gone = !is_lasting || verdict != TLSRPT_DUE;
	in_step++;
	return true;
}

static const struct tlsrpt_walk_ops ops = { .next = next, .due = due };

/* Connections to ${n} more domains were counted on the day. */
static void
count(int64_t day, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		cr_assert_lt(ncounts, MANY);
		counts[ncounts].day = day;
		snprintf(counts[ncounts++].domain, sizeof(counts[0].domain),
		    "d%03zu.test", i);
	}
}

/* A queue process that knows nothing of those before it */
static void
start(const char *hostname)
{
	w = (struct tlsrpt_walk){ .ops = &ops, .hostname = hostname };
}

static void
run_until(int64_t end_s)
{
	int64_t ms = 0;
	unsigned int wait;

	while (now_s < end_s) {
		in_step = 0;
		wait = tlsrpt_walk_step(&w, now_s);
		cr_assert_leq(in_step, TLSRPT_STEP_DUE);
		cr_assert_gt(wait, 0);
		ms += wait;
		now_s += ms / 1000;
		ms %= 1000;
	}
}

static size_t
tried(void)
{
	size_t i, n = 0;

	for (i = 0; i < ncounts; i++)
		n += counts[i].ntries > 0;
	return n;
}

/* RFC 8460 4.1 */
Test(tlsrpt_walk, a_day_is_reported_in_the_four_hours_after_it_not_all_at_once)
{
	size_t i, hours[4] = { 0 };

	count(DAY, 300);
	count(DAY + DAY_S, 20);
	now_s = DAY + DAY_S - 7200;
	start("mx.test");
	run_until(DAY + DAY_S + TLSRPT_AFTER_S);
	cr_expect_eq(tried(), 0);
	run_until(DAY + DAY_S + 4 * 3600 + 120);
	cr_expect_eq(tried(), 300);
	for (i = 0; i < 300; i++) {
		cr_assert_eq(counts[i].ntries, 1);
		cr_expect_eq(counts[i].verdict, TLSRPT_DUE);
		/* in the first walk after it is due */
		cr_expect_lt(counts[i].first_s - tlsrpt_walk_due_s(&w, DAY,
		    counts[i].domain), 120);
		hours[(counts[i].first_s - DAY - DAY_S) / 3600 % 4]++;
	}
	for (i = 0; i < 4; i++)
		cr_expect_gt(hours[i], 30, "%zu in hour %zu", hours[i], i);
	/* and that of the next day in its turn */
	run_until(DAY + 2 * DAY_S + 4 * 3600 + 120);
	cr_expect_eq(tried(), 320);
}

Test(tlsrpt_walk, other_days_domains_and_servers_have_other_times)
{
	size_t i, same[3] = { 0 };
	struct tlsrpt_walk other = { .hostname = "mx2.test" };
	int64_t due_s;

	count(DAY, 200);
	start("mx.test");
	for (i = 0; i < 200; i++) {
		due_s = tlsrpt_walk_due_s(&w, DAY, counts[i].domain);
		cr_assert_geq(due_s, DAY + DAY_S + TLSRPT_AFTER_S);
		cr_assert_leq(due_s, DAY + DAY_S + 4 * 3600);
		same[0] += due_s == tlsrpt_walk_due_s(&w, DAY, "d007.test");
		same[1] += due_s + DAY_S == tlsrpt_walk_due_s(&w, DAY + DAY_S,
		    counts[i].domain);
		same[2] += due_s == tlsrpt_walk_due_s(&other, DAY,
		    counts[i].domain);
	}
	cr_expect_leq(same[0], 3);
	cr_expect_leq(same[1], 2);
	cr_expect_leq(same[2], 2);
}

Test(tlsrpt_walk, a_restart_changes_no_time_and_repeats_nothing)
{
	int64_t end_s = DAY + DAY_S + 4 * 3600 + 120;
	size_t i;

	count(DAY, 100);
	now_s = DAY + DAY_S - 60;
	while (now_s < end_s) {
		start("mx.test");
		run_until(now_s + 600);
	}
	for (i = 0; i < 100; i++) {
		cr_assert_eq(counts[i].ntries, 1);
		cr_expect_geq(counts[i].first_s, tlsrpt_walk_due_s(&w, DAY,
		    counts[i].domain));
		cr_expect_lt(counts[i].first_s - tlsrpt_walk_due_s(&w, DAY,
		    counts[i].domain), 120);
	}
}

/* Those of a long time ago are of no use. */
Test(tlsrpt_walk, after_days_without_a_server_the_last_week_is_reported)
{
	int64_t d;
	size_t i;

	for (d = 0; d < 11; d++)
		count(DAY + d * DAY_S, 30);
	now_s = DAY + 10 * DAY_S + 40000;
	start("mx.test");
	run_until(now_s + 300);
	for (i = 0; i < ncounts; i++) {
		d = (counts[i].day - DAY) / DAY_S;
		cr_expect_eq(counts[i].ntries, d == 10 ? 0 : 1, "day %lld",
		    (long long)d);
		if (d < 10)
			cr_expect_eq(counts[i].verdict, d < 3 ? TLSRPT_OLD :
			    TLSRPT_DUE);
	}
}

/* RFC 8460 5.5 */
Test(tlsrpt_walk, what_fails_is_tried_after_growing_times_for_a_day)
{
	static const int64_t late_s[] = { 0, 900, 2700, 6300, 13500, 27900,
		42300, 56700, 71100, 85500 };
	const size_t n = sizeof(late_s) / sizeof(late_s[0]);
	int64_t due_s;
	size_t i;

	count(DAY, 1);
	is_lasting = true;
	now_s = DAY;
	start("mx.test");
	due_s = tlsrpt_walk_due_s(&w, DAY, counts[0].domain);
	for (i = 0; i < n; i++) {
		run_until(due_s + late_s[i] - 10);
		cr_expect_eq(counts[0].ntries, i);
		run_until(due_s + late_s[i] + 120);
		cr_expect_eq(counts[0].ntries, i + 1);
		cr_expect_eq(counts[0].verdict, i + 1 < n ? TLSRPT_DUE :
		    TLSRPT_LAST);
	}
}

/* It was due long ago, but there was nobody to try. */
Test(tlsrpt_walk, it_is_tried_for_a_day_after_a_late_start_too)
{
	int64_t began_s = DAY + 4 * DAY_S;

	count(DAY, 1);
	is_lasting = true;
	now_s = began_s;
	start("mx.test");
	run_until(began_s + TLSRPT_TRY_S - 120);
	cr_expect_eq(counts[0].verdict, TLSRPT_DUE);
	cr_expect_geq(counts[0].ntries, 6);
	run_until(began_s + TLSRPT_TRY_S + TLSRPT_RETRY_MOST_S + 120);
	cr_expect_eq(counts[0].verdict, TLSRPT_LAST);
}

/* With a server that is restarted again and again, the week is the end. */
Test(tlsrpt_walk, nothing_is_kept_for_more_than_a_week)
{
	count(DAY, 1);
	is_lasting = true;
	now_s = DAY;
	while (now_s < DAY + DAY_S + TLSRPT_KEEP_S + 7200) {
		start("mx.test");
		run_until(now_s + 7200);
	}
	cr_expect_eq(counts[0].verdict, TLSRPT_OLD);
	cr_expect(counts[0].is_gone);
}

Test(tlsrpt_walk, what_cannot_be_tried_now_is_tried_in_the_same_walk)
{
	size_t i;

	count(DAY, 20);
	now_s = DAY + 2 * DAY_S;
	start("mx.test");
	is_busy = true;
	run_until(now_s + 30);
	is_busy = false;
	run_until(now_s + 5);
	for (i = 0; i < 20; i++)
		cr_expect_eq(counts[i].ntries, 1);
}

Test(tlsrpt_walk, a_store_that_fails_loses_no_turn)
{
	count(DAY, 20);
	now_s = DAY + 2 * DAY_S;
	start("mx.test");
	is_failing = true;
	run_until(now_s + 30);
	is_failing = false;
	run_until(now_s + 70);
	cr_expect_eq(tried(), 20);
}

Test(tlsrpt_walk, a_clock_that_is_set_back_or_forward_repeats_and_loses_nothing)
{
	size_t i;

	count(DAY, 20);
	count(DAY + DAY_S, 20);
	now_s = DAY + DAY_S + 4 * 3600;
	start("mx.test");
	run_until(now_s + 120);
	cr_expect_eq(tried(), 20);
	now_s -= 20000;
	run_until(now_s + 120);
	cr_expect_eq(tried(), 20);
	now_s += 3 * DAY_S;
	run_until(now_s + 120);
	for (i = 0; i < 40; i++)
		cr_expect_eq(counts[i].ntries, 1);
}

/* What had its turn, and failed, has another. */
Test(tlsrpt_walk, a_clock_that_is_set_back_keeps_nothing_waiting)
{
	count(DAY, 1);
	is_lasting = true;
	now_s = DAY + 2 * DAY_S;
	start("mx.test");
	run_until(now_s + 60);
	cr_expect_eq(counts[0].ntries, 1);
	now_s -= 30000;
	run_until(now_s + TLSRPT_RETRY_S + 60);
	cr_expect_geq(counts[0].ntries, 2);
	cr_expect_eq(counts[0].verdict, TLSRPT_DUE);
}
