/* What fails for good, expires, is late or was to be told when it is delivered. */

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/process/stats.h"
#include "core/queue/queue_int.h"
#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

#define SENDER	"a@b.test"

QF_SUITE(queue_report);

static char text[4096];

/* A message for qf_three, of which the agent has all */
static void
arrive(const struct spool_envelope *said)
{
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 3);
}

static void
refuse(size_t i)
{
	struct job_error error = { .job = f.jobs[i].job.job, .code = 550,
		.enhanced = "5.1.1", .remote = "mx.x.test",
		.text = "no such user" };

	queue_error(f.q, f.jobs[i].agent, &error);
	qf_done_with(&f, f.jobs[i].agent, error.job, EACCES, JOB_REFUSED);
}

static void
done(size_t i, int errnum, unsigned int flags)
{
	qf_done_with(&f, f.jobs[i].agent, f.jobs[i].job.job, errnum, flags);
}

/* Let the queue write its reports, and give them out.  Return how many there
 * are; the text of the first is in ${text}. */
static size_t
reports(void)
{
	char rcpt[64];

	f.njobs = 0;
	qf_pass(&f, 3000);
	text[0] = '\0';
	if (f.njobs > 0) {
		qf_rcpt(&f, 0, rcpt, sizeof(rcpt));
		cr_expect_str_eq(rcpt, SENDER);
		qf_text(&f, 0, text, sizeof(text));
	}
	return f.njobs;
}

static void
change_rows(const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static bool
has(const char *what)
{
	return strstr(text, what) != NULL;
}

/* Whoever gets them has them: nothing is left. */
static void
deliver(void)
{
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_report, what_is_refused_is_reported_once)
{
	uint64_t bounced = stats_sum(STATS_BOUNCED);
	uint64_t made = stats_sum(STATS_REPORTS);

	arrive(&(struct spool_envelope){ .envid = "id-1" });
	refuse(0);
	done(1, 0, JOB_FINAL);
	done(2, 0, JOB_FINAL);
	cr_assert_eq(reports(), 1);
	cr_assert_str_eq(text, "to=a@b.test sender=a@b.test envid=id-1 whole=0 "
	    "text=Subject: x\r\n\r\nhello\r\n\n"
	    "rcpt=a@x.test orcpt=(null) outcome=1 code=550 enhanced=5.1.1 "
	    "remote=mx.x.test text=no such user until=0\n");
	deliver();
	cr_assert_eq(stats_sum(STATS_BOUNCED), bounced + 1);
	cr_assert_eq(stats_sum(STATS_REPORTS), made + 1);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 3600 * 1000);
	cr_assert_eq(f.njobs, 0);
}

Test(queue_report, what_fails_in_one_attempt_is_in_one_report)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	refuse(0);
	qf_pass(&f, 100);
	refuse(1);
	qf_pass(&f, 100);
	refuse(2);
	cr_assert_eq(reports(), 1);
	cr_assert(has("rcpt=a@x.test") && has("rcpt=b@x.test") &&
	    has("rcpt=c@x.test"));
	deliver();
}

/* One of them fails for a time only. */
Test(queue_report, the_others_wait_on)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	refuse(0);
	done(1, EACCES, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("rcpt=a@x.test"));
	cr_assert_not(has("rcpt=b@x.test"));
	qf_finish(&f, 0);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 1);
	refuse(0);
	cr_assert_eq(reports(), 1, "of the second attempt");
	cr_assert(has("rcpt=b@x.test"));
	cr_assert_not(has("rcpt=a@x.test"));
	deliver();
}

