/* The origin of a record, by which a message is known: a worker that has been
 * taken over can write the segment, the generation and the number of another. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

QF_SUITE(queue_origin);

/* Of the only job */
static struct job_origin
origin(void)
{
	cr_assert_eq(f.njobs, 1);
	return f.jobs[0].job.origin;
}

static void
expect_origin(uint64_t segment, uint64_t generation, uint32_t seq)
{
	struct job_origin o = origin();

	cr_assert_eq(o.segment, segment);
	cr_assert_eq(o.generation, generation);
	cr_assert_eq(o.seq, seq);
	cr_assert_eq(o.rcpt, 0);
}

/* Or it would not be found in the Maildir. */
Test(queue_origin, a_delivery_is_known_by_the_same_origin_at_each_try)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	expect_origin(QF_SEGMENT(1), 1, 1);
	/* the queue dies */
	f.njobs = 0;
	qf_close(&f);
	qf_open(&f);
	qf_committed(&f, &s, false);
	qf_pass(&f, 1000);
	expect_origin(QF_SEGMENT(1), 1, 1);
	cr_assert(f.jobs[0].job.is_repeated);
	/* put back, since nothing can be written */
	fault_arm(FAULT_DATABASE, 0, 20, ENOSPC);
	qf_finish(&f, EACCES);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 0);
	fault_arm(FAULT_DATABASE, 0, 0, 0);
	qf_pass(&f, 70000);
	expect_origin(QF_SEGMENT(1), 1, 1);
	cr_assert(f.jobs[0].job.is_repeated);
	/* deferred */
	qf_finish(&f, EACCES);
	qf_pass(&f, 140000);
	expect_origin(QF_SEGMENT(1), 1, 1);
	cr_assert(f.jobs[0].job.is_repeated);
	/* deferred, and the database is lost */
	f.njobs = 0;
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "deferred.db", 0), 0);
	qf_open(&f);
	qf_pass(&f, 1000);
	expect_origin(QF_SEGMENT(1), 1, 1);
	cr_assert(f.jobs[0].job.is_repeated);
	qf_finish(&f, 0);
}

/* It is neither in memory nor deferred when the forged record is read. */
Test(queue_origin, a_record_with_the_id_of_one_that_was_put_back_is_another)
{
	struct qf_segment second;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", &qf_three[0], 1, "victim\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	fault_arm(FAULT_DATABASE, 0, 20, ENOSPC);
	qf_finish(&f, EACCES);
	qf_pass(&f, 100);
	fault_arm(FAULT_DATABASE, 0, 0, 0);
	qf_segment(&f, &second, 2);
	qf_append(&second, QF_ID(1), "x@y", &qf_three[0], 1, "forged\r\n");
	qf_committed(&f, &second, false);
	qf_pass(&f, 0);
	expect_origin(QF_SEGMENT(2), 1, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 70000);
	expect_origin(QF_SEGMENT(1), 1, 1);
	qf_finish(&f, 0);
	spool_segment_close(&second.file);
}

/* The forged one has a second recipient, which goes to the deferred store. */
static const char *const two_forged[] = { "a@x.test", "b@nowhere.test" };

/* The writer of the segment begins anew, with a header of its own. */
static void
forge(uint64_t generation)
{
	unsigned char page[SPOOL_PAGE];

	s.file.header.generation = generation;
	spool_header_encode(&s.file.header, page);
	cr_assert_eq(pwrite(s.file.fd, page, sizeof(page), 0),
	    (ssize_t)sizeof(page));
	s.end = SPOOL_PAGE;
	s.seq = 0;
}

/* Let the segment be recycled, and take it again: it has that generation. */
static void
take_again(uint64_t generation)
{
	uint64_t id = s.file.header.segment;

	spool_segment_close(&s.file);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	cr_assert_eq(stats_sum(STATS_SEGMENTS_RECYCLED), 0,
	    "the writer that takes it counts it");
	cr_assert_eq(spool_segment_take(f.incoming, QF_WRITER,
	    s.file.header.size_octets, &s.file), 0);
	cr_assert_eq(s.file.header.segment, id);
	cr_assert_eq(s.file.header.generation, generation);
	s.end = SPOOL_PAGE;
	s.seq = 0;
}

