/* Reports of TLS that are posted by HTTPS. */

#include "test/unit/cmd/mailmilld/queue/queue_tlsrpt_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(queue_tlsrpt_post, .init = qr_setup, .fini = qr_teardown);

/* RFC 8460 3 */
Test(queue_tlsrpt_post, a_report_is_posted_and_then_the_counts_are_dropped)
{
	qr_ask_for(QR_HTTPS);
	cr_assert_eq(qr.nposted, 1);
	cr_expect_str_eq(qr.posted[0].uri, "https://z.test/tls");
	cr_expect_eq(qr_ncounted(), 1, "nobody has it yet");
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	qr_pass_s(QR_DAY_S);
	cr_expect_eq(qr.nposts, 1);
	cr_expect_eq(qr_nmessages(), 0);
}

Test(queue_tlsrpt_post, each_uri_of_the_record_gets_it)
{
	qr_ask_for(QR_HTTPS ",mailto:a@x.test,https://y.test/?b,https://z.test/tls");
	cr_assert_eq(qr.nposted, 2);
	cr_expect_str_eq(qr.posted[0].uri, "https://z.test/tls");
	cr_expect_str_eq(qr.posted[1].uri, "https://y.test/?b");
	cr_expect_str_eq(qr.posted[0].id, qr.posted[1].id);
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 1);
	cr_expect_eq(qr_nmessages(), 0);
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	cr_assert_eq(qr_nmessages(), 1);
	qr_expect_message(0, "a@x.test");
	qr_pass_s(QR_DAY_S);
	cr_expect_eq(qr.nposts, 2);
}

/* One of them that cannot be had is no reason to tell the others again, nor to forget
 * that one.  RFC 8460 3, 5.5 */
Test(queue_tlsrpt_post, what_one_uri_has_not_taken_it_gets_later_and_no_other_one)
{
	static const char all[] = QR_HTTPS ",mailto:a@x.test,https://y.test/?b";
	char id[128];

	qr_ask_for(all);
	cr_assert_eq(qr.nposted, 2);
	strlcpy(id, qr.posted[0].id, sizeof(id));
	qr_say_posted(STS_FETCHED, "");
	qr_say_posted(STS_FETCH_ERROR, "its status is 404");
	cr_expect_eq(qr_ncounted(), 1);
	cr_assert_eq(qr_nmessages(), 1);
	qr_expect_message(0, "a@x.test");
	qr_ask_again(all);
	cr_assert_eq(qr.nposted, 1);
	cr_expect_str_eq(qr.posted[0].uri, "https://y.test/?b");
	cr_expect_str_eq(qr.posted[0].id, id);
	qr_say_posted(STS_UNKNOWN, "out of memory");
	/* nor does a process that follows this one know less */
	qr_restart();
	qr_ask_again(all);
	cr_assert_eq(qr.nposted, 1);
	cr_expect_str_eq(qr.posted[0].uri, "https://y.test/?b");
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	qr_pass_s(QR_DAY_S);
	cr_expect_eq(qr.nposts, 4);
	cr_expect_eq(qr_nmessages(), 0);
}

Test(queue_tlsrpt_post, a_uri_that_never_takes_it_is_given_up_after_a_day)
{
	static const char all[] = QR_HTTPS ",mailto:a@x.test,https://y.test/?b";

	qr_ask_for(all);
	qr_say_posted(STS_FETCHED, "");
	qr_say_posted(STS_FETCH_ERROR, "");
	cr_assert_eq(qr_nmessages(), 1);
	while (qr_ask_again(all), qr.nposted > 0) {
		cr_expect_str_eq(qr.posted[0].uri, "https://y.test/?b");
		qr_say_posted(qr.nposts % 2 == 0 ? STS_UNKNOWN : STS_FETCH_ERROR, "");
	}
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_geq(qr.nposts, 7);
	cr_expect_leq(qr.nposts, 10);
	cr_expect_leq(qr.now_ms / 1000, QR_DAY_S + 2 * TLSRPT_RETRY_MOST_S);
	cr_expect_eq(qr_nmessages(), 0);
}

/* What the domain asks for may have changed. */
Test(queue_tlsrpt_post, a_uri_that_is_not_wanted_any_more_is_not_waited_for)
{
	qr_ask_for(QR_HTTPS ",https://y.test/?b");
	qr_say_posted(STS_FETCHED, "");
	qr_say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(qr_ncounted(), 1);
	qr_ask_again(QR_HTTPS);
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr.nposts, 2);
	cr_expect_eq(qr_nmessages(), 0);
}

/* Or it could have us send mail to many who have not asked for it. */
Test(queue_tlsrpt_post, a_domain_that_names_others_at_each_try_has_no_more_reports)
{
	char all[128], one;
	unsigned int i, n;

	qr_ask_for(QR_HTTPS ",mailto:a@x.test,mailto:b@x.test");
	qr_say_posted(STS_FETCH_ERROR, "");
	n = qr_nmessages();
	cr_expect_eq(n, 2);
	for (i = 0, one = 'c'; i < 5; i++, one += 3) {
		snprintf(all, sizeof(all), i < 3 ? QR_HTTPS ",mailto:%c@x.test,"
		    "mailto:%c@x.test,mailto:%c@x.test" :
		    "v=TLSRPTv1; rua=mailto:%c@x.test,mailto:%c@x.test,"
		    "mailto:%c@x.test", one, one + 1, one + 2);
		qr_ask_again(all);
		if (qr.nposted > 0)
			qr_say_posted(STS_FETCH_ERROR, "");
		n += qr_nmessages();
	}
	cr_expect_eq(n, LIM_TLSRPT_URIS, "%u", n);
	cr_expect_eq(qr_ncounted(), 0);
}

