/* By when a message is to be delivered, RFC 2852; how urgent it is, RFC 6710. */

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue.h"
#include "test/unit/core/queue/queue_fixture.h"

#define START	1700000000	/* the fixture's clock */

QF_SUITE(queue_terms);

/* A message that is to be delivered ${seconds} after the start */
static void
deliver_by(int64_t seconds, unsigned int flags)
{
	const struct spool_envelope said = { .deliver_by = START + seconds,
		.flags = flags };

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
}

/* All that agents have is the report to the sender. */
static bool
is_reported(void)
{
	char rcpt[64], text[1024];

	if (f.njobs != 1)
		return false;
	qf_rcpt(&f, 0, rcpt, sizeof(rcpt));
	qf_text(&f, 0, text, sizeof(text));
	return strcmp(rcpt, "a@b.test") == 0 &&
	    strstr(text, "text=not delivered by the time") != NULL;
}

Test(queue_terms, in_time_it_is_delivered)
{
	deliver_by(60, SPOOL_ENV_BY_RETURN);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
}

Test(queue_terms, mode_r_is_not_delivered_late)
{
	deliver_by(90, SPOOL_ENV_BY_RETURN);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3, "the second attempt is in time");
	qf_finish(&f, EACCES);
	qf_pass(&f, 3600 * 1000);
	cr_assert(is_reported(), "and there is no third one");
	/* nor after a restart, or when an administrator wants one */
	qf_close(&f);
	qf_open(&f);
	free(qf_ask(&f, "{\"command\":\"queue\",\"action\":\"retry\","
	    "\"id\":\"all\"}"));
	qf_pass(&f, 3600 * 1000);
	cr_assert(is_reported());
	cr_assert_eq(qf_listed(&f), 1);
}

/* It was in memory when the time came. */
Test(queue_terms, mode_r_is_not_delivered_late_by_an_agent_that_was_busy)
{
	f.is_deaf = true;
	deliver_by(30, SPOOL_ENV_BY_RETURN);
	qf_pass(&f, 29 * 1000);
	f.is_deaf = false;
	f.now.tv_sec += 2;
	f.ms += 2000;
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 2000);
	cr_assert(is_reported());
}

/* The clock was a day slow, and is set right.  BY is an interval: of what waits
 * for an agent, and of what waits for its next attempt. */
Test(queue_terms, a_clock_that_is_set_makes_nothing_late)
{
	f.is_deaf = true;
	deliver_by(100, SPOOL_ENV_BY_RETURN);
	qf_pass(&f, 1000);
	f.now.tv_sec += 86400;
	f.is_deaf = false;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	f.now.tv_sec += 86400;
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	/* and it is late all the same in its time */
	f.now.tv_sec -= 3 * 86400;
	qf_pass(&f, 3600 * 1000);
	cr_assert(is_reported());
}

Test(queue_terms, mode_n_is_delivered_late)
{
	deliver_by(-10, 0);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
}

#define EACH	10	/* messages of each priority */

/* Of the messages that agents have, the sequence number says the priority: they
 * were written in this order. */
static int
priority_of(size_t job)
{
	return (int)((f.jobs[job].job.origin.seq - 1) / EACH) - 1;
}

/* EACH messages of the priorities -1, 0 and 1, the least urgent first, wait
 * until an agent takes them.  ${order}: the priority of each in the order in
 * which it does. */
static void
take_all(int order[3 * EACH])
{
	uint64_t offsets[3 * EACH];
	size_t i, k;

	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	for (i = 0; i < 3 * EACH; i++) {
		const struct spool_envelope said = {
			.priority = (int)(i / EACH) - 1 };

		offsets[i] = qf_append_said(&s, QF_ID(i), &said);
	}
	qf_committed(&f, &s, true);
	qf_pass(&f, 1000);
	f.is_deaf = false;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 3 * 3 * EACH);
	for (i = 0; i < 3 * EACH; i++) {
		for (k = 0; offsets[k] != f.jobs[3 * i].job.offset; k++)
			continue;
		order[i] = (int)(k / EACH) - 1;
	}
}

Test(queue_terms, the_urgent_go_first_and_nobody_starves)
{
	unsigned int early[3] = { 0, 0, 0 };
	int order[3 * EACH], last[3];
	size_t i;

	take_all(order);
	for (i = 0; i < 3 * EACH; i++) {
		if (i < 8)
			early[order[i] + 1]++;
		last[order[i] + 1] = (int)i;
	}
	cr_assert_eq(early[2], 5, "of eight turns");
	cr_assert_eq(early[1], 2);
	cr_assert_eq(early[0], 1);
	cr_assert_lt(last[2], last[1]);
	cr_assert_lt(last[1], last[0]);
}

Test(queue_terms, priority_survives_a_restart_and_a_failure)
{
	unsigned int urgent = 0, early[3] = { 0, 0, 0 };
	int order[3 * EACH];
	json_t *json, *m;
	size_t i;

	take_all(order);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	qf_close(&f);
	qf_open(&f);
	json = qf_list(&f);
	json_array_foreach(json_object_get(json, "messages"), i, m)
		urgent += json_integer_value(json_object_get(m, "priority")) ==
		    1;
	json_decref(json);
	cr_assert_eq(urgent, EACH);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3 * 3 * EACH);
	for (i = 0; i < 8; i++)
		early[priority_of(3 * i) + 1]++;
	cr_assert_eq(early[2], 5, "of eight turns");
	cr_assert_eq(early[1], 2);
	cr_assert_eq(early[0], 1);
}

/* A worker that an attacker controls writes what it likes. */
Test(queue_terms, without_the_extension_nobody_is_urgent)
{
	int order[3 * EACH];
	size_t i;

	qf_close(&f);
	f.config.has_priorities = false;
	qf_open(&f);
	take_all(order);
	for (i = 0; i < 3 * EACH; i++)
		cr_assert_eq(order[i], (int)(i / EACH) - 1, "as they came");
}