/* RFC 3461 5.2.2, 5.2.3, 5.2.5, 5.2.6 */
Test(queue_report, notify_says_what_is_reported)
{
	enum { N = SPOOL_NOTIFY_NEVER, S = SPOOL_NOTIFY_SUCCESS,
		F = SPOOL_NOTIFY_FAILURE, D = SPOOL_NOTIFY_DELAY };
	static const struct {
		unsigned char	 notify;
		int		 errnum;
		unsigned int	 flags;
		const char	*outcome;	/* NULL: nothing is reported */
	} cases[] = {
		{ 0, EACCES, JOB_REFUSED, "outcome=1 " },
		{ N, EACCES, JOB_REFUSED, NULL },
		{ F, EACCES, JOB_REFUSED, "outcome=1 " },
		{ S | D, EACCES, JOB_REFUSED, NULL },
		{ S | F | D, EACCES, JOB_REFUSED, "outcome=1 " },
		{ 0, 0, JOB_FINAL, NULL },
		{ N, 0, JOB_FINAL, NULL },
		{ F | D, 0, JOB_FINAL, NULL },
		{ S, 0, JOB_FINAL, "outcome=4 " },
		{ S, 0, JOB_NO_DSN, "outcome=5 " },
		{ 0, 0, JOB_NO_DSN, NULL },
		{ S, 0, 0, NULL },	/* the next hop reports it */
		{ 0, EACCES, 0, "outcome=0 " },
		{ D, EACCES, 0, "outcome=0 " },
		{ S | F, EACCES, 0, NULL },
		{ N, EACCES, 0, NULL },
	};
	uint8_t notify[3] = { 0 };
	size_t i, n;

	f.config.warning_s = 30;	/* each attempt but the first is late */
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		qf_close(&f);
		qf_free(&f);
		qf_init(&f);
		f.config.warning_s = 30;
		qf_open(&f);
		notify[0] = cases[i].notify;
		arrive(&(struct spool_envelope){ .notify = notify });
		done(1, 0, 0);
		done(2, 0, 0);
		f.ms += 60000;
		f.now.tv_sec += 60;
		done(0, cases[i].errnum, cases[i].flags);
		n = reports();
		if (cases[i].errnum != 0 && cases[i].flags == 0) {
			/* the warning comes with the next failure of a row */
			cr_expect_eq(n, 0, "%zu", i);
			qf_pass(&f, 61000);
			cr_assert_eq(f.njobs, 1, "%zu", i);
			done(0, EACCES, 0);
			n = reports();
		}
		cr_expect_eq(n, cases[i].outcome != NULL, "%zu: %zu", i, n);
		cr_expect(n == 0 || has(cases[i].outcome), "%zu: %s", i, text);
	}
}

Test(queue_report, a_delay_is_reported_once)
{
	f.config.warning_s = 300;
	qf_close(&f);
	qf_open(&f);
	arrive(&(struct spool_envelope){ .envid = "x" });
	done(0, 0, 0);
	done(1, 0, 0);
	done(2, ENOSPC, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 60 * 1000);
	done(0, ENOSPC, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 120 * 1000);
	done(0, ENOSPC, 0);
	cr_assert_eq(reports(), 0);
	/* the next interval would be 240 s: it is tried when it is to be told */
	qf_pass(&f, 118 * 1000);
	cr_assert_eq(f.njobs, 1);
	done(0, ENOSPC, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("rcpt=c@x.test orcpt=(null) outcome=0 "));
	cr_assert(has("text=No space left on device until=1734560000\n"));
	qf_finish(&f, 0);
	qf_pass(&f, 400 * 1000);
	cr_assert_eq(f.njobs, 1, "and goes on");
	done(0, ENOSPC, 0);
	cr_assert_eq(reports(), 0, "once");
}

