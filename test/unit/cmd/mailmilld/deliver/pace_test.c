/* When the agent for Maildirs begins its batches. */

#include "cmd/mailmilld/deliver/pace.h"

#include <criterion/criterion.h>
#include <stdbool.h>

#include "core/spool/job.h"

static const struct pace after_40 = { .ran_ms = 10000, .took_ms = 40 };

static struct pace
came(uint64_t at)
{
	struct pace p = after_40;

	p.came_ms = at;
	return p;
}

static bool
is_due(const struct pace *p, size_t njobs, size_t nunflushed, uint64_t now)
{
	uint64_t due = pace_due(p, njobs, nunflushed);

	return due != 0 && due <= now;
}

Test(pace, an_idle_agent_begins_at_once)
{
	struct pace p = came(90000);

	cr_assert(is_due(&p, 1, 0, 90000));
	cr_assert(is_due(&p, PACE_ENOUGH, 0, 90000));
	cr_assert_eq(pace_due(&p, 0, 0), 0);
}

/* 0 is for what has nothing to do, also before the first batch. */
Test(pace, what_waits_is_due_at_some_time)
{
	static const struct pace none = { 0 };
	static const size_t njobs[] = { 1, PACE_ENOUGH, JOBS_AT_ONCE };
	size_t i;

	for (i = 0; i < sizeof(njobs) / sizeof(njobs[0]); i++)
		cr_assert_neq(pace_due(&none, njobs[i], 0), 0, "%zu", i);
	cr_assert_neq(pace_due(&none, 0, 1), 0);
	cr_assert_neq(pace_due(&none, 1, PACE_ENOUGH), 0);
	cr_assert_eq(pace_due(&none, 0, 0), 0);
}

Test(pace, a_full_batch_begins_at_once)
{
	struct pace p = came(10001);

	cr_assert(is_due(&p, JOBS_AT_ONCE, 1, 10000));
	cr_assert(is_due(&p, JOBS_AT_ONCE + 1, 0, 10000));
	cr_assert_not(is_due(&p, JOBS_AT_ONCE - 1, 0, 10001));
}

/* Few jobs wait for others for the whole time, and also when they come slowly:
 * each flush would have only one of them. */
Test(pace, few_jobs_gather_for_twice_the_time_of_a_batch)
{
	static const struct { uint64_t took, gather; } v[] = {
		{ 0, 20 }, { 10, 20 }, { 11, 22 }, { 40, 80 }, { 50, 100 },
		{ 51, 100 }, { UINT64_MAX / 2, 100 }
	};
	struct pace p = came(10001);
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		p.took_ms = v[i].took;
		cr_assert_eq(pace_due(&p, 1, 0), 10000 + v[i].gather, "%zu", i);
		cr_assert_eq(pace_due(&p, PACE_ENOUGH - 1, 9),
		    10000 + v[i].gather, "%zu", i);
	}
}

/* A burst: as long as jobs come they gather, and at its end they do not wait. */
Test(pace, the_end_of_a_burst_waits_for_no_more)
{
	struct pace p;
	uint64_t at;

	for (at = 10000; at < 10080 - PACE_QUIET_MS; at += PACE_QUIET_MS - 1) {
		p = came(at);
		cr_assert_eq(pace_due(&p, PACE_ENOUGH, 0),
		    at + PACE_QUIET_MS);
	}
	p = came(10079);
	cr_assert_eq(pace_due(&p, JOBS_AT_ONCE - 1, 0), 10080,
	    "no longer than few do");
	p = came(9950);
	cr_assert_eq(pace_due(&p, PACE_ENOUGH, 0), 10000 + PACE_QUIET_MS,
	    "what has come during the batch is read behind it");
}

Test(pace, renames_alone_are_flushed)
{
	struct pace p = came(10005);

	cr_assert_eq(pace_due(&p, 0, 1), 10000 + PACE_FLUSH_MS);
}

/* The queue may have to hear of them before it gives out more. */
Test(pace, many_renames_do_not_wait_for_what_few_jobs_gather)
{
	struct pace p = came(10014);

	cr_assert_eq(pace_due(&p, 1, PACE_ENOUGH), 10000 + PACE_FLUSH_MS);
	cr_assert_eq(pace_due(&p, PACE_FEW - 1, PACE_ENOUGH),
	    10000 + PACE_FLUSH_MS);
	cr_assert_eq(pace_due(&p, 1, PACE_ENOUGH - 1), 10080,
	    "few of both gather");
	cr_assert_eq(pace_due(&p, PACE_FEW, JOBS_AT_ONCE), 10080,
	    "a steady load does");
	cr_assert_eq(pace_due(&p, PACE_ENOUGH, PACE_ENOUGH),
	    10014 + PACE_QUIET_MS, "and is over when nothing comes");
}
