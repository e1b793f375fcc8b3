#include "core/queue/queue.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/queue/queue_int.h"
#include "core/spool/spool_id.h"
#include "core/store/queue_spool_int.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_defer);

Test(queue_defer, a_failure_goes_to_the_deferred_store_and_comes_back_when_due)
{
	static const int wait_s[] = {60, 120, 240, 400, 400};
	json_t *json, *m, *r;
	size_t i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1,
	    "the segment is not held");
	json = qf_list(&f);
	m = json_array_get(json_object_get(json, "messages"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(m, "state")),
	    "deferred");
	r = json_array_get(json_object_get(m, "recipients"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(r, "last_error")),
	    "because of the test");
	cr_assert_eq(json_integer_value(json_object_get(r, "attempts")), 1);
	cr_assert_eq(json_integer_value(json_object_get(r, "next_attempt")),
	    1700000060);
	json_decref(json);
	for (i = 0; i < sizeof(wait_s) / sizeof(wait_s[0]); i++) {
		qf_pass(&f, (wait_s[i] - 5) * 1000);
		cr_assert_eq(f.njobs, 0, "%zu", i);
		qf_pass(&f, 6000);
		cr_assert_eq(f.njobs, 1, "%zu", i);
		cr_assert(f.jobs[0].job.is_repeated);
		qf_finish(&f, EACCES);
		qf_pass(&f, 0);
	}
	qf_pass(&f, 401000);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_defer, deferred_messages_survive_a_restart)
{
	char name[64], text[SPOOL_ID_TEXT + 1], rcpt[64];

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, ENOSPC);
	qf_done(&f, f.agent, f.jobs[2].job.job, ENOSPC);
	f.njobs = 0;
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	qf_close(&f);
	spool_id_text(QF_ID(1), text);
	snprintf(name, sizeof(name), "deferred/%s", text);
	cr_assert(qf_exists(&f, f.folder, name));
	qf_open(&f);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 2);
	qf_rcpt(&f, 0, rcpt, sizeof(rcpt));
	cr_assert_str_eq(rcpt, "b@x.test");
	qf_rcpt(&f, 1, rcpt, sizeof(rcpt));
	cr_assert_str_eq(rcpt, "c@x.test");
	qf_finish(&f, 0);
	qf_pass(&f, 100);
	cr_assert_not(qf_exists(&f, f.folder, name));
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_defer, a_record_that_is_deferred_already_is_not_taken_from_its_segment)
{
	char cmd[200];

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	qf_close(&f);
	spool_segment_close(&s.file);
	/* a crash lost the log, but not the row */
	snprintf(cmd, sizeof(cmd), "rm %s/ack.*", f.path);
	cr_assert_eq(system(cmd), 0);
	qf_open(&f);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_listed(&f), 1);
}

/* No file may grow: to the deferred store this is a full disk. */
static void
disk_is_full(bool is_full)
{
	struct rlimit rl = { .rlim_max = RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	rl.rlim_cur = is_full ? 0 : RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

Test(queue_defer, without_room_for_the_deferred_store_a_record_waits_in_its_segment)
{
	json_t *json, *m, *r;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	disk_is_full(true);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, ENOSPC);
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	qf_done(&f, f.agent, f.jobs[3].job.job, 0);
	f.njobs = 0;
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	disk_is_full(false);
	json = qf_list(&f);
	cr_assert_eq(json_array_size(json_object_get(json, "messages")), 1);
	m = json_array_get(json_object_get(json, "messages"), 0);
	cr_assert_eq(json_array_size(json_object_get(m, "recipients")), 1);
	r = json_array_get(json_object_get(m, "recipients"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(r, "recipient")),
	    "b@x.test");
	cr_assert(json_is_string(json_object_get(r, "last_error")));
	json_decref(json);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1, "%zu", f.njobs);
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

/* Forget that the segment has recipients with a row, as after ENOMEM. */
static void
forget_partials(uint32_t seq)
{
	struct queue_spool *sp = f.q->store;

	queue_partial_drop(RB_MIN(queue_segments, &sp->segments), seq);
}

Test(queue_defer, a_recipient_with_a_row_is_not_given_out_from_its_segment_too)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	qf_done(&f, f.agent, f.jobs[0].job.job, EACCES);
	qf_pass(&f, 0);		/* a row */
	disk_is_full(true);
	qf_done(&f, f.agent, f.jobs[1].job.job, 0);
	qf_done(&f, f.agent, f.jobs[2].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 0);		/* put back */
	disk_is_full(false);
	forget_partials(1);
	qf_pass(&f, 59000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, 3, "the row, and two from the segment");
	cr_assert(f.jobs[0].job.is_repeated);
	cr_assert(f.jobs[1].job.is_repeated);
	cr_assert(f.jobs[2].job.is_repeated);
	cr_assert_eq(f.jobs[0].job.origin.rcpt + f.jobs[1].job.origin.rcpt +
	    f.jobs[2].job.origin.rcpt, 3);
}

Test(queue_defer, a_message_that_cannot_be_copied_holds_up_no_other)
{
	char body[5000], name[SPOOL_NAME], id[SPOOL_ID_TEXT + 1];

	memset(body, 'l', sizeof(body));
	qf_segment(&f, &s, 1);
	qf_large(&f, &s, QF_ID(3), body, sizeof(body));
	qf_mail(&s, QF_ID(4));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	spool_body_name(QF_ID(3), name);
	cr_assert_eq(unlinkat(f.incoming, name, 0), 0);
	cr_assert_eq(symlinkat("elsewhere", f.incoming, name), 0);
	qf_finish(&f, EIO);
	qf_pass(&f, 0);
	spool_id_text(QF_ID(4), id);
	cr_assert_eq(faccessat(f.folder, "deferred", F_OK, 0), 0);
	cr_assert(
	    qf_exists(&f, f.folder, strcat(strcpy(body, "deferred/"), id)));
}

Test(queue_defer, a_large_message_is_deferred_with_its_body)
{
	char body[5000], name[SPOOL_NAME];
	struct stat st;

	memset(body, 'l', sizeof(body));
	qf_segment(&f, &s, 1);
	qf_large(&f, &s, QF_ID(3), body, sizeof(body));
	spool_body_name(QF_ID(3), name);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	qf_finish(&f, EDQUOT);
	spool_segment_close(&s.file);
	qf_pass(&f, 2000);
	cr_assert_not(qf_exists(&f, f.incoming, name));
	qf_pass(&f, 60000);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(f.jobs[0].job.body_source, 0);
	cr_assert_eq(fstat(f.sources[f.jobs[0].job.source], &st), 0);
	cr_assert_gt(st.st_size, 5000);
}
