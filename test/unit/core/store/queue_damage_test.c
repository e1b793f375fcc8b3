/* Damage in segments: what counts as damage, and that other mail is delivered
 * all the same. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "core/queue/queue.h"
#include "core/spool/spool_torn.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_damage);

/* Let the queue read a segment of three records whose writer has died.  Record
 * i is damaged if bit i of ${bad} is set.  Return how many damages the queue
 * counted. */
static uint64_t
damages_of(unsigned int bad)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE), ends[3];
	unsigned int i;

	qf_close(&f);
	qf_segment(&f, &s, 1 + bad);
	for (i = 0; i < 3; i++) {
		qf_mail(&s, QF_ID(bad * 10 + i));
		ends[i] = s.end;
	}
	for (i = 0; i < 3; i++)
		if ((bad & 1u << i) != 0)
			cr_assert_eq(pwrite(s.file.fd, "\0\0\0\0", 4,
			    (off_t)(ends[i] - 70)), 4);
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 1000);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	return stats_sum(STATS_SPOOL_DAMAGE) - before;
}

Test(queue_damage, what_a_power_cut_leaves_at_the_end_is_not_damage)
{
	cr_assert_eq(damages_of(0), 0, "no end mark");
	cr_assert_eq(damages_of(4), 0, "the last record");
	cr_assert_eq(damages_of(6), 0, "the last two");
	cr_assert_eq(damages_of(2), 1, "a whole one follows");
	cr_assert_eq(damages_of(1), 1);
	cr_assert_eq(damages_of(3), 2);
	cr_assert_eq(damages_of(5), 1, "the first one alone");
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

/* After a restart nobody knows whether the last batch was acknowledged. */
Test(queue_damage, what_may_have_been_acknowledged_is_kept)
{
	damages_of(4);
	cr_assert(qf_exists(&f, f.incoming, "torn.0000000000005001.1"));
	damages_of(6);
	cr_assert(qf_exists(&f, f.incoming, "torn.0000000000007001.1"));
	damages_of(0);
	cr_assert_not(qf_exists(&f, f.incoming, "torn.0000000000001001.1"));
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	/* what is damaged for sure is for somebody to look at */
	damages_of(5);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000006001.1"));
}

Test(queue_damage, it_is_kept_for_a_week)
{
	static const char name[] = "torn.0000000000005001.1";
	struct timespec times[2] = { { 0, UTIME_OMIT },
		{ .tv_sec = time(NULL) - SPOOL_TORN_KEEP_S } };

	damages_of(4);
	qf_pass(&f, 700000);
	cr_assert(qf_exists(&f, f.incoming, name));
	cr_assert_eq(utimensat(f.incoming, name, times, 0), 0);
	qf_pass(&f, 700000);
	cr_assert_not(qf_exists(&f, f.incoming, name));
}

static void
fill(struct qf_segment *seg, off_t from, size_t octets)
{
	char *buf = malloc(octets);

	cr_assert_not_null(buf);
	memset(buf, 'x', octets);
	cr_assert_eq(pwrite(seg->file.fd, buf, octets, from), (ssize_t)octets);
	free(buf);
}

/* The end mark that record ${seq} was written over is there again. */
static void
old_mark(uint64_t offset, uint32_t seq)
{
	unsigned char mark[SPOOL_RECORD_HEADER];

	spool_end_encode(offset, seq, s.file.header.nonce, mark);
	cr_assert_eq(pwrite(s.file.fd, mark, sizeof(mark), (off_t)offset),
	    (ssize_t)sizeof(mark));
}

Test(queue_damage, an_old_end_mark_ends_nothing_when_records_follow)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE), second, third;

	qf_close(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	second = s.end;
	qf_mail(&s, QF_ID(2));
	third = s.end;
	qf_mail(&s, QF_ID(3));
	old_mark(second, 2);
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 2);
	cr_assert_eq(f.jobs[1].job.offset, third);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

Test(queue_damage, an_old_end_mark_below_what_was_committed_is_damage)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE), second, end;

	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	second = s.end;
	qf_mail(&s, QF_ID(2));
	end = s.end;
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, end, false);
	fill(&s, (off_t)second, (size_t)(end - second) + SPOOL_RECORD_HEADER);
	old_mark(second, 2);
	spool_segment_close(&s.file);
	f.is_deaf = false;
	queue_writer_gone(f.q, QF_WRITER);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

