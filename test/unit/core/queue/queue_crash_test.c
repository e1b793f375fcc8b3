/* The queue process is killed, or the power is cut, at any step of a message of
 * which something is to be reported, or that is for an alias, or of a report of TLS:
 * what is in the spool then is copied, and another queue goes on with the copy.
 * After a power cut the log of acknowledgements has what it had when flush() was
 * called last: that it is also flushed by the clock is no reason to rely on it. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/queue/queue_tls_report.h"
#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

#define SNAPSHOTS	256
#define REPORTS		8

QF_SUITE(queue_crash);

/* The reports, and the messages to who gets the mail of an alias, that somebody has
 * got: a Maildir has each origin once. */
static struct got {
	struct job_origin origin;
	uint32_t section;
	char	 text[512];
} got[REPORTS];
static size_t ngot;

/* What somebody gets once, up to NULL */
static const char *awaited[4] = { "rcpt=a@x.test orcpt=(null) outcome=1",
	"rcpt=b@x.test orcpt=(null) outcome=4" };

static struct snapshot {
	char	 path[64];
	size_t	 ngot;		/* before it */
	const char *step;
	bool	 is_power;	/* it was cut: what was not flushed is lost */
	bool	 is_answered;	/* the request was answered before */
} snapshots[SNAPSHOTS];
static size_t nsnapshots;
static const char *request;	/* of mailmillctl, before an agent takes anything; NULL: none */
static size_t request_at;	/* passes before it */
static bool has_counts;	/* of TLS, to be reported before that */
static bool is_answered;
static bool is_routed;		/* the request is "route" */
static bool is_watched;
static char flushed[64];	/* the log as it is on disk */

__attribute__((format(printf, 1, 2)))
static void
shell(const char *format, ...)
{
	va_list ap;
	char *cmd;

	va_start(ap, format);
	cr_assert_neq(vasprintf(&cmd, format, ap), -1);
	va_end(ap);
	cr_assert_eq(system(cmd), 0, "%s", cmd);
	free(cmd);
}

static void
save_log(void)
{
	shell("rm -f %s/*; cp -a %s/ack.* %s 2>/dev/null || true", flushed,
	    f.path, flushed);
}

static void
snap_one(const char *step, bool is_power)
{
	struct snapshot *p = &snapshots[nsnapshots];

	cr_assert_lt(nsnapshots, SNAPSHOTS);
	strlcpy(p->path, "/tmp/queue-crash.XXXXXX", sizeof(p->path));
	cr_assert_not_null(mkdtemp(p->path));
	shell("cp -a %s/. %s", f.path, p->path);
	if (is_power)
		shell("rm -f %s/ack.*; cp -a %s/. %s", p->path, flushed,
		    p->path);
	p->ngot = ngot;
	p->step = step;
	p->is_power = is_power;
	p->is_answered = is_answered;
	nsnapshots++;
}

static void
snap(const char *step)
{
	if (!is_watched)
		return;
	snap_one(step, false);
	snap_one(step, true);
}

static int
keep(void *store, struct queue_place *place)
{
	int rc;

	snap("before keep");
	rc = queue_spool_ops.keep(store, place);
	snap("after keep");
	return rc;
}

static int
own_write(void *store, const struct queue_place *place,
    const struct spool_envelope *env, uint64_t received_us, const char *text,
    size_t len)
{
	int rc = queue_spool_ops.own_write(store, place, env, received_us, text,
	    len);

	snap("after own_write");
	return rc;
}

static int
own_copy(void *store, const struct queue_place *place,
    const struct spool_envelope *env, const struct queue_record *of)
{
	int rc = queue_spool_ops.own_copy(store, place, env, of);

	snap("after own_copy");
	return rc;
}

static int
flush(void *store)
{
	int rc = queue_spool_ops.flush(store);

	save_log();
	snap("after flush");
	return rc;
}

static int
change(void *store, const struct queue_change *changes, size_t n)
{
	int rc;

	snap("before change");
	rc = queue_spool_ops.change(store, changes, n);
	snap("after change");
	return rc;
}

