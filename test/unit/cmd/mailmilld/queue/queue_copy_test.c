/* What an agent that gets no segment can read of one. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_sources.h"
#include "test/unit/core/queue/queue_fixture.h"

#define SOURCE	7

static struct qf f;
static struct qf_segment s;
static struct queue_role r;
static struct queue_peer p;
static struct spool_sources *sources;	/* the agent's */
static uint64_t offsets[3];
static int segment;			/* as the queue has it open */

static void
setup(void)
{
	char name[SPOOL_NAME];
	unsigned int i;

	qf_init(&f);
	qf_open(&f);
	r.queue = f.q;
	p.role = &r;
	p.agent = f.agent;
	LIST_INIT(&p.copies);
	STAILQ_INIT(&p.unread);
	cr_assert_not_null(sources = spool_sources_new());
	qf_segment(&f, &s, 1);
	for (i = 0; i < 3; i++)
		offsets[i] = qf_mail(&s, QF_ID(i + 1));
	spool_segment_name("seg", QF_SEGMENT(1), name);
	segment = openat(f.incoming, name, O_RDONLY | O_CLOEXEC);
	cr_assert_neq(segment, -1);
}

static void
teardown(void)
{
	close(segment);
	queue_copy_close_all(&p);
	spool_sources_free(sources);
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(queue_copy, .init = setup, .fini = teardown);

static void
give_source(void)
{
	int fd = queue_copy_open(&p, SOURCE, segment);

	cr_assert_neq(fd, -1);
	spool_sources_drop(sources, SOURCE);
	cr_assert_eq(spool_sources_add(sources, SOURCE, fd), 0);
}

static bool
can_read(unsigned int i)
{
	const struct job job = { .source = SOURCE, .offset = offsets[i] };
	struct spool_view view;

	if (spool_sources_record(sources, &job, &view) == -1) {
		cr_expect_eq(errno, EBADMSG);
		return false;
	}
	return view.record.id == QF_ID(i + 1);
}

static unsigned int
give_job(uint64_t source, uint64_t job, uint64_t offset)
{
	struct job v = { .job = job, .source = source, .offset = offset };
	unsigned int n = 1;

	cr_assert_eq(queue_copy_jobs(&p, &v, &n), 0);
	return n;
}

/* By this process, from files: what its system calls have asked for. */
static unsigned long long
octets_read(void)
{
	unsigned long long n = 0;
	FILE *file = fopen("/proc/self/io", "re");

	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "rchar: %llu", &n), 1);
	fclose(file);
	return n;
}

Test(queue_copy, an_agent_sees_the_records_of_its_jobs_alone)
{
	give_source();
	cr_expect(!can_read(0) && !can_read(1) && !can_read(2));
	cr_expect_eq(give_job(SOURCE, 1, offsets[1]), 1);
	cr_expect(!can_read(0) && can_read(1) && !can_read(2));
	cr_expect_eq(give_job(SOURCE, 2, offsets[0]), 1);
	cr_expect(can_read(0) && can_read(1) && !can_read(2));
}

Test(queue_copy, what_is_written_later_is_not_in_it)
{
	give_source();
	cr_expect_eq(give_job(SOURCE, 1, offsets[2]), 1);
	cr_assert_eq(pwrite(s.file.fd, "x", 1, (off_t)offsets[2]), 1);
	cr_expect(can_read(2));
}

Test(queue_copy, an_agent_that_is_told_again_has_a_new_one)
{
	give_source();
	cr_expect_eq(give_job(SOURCE, 1, offsets[0]), 1);
	give_source();
	cr_expect(!can_read(0));
	cr_expect_eq(give_job(SOURCE, 1, offsets[1]), 1);
	cr_expect(can_read(1));
	queue_copy_close(&p, SOURCE);
	cr_expect(LIST_EMPTY(&p.copies));
}

Test(queue_copy, a_file_that_is_the_message_s_own_is_none)
{
	cr_expect_eq(give_job(SOURCE + 1, 1, offsets[0]), 1);
	cr_expect(LIST_EMPTY(&p.copies));
}

/* Each of them is a job; a message for hundreds is copied once all the same. */
Test(queue_copy, a_record_for_many_recipients_is_copied_once)
{
	const struct job job = { .source = SOURCE, .offset = offsets[1] };
	struct job v[400];
	unsigned int n = 400, i;
	unsigned long long before, after;

	give_source();
	for (i = 0; i < n; i++) {
		v[i] = job;
		v[i].job = i + 1;
	}
	before = octets_read();
	cr_assert_eq(queue_copy_jobs(&p, v, &n), 0);
	after = octets_read();
	cr_expect_eq(n, 400);
	cr_expect(can_read(1));
	cr_expect_lt(after - before, 400 * SPOOL_RECORD_HEADER);
}

Test(queue_copy, what_is_no_record_is_left_to_the_agent)
{
	give_source();
	cr_expect_eq(give_job(SOURCE, 1, offsets[0] + SPOOL_ALIGN), 1);
	cr_expect_eq(give_job(SOURCE, 1, (uint64_t)1 << 40), 1);
	cr_expect(!can_read(0));
}

/* Here it is at an offset that pread(2) does not take. */
Test(queue_copy, a_record_that_cannot_be_read_fails_in_the_next_pass)
{
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(queue_in_flight(f.q), 3);
	give_source();
	cr_expect_eq(give_job(SOURCE, f.jobs[0].job.job, UINT64_MAX), 0);
	cr_expect_eq(queue_in_flight(f.q), 3, "not before");
	queue_copy_tell(&p, &f.now);
	cr_expect_eq(queue_in_flight(f.q), 2);
	cr_expect(STAILQ_EMPTY(&p.unread));
}
