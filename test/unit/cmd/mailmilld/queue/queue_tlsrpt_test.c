/* Reports of TLS: who is asked for, and those that go by mail. */

#include "test/unit/cmd/mailmilld/queue/queue_tlsrpt_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(queue_tlsrpt, .init = qr_setup, .fini = qr_teardown);

Test(queue_tlsrpt, each_address_of_the_record_gets_a_message)
{
	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	cr_assert_eq(qr.nasked, 1);
	cr_expect_str_eq(qr.asked[0].name, "_smtp._tls.z.test");
	/* the fixture has no way to that one */
	qr_answer(LOOKUP_FOUND, (const char *const[]){ "v=spf1 -all",
	    "v=TLSRPTv1; rua=mailto:a@x.test,ftp://z.test/tls,"
	    "mailto:no@nowhere.test,mailto:b@x.test", NULL });
	cr_expect_eq(qr_ncounted(), 0);
	cr_assert_eq(qr_nmessages(), 2);
	qr_expect_message(0, "a@x.test");
	qr_expect_message(1, "b@x.test");
	qr_pass_s(2 * QR_DAY_S);
	cr_expect_eq(qr.ntotal, 1);
	cr_expect_eq(qr_nmessages(), 0);
}

/* RFC 3986 6.2.2, RFC 5321 2.4: whatever the case of the domain, or which octets are
 * encoded; but local parts that differ in case are two. */
Test(queue_tlsrpt, an_address_that_the_record_has_in_several_forms_gets_one)
{
	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	qr_answer_one("v=TLSRPTv1; rua=mailto:a@x.test,mailto:a@X.Test,"
	    "mailto:%61%40x.test?subject=x,MAILTO:A@x.test");
	cr_assert_eq(qr_nmessages(), 2);
	qr_expect_message(0, "a@x.test");
	qr_expect_message(1, "A@x.test");
}

Test(queue_tlsrpt, who_does_not_ask_gets_none_and_the_counts_are_dropped)
{
	qr_count("a.test");
	qr_count("b.test");
	qr_count("c.test");
	qr_count("d.test");
	qr_count("e.test");
	qr_begin();
	qr_pass_s(2);
	cr_assert_eq(qr.nasked, 5);
	qr_answer(LOOKUP_NO_NAME, NULL);
	qr_answer(LOOKUP_NO_DATA, NULL);
	qr_answer(LOOKUP_TOO_MUCH, NULL);
	/* RFC 8460 3: more than one is none */
	qr_answer(LOOKUP_FOUND, (const char *const[]){
	    "v=TLSRPTv1; rua=mailto:a@x.test",
	    "v=TLSRPTv1; rua=mailto:b@x.test", NULL });
	cr_expect_eq(qr_ncounted(), 1);
	qr_answer_one("v=TLSRPTv1; rua=ftp://e.test/tls");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_nmessages(), 0);
}

Test(queue_tlsrpt, a_name_that_no_record_can_have_is_dropped_unasked)
{
	char domain[LIM_DOMAIN + 1] = "";
	size_t i;

	/* 249 octets: with "_smtp._tls." in front it is too long */
	for (i = 0; i < 5; i++)
		strlcat(domain, "a234567890123456789012345678901234567890123456789.",
		    sizeof(domain));
	domain[strlen(domain) - 1] = '\0';
	qr_count(domain);
	qr_begin();
	qr_pass_s(2);
	cr_expect_eq(qr.ntotal, 0);
	cr_expect_eq(qr_ncounted(), 0);
}

Test(queue_tlsrpt, without_an_answer_it_is_asked_for_a_day)
{
	int i;

	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	/* it was due a day ago */
	for (i = 0; i < 6; i++) {
		cr_assert_eq(qr.nasked, 1, "%d", i);
		qr_answer(LOOKUP_TEMPORARY, NULL);
		cr_assert_eq(qr_ncounted(), 1);
		qr_pass_s(TLSRPT_RETRY_MOST_S);
	}
	cr_assert_eq(qr.nasked, 1);
	/* at the end of the day, or after it */
	qr_answer(LOOKUP_TEMPORARY, NULL);
	qr_pass_s(TLSRPT_RETRY_MOST_S);
	if (qr.nasked == 1)
		qr_answer(LOOKUP_TEMPORARY, NULL);
	cr_expect_eq(qr_ncounted(), 0);
	qr_pass_s(QR_DAY_S);
	cr_expect_leq(qr.ntotal, 8);
	cr_expect_eq(qr_nmessages(), 0);
}

/* A queue process that is started again, such as by a reload, does not begin the day
 * anew. */
Test(queue_tlsrpt, a_day_without_an_answer_is_one_also_with_restarts)
{
	int hour;

	qr_count("z.test");
	qr_begin();
	for (hour = 0; hour < 30 && qr_ncounted() == 1; hour++) {
		qr_pass_s(3600);
		if (qr.nasked == 1)
			qr_answer(LOOKUP_TEMPORARY, NULL);
		if (hour % 7 != 6)
			continue;
		queue_tlsrpt_free(&qr.r);
		channel_free(qr.resolver);
		qr_begin();
	}
	cr_expect_eq(qr_ncounted(), 0);
	/* the last try is the first one after TLSRPT_TRY_S */
	cr_expect_geq(hour, 24);
	cr_expect_leq(hour, 24 + TLSRPT_RETRY_MOST_S / 3600);
}

Test(queue_tlsrpt, the_answer_may_come_later)
{
	qr_count("z.test");
	qr_begin();
	qr_pass_s(2);
	qr_answer(LOOKUP_TEMPORARY, NULL);
	qr_pass_s(TLSRPT_RETRY_MOST_S + 100);
	cr_assert_eq(qr.nasked, 1);
	qr_answer_one("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_assert_eq(qr_nmessages(), 1);
	qr_expect_message(0, "a@x.test");
}

Test(queue_tlsrpt, few_questions_wait_at_a_time)
{
	char domain[32];
	unsigned int i;

	for (i = 0; i < 60; i++) {
		snprintf(domain, sizeof(domain), "d%02u.test", i);
		qr_count(domain);
	}
	qr_begin();
	qr_pass_s(30);
	cr_assert_eq(qr.nasked, QR_QUESTIONS);
	for (i = 0; i < 60; i++) {
		cr_assert_leq(qr.nasked, QR_QUESTIONS);
		qr_answer(LOOKUP_NO_NAME, NULL);
		qr_pass_s(1);
	}
	cr_expect_eq(qr.ntotal, 60);
	cr_expect_eq(qr_ncounted(), 0);
}