static void
acknowledge(void *store, const struct queue_place *place, uint32_t rcpt)
{
	queue_spool_ops.acknowledge(store, place, rcpt);
	snap("after acknowledge");
}

static int64_t
end(void *store)
{
	int64_t due = queue_spool_ops.end(store);

	snap("after end");
	return due;
}

static bool
is_got(const struct job_origin *origin)
{
	size_t i;

	for (i = 0; i < ngot; i++)
		if (memcmp(&got[i].origin, origin, sizeof(*origin)) == 0)
			return true;
	return false;
}

/* The job ${i} is for ${rcpt}, who is watched. */
static void
get(struct qf *q, size_t i, const char *rcpt)
{
	if (is_got(&q->jobs[i].job.origin))
		return;
	cr_assert_lt(ngot, REPORTS);
	got[ngot].origin = q->jobs[i].job.origin;
	got[ngot].section = q->jobs[i].job.section;
	if (strncmp(rcpt, "many", 4) == 0)
		strlcpy(got[ngot].text, rcpt, sizeof(got[0].text));
	else
		qf_text(q, i, got[ngot].text, sizeof(got[0].text));
	ngot++;
}

/* a@x.test is refused; of b@x.test a report was asked for; the sender has a
 * mailbox.  As long as this queue lives, joe@example.test is not delivered to: his
 * message is in the same segment, which has to stay as it is. */
static void
play(struct qf *q)
{
	struct job_error error = { .text = "refused" };
	char rcpt[64];
	size_t i;

	for (i = 0; i < q->njobs; i++) {
		qf_rcpt(q, i, rcpt, sizeof(rcpt));
		error.job = q->jobs[i].job.job;
		if (is_watched && strcmp(rcpt, "joe@example.test") == 0)
			continue;
		if (strcmp(rcpt, "a@x.test") == 0) {
			queue_error(q->q, q->jobs[i].agent, &error);
			qf_done_with(q, q->jobs[i].agent, error.job, EACCES,
			    JOB_REFUSED);
			continue;
		}
		if (strcmp(rcpt, "a@b.test") == 0 ||
		    strncmp(rcpt, "many", 4) == 0)
			get(q, i, rcpt);
		qf_done_with(q, q->jobs[i].agent, error.job, 0, JOB_FINAL);
	}
	q->njobs = 0;
}

static void
run(struct qf *q)
{
	int i, left = 5;

	/* and some seconds, in which nothing more may come */
	for (i = 0; i < 150 && left > 0; i++) {
		qf_pass(q, 1000);
		play(q);
		left = qf_listed(q) == 0 ? left - 1 : 5;
	}
}

static int
compose(void *, const char *, const char *to, char **text_r, size_t *len_r)
{
	cr_assert_neq(asprintf(text_r, "Subject: %s\r\n\r\n", to), -1);
	*len_r = strlen(*text_r);
	return 0;
}

/* What the process of the queue does when a report is due: its counts say that. */
static void
report(struct qf *q)
{
	static const char *const to[] = { "many1@x.test", "many2@x.test" };
	char domain[LIM_DOMAIN + 1] = "";
	struct queue_tls_report r = { .domain = domain, .sender = "tls@y.test",
		.to = to, .nto = 2, .compose = compose };

	if (queue_tls_report_next(q->q, &r.day, domain, INT64_MAX) == 1)
		cr_expect_eq(queue_tls_report_end(q->q, &r, &q->now), 2);
}

static size_t
times(const char *what)
{
	size_t i, n = 0;

	for (i = 0; i < ngot; i++)
		n += strstr(got[i].text, what) != NULL;
	return n;
}

/* After the answer to "route" all that is delivered goes by it. */
static void
check_sections(const struct snapshot *p)
{
	size_t i;

	for (i = p->ngot; i < ngot; i++)
		if (is_routed && p->is_answered &&
		    strncmp(got[i].text, "many", 4) == 0)
			cr_expect_eq(got[i].section, QF_SECTION, "%s%s: %s",
			    p->step, p->is_power ? ", power" : "",
			    got[i].text);
}

