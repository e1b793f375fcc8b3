/* Reports of TLS: from counts to messages.  What a kill leaves: queue_crash_test.c. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/stats.h"
#include "core/queue/queue_int.h"
#include "core/queue/queue_tls_report.h"
#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

#define DAY	1699920000	/* a day of November 2023 */

QF_SUITE(queue_tls_report);

static const char *refused;	/* compose() fails for it with ... */
static int refused_errnum;	/* ... this */

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

/* Connections with z.test were counted on two days, with w.test on one. */
static void
count(void)
{
	change_rows("INSERT INTO tls_domain VALUES (1699920000, 'w.test', 1),"
	    " (1699920000, 'z.test', 1), (1700006400, 'z.test', 1);"
	    "INSERT INTO tls_count SELECT day, domain, 'sts', '', 'mode:"
	    " enforce', '', 'mx.z.test', '', '', '', 3 FROM tls_domain");
}

/* The days and domains of which there are counts: "DAY DOMAIN;" each */
static const char *
counts(void)
{
	static char buf[256];
	char domain[LIM_DOMAIN + 1] = "";
	int64_t day = 0;
	size_t n = 0;

	buf[0] = '\0';
	while (queue_tls_report_next(f.q, &day, domain, INT64_MAX) == 1)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%lld %s;",
		    (long long)(day - DAY) / 86400, domain);
	return buf;
}

static int
see_row(void *closure, const struct deferred_tls *t)
{
	cr_assert_str_eq(t->policy, "mode: enforce");
	*(uint64_t *)closure += t->sessions;
	return 0;
}

static int
compose(void *closure, const char *id, const char *to, char **text_r,
    size_t *len_r)
{
	uint64_t *total = closure;

	if (refused != NULL && strcmp(to, refused) == 0) {
		errno = refused_errnum;
		return -1;
	}
	cr_expect_eq(strlen(id), SPOOL_ID_TEXT);
	cr_assert_neq(asprintf(text_r, "To: %s\r\n\r\n%llu\r\n", to,
	    (unsigned long long)*total), -1);
	*len_r = strlen(*text_r);
	return 0;
}

/* Report the second of the counts, of which some are kept. */
static int
end_kept(const char *const *to, size_t nto, bool is_kept,
    const uint64_t *taken, size_t ntaken)
{
	static const uint64_t to_uris[LIM_TLSRPT_URIS] = { 1, 2, 3, 4 };
	uint64_t total = 0;
	struct queue_tls_report report = { .day = DAY, .domain = "z.test",
		.sender = "tls@y.test", .to = to, .nto = nto,
		.is_kept = is_kept, .to_uris = to_uris, .taken = taken,
		.ntaken = ntaken, .compose = compose, .closure = &total };

	cr_expect_eq(queue_tls_report_rows(f.q, DAY, "z.test", see_row,
	    &total), 1);
	return queue_tls_report_end(f.q, &report, &f.now);
}

static int
end(const char *const *to, size_t nto)
{
	return end_kept(to, nto, false, NULL, 0);
}

static void
expect_job(size_t i, const char *rcpt, const char *text)
{
	char buf[256];

	qf_rcpt(&f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, rcpt);
	qf_text(&f, i, buf, sizeof(buf));
	cr_expect_str_eq(buf, text);
	qf_said(&f, i, buf, sizeof(buf));
	/* NOTIFY=NEVER, TLS is not required, and is not counted */
	cr_expect_str_eq(buf, "tls@y.test 1 - - a00");
	cr_expect_eq(f.jobs[i].job.is_tls_report, 1);
}

Test(queue_tls_report, each_who_wants_it_gets_a_message_and_the_counts_are_gone)
{
	static const char *const to[] = { "a@x.test", "b@x.test" };

	uint64_t made = stats_sum(STATS_TLS_REPORTS);

	count();
	cr_assert_str_eq(counts(), "0 w.test;0 z.test;1 z.test;");
	cr_assert_eq(end(to, 2), 2);
	cr_expect_eq(stats_sum(STATS_TLS_REPORTS), made + 2);
	cr_expect_str_eq(counts(), "0 w.test;1 z.test;");
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	expect_job(0, "a@x.test", "To: a@x.test\r\n\r\n3\r\n");
	expect_job(1, "b@x.test", "To: b@x.test\r\n\r\n3\r\n");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_expect_eq(qf_listed(&f), 0);
}

/* A record may name one in several ways, which are one when they have been parsed. */
Test(queue_tls_report, one_who_is_named_twice_gets_one_message)
{
	static const char *const to[] = { "a@x.test", "b@x.test", "a@x.test",
		"A@x.test" };

	count();
	cr_assert_eq(end(to, 4), 3);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	expect_job(2, "A@x.test", "To: A@x.test\r\n\r\n3\r\n");
}

Test(queue_tls_report, what_nobody_wants_is_dropped)
{
	count();
	cr_expect_eq(end(NULL, 0), 0);
	cr_expect_str_eq(counts(), "0 w.test;1 z.test;");
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
}

/* It has a sender, but that asks for no report of a failure: nothing of a report
 * comes back, whatever becomes of it. */
