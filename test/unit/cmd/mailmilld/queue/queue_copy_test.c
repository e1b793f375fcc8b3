/* What an agent that gets no segment can read of one. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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
static int theirs = -1;			/* as the agent has the copy open */

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
	if (theirs != -1)
		close(theirs);
	queue_copy_close_all(&p);
	cr_expect_eq(p.copy_octets, 0);
	cr_expect_eq(p.npieces, 0);
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
	if (theirs != -1)
		close(theirs);
	theirs = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	spool_sources_drop(sources, SOURCE);
	cr_assert_eq(spool_sources_add(sources, SOURCE, fd), 0);
}

/* In memory, of what the agent has */
static long long
octets_held(void)
{
	struct stat st;

	cr_assert_eq(fstat(theirs, &st), 0);
	return (long long)st.st_blocks * 512;
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
	unsigned int left;

	cr_assert_eq(queue_copy_jobs(&p, &v, 1, &left), 1);
	return left;
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

/* It has lost the source in one job, and has others that it is going to read. */
Test(queue_copy, an_agent_that_is_told_again_has_what_it_had)
{
	give_source();
	cr_expect_eq(give_job(SOURCE, 1, offsets[0]), 1);
	give_source();
	cr_expect(can_read(0) && !can_read(1));
	cr_expect_eq(give_job(SOURCE, 2, offsets[1]), 1);
	cr_expect(can_read(0) && can_read(1));
	queue_copy_close(&p, SOURCE);
	cr_expect(LIST_EMPTY(&p.copies));
}

Test(queue_copy, another_segment_of_the_same_number_has_a_new_one)
{
	struct qf_segment other;
	char name[SPOOL_NAME];

	give_source();
	cr_expect_eq(give_job(SOURCE, 1, offsets[0]), 1);
	close(segment);
	qf_segment(&f, &other, 2);
	spool_segment_name("seg", QF_SEGMENT(2), name);
	segment = openat(f.incoming, name, O_RDONLY | O_CLOEXEC);
	give_source();
	cr_expect(!can_read(0));
	queue_copy_done(&p, 1);		/* of the one that is closed */
	cr_expect_eq(p.copy_octets, SPOOL_PAGE);
	spool_segment_close(&other.file);
}

enum { LARGE = 8, LARGE_OCTETS = 20000 };

/* Records of some pages each, from offsets[0] on */
static void
append_large(uint64_t *at)
{
	static const char *const rcpts[] = { "joe@example.test" };
	static char body[LARGE_OCTETS + 1];
	size_t i;

	memset(body, 'x', LARGE_OCTETS);
	for (i = 0; i < LARGE; i++)
		at[i] = qf_append(&s, QF_ID(100 + i), "a@b.test", rcpts, 1,
		    body);
}

static bool
is_readable(uint64_t offset)
{
	const struct job job = { .source = SOURCE, .offset = offset };
	struct spool_view view;

	return spool_sources_record(sources, &job, &view) == 0 &&
	    view.body[LARGE_OCTETS / 2] == 'x';
}

Test(queue_copy, what_is_done_takes_no_memory_and_its_neighbours_stay)
{
	uint64_t at[LARGE];
	size_t i;

	append_large(at);
	give_source();
	for (i = 0; i < LARGE; i++)
		cr_expect_eq(give_job(SOURCE, i, at[i]), 1);
	cr_expect_geq(octets_held(), LARGE * LARGE_OCTETS);
	cr_expect_eq(octets_held(), (long long)p.copy_octets);
	cr_expect_eq(r.copy_octets, p.copy_octets);
	for (i = 0; i < LARGE; i += 2)
		queue_copy_done(&p, i);
	cr_expect_leq(octets_held(), LARGE * LARGE_OCTETS / 2 +
	    LARGE * SPOOL_PAGE);
	for (i = 1; i < LARGE; i += 2) {
		cr_expect(is_readable(at[i]), "%zu", i);
		cr_expect(!is_readable(at[i - 1]), "%zu", i);
	}
	/* one that is given again is there again */
	cr_expect_eq(give_job(SOURCE, 2, at[2]), 1);
	cr_expect(is_readable(at[2]));
	queue_copy_done(&p, 2);
	for (i = 1; i < LARGE; i += 2)
		queue_copy_done(&p, i);
	cr_expect_eq(octets_held(), SPOOL_PAGE, "the header");
	cr_expect_eq(p.copy_octets, SPOOL_PAGE);
	cr_expect_eq(p.npieces, 0);
}

/* It has two recipients, and came in two batches. */
Test(queue_copy, a_record_stays_until_its_last_job_is_done)
{
	struct job v[2] = { { .job = 1, .source = SOURCE },
		{ .job = 2, .source = SOURCE } };
	uint64_t at[LARGE];
	unsigned int left;

	append_large(at);
	v[0].offset = v[1].offset = at[3];
	give_source();
	cr_assert_eq(queue_copy_jobs(&p, v, 2, &left), 2);
	cr_expect_eq(give_job(SOURCE, 3, at[3]), 1);
	queue_copy_done(&p, 1);
	queue_copy_done(&p, 1);
	queue_copy_done(&p, 77);
	queue_copy_done(&p, 3);
	cr_expect(is_readable(at[3]));
	queue_copy_done(&p, 2);
	cr_expect(!is_readable(at[3]));
	cr_expect_eq(p.copy_octets, SPOOL_PAGE);
}

/* Others have nearly all. */
Test(queue_copy, an_agent_has_no_more_than_it_leaves_to_others)
{
	const uint64_t others = QUEUE_COPY_MAX - 100000;
	struct job v[LARGE];
	uint64_t at[LARGE];
	unsigned int left, i;

	append_large(at);
	give_source();
	r.copy_octets += others;
	for (i = 0; i < LARGE; i++)
		v[i] = (struct job){ .job = i + 1, .source = SOURCE,
			.offset = at[i] };
	cr_expect_eq(queue_copy_jobs(&p, v, LARGE, &left), 2);
	cr_expect_eq(left, 2);
	cr_expect_eq(p.short_ms, 0, "some have gone");
	cr_expect_eq(queue_copy_jobs(&p, v + 2, LARGE - 2, &left), 0);
	cr_expect_eq(left, 0);
	cr_expect_neq(p.short_ms, 0);
	cr_expect_neq(p.logged_ms, 0);
	queue_copy_done(&p, 1);
	cr_expect_eq(queue_copy_jobs(&p, v + 2, LARGE - 2, &left), 1);
	cr_expect_eq(p.short_ms, 0);
	r.copy_octets -= others;
}

/* What waits in vain is deferred, and the list of the queue says why. */
Test(queue_copy, when_there_is_no_memory_for_long_jobs_fail)
{
	struct job v[3];
	unsigned int left, i;
	char *list;

	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	for (i = 0; i < 3; i++) {
		v[i] = f.jobs[i].job;
		v[i].source = SOURCE;
	}
	give_source();
	cr_assert_eq(queue_copy_jobs(&p, v, 1, &left), 1);
	r.copy_octets += QUEUE_COPY_MAX;
	/* in a page that is there already they would take nothing */
	while (v[1].offset < (uint64_t)2 * SPOOL_PAGE)
		v[1].offset = qf_mail(&s, QF_ID(9));
	v[2].offset = v[1].offset;
	cr_expect_eq(queue_copy_jobs(&p, v + 1, 2, &left), 0);
	cr_assert_neq(p.short_ms, 0);
	p.short_ms -= QUEUE_COPY_WAIT_MS;
	cr_expect_eq(queue_copy_jobs(&p, v + 1, 2, &left), 2);
	cr_expect_eq(left, 0);
	r.copy_octets -= QUEUE_COPY_MAX;
	queue_copy_tell(&p, &f.now);
	cr_expect_eq(queue_in_flight(f.q), 1);
	qf_pass(&f, 0);
	list = qf_ask(&f, "{\"action\":\"list\"}");
	cr_expect_not_null(strstr(list, "there is no memory for what the agent "
	    "would have to read of it"), "%s", list);
	free(list);
}

/* There is memory for the record, and none to note which job has it. */
Test(queue_copy, nor_do_they_wait_for_ever_for_memory_to_note_them)
{
	struct job v = { .job = 1, .source = SOURCE, .offset = offsets[0] };
	uint64_t since;
	unsigned int left;

	give_source();
	qf_no_memory_for = 16;		/* of the first ones */
	cr_expect_eq(queue_copy_jobs(&p, &v, 1, &left), 0);
	cr_expect_eq(p.npieces, 0);
	since = p.short_ms -= QUEUE_COPY_WAIT_MS / 2;
	cr_expect_eq(queue_copy_jobs(&p, &v, 1, &left), 0);
	cr_expect_eq(p.short_ms, since, "it has waited for so long");
	p.short_ms -= QUEUE_COPY_WAIT_MS / 2;
	cr_expect_eq(queue_copy_jobs(&p, &v, 1, &left), 1, "it has failed");
	cr_expect_eq(left, 0);
	qf_no_memory_for = 0;
	cr_expect_eq(queue_copy_jobs(&p, &v, 1, &left), 1);
	cr_expect_eq(left, 1);
	cr_expect_eq(p.short_ms, 0);
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
	unsigned int n = 400, i, left;
	unsigned long long before, after;

	give_source();
	for (i = 0; i < n; i++) {
		v[i] = job;
		v[i].job = i + 1;
	}
	before = octets_read();
	cr_assert_eq(queue_copy_jobs(&p, v, n, &left), n);
	after = octets_read();
	cr_expect_eq(left, n);
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