Test(queue_report, what_expires_is_reported)
{
	static const int attempts[] = { 0, 60, 180, 420, 600 };
	uint64_t expired = stats_sum(STATS_EXPIRED);
	size_t i;

	f.config.lifetime_s = 600;
	qf_close(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	for (i = 0; i < 5; i++) {
		cr_assert_eq(f.njobs, 1, "%zu", i);
		qf_finish(&f, EACCES);
		if (i < 4)
			qf_pass(&f, (attempts[i + 1] - attempts[i]) * 1000);
	}
	cr_assert_eq(reports(), 1);
	cr_assert(has("rcpt=joe@example.test orcpt=(null) outcome=2 code=0 "
	    "enhanced= remote= text=because of the test"));
	deliver();
	cr_assert_eq(stats_sum(STATS_EXPIRED), expired + 1);
}

Test(queue_report, with_a_lifetime_of_0_there_is_one_attempt)
{
	f.config.lifetime_s = 0;
	qf_close(&f);
	qf_open(&f);
	arrive(&(struct spool_envelope){ .envid = "x" });
	done(0, EACCES, 0);
	done(1, EACCES, 0);
	done(2, EACCES, 0);
	cr_assert_eq(reports(), 1);
	deliver();
}

/* Time that has passed is measured by a clock that does not step. */
Test(queue_report, nothing_expires_because_the_clock_is_set)
{
	f.config.lifetime_s = 3600;
	qf_close(&f);
	qf_open(&f);
	arrive(&(struct spool_envelope){ .envid = "x" });
	/* while it is new, and an agent has it */
	f.now.tv_sec += 365 * 86400;
	qf_pass(&f, 1000);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	/* while it is deferred */
	f.now.tv_sec += 365 * 86400;
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 3);
	/* while an agent has it again */
	f.now.tv_sec += 365 * 86400;
	qf_pass(&f, 1000);
	qf_finish(&f, EACCES);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 1);
	/* and it expires in its time all the same, after it was set back */
	f.now.tv_sec -= 5 * 365 * 86400;
	qf_pass(&f, 121000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 3600 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	cr_assert_eq(reports(), 1);
}

Test(queue_report, what_was_held_has_its_lifetime_after_that)
{
	f.config.lifetime_s = 3600;
	qf_close(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .hold_until = f.now.tv_sec + 86400 });
	qf_committed(&f, &s, true);
	qf_pass(&f, 86400 * 1000 + 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 60000);
	cr_assert_eq(f.njobs, 3);
}

Test(queue_report, a_message_without_a_sender_is_reported_to_nobody)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	refuse(0);
	refuse(1);
	refuse(2);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert_eq(f.nreports, 0);
}

Test(queue_report, or_to_the_postmaster_who_wants_that)
{
	f.config.double_bounce = SENDER;
	qf_close(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	refuse(0);
	refuse(1);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("to=a@b.test sender= "));
	/* and if that one fails, it is over */
	refuse(0);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_report, a_report_that_fails_makes_no_other)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	refuse(0);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert_eq(f.nreports, 1);
}

Test(queue_report, without_a_way_to_the_sender_it_is_in_the_log_alone)
{
	static const char *const rcpts[] = { "joe@example.test" };

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "far@nowhere.test", rcpts, 1, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	refuse(0);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 0);
	f.config.double_bounce = SENDER;
	qf_close(&f);
	qf_open(&f);
	qf_append(&s, QF_ID(2), "far@nowhere.test", rcpts, 1, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	refuse(0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("to=a@b.test sender=far@nowhere.test "));
	deliver();
}

/* The postmaster wants failures. */
Test(queue_report, without_a_way_to_the_sender_nobody_hears_of_a_delivery)
{
	static const char *const rcpts[] = { "joe@example.test" };

	f.config.double_bounce = SENDER;
	qf_close(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "far@nowhere.test", rcpts, 1, "body\r\n");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	done(0, EACCES, 0);
	cr_assert_eq(reports(), 0);
	qf_close(&f);
	change_rows("UPDATE deferred SET notify = 2");	/* SUCCESS */
	qf_open(&f);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 1);
	done(0, 0, JOB_FINAL);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 0);
}

/* By it a pass is bounded. */
Test(queue_report, each_recipient_is_part_of_the_octets_of_a_report)
{
	enum { N = 1000 };
	struct queue_message *m = queue_message_new(N, 1);
	size_t i;

	cr_assert_not_null(m);
	m->sender = SENDER;
	for (i = 0; i < N; i++) {
		m->rcpts[i].state = RCPT_OK;
		m->rcpts[i].outcome = QUEUE_FAILED;
	}
	cr_expect_geq(queue_report_octets(f.q, m), N * 500);
	free(m);
}