Test(queue_tls_report, one_that_fails_is_not_reported_itself)
{
	static const char *const to[] = { "a@x.test" };

	count();
	cr_assert_eq(end(to, 1), 1);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_done_with(&f, f.jobs[0].agent, f.jobs[0].job.job, EACCES,
	    JOB_REFUSED);
	f.njobs = 0;
	qf_pass(&f, 5000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_eq(f.nreports, 0);
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_tls_report, one_who_cannot_be_reached_keeps_nobody_from_his_report)
{
	static const char *const to[] = { "a@nowhere.test", "odd@x.test",
		"b@x.test" };

	refused = to[1];
	refused_errnum = EINVAL;
	count();
	cr_assert_eq(end(to, 3), 1);
	cr_expect_str_eq(counts(), "0 w.test;1 z.test;");
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	expect_job(0, "b@x.test", "To: b@x.test\r\n\r\n3\r\n");
}

/* The caller, who says that it is dropped, has to know it. */
Test(queue_tls_report, where_nobody_can_be_reached_there_are_no_messages)
{
	static const char *const to[] = { "a@nowhere.test", "odd@x.test" };

	refused = to[1];
	refused_errnum = EINVAL;
	count();
	cr_expect_eq(end(to, 2), 0);
	cr_expect_str_eq(counts(), "0 w.test;1 z.test;");
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
}

static unsigned int
files(void)
{
	char path[128];
	struct dirent *e;
	unsigned int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/deferred", f.path);
	cr_assert_not_null(d = opendir(path));
	while ((e = readdir(d)) != NULL)
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

/* Nothing is left of the messages that were written already. */
static void
expect_nothing(void)
{
	cr_expect_str_eq(counts(), "0 w.test;0 z.test;1 z.test;");
	cr_expect_eq(files(), 0);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
}

/* The numbers of those who have had the report of z.test */
static const char *
taken(void)
{
	static char buf[256];
	uint64_t uris[LIM_TLSRPT_URIS];
	size_t n = 0;
	int i, nuris = queue_tls_report_taken(f.q, DAY, "z.test", uris);

	buf[0] = '\0';
	for (i = 0; i < nuris; i++)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%llu;",
		    (unsigned long long)uris[i]);
	return buf;
}

Test(queue_tls_report, counts_that_are_kept_are_so_with_who_has_had_the_report)
{
	static const char *const to[] = { "a@x.test", "odd@x.test", "b@x.test" };
	static const uint64_t posted[] = { 70, 80 };

	refused = to[1];
	refused_errnum = EINVAL;
	count();
	cr_assert_eq(end_kept(to, 3, true, posted, 2), 2);
	cr_expect_str_eq(counts(), "0 w.test;0 z.test;1 z.test;");
	cr_expect_str_eq(taken(), "1;3;70;80;");
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	expect_job(1, "b@x.test", "To: b@x.test\r\n\r\n3\r\n");
	qf_finish(&f, 0);
	/* none of this is news */
	cr_assert_eq(end_kept(to + 1, 1, true, NULL, 0), 0);
	cr_expect_str_eq(taken(), "1;3;70;80;");
	cr_assert_eq(end(NULL, 0), 0);
	cr_expect_str_eq(counts(), "0 w.test;1 z.test;");
	cr_expect_str_eq(taken(), "");
}

Test(queue_tls_report, without_memory_the_counts_stay_and_nobody_gets_one)
{
	static const char *const to[] = { "a@x.test", "b@x.test" };

	refused = to[1];
	refused_errnum = ENOMEM;
	count();
	errno = 0;
	cr_expect_eq(end(to, 2), -1);
	cr_expect_eq(errno, ENOMEM);
	expect_nothing();
	refused = NULL;
	cr_expect_eq(end(to, 2), 2);
}

static bool is_full;

static int
change(void *store, const struct queue_change *changes, size_t n)
{
	if (!is_full)
		return queue_spool_ops.change(store, changes, n);
	errno = ENOSPC;
	return -1;
}

Test(queue_tls_report, without_room_too_and_it_can_be_tried_again)
{
	static const char *const to[] = { "a@x.test", "b@x.test" };
	static struct queue_store_ops spy;

	spy = queue_spool_ops;
	spy.change = change;
	qf_close(&f);
	f.config.store = &spy;
	qf_open(&f);
	count();
	is_full = true;
	cr_expect_eq(end_kept(to, 2, true, NULL, 0), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_str_eq(taken(), "");
	/* not before the store may work again */
	cr_expect_eq(end(to, 2), -1);
	cr_expect_eq(errno, EAGAIN);
	expect_nothing();
	is_full = false;
	qf_pass(&f, QUEUE_TROUBLE_MS);
	cr_expect_eq(end(to, 2), 2);
}

static int
change_without_tables(void *store, const struct queue_change *changes,
    size_t n)
{
	if (changes[n - 1].kind != CHANGE_TLS_DROP)
		return queue_spool_ops.change(store, changes, n);
	errno = EIO;
	return -1;
}

/* The disk may have room for rows alone, and other tables may be whole: many reports
 * that fail, one after the other, would have all mail wait. */
Test(queue_tls_report, mail_does_not_wait_where_only_that_fails)
{
	static const char *const to[] = { "a@x.test" };
	static struct queue_store_ops spy;

	spy = queue_spool_ops;
	spy.change = change_without_tables;
	qf_close(&f);
	f.config.store = &spy;
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, EAGAIN);
	count();
	qf_pass(&f, f.config.retry_s * 1000 - 1000);
	cr_assert_eq(f.njobs, 0);
	cr_expect_eq(end(to, 1), -1);
	cr_expect_eq(errno, EIO);
	/* what is due then goes */
	qf_pass(&f, 2000);
	cr_expect_eq(f.njobs, 1);
	/* and no report is tried meanwhile */
	cr_expect_eq(end(to, 1), -1);
	cr_expect_eq(errno, EAGAIN);
}