static void
go_on(const struct snapshot *p)
{
	static struct qf q;
	char path[96];
	size_t i;

	qf_init(&q);
	shell("rm -rf %s/* && cp -a %s/. %s && rm -rf %s", q.path, p->path,
	    q.path, p->path);
	close(q.incoming);
	close(q.folder);
	snprintf(path, sizeof(path), "%s/incoming", q.path);
	q.incoming = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q.folder = open(q.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q.config.queue_dirfd = q.folder;
	q.config.incoming_dirfd = q.incoming;
	q.now = f.now;
	q.ms = f.ms;
	ngot = p->ngot;
	qf_open(&q);
	report(&q);
	run(&q);
	for (i = 0; i < sizeof(awaited) / sizeof(awaited[0]) &&
	    awaited[i] != NULL; i++)
		cr_expect_eq(times(awaited[i]), 1, "%s%s: %zu times %s",
		    p->step, p->is_power ? ", power" : "", times(awaited[i]),
		    awaited[i]);
	cr_expect_eq(times("rcpt=c@x.test"), 0);
	check_sections(p);
	cr_expect_eq(qf_listed(&q), 0, "%s", p->step);
	qf_free(&q);
}

static void
check(void)
{
	static struct queue_store_ops spy;
	size_t i, n;

	spy = queue_spool_ops;
	spy.keep = keep;
	spy.own_write = own_write;
	spy.own_copy = own_copy;
	spy.flush = flush;
	spy.change = change;
	spy.acknowledge = acknowledge;
	spy.end = end;
	qf_close(&f);
	f.config.store = &spy;
	strlcpy(flushed, "/tmp/queue-flushed.XXXXXX", sizeof(flushed));
	cr_assert_not_null(mkdtemp(flushed));
	save_log();
	qf_open(&f);
	is_watched = true;
	f.is_deaf = request != NULL;
	for (i = 0; i < 40; i++) {
		if (request != NULL && i == request_at) {
			free(qf_ask(&f, request));
			is_answered = true;
			f.is_deaf = false;
		}
		if (has_counts && i == 1)
			report(&f);
		qf_pass(&f, 100);
		play(&f);
		/* nothing more happens, but for the passes of the clock */
		if (ngot > 0 && qf_listed(&f) == 1)
			break;
	}
	is_watched = false;
	cr_assert_gt(nsnapshots, 10);
	qf_close(&f);
	n = nsnapshots;
	for (i = 0; i < n; i++)
		go_on(&snapshots[i]);
	shell("rm -rf %s", flushed);
}

Test(queue_crash, a_report_is_made_once_whenever_the_queue_is_killed,
    .timeout = 120)
{
	static const uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS, 0 };

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .notify = notify });
	qf_mail(&s, QF_ID(2));
	spool_segment_close(&s.file);
	check();
}

/* It was deferred before. */
Test(queue_crash, nor_is_that_of_a_deferred_message_made_twice, .timeout = 120)
{
	static const uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS, 0 };
	size_t i;

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .notify = notify });
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 4);
	for (i = 0; i < 3; i++)
		qf_done(&f, f.agent, f.jobs[i].job.job, EACCES);
	qf_pass(&f, 61000);
	check();
}

/* It is given up by mailmillctl; a queue that was killed before has it refused by the
 * agent.  ${passes}: it is in memory then, or not read yet */
static void
give_up(size_t passes)
{
	request = "{\"action\":\"bounce\",\"filter\":"
	    "{\"recipient\":\"a@x.test\"}}";
	request_at = passes;
	check();
}

static void
write_two(void)
{
	static const uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS, 0 };

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .notify = notify });
	qf_mail(&s, QF_ID(2));
}

Test(queue_crash, what_is_given_up_in_memory_is_reported_once, .timeout = 120)
{
	write_two();
	spool_segment_close(&s.file);
	give_up(1);
}