Test(queue_damage, what_its_writer_called_durable_is_damage_also_at_the_end)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE);

	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	cr_assert_eq(pwrite(s.file.fd, "\0\0\0\0", 4, (off_t)(s.end - 70)), 4);
	spool_segment_close(&s.file);
	f.is_deaf = false;
	queue_writer_gone(f.q, QF_WRITER);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

/* Set the size in the segment's header to ${octets}, and extend the file to
 * that size with a hole. */
static void
enlarge(struct qf_segment *seg, int64_t octets)
{
	unsigned char page[SPOOL_PAGE];

	seg->file.header.size_octets = (uint64_t)octets;
	spool_header_encode(&seg->file.header, page);
	cr_assert_eq(pwrite(seg->file.fd, page, sizeof(page), 0),
	    (ssize_t)sizeof(page));
	cr_assert_eq(ftruncate(seg->file.fd, octets), 0);
}

/* Octets that this process has read from files */
static long long
octets_read(void)
{
	long long n = -1;
	FILE *io = fopen("/proc/self/io", "r");

	cr_assert_not_null(io);
	cr_assert_eq(fscanf(io, "rchar: %lld", &n), 1);
	fclose(io);
	return n;
}

/* An attacker who controls a worker makes large segments without a record. */
Test(queue_damage, large_segments_of_nothing_hold_up_no_message)
{
	enum { N = 12 };
	struct qf_segment segs[N];
	int64_t octets = (int64_t)1 << 30;
	unsigned int i, passes;
	long long before;

	for (i = 0; i < N; i++) {
		qf_segment(&f, &segs[i], i + 10);
		enlarge(&segs[i], octets);
		/* every other segment has octets in it, but no record */
		if (i % 2 == 0)
			fill(&segs[i], 3 << 20, 20 << 20);
		queue_committed(f.q, QF_WRITER, QF_SEGMENT(i + 10), 1,
		    (uint64_t)octets, false);
	}
	qf_segment(&f, &s, 1000);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	before = octets_read();
	for (passes = 0; f.njobs == 0 && passes < 20; passes++)
		queue_pass(f.q, &f.now, f.ms);
	cr_assert_leq(octets_read() - before, 64 << 20,
	    "until it was given out");
	for (passes = 1; queue_pass(f.q, &f.now, f.ms) == 0; passes++)
		cr_assert_lt(passes, 100);
	for (i = 0; i < N; i++)
		spool_segment_close(&segs[i].file);
}

/* mailmillctl asks for what waits; a call looks at part of it. */
Test(queue_damage, a_search_of_much_damage_does_little_work_in_each_call)
{
	struct queue_answer *a;
	const char request[] = "{\"action\":\"list\"}", *piece;
	int64_t octets = (int64_t)256 << 20;
	long long before, most = 0;
	size_t len;
	int rc;

	qf_segment(&f, &s, 10);
	enlarge(&s, octets);
	fill(&s, 3 << 20, 200 << 20);
	f.is_deaf = true;
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(10), 1, (uint64_t)octets, false);
	a = queue_control(f.q, request, strlen(request));
	cr_assert_not_null(a);
	do {
		before = octets_read();
		rc = queue_answer_next(a, &f.now, &piece, &len);
		if (octets_read() - before > most)
			most = octets_read() - before;
	} while (rc == 1);
	queue_answer_free(a);
	cr_assert_lt(most, 32 << 20, "%lld octets in one call", most);
	cr_assert_gt(most, 0);
}

/* A body that a worker was writing when it died, some time ago */
static void
orphan(uint64_t id)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	char name[SPOOL_NAME];
	int fd;

	spool_body_name(id, name);
	fd = openat(f.incoming, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_assert_neq(fd, -1);
	cr_assert_eq(futimens(fd, times), 0);
	close(fd);
}

Test(queue_damage, a_torn_segment_keeps_bodies_no_longer_than_it_is_there)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_mail(&s, QF_ID(2));
	cr_assert_eq(pwrite(s.file.fd, "\0\0\0\0", 4, (off_t)(s.end - 70)), 4);
	orphan(QF_ID(3));
	spool_segment_close(&s.file);
	queue_writer_gone(f.q, QF_WRITER);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_BODY), 1,
	    "the torn record may name it, as far as the sweep knows");
	qf_finish(&f, 0);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_BODY), 0);
}

Test(queue_damage, any_number_of_orphaned_bodies_is_removed_within_seconds)
{
	unsigned int i;

	qf_close(&f);
	for (i = 0; i < 1000; i++)
		orphan(QF_ID(i));
	qf_open(&f);
	qf_pass(&f, 20000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_BODY), 0);
}
