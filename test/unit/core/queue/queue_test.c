#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "core/spool/spool_id.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue);

Test(queue, a_committed_message_becomes_one_job_for_each_recipient)
{
	char rcpt[64];
	size_t i;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "", qf_three, 3, "body\r\n");
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 0, "not told of yet");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	for (i = 0; i < 3; i++) {
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		cr_assert_str_eq(rcpt, qf_three[i]);
		cr_assert_not(f.jobs[i].job.is_repeated);
	}
	cr_assert_eq(queue_in_flight(f.q), 3);
	cr_assert_eq(qf_listed(&f), 1);
	qf_finish(&f, 0);
	cr_assert_eq(queue_in_flight(f.q), 0);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0, "once");
	cr_assert_eq(qf_listed(&f), 0);
}

/* What the route of a sender says is in his jobs, also after a failure. */
Test(queue, a_job_has_the_section_of_its_route)
{
	size_t i, n;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "section@s.test", qf_three, 3, "body\r\n");
	qf_append(&s, QF_ID(2), "other@s.test", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	for (n = 0; n < 2; n++) {
		qf_pass(&f, 70000);
		cr_assert_eq(f.njobs, 6);
		for (i = 0; i < 6; i++)
			cr_expect_eq(f.jobs[i].job.section,
			    (i < 3) == (f.jobs[0].job.section != 0) ? 4711 : 0,
			    "%zu", i);
		qf_finish(&f, EAGAIN);
	}
}

Test(queue, only_what_the_writer_has_said_is_durable_is_read)
{
	struct qf_segment part;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	part = s;
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &part, false);
	qf_pass(&f, 60000);
	cr_assert_eq(f.njobs, 1);
}

Test(queue, a_segment_is_used_again_when_all_its_records_are_done)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 2);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0, "not before");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue, a_segment_whose_writer_holds_it_is_left_alone)
{
	qf_close(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_open(&f);
	qf_pass(&f, 10000);
	cr_assert_eq(f.njobs, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 10000);
	cr_assert_eq(f.njobs, 1, "its writer has died");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue, a_segment_that_nobody_told_of_is_found)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	spool_segment_close(&s.file);
	queue_writer_gone(f.q, QF_WRITER);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	cr_assert_not(f.jobs[0].job.is_repeated);
}

Test(queue, after_a_restart_only_what_is_not_acknowledged_is_repeated)
{
	char rcpt[64];

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_append(&s, QF_ID(2), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 4);
	/* the first message, and the second's recipient b, are done */
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	qf_pass(&f, 0);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	cr_assert(f.jobs[0].job.is_repeated);
	qf_rcpt(&f, 0, rcpt, sizeof(rcpt));
	cr_assert_str_eq(rcpt, "a@x.test");
	qf_rcpt(&f, 1, rcpt, sizeof(rcpt));
	cr_assert_str_eq(rcpt, "c@x.test");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue, what_is_committed_after_a_restart_is_not_repeated)
{
	qf_close(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_open(&f);
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	cr_assert(f.jobs[0].job.is_repeated);
	cr_assert_not(f.jobs[1].job.is_repeated);
}

Test(queue, acknowledgements_of_an_older_generation_count_for_nothing)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 1000);
	cr_assert_eq(spool_segment_take(f.incoming, 1, 256 * 1024,
	    &s.file), 0);
	cr_assert_eq(s.file.header.generation, 2);
	s.end = SPOOL_PAGE;
	s.seq = 0;
	qf_mail(&s, QF_ID(9));
	spool_segment_close(&s.file);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
}

Test(queue, jobs_of_a_dead_agent_go_to_another_as_repeated)
{
	unsigned int other;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, 0);
	f.njobs = 0;
	queue_agent_gone(f.q, f.agent);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 0, "nobody is there");
	cr_assert_eq(queue_agent_add(f.q, QF_NEAR, &other), 0);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	cr_assert(f.jobs[0].job.is_repeated);
	cr_assert(f.jobs[1].job.is_repeated);
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue, results_for_jobs_that_are_not_the_agents_are_ignored)
{
	uint64_t job;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	job = f.jobs[0].job.job;
	qf_done(&f, f.agent + 1, job, 0);
	qf_done(&f, 4711, job, 0);
	qf_done(&f, f.agent, job + 1, 0);
	qf_done(&f, f.agent, UINT64_MAX, 0);
	queue_error(f.q, f.agent,
	    &(struct job_error){ .job = UINT64_MAX, .text = "x" });
	cr_assert_eq(queue_in_flight(f.q), 1);
	qf_done(&f, f.agent, job, 0);
	qf_done(&f, f.agent, job, 0);
	cr_assert_eq(queue_in_flight(f.q), 0);
}

