/* Reports of TLS while the store fails. */

#include "test/unit/cmd/mailmilld/queue/queue_tlsrpt_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "core/queue/queue_store.h"
#include "core/store/queue_spool.h"

TestSuite(queue_tlsrpt_store, .init = qr_setup, .fini = qr_teardown);

static int change_errnum;	/* 0: it works */
static unsigned int nchanges;	/* of the counts of TLS */

static int
change(void *store, const struct queue_change *changes, size_t n)
{
	if (changes[n - 1].kind != CHANGE_TLS_DROP &&
	    changes[n - 1].kind != CHANGE_TLS_TAKE)
		return queue_spool_ops.change(store, changes, n);
	nchanges++;
	errno = change_errnum;
	return change_errnum == 0 ? queue_spool_ops.change(store, changes,
	    n) : -1;
}

static void
spy_on_store(void)
{
	static struct queue_store_ops spy;

	spy = queue_spool_ops;
	spy.change = change;
	qf_close(&qr.f);
	qr.f.config.store = &spy;
	qf_open(&qr.f);
	qr.r.queue = qr.f.q;
	qr_catch_log();
}

/* All questions are of reports that were posted, and a domain has none yet. */
Test(queue_tlsrpt_store, reports_that_were_posted_while_the_store_failed_leave_room_for_others)
{
	char domain[32];
	unsigned int i;

	for (i = 0; i <= QR_QUESTIONS; i++) {
		snprintf(domain, sizeof(domain), "d%02u.test", i);
		qr_count(domain);
	}
	spy_on_store();
	qr_begin();
	qr_begin_sts();
	qr_pass_s(10);
	cr_assert_eq(qr.nasked, QR_QUESTIONS);
	for (i = 0; i < QR_QUESTIONS; i++)
		qr_answer_one(QR_HTTPS);
	cr_assert_eq(qr.nposted, QR_QUESTIONS);
	change_errnum = ENOSPC;
	while (qr.nposted > 0)
		qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), QR_QUESTIONS + 1);
	change_errnum = 0;
	for (i = 0; i < 10 && qr.nasked == 0; i++) {
		qr_pass_s(60);
		(void)qr_nmessages();
	}
	cr_assert_eq(qr.nasked, 1, "the store works again");
	qr_answer(LOOKUP_NO_NAME, NULL);
	for (i = 0; i < 10 && qr_ncounted() > 0; i++)
		qr_pass_s(60);
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr.nposts, QR_QUESTIONS);
	cr_expect_eq(qr.ntotal, QR_QUESTIONS + 1);
}

/* The store fails when some URIs, not all, have taken it. */
Test(queue_tlsrpt_store, who_has_taken_it_is_remembered_when_the_store_works_again)
{
	static const char all[] = QR_HTTPS ",https://y.test/?b";
	unsigned int i;

	qr_count("z.test");
	spy_on_store();
	qr_begin();
	qr_begin_sts();
	qr_pass_s(2);
	qr_answer_one(all);
	cr_assert_eq(qr.nposted, 2);
	change_errnum = ENOSPC;
	qr_say_posted(STS_FETCHED, "");
	qr_say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(nchanges, 1);
	change_errnum = 0;
	for (i = 0; i < 10 && nchanges == 1; i++) {
		qr_pass_s(60);
		(void)qr_nmessages();
	}
	cr_expect_eq(nchanges, 2);
	qr_ask_again(all);
	cr_assert_eq(qr.nposted, 1);
	cr_expect_str_eq(qr.posted[0].uri, "https://y.test/?b");
}

Test(queue_tlsrpt_store, what_cannot_be_dropped_yet_is_not_said_to_be_dropped)
{
	unsigned int i;

	qr_count("z.test");
	spy_on_store();
	qr_begin();
	qr_pass_s(2);
	change_errnum = EIO;
	qr_answer_one("v=TLSRPTv1; rua=ftp://z.test/tls");
	cr_expect_eq(nchanges, 1);
	cr_expect_eq(qr_ncounted(), 1);
	cr_expect_eq(qr_logged("event=tls-report-later"), 1);
	cr_expect_eq(qr_logged("event=tls-report-dropped"), 0);
	change_errnum = 0;
	for (i = 0; qr.nasked == 0; i++) {
		cr_assert_lt(i, 24 * 60);
		qr_pass_s(60);
		(void)qr_nmessages();
	}
	qr_answer_one("v=TLSRPTv1; rua=ftp://z.test/tls");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_logged("event=tls-report-later"), 1);
	cr_expect_eq(qr_logged("event=tls-report-dropped"), 1);
}

/* The queue has its passes, too, and no domain wants a report. */
static void
work_s(int64_t seconds)
{
	for (; seconds > 0; seconds--) {
		qr_pass_s(1);
		while (qr.nasked > 0)
			qr_answer(LOOKUP_NO_NAME, NULL);
		(void)qr_nmessages();
	}
}

/* Each turn of each domain would be in vain, and a line in the log. */
Test(queue_tlsrpt_store, while_the_disk_is_full_one_is_tried_a_minute_and_all_when_it_is_not)
{
	char domain[32];
	unsigned int i, is_old;

	for (is_old = 0; is_old < 2; is_old++) {
		qr.day_of_counts = QR_DAY - (is_old ? 9 : 2) * QR_DAY_S;
		for (i = 0; i < 60; i++) {
			snprintf(domain, sizeof(domain), "d%02u.test", i);
			qr_count(domain);
		}
		change_errnum = ENOSPC;
		nchanges = 0;
		if (is_old == 0) {
			spy_on_store();
			qr_begin();
		}
		work_s(600);
		cr_expect_geq(nchanges, is_old ? 5 : 2);
		cr_expect_leq(nchanges, 11);
		cr_expect_leq(qr_logged("event=tls-report-later"),
		    (is_old + 1) * 11 * QR_QUESTIONS);
		cr_expect_eq(qr_ncounted(), 60);
		change_errnum = 0;
		/* those that were tried have their next turn in some hours */
		work_s(TLSRPT_RETRY_MOST_S + 100);
		cr_expect_eq(qr_ncounted(), 0, "%u", is_old);
	}
	cr_expect_eq(qr_logged("event=tls-report-dropped"), 60);
}