Test(queue_crash, what_is_given_up_before_it_is_read_is_reported_once,
    .timeout = 120)
{
	write_two();
	spool_segment_close(&s.file);
	give_up(0);
}

Test(queue_crash, what_is_given_up_and_was_deferred_is_reported_once,
    .timeout = 120)
{
	size_t i;

	write_two();
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
	cr_assert_eq(f.njobs, 4);
	for (i = 0; i < 3; i++)
		qf_done(&f, f.agent, f.jobs[i].job.job, EACCES);
	qf_pass(&f, 61000);
	give_up(1);
}

/* It is led elsewhere, and is delivered once, there or where the configuration says.
 * ${passes}: as of give_up(); ${is_deferred}: an attempt before has failed */
static void
lead(size_t passes, bool is_deferred)
{
	static const char *const rcpts[] = { "many1@x.test", "a@x.test" };
	size_t i;

	awaited[1] = "many1@x.test";
	is_routed = true;
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .rcpts = rcpts, .nrcpts = 2 });
	qf_mail(&s, QF_ID(2));
	if (is_deferred) {
		qf_committed(&f, &s, true);
		qf_pass(&f, 0);
	}
	spool_segment_close(&s.file);
	for (i = 0; i < 2 && is_deferred; i++)
		qf_done(&f, f.agent, f.jobs[i].job.job, EACCES);
	if (is_deferred)
		qf_pass(&f, 61000);
	request = "{\"action\":\"route\",\"to\":\"near.test\",\"filter\":"
	    "{\"recipient\":\"many1@x.test\"}}";
	request_at = passes;
	check();
}

Test(queue_crash, what_is_led_elsewhere_in_memory_is_delivered_once,
    .timeout = 120)
{
	lead(1, false);
}

Test(queue_crash, what_is_led_elsewhere_before_it_is_read_is_delivered_once,
    .timeout = 120)
{
	lead(0, false);
}

Test(queue_crash, what_is_led_elsewhere_and_was_deferred_is_delivered_once,
    .timeout = 120)
{
	lead(1, true);
}

/* Those who get the mail of an alias get it once, and its sender is told once. */
static void
expand(bool is_deferred)
{
	static const char *const rcpts[] = { "many@alias.test", "a@x.test" };
	static const uint8_t notify[] = { SPOOL_NOTIFY_SUCCESS, 0 };
	size_t i;

	awaited[1] = "rcpt=many@alias.test orcpt=(null) outcome=6";
	awaited[2] = "many1@x.test";
	awaited[3] = "many2@x.test";
	f.is_deaf = is_deferred;
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &(struct spool_envelope){
	    .rcpts = rcpts, .nrcpts = 2, .notify = notify });
	qf_mail(&s, QF_ID(2));
	if (is_deferred) {
		qf_committed(&f, &s, true);
		/* one pass: it is deferred, and not expanded */
		(void)queue_pass(f.q, &f.now, f.ms);
	}
	spool_segment_close(&s.file);
	f.is_deaf = false;
	for (i = 0; is_deferred && i < f.njobs; i++)
		qf_done(&f, f.agent, f.jobs[i].job.job, EACCES);
	check();
}

Test(queue_crash, an_alias_is_expanded_once_whenever_the_queue_is_killed,
    .timeout = 120)
{
	expand(false);
}

Test(queue_crash, nor_is_a_deferred_one_expanded_twice, .timeout = 120)
{
	expand(true);
}

/* The report of TLS is sent once to each who wants it. */
Test(queue_crash, a_report_of_tls_is_put_once, .timeout = 120)
{
	static const char *const sql = "INSERT INTO tls_domain VALUES"
	    " (86400, 'z.test', 1); INSERT INTO tls_count VALUES (86400,"
	    " 'z.test', 'sts', '', '', '', 'mx.z.test', '', '', '', 3)";
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	awaited[0] = "many1@x.test";
	awaited[1] = "many2@x.test";
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(2));
	spool_segment_close(&s.file);
	has_counts = true;
	check();
}
