/* A power cut takes back what was not flushed: names, too. */

#include <criterion/criterion.h>
#include <errno.h>

#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

static struct qf f;
static struct qf_segment s;

static void
setup(void)
{
	qf_init(&f);
	qf_open(&f);
	s.file.fd = -1;
}

static void
teardown(void)
{
	fault_names(false);
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(queue_power, .init = setup, .fini = teardown);

/* A message in segment ${n}, delivered, and its writer gone */
static void
deliver_one(unsigned int n)
{
	qf_segment(&f, &s, n);
	qf_mail(&s, QF_ID(n));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

/* The log is replaced by one without the segments that are gone. */
static void
replace_log(void)
{
	fault_arm(FAULT_FDATASYNC, 0, 1, EIO);
	deliver_one(2);
	cr_assert(qf_exists(&f, f.folder, "ack.2"));
	cr_assert_not(qf_exists(&f, f.folder, "ack.1"));
}

static void
expect_nothing_again(void)
{
	qf_close(&f);
	fault_power_cut(f.incoming);
	qf_open(&f);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0, "delivered twice");
}

Test(queue_power, a_removed_segment_does_not_come_back_without_its_log)
{
	queue_writer_gone(f.q, QF_WRITER);
	fault_names(true);
	deliver_one(1);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	replace_log();
	expect_nothing_again();
}

/* The process that has removed it is not the one that replaces the log. */
Test(queue_power, nor_after_the_queue_has_been_started_again)
{
	queue_writer_gone(f.q, QF_WRITER);
	fault_names(true);
	deliver_one(1);
	qf_close(&f);
	qf_open(&f);
	queue_writer_gone(f.q, QF_WRITER);
	replace_log();
	expect_nothing_again();
}

Test(queue_power, nor_one_that_was_set_aside)
{
	queue_writer_gone(f.q, QF_WRITER);
	fault_names(true);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_mail(&s, QF_ID(2) + 1);	/* another writer's */
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 5000);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
	replace_log();
	expect_nothing_again();
}

Test(queue_power, a_log_is_not_replaced_when_the_folder_cannot_be_flushed)
{
	queue_writer_gone(f.q, QF_WRITER);
	fault_names(true);
	deliver_one(1);
	fault_arm(FAULT_FDATASYNC, 0, 1, EIO);
	fault_arm(FAULT_FSYNC, 0, 1000, EIO);
	deliver_one(2);
	cr_assert(qf_exists(&f, f.folder, "ack.1"));
	fault_arm(FAULT_FSYNC, 0, 0, 0);
	qf_pass(&f, 5000);
	cr_assert_not(qf_exists(&f, f.folder, "ack.1"));
	expect_nothing_again();
}