Test(queue_report, the_message_is_returned_as_ret_says)
{
	arrive(&(struct spool_envelope){ .flags = SPOOL_ENV_RET_FULL });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("whole=1 "));
	qf_free(&f);
	qf_init(&f);
	f.config.return_octets = 10;
	qf_open(&f);
	arrive(&(struct spool_envelope){ .flags = SPOOL_ENV_RET_FULL });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("whole=0 "), "it is too large");
}

/* The report, which is all that there is, as mailmillctl shows it */
static void
check_protected(void)
{
	json_t *list = qf_list(&f), *m;

	m = json_object_get(list, "messages");
	cr_assert_eq(json_array_size(m), 1);
	m = json_array_get(m, 0);
	cr_expect_str_eq(json_string_value(json_object_get(m, "sender")), "");
	cr_expect(json_is_true(json_object_get(m, "require_tls")));
	cr_expect_eq(json_integer_value(json_object_get(m, "priority")), -3);
	json_decref(list);
}

/* RFC 8689 5: RET=FULL does not count with REQUIRETLS, which the report has, too.
 * RFC 6710 4.6: it has the priority of the message. */
Test(queue_report, it_is_as_protected_and_as_urgent_as_the_message)
{
	char cmd[128];

	arrive(&(struct spool_envelope){ .priority = -3,
	    .flags = SPOOL_ENV_RET_FULL | SPOOL_ENV_REQUIRETLS });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("whole=0 "));
	qf_close(&f);
	qf_open(&f);
	check_protected();
	/* its row says so; and if that is lost, its envelope does */
	qf_close(&f);
	snprintf(cmd, sizeof(cmd), "rm %s/deferred.db*", f.path);
	cr_assert_eq(system(cmd), 0);
	qf_open(&f);
	qf_pass(&f, 1000);
	check_protected();
}

/* RFC 2852: mode R fails, mode N is told. */
Test(queue_report, by_is_reported_in_its_time)
{
	arrive(&(struct spool_envelope){ .flags = SPOOL_ENV_BY_RETURN,
	    .deliver_by = f.now.tv_sec + 90 });
	done(0, 0, 0);
	done(1, 0, 0);
	done(2, EACCES, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 60 * 1000);
	cr_assert_eq(f.njobs, 1);
	done(0, EACCES, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 30 * 1000);
	cr_assert_eq(f.njobs, 1, "the report, at the time, without an attempt");
	qf_text(&f, 0, text, sizeof(text));
	cr_assert(has("rcpt=c@x.test orcpt=(null) outcome=3 "), "%s", text);
	deliver();
}

Test(queue_report, mode_n_is_told_and_goes_on)
{
	arrive(&(struct spool_envelope){ .deliver_by = f.now.tv_sec + 20 });
	done(0, 0, 0);
	done(1, 0, 0);
	done(2, EACCES, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 18 * 1000);
	cr_assert_eq(f.njobs, 1);
	done(0, EACCES, 0);
	cr_assert_eq(reports(), 1);
	cr_assert(has("outcome=0 ") && has(" late\n"));
	qf_finish(&f, 0);
	qf_pass(&f, 130 * 1000);
	cr_assert_eq(f.njobs, 1);
	done(0, EACCES, 0);
	cr_assert_eq(reports(), 0);
}

static void
disk_is_full(bool is_full)
{
	struct rlimit rl = { .rlim_max = RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	rl.rlim_cur = is_full ? 0 : RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
}

Test(queue_report, without_room_it_is_tried_again_and_reported_later)
{
	uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS, 0 };

	arrive(&(struct spool_envelope){ .notify = notify });
	disk_is_full(true);
	refuse(0);
	done(1, 0, JOB_FINAL);	/* is not given to the agent again */
	done(2, 0, 0);
	f.njobs = 0;
	qf_pass(&f, 5000);
	disk_is_full(false);
	cr_assert_eq(f.nreports, 0);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1);
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 0);
	refuse(0);
	cr_assert_eq(reports(), 1);
	deliver();
}