Test(queue_tlsrpt_post, mail_is_sent_once_though_nobody_takes_it_by_https)
{
	static const char all[] = QR_HTTPS ",mailto:a@x.test";

	qr_ask_for(all);
	qr_say_posted(STS_WEBPKI_INVALID, "");
	cr_expect_eq(qr_nmessages(), 1);
	while (qr_ask_again(all), qr.nposted > 0)
		qr_say_posted(STS_WEBPKI_INVALID, "");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_geq(qr.nposts, 6);
	cr_expect_eq(qr_nmessages(), 0);
}

/* RFC 8460 5.5 */
Test(queue_tlsrpt_post, what_is_not_taken_is_posted_again_for_a_day)
{
	char id[128];
	int i;

	qr_ask_for(QR_HTTPS);
	strlcpy(id, qr.posted[0].id, sizeof(id));
	for (i = 0; i < 20 && qr_ncounted() > 0; i++) {
		if (qr.nasked > 0)
			qr_answer_one(QR_HTTPS);
		if (qr.nposted > 0) {
			cr_expect_str_eq(qr.posted[0].id, id);
			qr_say_posted(STS_FETCH_ERROR, "its status is 500");
		} else
			qr_pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_geq(qr.nposts, 6);
	cr_expect_leq(qr.nposts, 8);
	cr_expect_eq(qr_nmessages(), 0);
}

/* That is no fault of the domain's. */
Test(queue_tlsrpt_post, what_this_server_could_not_post_is_kept_for_a_week)
{
	int i;

	qr_ask_for(QR_HTTPS);
	for (i = 0; i < 60 && qr_ncounted() > 0; i++) {
		if (qr.nasked > 0)
			qr_answer_one(QR_HTTPS);
		if (qr.nposted > 0)
			qr_say_posted(STS_UNKNOWN, "out of memory");
		qr_pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_gt(qr.now_ms, 5LL * QR_DAY_S * 1000);
}

Test(queue_tlsrpt_post, without_a_process_sts_a_report_waits_for_one)
{
	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	qr_answer_one(QR_HTTPS);
	qr_pass_s(10);
	cr_expect_eq(qr_ncounted(), 1);
	qr_begin_sts();
	cr_assert_eq(qr.nposted, 1);
	/* which is killed, and is followed by another */
	qr_begin_sts();
	cr_assert_eq(qr.nposted, 1);
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr.nposts, 2);
}

/* Until the counts are gone, the report is posted again, as the same one. */
Test(queue_tlsrpt_post, a_queue_that_is_killed_loses_no_report)
{
	char id[128];

	qr_ask_for(QR_HTTPS ",mailto:a@x.test");
	strlcpy(id, qr.posted[0].id, sizeof(id));
	qr_restart();
	cr_expect_eq(qr_ncounted(), 1);
	cr_assert_eq(qr.nasked, 1);
	qr_answer_one(QR_HTTPS ",mailto:a@x.test");
	cr_assert_eq(qr.nposted, 1);
	cr_expect_str_eq(qr.posted[0].id, id);
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	qr_restart();
	cr_expect_eq(qr.nasked, 0);
	cr_expect_eq(qr.nposts, 2);
	cr_expect_eq(qr_nmessages(), 1);
}

Test(queue_tlsrpt_post, a_store_that_fails_does_not_have_it_posted_again)
{
	qr_ask_for(QR_HTTPS ",mailto:a@x.test");
	qr_change_rows("ALTER TABLE tls_count RENAME TO broken");
	qr_say_posted(STS_FETCHED, "");
	qr_change_rows("ALTER TABLE broken RENAME TO tls_count");
	cr_expect_eq(qr_ncounted(), 1);
	cr_expect_eq(qr_nmessages(), 0);
	qr_pass_s(2 * TLSRPT_RETRY_MOST_S);
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_nmessages(), 1);
	cr_expect_eq(qr.nposts, 1);
	cr_expect_eq(qr.ntotal, 1);
}

/* The next process begins anew; nothing is sent twice. */
Test(queue_tlsrpt_post, what_was_asked_at_the_end_is_asked_again)
{
	qr_count("y.test");
	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	cr_assert_eq(qr.nasked, 2);
	qr_answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	queue_tlsrpt_free(&qr.r);
	channel_free(qr.resolver);
	qr.nasked = 0;
	qr_begin();
	qr_pass_s(2);
	cr_assert_eq(qr.nasked, 1);
	cr_expect_str_eq(qr.asked[0].name, "_smtp._tls.z.test");
	qr_answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_expect_eq(qr_nmessages(), 2);
}
