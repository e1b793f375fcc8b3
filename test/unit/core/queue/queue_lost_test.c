/* What was acknowledged when it was deferred, and is lost in a crash: the log is
 * not on disk yet, while rows are at once. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/queue/queue_int.h"
#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_lost);

/* The power is cut: of the log nothing is on disk, or what ${kept} was copied to. */
static void
cut(const char *kept)
{
	char cmd[256];

	qf_close(&f);
	snprintf(cmd, sizeof(cmd), "rm -f %s/ack.*; [ -z '%s' ] || "
	    "cp -a %s/ack.* %s", f.path, kept, kept, f.path);
	cr_assert_eq(system(cmd), 0);
	qf_open(&f);
}

/* A message whose recipients are all deferred, and due in a minute */
static void
defer(void)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
}

/* Its record is read: so much of it is given to an agent. */
static size_t
read_record(void)
{
	f.njobs = 0;
	qf_committed(&f, &s, false);
	qf_pass(&f, 100);
	return f.njobs;
}

Test(queue_lost, what_is_delivered_before_its_record_is_read_again_is_done)
{
	defer();
	cut("");
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_assert_eq(read_record(), 0);
	cr_assert_eq(qf_listed(&f), 0);
}

/* Also if that process is killed, too. */
Test(queue_lost, and_after_another_crash)
{
	char kept[] = "/tmp/queue-lost.XXXXXX", cmd[128];

	cr_assert_not_null(mkdtemp(kept));
	defer();
	cut("");
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_done(&f, f.jobs[0].agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.jobs[1].agent, f.jobs[1].job.job, 0);
	f.njobs = 0;
	queue_settle(f.q);
	snprintf(cmd, sizeof(cmd), "cp -a %s/ack.* %s", f.path, kept);
	cr_assert_eq(system(cmd), 0);
	cut(kept);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 1, "the third has its row");
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_assert_eq(read_record(), 0);
	cr_assert_eq(qf_listed(&f), 0);
	snprintf(cmd, sizeof(cmd), "rm -r %s", kept);
	cr_assert_eq(system(cmd), 0);
}

Test(queue_lost, what_is_removed_is_done)
{
	char *answer;

	defer();
	cut("");
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"all\"}");
	cr_expect_str_eq(answer, "{\"removed\":3,\"messages\":1}\n");
	free(answer);
	cr_assert_eq(read_record(), 0);
	cr_assert_eq(qf_listed(&f), 0);
}

/* Nothing has to be flushed for what was acknowledged some time ago. */
Test(queue_lost, the_log_is_not_flushed_for_what_is_on_disk)
{
	struct deferred_row row = { .rcpt_index = 0 };

	defer();
	row.origin = (struct spool_origin){
		.segment = s.file.header.segment,
		.generation = s.file.header.generation, .seq = 1 };
	cr_expect(queue_spool_ops.acknowledge_row(f.q->store, &row));
	qf_pass(&f, 5000);
	cr_expect_not(queue_spool_ops.acknowledge_row(f.q->store, &row));
}