Test(queue, a_hostile_end_of_a_segment_is_not_believed)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, UINT64_MAX, false);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, 0, true);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 99, s.end, true);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(777), 1, s.end, true);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 0);
	qf_committed(&f, &s, false);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 1);
}

Test(queue, a_large_body_is_told_of_and_removed_when_done)
{
	char body[5000], name[SPOOL_NAME];

	memset(body, 'l', sizeof(body));
	qf_segment(&f, &s, 1);
	qf_large(&f, &s, QF_ID(3), body, sizeof(body));
	spool_body_name(QF_ID(3), name);
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	cr_assert_neq(f.jobs[0].job.body_source, 0);
	cr_assert_neq(f.sources[f.jobs[0].job.body_source], -1);
	cr_assert(qf_exists(&f, f.incoming, name));
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_assert_not(qf_exists(&f, f.incoming, name));
}

/* A worker that has been taken over owns the folder. */
Test(queue, a_pipe_for_a_body_holds_up_nothing, .timeout = 10)
{
	char body[5000], name[SPOOL_NAME];

	memset(body, 'l', sizeof(body));
	qf_segment(&f, &s, 1);
	qf_large(&f, &s, QF_ID(3), body, sizeof(body));
	spool_body_name(QF_ID(3), name);
	cr_assert_eq(unlinkat(f.incoming, name, 0), 0);
	cr_assert_eq(mkfifoat(f.incoming, name, 0660), 0);
	qf_committed(&f, &s, false);
	qf_mail(&s, QF_ID(4));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1, "the other message alone");
}

Test(queue, damage_is_reported_and_whole_records_behind_it_are_delivered)
{
	uint64_t bad, before = stats_sum(STATS_SPOOL_DAMAGE);
	char rcpt[64];
	size_t i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	bad = qf_mail(&s, QF_ID(2));
	qf_mail(&s, QF_ID(3));
	cr_assert_eq(pwrite(s.file.fd, "\xff\xff", 2, (off_t)bad + 70), 2);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 2);
	for (i = 0; i < 2; i++)
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue, a_torn_record_of_a_dead_writer_is_not_delivered)
{
	uint64_t last;

	qf_close(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	last = qf_mail(&s, QF_ID(2));
	/* its body did not get to the disk */
	cr_assert_eq(pwrite(s.file.fd, "\0\0\0\0", 4,
	    (off_t)(s.end - 70)), 4);
	cr_assert_gt(s.end - 70, last);
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	/* nobody told this process that it was not acknowledged */
	cr_assert(qf_exists(&f, f.incoming, "torn.0000000000001001.1"));
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue, a_message_whose_body_is_damaged_is_given_up_with_its_segment_kept)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(pwrite(s.file.fd, "\0\0\0\0", 4, (off_t)(s.end - 70)), 4);
	spool_segment_close(&s.file);
	qf_finish(&f, EBADMSG);
	qf_pass(&f, 2000);
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

Test(queue, a_large_body_that_is_damaged_is_kept)
{
	char body[5000], name[SPOOL_NAME], kept[SPOOL_NAME + 16];
	int fd;

	memset(body, 'l', sizeof(body));
	qf_segment(&f, &s, 1);
	qf_large(&f, &s, QF_ID(3), body, sizeof(body));
	spool_body_name(QF_ID(3), name);
	fd = openat(f.incoming, name, O_WRONLY);
	cr_assert_eq(pwrite(fd, "X", 1, 100), 1);
	close(fd);
	qf_committed(&f, &s, true);
	spool_segment_close(&s.file);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, EBADMSG);
	qf_pass(&f, 4000000);
	snprintf(kept, sizeof(kept), "damaged.%s", name);
	cr_assert(qf_exists(&f, f.incoming, kept));
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

Test(queue, a_backlog_is_read_only_as_far_as_there_is_room)
{
	struct qf_segment segs[24];
	size_t i, total = 0, done = 0;
	int rounds;

	qf_close(&f);
	for (i = 0; i < 24; i++) {
		qf_segment(&f, &segs[i], i + 1);
		while (segs[i].end + 1024 < segs[i].file.header.size_octets) {
			qf_mail(&segs[i], QF_ID(i * 100000 + segs[i].seq));
			total++;
		}
		spool_segment_close(&segs[i].file);
	}
	cr_assert_gt(total, 16000);
	qf_open(&f);
	for (rounds = 0; rounds < 1000 && done < total; rounds++) {
		qf_pass(&f, 10);
		cr_assert_leq(f.njobs, 2048, "in flight at one agent");
		done += f.njobs;
		qf_finish(&f, 0);
	}
	cr_assert_eq(done, total);
	qf_pass(&f, 2000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue, a_segment_given_back_unused_is_its_next_writers)
{
	qf_segment(&f, &s, 1);
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	/* the first writer ends; the queue sees that it has no lock */
	spool_segment_untake(f.incoming, &s.file);
	qf_pass(&f, 2000);
	cr_assert_eq(spool_segment_take(f.incoming, QF_WRITER,
	    s.file.header.size_octets, &s.file), 0);
	cr_assert_eq(s.file.header.segment, QF_SEGMENT(1));
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_mail(&s, QF_ID(2));
	spool_segment_close(&s.file);
	qf_committed(&f, &s, true);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 1);
}

Test(queue, an_agent_cannot_write_to_a_segment)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(fcntl(f.sources[f.jobs[0].job.source], F_GETFL) &
	    O_ACCMODE, O_RDONLY);
	qf_finish(&f, 0);
}

