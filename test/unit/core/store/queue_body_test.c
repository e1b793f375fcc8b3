/* The files of large bodies, of which a worker that has been taken over can name
 * one twice. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

QF_SUITE(queue_body);

static char large[5000];

static bool
has_body(uint64_t id)
{
	char name[SPOOL_NAME];

	spool_body_name(id, name);
	return qf_exists(&f, f.incoming, name);
}

/* A record in ${seg} that names the body of another. */
static void
claim(struct qf_segment *seg, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_body_name(id, name);
	if (has_body(id))
		cr_assert_eq(unlinkat(f.incoming, name, 0), 0);
	memset(large, 'l', sizeof(large));
	qf_large(&f, seg, id, large, sizeof(large));
}

/* As an agent: the job with that origin is done. */
static void
done(uint64_t segment, uint32_t seq, int errnum)
{
	size_t i, n = 0;

	for (i = 0; i < f.njobs; i++) {
		if (f.jobs[i].job.origin.segment != segment ||
		    f.jobs[i].job.origin.seq != seq)
			continue;
		n++;
		qf_done(&f, f.jobs[i].agent, f.jobs[i].job.job, errnum);
	}
	cr_assert_eq(n, 1);
}

Test(queue_body, a_body_that_two_records_name_is_there_for_both)
{
	struct qf_segment second;

	qf_segment(&f, &s, 1);
	claim(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_segment(&f, &second, 2);
	claim(&second, QF_ID(3));
	qf_committed(&f, &second, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	done(QF_SEGMENT(2), 1, 0);
	qf_pass(&f, 5000);
	cr_assert(has_body(QF_ID(3)));
	done(QF_SEGMENT(1), 1, 0);
	qf_pass(&f, 5000);
	cr_assert_not(has_body(QF_ID(3)));
	spool_segment_close(&second.file);
	f.njobs = 0;
}

/* The forged one says of it what it is not. */
Test(queue_body, a_body_that_another_record_belies_is_not_set_aside)
{
	struct qf_segment second;
	char name[SPOOL_NAME], kept[SPOOL_NAME + 16];
	int fd;

	qf_segment(&f, &s, 1);
	claim(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_segment(&f, &second, 2);
	claim(&second, QF_ID(3));
	qf_committed(&f, &second, false);
	qf_pass(&f, 0);
	spool_body_name(QF_ID(3), name);
	snprintf(kept, sizeof(kept), "damaged.%s", name);
	fd = openat(f.incoming, name, O_WRONLY);
	cr_assert_eq(ftruncate(fd, 77), 0);
	close(fd);
	done(QF_SEGMENT(2), 1, EBADMSG);
	qf_pass(&f, 5000);
	cr_assert(has_body(QF_ID(3)));
	/* for the last one it is damage */
	done(QF_SEGMENT(1), 1, EBADMSG);
	qf_pass(&f, 5000);
	cr_assert_not(has_body(QF_ID(3)));
	cr_assert(qf_exists(&f, f.incoming, kept));
	spool_segment_close(&second.file);
	f.njobs = 0;
}

Test(queue_body, the_body_of_a_record_that_was_put_back_stays)
{
	struct qf_segment second;

	qf_segment(&f, &s, 1);
	claim(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	fault_arm(FAULT_DATABASE, 0, 20, ENOSPC);
	qf_finish(&f, EACCES);
	qf_pass(&f, 100);
	fault_arm(FAULT_DATABASE, 0, 0, 0);
	qf_segment(&f, &second, 2);
	claim(&second, QF_ID(3));
	qf_committed(&f, &second, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	done(QF_SEGMENT(2), 1, 0);
	f.njobs = 0;
	qf_pass(&f, 5000);
	cr_assert(has_body(QF_ID(3)));
	qf_pass(&f, 70000);
	cr_assert_eq(f.njobs, 1);
	cr_assert(has_body(QF_ID(3)));
	qf_finish(&f, 0);
	qf_pass(&f, 5000);
	cr_assert_not(has_body(QF_ID(3)));
	spool_segment_close(&second.file);
}

/* More large messages than are held at once; the last one is the victim.  Its
 * segment was written to at ${seconds} by the clock then. */
static void
leave_unread(time_t seconds)
{
	enum { HELD = 128 };
	const struct timespec old[2] = { { .tv_sec = seconds },
		{ .tv_sec = seconds } };
	struct qf_segment second;
	unsigned int i;

	qf_close(&f);
	qf_segment(&f, &second, 2);
	for (i = 1; i <= HELD; i++)
		claim(&second, QF_ID(i));
	claim(&second, QF_ID(1000));
	cr_assert_eq(futimens(second.file.fd, old), 0);
	spool_segment_close(&second.file);
	qf_segment(&f, &s, 1);
	claim(&s, QF_ID(1000));
	for (i = 2; i <= HELD; i++)
		claim(&s, QF_ID(2000 + i));
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, HELD);
	cr_assert_eq(f.jobs[0].job.origin.segment, QF_SEGMENT(1));
	qf_finish(&f, 0);
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, HELD);
	cr_assert_eq(f.jobs[0].job.origin.segment, QF_SEGMENT(2));
	cr_assert(has_body(QF_ID(1000)), "it is not read yet");
	qf_finish(&f, 0);
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, 1);
	cr_assert(has_body(QF_ID(1000)));
	qf_finish(&f, 0);
	qf_pass(&f, 3000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_BODY), 0);
}

Test(queue_body, the_body_of_a_record_that_is_not_read_yet_stays)
{
	leave_unread(1000000000);
}

Test(queue_body, and_so_it_does_when_the_clock_was_set_back)
{
	leave_unread(4000000000);
}
