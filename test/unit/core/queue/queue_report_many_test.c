/* Reports about a message with more recipients than one report tells of. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"

#define N	(2 * QUEUE_REPORT_RCPTS + 500)

QF_SUITE(queue_report_many);

static char names[N][32], text[512 * QUEUE_REPORT_RCPTS];
static unsigned int told[N];		/* how many reports tell of each */

/* The agents refuse all that they get, until there is no more. */
static void
refuse_all(void)
{
	size_t i, n = 0;

	do {
		for (i = 0; i < f.njobs; i++, n++)
			qf_done_with(&f, f.jobs[i].agent, f.jobs[i].job.job,
			    EACCES, JOB_REFUSED);
		f.njobs = 0;
		qf_pass(&f, 0);
	} while (f.njobs > 0);
	cr_assert_eq(n, N);
}

static void
arrive(void)
{
	static const char *rcpts[N];
	size_t i;

	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@x.test", i);
		rcpts[i] = names[i];
	}
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "a@b.test", rcpts, N, "Subject: x\r\n\r\nhello\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
}

/* Note whom job ${i}, a report, tells of.  Return how many. */
static size_t
read_report(size_t i)
{
	const char *p;
	size_t n = 0;

	qf_text(&f, i, text, sizeof(text));
	cr_expect(strstr(text, "to=a@b.test ") != NULL);
	cr_expect(strstr(text, "Subject: x\r\n") != NULL);
	for (p = text; (p = strstr(p, "\nrcpt=u")) != NULL; n++) {
		p += strlen("\nrcpt=u");
		told[strtoul(p, NULL, 10) % N]++;
	}
	return n;
}

Test(queue_report_many, none_tells_of_more_than_one_can_hold)
{
	size_t i, n;

	arrive();
	refuse_all();
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, 3);
	for (i = 0; i < f.njobs; i++) {
		n = read_report(i);
		cr_expect_leq(n, QUEUE_REPORT_RCPTS, "%zu recipients", n);
	}
	for (i = 0; i < N; i++)
		cr_assert_eq(told[i], 1, "u%zu: %u reports", i, told[i]);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_eq(qf_listed(&f), 0);
	cr_expect_eq(f.nreports, 3);
}

/* Neither one that cannot be written nor a crash makes anybody hear of a recipient
 * twice, or not at all. */
Test(queue_report_many, each_recipient_is_told_of_once_though_one_fails)
{
	size_t i;

	arrive();
	refuse_all();
	f.reports_left = 2;
	/* their rows have a turn when those that failed again have had theirs */
	qf_pass(&f, 3000 + 2 * QUEUE_TROUBLE_MS);
	cr_assert_eq(f.njobs, 2);
	cr_expect_eq(read_report(0) + read_report(1), 2 * QUEUE_REPORT_RCPTS);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	f.has_no_reports = false;
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 60 * 1000);
	cr_assert_eq(f.njobs, 1);
	cr_expect_eq(read_report(0), 500);
	for (i = 0; i < N; i++)
		cr_assert_eq(told[i], 1, "u%zu: %u reports", i, told[i]);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_expect_eq(qf_listed(&f), 0);
}