Test(queue, any_number_of_workers_may_write_at_the_same_time)
{
	enum { WORKERS = 200 };	/* more than QUEUE_SEGMENTS_OPEN */
	struct qf_segment *segs = calloc(WORKERS, sizeof(*segs));
	size_t i;

	cr_assert_not_null(segs);
	for (i = 0; i < WORKERS; i++) {
		qf_segment(&f, &segs[i], i + 1);
		qf_mail(&segs[i], QF_ID(i));
		qf_committed(&f, &segs[i], false);
	}
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, WORKERS, "%zu jobs", f.njobs);
	qf_finish(&f, 0);
	/* half of them seal their segments, half die, all at once */
	for (i = 0; i < WORKERS; i++) {
		qf_mail(&segs[i], QF_ID(WORKERS + i));
		spool_segment_close(&segs[i].file);
		if (i % 2 == 0)
			qf_committed(&f, &segs[i], true);
	}
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, WORKERS, "%zu jobs", f.njobs);
	qf_finish(&f, 0);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
	free(segs);
}

Test(queue, an_agent_that_takes_nothing_is_asked_again)
{
	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 500);
	cr_assert_eq(queue_in_flight(f.q), 0);
	f.is_deaf = false;
	qf_pass(&f, 500);
	cr_assert_eq(f.njobs, 1);
	cr_assert_not(f.jobs[0].job.is_repeated);
}

Test(queue, an_agent_that_lost_a_source_is_told_again)
{
	int i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(f.njobs, 1);
		qf_finish(&f, ESTALE);
		qf_pass(&f, 0);
	}
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, ESTALE);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 0, "then it is a failure as any other");
	cr_assert_eq(qf_listed(&f), 1);
}

Test(queue, stopped_it_hands_out_nothing_more)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	queue_stop(f.q);
	qf_committed(&f, &s, false);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
}

Test(queue, a_clock_that_is_set_back_stops_nothing)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	f.now.tv_sec -= 86400;
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue, a_recipient_goes_to_an_agent_of_its_transport)
{
	static const char *const rcpts[] = { "a@far.test", "b@x.test",
		"c@far.test", "d@nowhere.test" };
	unsigned int far;
	json_t *json, *m, *r;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", rcpts, 4, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 1, "no agent is there for the others");
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 1);
	cr_assert_eq(queue_agent_add(f.q, QF_FAR, &far), 0);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	cr_assert_eq(f.jobs[1].agent, far);
	cr_assert_eq(f.jobs[1].job.origin.rcpt, 0);
	cr_assert_eq(f.jobs[2].job.origin.rcpt, 2);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	json = qf_list(&f);
	m = json_array_get(json_object_get(json, "messages"), 0);
	cr_assert_eq(json_array_size(json_object_get(m, "recipients")), 1);
	r = json_array_get(json_object_get(m, "recipients"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(r, "last_error")),
	    "nowhere to go");
	json_decref(json);
}

Test(queue, a_transport_that_is_busy_holds_up_no_other)
{
	static const char *const far[] = { "a@far.test", "b@far.test",
		"c@far.test" };
	unsigned int agent;
	size_t i, nnear = 0;

	cr_assert_eq(queue_agent_add(f.q, QF_FAR, &agent), 0);
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", far, 3, "body\r\n");
	for (i = 2; i < 12; i++)
		qf_mail(&s, QF_ID(i));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	for (i = 0; i < f.njobs; i++)
		nnear += f.jobs[i].agent != agent;
	cr_assert_eq(nnear, 10);
	cr_assert_eq(f.njobs, 12, "two at once for the far one");
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(f.jobs[0].agent, agent);
}