Test(queue_report, without_memory_for_it_it_is_made_later)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	f.has_no_reports = true;
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_listed(&f), 1);
	f.has_no_reports = false;
	qf_pass(&f, 6000);
	cr_assert_eq(f.njobs, 1);
	qf_text(&f, 0, text, sizeof(text));
	cr_assert(has("rcpt=a@x.test orcpt=(null) outcome=1 code=550"));
	deliver();
}

/* A report that cannot be written, or a message that cannot be kept, keeps no row
 * of what was delivered: an agent would get it again. */
Test(queue_report, what_is_delivered_goes_though_a_report_cannot_be_written)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	qf_finish(&f, EACCES);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
	f.has_no_reports = true;
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 6000);
	cr_assert_eq(f.njobs, 0, "none of the three is tried again");
	f.has_no_reports = false;
	qf_pass(&f, 6000);
	cr_assert_eq(f.njobs, 1, "%zu", f.njobs);
	qf_text(&f, 0, text, sizeof(text));
	cr_assert(has("rcpt=a@x.test orcpt=(null) outcome=1 code=550"));
	cr_assert_not(has("rcpt=b@x.test"));
	deliver();
}

static bool is_short;

/* As when the reserve is all that is left, which is not for copies */
static int
keep(void *store, struct queue_place *place)
{
	if (!is_short)
		return queue_spool_ops.keep(store, place);
	errno = ENOSPC;
	return -1;
}

Test(queue_report, what_is_delivered_goes_though_another_cannot_be_kept)
{
	static struct queue_store_ops store;

	store = queue_spool_ops;
	store.keep = keep;
	f.config.store = &store;
	qf_close(&f);
	qf_open(&f);
	arrive(&(struct spool_envelope){ .envid = "x" });
	qf_finish(&f, EACCES);
	cr_assert_eq(reports(), 0);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_segment(&f, &s, 2);
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 4);
	is_short = true;
	done(3, EACCES, 0);
	done(0, 0, 0);
	done(1, 0, 0);
	done(2, 0, 0);
	f.njobs = 0;
	qf_pass(&f, 0);
	is_short = false;
	cr_assert_eq(qf_listed(&f), 1, "the one that is kept where it is");
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 1, "%zu", f.njobs);
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 0);
	deliver();
}

/* It was deferred by a version that did not note what NOTIFY has said. */
Test(queue_report, what_notify_has_said_is_found_in_the_file)
{
	uint8_t notify[] = { SPOOL_NOTIFY_NEVER, SPOOL_NOTIFY_SUCCESS, 0 };

	arrive(&(struct spool_envelope){ .notify = notify });
	done(0, EACCES, 0);
	done(1, EACCES, 0);
	done(2, EACCES, 0);
	f.njobs = 0;
	qf_pass(&f, 1000);
	qf_close(&f);
	change_rows("UPDATE deferred SET notify = 16");
	qf_open(&f);
	qf_pass(&f, 60000);
	cr_assert_eq(f.njobs, 3);
	refuse(0);
	done(1, 0, JOB_FINAL);
	done(2, 0, JOB_FINAL);
	cr_assert_eq(reports(), 1);
	cr_assert(has("rcpt=b@x.test orcpt=(null) outcome=4"));
	cr_assert_not(has("rcpt=a@x.test") || has("rcpt=c@x.test"));
	deliver();
}

Test(queue_report, an_agent_is_believed_no_flag_that_there_is_not)
{
	arrive(&(struct spool_envelope){ .envid = "x" });
	done(0, 0, UINT32_MAX);
	done(1, -1, 0);
	done(2, 0, JOB_REFUSED);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(qf_listed(&f), 1, "the second one waits");
}

