#include "test/unit/core/queue/queue_target_fixture.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "core/queue/queue_int.h"

#define EACH	400	/* messages in a segment */
#define MAILS	12000

struct qf qt;
struct qf_segment qt_segment;
unsigned int qt_relay;

static const char *to[MAILS];	/* recipient of each message, by where it is */
static unsigned int nmails, nsegments;

void
qt_open_queue(void)
{
	qf_open(&qt);
	qt.q->targets.seed = 1;
	cr_assert_eq(queue_agent_add(qt.q, QF_RELAY, &qt_relay), 0);
}

void
qt_setup(void)
{
	nmails = nsegments = 0;
	qf_init(&qt);
	qt.config.is_synced = false;
	qt_segment.file.fd = -1;
	qt_open_queue();
}

void
qt_teardown(void)
{
	spool_segment_close(&qt_segment.file);
	qf_free(&qt);
}

void
qt_end_segment(void)
{
	if (qt_segment.file.fd == -1)
		return;
	qf_committed(&qt, &qt_segment, true);
	spool_segment_close(&qt_segment.file);
	qt_segment.file.fd = -1;
}

/* The next message is going to be for ${rcpt}. */
static void
next_mail(const char *rcpt)
{
	cr_assert_lt(nmails, MAILS);
	if (nmails % EACH == 0) {
		qt_end_segment();
		qf_segment(&qt, &qt_segment, ++nsegments);
	}
	to[nmails++] = rcpt;
}

void
qt_mail_from(const char *sender, const char *rcpt, unsigned int n)
{
	for (; n > 0; n--) {
		next_mail(rcpt);
		qf_append(&qt_segment, QF_ID(nmails), sender, &rcpt, 1,
		    "body\r\n");
	}
	qf_committed(&qt, &qt_segment, false);
}

void
qt_mail(const char *rcpt, unsigned int n)
{
	qt_mail_from("a@b.test", rcpt, n);
}

void
qt_mail_together(const char *rcpt, size_t n, const char *last)
{
	static const char *rcpts[300];
	size_t i;

	cr_assert_leq(n, 300);
	for (i = 0; i < n; i++)
		rcpts[i] = i + 1 < n ? rcpt : last;
	qt_mail("y@near.test", 1);
	to[nmails++] = rcpt;
	qf_append(&qt_segment, QF_ID(nmails), "a@b.test", rcpts, n, "body\r\n");
	qf_committed(&qt, &qt_segment, false);
}

const char *
qt_rcpt_of(const struct job *job)
{
	return to[((job->origin.segment >> 12) - 1) * EACH +
	    job->origin.seq - 1];
}

void
qt_mail_large(const char *rcpt, unsigned int n)
{
	for (; n > 0; n--) {
		next_mail(rcpt);
		qf_large_to(&qt, &qt_segment, QF_ID(nmails), rcpt,
		    "body\r\n", 6);
	}
	qf_committed(&qt, &qt_segment, false);
}

size_t
qt_jobs_for(const char *rcpt)
{
	size_t i, n = 0;

	for (i = 0; i < qt.njobs; i++)
		n += strcmp(qt_rcpt_of(&qt.jobs[i].job), rcpt) == 0;
	return n;
}

size_t
qt_finish(const char *rcpt, size_t max, int errnum, unsigned int flags)
{
	struct job_error error = { .text = "because of the test" };
	size_t i, n = 0, kept = 0, had = qt.njobs;

	for (i = 0; i < had; i++) {
		if (n == max ||
		    strcmp(qt_rcpt_of(&qt.jobs[i].job), rcpt) != 0) {
			qt.jobs[kept++] = qt.jobs[i];
			continue;
		}
		n++;
		error.job = qt.jobs[i].job.job;
		if (errnum != 0)
			queue_error(qt.q, qt.jobs[i].agent, &error);
		qf_done_with(&qt, qt.jobs[i].agent, qt.jobs[i].job.job, errnum,
		    flags);
	}
	qt.njobs = kept;
	return n;
}

size_t
qt_finish_all(const char *rcpt, int errnum, unsigned int flags)
{
	return qt_finish(rcpt, SIZE_MAX, errnum, flags);
}

size_t
qt_deliver(const char *rcpt)
{
	size_t n = 0, more;

	do {
		qf_pass(&qt, 10);
		n += more = qt_finish_all(rcpt, 0, 0);
	} while (more > 0);
	return n;
}

static int
see_row(void *closure, const struct deferred_row *row)
{
	struct qt_rows *rows = closure;

	rows->n++;
	rows->nparked += row->waits_for[0] != '\0';
	rows->nattempts += row->attempts;
	return 0;
}

struct qt_rows
qt_rows(void)
{
	const struct deferred_query all = { .what = DEFERRED_PAGE,
		.limit = 100000 };
	struct qt_rows r = { .n = 0 };

	cr_assert_neq(qt.q->store_ops->rows(qt.q->store, &all, see_row, &r),
	    -1);
	return r;
}