/* The header is in its segment. */
Test(queue_origin, a_generation_that_has_been_is_not_accepted_again)
{
	uint64_t id;

	/* deferred from the first generation */
	qf_segment(&f, &s, 1);
	id = s.file.header.segment;
	qf_append(&s, QF_ID(1), "x@y", &qf_three[0], 1, "victim\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	take_again(2);
	/* its writer says that it is the first */
	forge(1);
	qf_append(&s, QF_ID(9), "x@y", two_forged, 2, "forged\r\n");
	qf_append(&s, QF_ID(10), "x@y", &qf_three[0], 1, "another\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2, "they are other messages");
	cr_assert_eq(f.jobs[0].job.origin.generation, 2);
	cr_assert_eq(f.jobs[0].job.origin.seq, 1);
	cr_assert_eq(f.jobs[1].job.origin.generation, 2);
	cr_assert_eq(f.jobs[1].job.origin.seq, 2);
	qf_finish(&f, 0);
	cr_assert_eq(qf_listed(&f), 2);
	take_again(3);
	qf_pass(&f, 57000);
	cr_assert_eq(f.njobs, 1);
	expect_origin(id, 1, 1);
	qf_finish(&f, 0);
}

/* This process does not know what the one before it gave out. */
Test(queue_origin, generations_do_not_run_backwards_after_a_restart)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	take_again(2);
	qf_append(&s, QF_ID(2), "x@y", &qf_three[0], 1, "victim\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	take_again(3);
	/* the log is lost: known from the deferred message */
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "ack.1", 0), 0);
	forge(1);
	qf_open(&f);
	qf_mail(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	expect_origin(s.file.header.segment, 3, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	/* from the log */
	qf_close(&f);
	forge(2);
	qf_mail(&s, QF_ID(4));
	qf_mail(&s, QF_ID(5));
	qf_open(&f);
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	expect_origin(s.file.header.segment, 3, 2);
	qf_finish(&f, 0);
	take_again(4);
	/* the log has it, but not as a segment that is there */
	cr_assert_eq(renameat(f.incoming, "seg.0000000000001001", f.folder,
	    "hidden"), 0);
	qf_close(&f);
	qf_open(&f);
	cr_assert_eq(renameat(f.folder, "hidden", f.incoming,
	    "seg.0000000000001001"), 0);
	forge(1);
	qf_mail(&s, QF_ID(6));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	expect_origin(s.file.header.segment, 4, 1);
	qf_finish(&f, 0);
}

Test(queue_origin, a_generation_that_cannot_be_counted_to_is_not_counted_on)
{
	qf_segment(&f, &s, 1);
	forge(UINT64_MAX);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	spool_segment_close(&s.file);
	qf_segment(&f, &s, 2);
	forge(1ULL << 62);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 1);
}

/* The content of the only deferred message, which is due */
static void
expect_deferred(const char *body)
{
	char buf[8192];
	ssize_t n;

	cr_assert_eq(f.njobs, 1);
	n = pread(f.sources[f.jobs[0].job.source], buf, sizeof(buf) - 1, 0);
	cr_assert_gt(n, SPOOL_PAGE);
	cr_assert_not_null(memmem(buf, (size_t)n, body, strlen(body)));
}

/* By its segment, generation and number it is the message that is deferred. */
Test(queue_origin, a_record_with_the_origin_of_a_deferred_message_replaces_nothing)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", &qf_three[0], 1, "victim\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	take_again(2);
	/* what the queue remembers of the segment is lost */
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "ack.1", 0), 0);
	forge(1);
	qf_append(&s, QF_ID(9), "x@y", two_forged, 2, "forged\r\n");
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_listed(&f), 1);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
	qf_pass(&f, 70000);
	expect_deferred("victim");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_listed(&f), 0);
}

/* In one generation: both are in hand when the first is deferred. */
Test(queue_origin, a_second_record_with_the_same_number_replaces_nothing)
{
	static const char *const forged[] = { "b@nowhere.test" };
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE);

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", &qf_three[0], 1, "victim\r\n");
	s.seq = 0;
	qf_append(&s, QF_ID(1), "x@y", &qf_three[1], 1, "forged\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	qf_done(&f, f.jobs[0].agent, f.jobs[0].job.job, EACCES);
	qf_pass(&f, 100);
	qf_done(&f, f.jobs[1].agent, f.jobs[1].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 100);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	qf_pass(&f, 70000);
	expect_deferred("victim");
	qf_finish(&f, 0);
	/* in one transaction */
	s.seq = 1;
	qf_append(&s, QF_ID(2), "x@y", forged, 1, "victim\r\n");
	s.seq = 1;
	qf_append(&s, QF_ID(2), "x@z", forged, 1, "forged\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 2);
	cr_assert_eq(qf_listed(&f), 1);
}