Test(queue_report, mailmillctl_shows_what_is_to_be_reported)
{
	char *answer;

	f.has_no_reports = true;
	arrive(&(struct spool_envelope){ .envid = "x" });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 0);
	answer = qf_ask(&f, "{\"command\":\"queue\",\"action\":\"list\"}");
	cr_assert_not_null(strstr(answer, "\"state\":\"failed\""), "%s",
	    answer);
	cr_assert_not_null(strstr(answer, "no such user"), "%s", answer);
	free(answer);
}

/* A pass does not take long: many reports, or large ones, are made in several. */
Test(queue_report, a_pass_makes_a_bounded_part_of_the_reports)
{
	enum { N = 120, OCTETS = 60000, MOST = (5 << 20) / OCTETS };
	unsigned int before, most = 0;
	char *body = malloc(OCTETS);
	size_t i;

	/* all of it is header */
	memset(body, 'x', OCTETS);
	for (i = 0; i + 100 < OCTETS; i += 100)
		memcpy(body + i, "X: x\r\n", 6);
	qf_segment(&f, &s, 1);
	for (i = 0; i < N; i++)
		qf_large(&f, &s, QF_ID(i), body, OCTETS);
	free(body);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, N);
	for (i = 0; i < N; i++)
		refuse(i);
	f.njobs = 0;
	for (i = 0; i < 100 && f.nreports < N; i++) {
		before = f.nreports;
		f.ms += 100;
		f.now.tv_usec += 100000;
		f.now.tv_sec += f.now.tv_usec / 1000000;
		f.now.tv_usec %= 1000000;
		queue_pass(f.q, &f.now, f.ms);
		if (f.nreports - before > most)
			most = f.nreports - before;
	}
	cr_assert_eq(f.nreports, N);
	cr_expect(most > 16 && most <= MOST, "%u", most);
	qf_pass(&f, 1000);
	while (f.njobs > 0) {
		qf_finish(&f, 0);
		qf_pass(&f, 1000);
	}
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert_eq(f.nreports, N);
}

/* Its file has all that its row has had. */
Test(queue_report, a_report_survives_the_loss_of_the_database)
{
	struct job_origin origin;
	char cmd[128], rcpt[64];

	arrive(&(struct spool_envelope){ .envid = "x" });
	refuse(0);
	done(1, 0, 0);
	done(2, 0, 0);
	cr_assert_eq(reports(), 1);
	origin = f.jobs[0].job.origin;
	qf_close(&f);
	snprintf(cmd, sizeof(cmd), "rm %s/deferred.db*", f.path);
	cr_assert_eq(system(cmd), 0);
	qf_open(&f);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 1);
	qf_rcpt(&f, 0, rcpt, sizeof(rcpt));
	cr_assert_str_eq(rcpt, SENDER);
	cr_assert_eq(memcmp(&f.jobs[0].job.origin, &origin, sizeof(origin)),
	    0, "so that an agent finds that it was delivered");
	/* and it is one still: what fails is not told to anybody */
	refuse(0);
	cr_assert_eq(reports(), 0);
	cr_assert_eq(f.nreports, 1);
}

/* Intervals are shorter by some part of the jitter, and always by the same. */
Test(queue_report, intervals_have_a_jitter)
{
	json_t *json, *m, *r;
	json_int_t next[3];
	size_t i;

	f.config.retry_s = 300;
	f.config.jitter_percent = 10;
	qf_close(&f);
	qf_open(&f);
	arrive(&(struct spool_envelope){ .envid = "x" });
	for (i = 0; i < 3; i++)
		done(i, EACCES, 0);
	qf_pass(&f, 0);
	json = qf_list(&f);
	m = json_array_get(json_object_get(json, "messages"), 0);
	for (i = 0; i < 3; i++) {
		r = json_array_get(json_object_get(m, "recipients"), i);
		next[i] = json_integer_value(json_object_get(r,
		    "next_attempt")) - 1700000000;
		cr_expect(next[i] >= 270 && next[i] <= 300, "%lld",
		    (long long)next[i]);
	}
	cr_expect(next[0] != next[1] || next[1] != next[2]);
	json_decref(json);
}
