/* Opening the store when a file or folder cannot be opened for a while. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/queue/queue.h"
#include "test/unit/core/queue/queue_fixture.h"

static struct qf f;
static struct qf_segment s;
static uint64_t second;	/* offset of the second message */

static void
setup(void)
{
	qf_init(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
}

static void
teardown(void)
{
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(queue_open, .init = setup, .fini = teardown);

/* The first of two messages is delivered; then the process ends. */
static void
deliver_one_of_two(void)
{
	qf_committed(&f, &s, false);
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	second = s.end;
	qf_mail(&s, QF_ID(2));
	qf_close(&f);
}

static void
expect_the_second_alone(void)
{
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(f.jobs[0].job.offset, second);
	qf_finish(&f, 0);
	qf_pass(&f, 10000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

/* A folder of the spool that cannot be read, the log can */
Test(queue_open, without_a_scan_of_the_folder_it_fails_and_forgets_nothing)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct queue *q;

	cr_assert_neq(null_fd, -1);
	deliver_one_of_two();
	spool_segment_close(&s.file);
	f.config.incoming_dirfd = null_fd;
	errno = 0;
	q = queue_open(&f.config, &(const struct queue_ops){ 0 }, &f,
	    &f.now, f.ms);
	cr_assert_null(q);
	cr_assert_eq(errno, ENOTDIR, "errno %d", errno);
	close(null_fd);
	f.config.incoming_dirfd = f.incoming;
	qf_open(&f);
	expect_the_second_alone();
}

/* In the place of the segment for a while: what open(2) refuses, as it does
 * without descriptors */
static void
hide(void)
{
	cr_assert_eq(renameat(f.incoming, "seg.0000000000001001", f.incoming,
	    "hidden"), 0);
	cr_assert_eq(symlinkat("hidden", f.incoming, "seg.0000000000001001"),
	    0);
}

static void
show(void)
{
	cr_assert_eq(renameat(f.incoming, "hidden", f.incoming,
	    "seg.0000000000001001"), 0);
}

Test(queue_open, a_segment_that_cannot_be_opened_at_first_is_read_later)
{
	qf_close(&f);
	spool_segment_close(&s.file);
	hide();
	qf_open(&f);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	show();
	qf_pass(&f, 20000);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 10000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue_open, what_the_log_says_of_it_is_not_forgotten)
{
	deliver_one_of_two();
	spool_segment_close(&s.file);
	hide();
	qf_open(&f);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	show();
	expect_the_second_alone();
}

Test(queue_open, what_its_worker_tells_meanwhile_is_not_forgotten)
{
	qf_close(&f);
	hide();
	qf_open(&f);
	/* once: the worker may commit nothing more */
	qf_committed(&f, &s, false);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	show();
	qf_pass(&f, 20000);
	cr_assert_eq(f.njobs, 1);
}

Test(queue_open, late_news_of_it_bounds_nothing)
{
	qf_close(&f);
	hide();
	qf_open(&f);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 7, s.end + 8192, false);
	show();
	qf_pass(&f, 20000);
	cr_assert_eq(f.njobs, 0);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 20000);
	cr_assert_eq(f.njobs, 2);
}
