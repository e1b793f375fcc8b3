/* In which order the addresses of a next hop are tried. */

#include "test/unit/cmd/mailmilld/relay/relay_way_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/queue/queue_fixture.h"

TestSuite(relay_way, .fini = rw_end);

Test(relay_way, one_address_is_tried_once_in_each_attempt)
{
	int i;

	rw_begin("Route = \"192.0.2.1\"", NULL);
	for (i = 0; i < 3; i++) {
		cr_expect_str_eq(rw_next(), "192.0.2.1:25");
		rw_fail();
		cr_expect_str_eq(rw_next(), "end");
		cr_expect_str_eq(rw.way.why.text, "refused");
		cr_expect_eq(rw.way.errnum, ECONNREFUSED);
		cr_expect_eq(rw.way.flags, JOB_TARGET);
		relay_way_begin(&rw.way);
	}
	cr_expect_eq(rw.nsearches, 0);
}

Test(relay_way, one_that_has_failed_is_left_alone_while_there_are_others)
{
	rw_begin("Route = { \"192.0.2.1\", \"192.0.2.2:26\", \"unix:/run/x\" }",
	    NULL);
	rw_fail();
	cr_expect_str_eq(rw_next(), "192.0.2.2:26");
	relay_way_good(&rw.way, rw_number(), 0);
	cr_expect_str_eq(rw_next(), "192.0.2.2:26");
	/* that one fails: the third, and then the first, which is still bad */
	rw_fail();
	cr_expect_str_eq(rw_next(), "/run/x");
	rw_fail();
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "192.0.2.2:26");
	relay_way_good(&rw.way, rw_number(), 0);
	rw.now_ms += RELAY_BAD_MS - 1;
	cr_expect_str_eq(rw_next(), "192.0.2.2:26");
	rw.now_ms += 1;
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
}

/* Postfix's smtp_mx_address_limit.  Those that it leaves out come first when the
 * next attempt begins. */
Test(relay_way, no_more_addresses_are_tried_than_the_option_says)
{
	rw_begin("MX_Address_Limit = 2", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	rw_fail();
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.2:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
	/* nor is the DNS asked for those of the next preference */
	cr_expect_eq(rw.nsearches, 1);
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.3:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("20 n.b.test 192.0.2.4 300", 0);
	cr_expect_str_eq(rw_next(), "n.b.test 192.0.2.4:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
}

Test(relay_way, the_usual_limit_is_five_and_zero_is_none)
{
	static const char *const options[] = { "", "MX_Address_Limit = 0" };
	char hosts[256] = "";
	size_t i, n;

	for (n = 0; n < 7; n++)
		snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts),
		    "%s10 m.b.test 192.0.2.%zu 300", n > 0 ? ", " : "", n + 1);
	for (i = 0; i < 2; i++) {
		if (i > 0)
			rw_end();
		rw_begin(options[i], "b.test");
		cr_expect_str_eq(rw_next(), "waits");
		rw_answer(hosts, 0);
		for (n = 0; strstr(rw_next(), "192.0.2.") != NULL; n++)
			rw_fail();
		cr_expect_eq(n, i == 0 ? 5 : 7);
	}
}

/* Those which are tried beside each other count as well. */
Test(relay_way, an_address_counts_when_a_connection_to_it_begins)
{
	uint64_t first;

	rw_begin("MX_Address_Limit = 2", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	first = rw_number();
	relay_way_use(&rw.way, first);
	relay_way_use(&rw.way, relay_way_beside(&rw.way, first)->number);
	cr_expect_null(relay_way_beside(&rw.way, first + 1));
	rw_fail();
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.2:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
}

Test(relay_way, values_of_route_have_no_limit)
{
	rw_begin("MX_Address_Limit = 1 Route = { \"192.0.2.1\", \"192.0.2.2\" }",
	    NULL);
	rw_fail();
	cr_expect_str_eq(rw_next(), "192.0.2.2:25");
}

/* Two servers that say nothing for five minutes, RFC 5321 4.5.3.2.1 */
Test(relay_way, after_ten_minutes_no_other_address_is_tried)
{
	rw_begin("", "b.test");
	rw.now_ms += 7 * RELAY_ATTEMPT_MS;
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	relay_way_use(&rw.way, rw_number());
	rw.now_ms += RELAY_ATTEMPT_MS / 2;
	rw_fail();
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.2:25");
	relay_way_use(&rw.way, rw_number());
	rw.now_ms += RELAY_ATTEMPT_MS / 2;
	/* that one is seen to its end */
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.2:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	/* the next attempt has as much */
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.1:25");
}

Test(relay_way, addresses_of_one_preference_can_be_tried_beside_each_other)
{
	const struct relay_place *p;
	uint64_t first;

	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test [2001:db8::1] 300, 10 m.b.test 192.0.2.1 300, "
	    "10 m.b.test 192.0.2.2 300", 0);
	first = rw_number();
	cr_assert_not_null(p = relay_way_beside(&rw.way, first));
	cr_expect_eq(p->addr.ip.sa.sa_family, AF_INET);
	relay_way_failed(&rw.way, p->number, &rw.way.why, ECONNREFUSED);
	cr_assert_not_null(p = relay_way_beside(&rw.way, first));
	/* it was faster than the first, which is left alone for a while */
	relay_way_late(&rw.way, first);
	relay_way_good(&rw.way, p->number, 0);
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.2:25");
	cr_expect_null(relay_way_beside(&rw.way, p->number));
	rw.now_ms += RELAY_BAD_MS;
	cr_expect_eq(rw_number(), first);
	cr_expect_null(relay_way_beside(&rw.way, 77));
}

Test(relay_way, values_of_route_are_tried_one_after_the_other)
{
	rw_begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	cr_expect_null(relay_way_beside(&rw.way, rw_number()));
	rw_fail();
	(void)rw_number();
	cr_expect_null(relay_way_beside(&rw.way, 1));
}

/* So that not each connection has a login that is refused. */
Test(relay_way, what_a_server_has_refused_is_known_until_it_fails)
{
	const struct relay_place *p;

	rw_begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("0 mail.test 192.0.2.1 20", 0);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
	relay_way_good(&rw.way, p->number, 2);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 2);
	/* the DNS is asked again, and has the same address */
	rw.now_ms += 20000;
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("0 mail.test 192.0.2.1 300", 0);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 2);
	/* it may know others now */
	rw_fail();
	relay_way_begin(&rw.way);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
}

/* One that never fails may know them one day, too; and what somebody in between has
 * made it refuse is not for ever. */
Test(relay_way, what_a_server_has_refused_is_offered_again_the_next_day)
{
	const struct relay_place *p;
	int hour;

	rw_begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("0 mail.test 192.0.2.1 72000", 0);
	relay_way_good(&rw.way, rw_number(), 1);
	for (hour = 1; hour < 24; hour++) {
		rw.now_ms += 3600000;
		relay_way_begin(&rw.way);
		if (hour == 20) {
			cr_expect_str_eq(rw_next(), "waits");
			rw_answer("0 mail.test 192.0.2.1 72000", 0);
		}
		cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
		cr_expect_eq(p->nrefused, 1, "after %d hours", hour);
		/* of which each connection makes use */
		relay_way_good(&rw.way, p->number, p->nrefused);
	}
	rw.now_ms += 3600000;
	relay_way_begin(&rw.way);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
	relay_way_good(&rw.way, p->number, 1);
	rw.now_ms += 3600000;
	relay_way_begin(&rw.way);
	cr_expect_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 1);
}

/* RFC 8689 4.2.1: all hosts are tried; only then has the mail failed. */
static void
lack_for(bool is_sure)
{
	struct job_error why = { .enhanced = "5.7.30", .text = "lacks it" };

	relay_way_lacks(&rw.way, rw_number(), &why, is_sure);
}

static void
lack(void)
{
	lack_for(true);
}

static void
expect_end(const char *enhanced, uint32_t flags)
{
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, enhanced);
	cr_expect_eq(rw.way.flags, flags);
	relay_way_begin(&rw.way);
}

Test(relay_way, mail_is_refused_when_each_host_lacks_what_it_needs)
{
	int i;

	rw_begin("", "b.test");
	for (i = 0; i < 2; i++) {
		cr_expect_str_eq(rw_next(), i == 0 ? "waits" :
		    "m1.b.test 192.0.2.1:25");
		if (i == 0)
			rw_answer("10 m1.b.test 192.0.2.1 300", 0);
		lack();
		if (i == 0) {
			cr_expect_str_eq(rw_next(), "waits");
			rw_answer("20 m2.b.test 192.0.2.2 300", 0);
		}
		cr_expect_str_eq(rw_next(), "m2.b.test 192.0.2.2:25");
		lack();
		if (i == 0) {
			cr_expect_str_eq(rw_next(), "waits");
			rw_answer("", MX_END_TRIED);
		}
		expect_end("5.7.30", JOB_REFUSED);
		rw.now_ms += RELAY_BAD_MS;
	}
}

/* And what one lacks says nothing of other mail for the target. */
Test(relay_way, mail_waits_as_long_as_a_host_may_have_what_it_needs)
{
	rw_begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	lack();
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	expect_end("", 0);
	/* those that have failed come last */
	rw.now_ms += RELAY_BAD_MS;
	rw_fail();
	lack();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	expect_end("", 0);
	rw_end();
	/* a group that the DNS does not tell of */
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m1.b.test 192.0.2.1 300", 0);
	lack();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_TEMPORARY);
	expect_end("4.7.30", 0);
	rw_end();
	/* a host that policies keep us from */
	rw_begin("TLS = dane", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m1.b.test 192.0.2.1 300, 10 bogus.b.test 192.0.2.2 300", 0);
	lack();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_TRIED);
	expect_end("4.7.30", 0);
	rw_end();
	/* more addresses than are tried */
	rw_begin("MX_Address_Limit = 1", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	lack();
	expect_end("4.7.30", 0);
	cr_expect_str_eq(rw_next(), "m2.b.test 192.0.2.2:25");
	rw_end();
	/* one that may have it another time, and has not then */
	rw_begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	lack_for(false);
	lack();
	expect_end("4.7.30", 0);
	rw.now_ms += RELAY_BAD_MS;
	lack();
	lack();
	expect_end("5.7.30", JOB_REFUSED);
}

/* That is of this machine, and says nothing of the mail: it is neither delivered nor
 * refused. */
Test(relay_way, without_memory_for_addresses_mail_waits)
{
	rw_begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	/* the first of an array */
	qf_no_memory_for = 16;
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_eq(rw.way.errnum, ENOMEM);
	expect_end("4.3.0", JOB_UNASKED);
	qf_no_memory_for = 0;
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	lack();
	lack();
	expect_end("5.7.30", JOB_REFUSED);
	/* nor does it say what it said of the mail before */
	rw_end();
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_NO_DOMAIN);
	expect_end("5.1.2", JOB_REFUSED);
	cr_expect_str_eq(rw_next(), "waits");
	qf_no_memory_for = 16;
	rw_answer("10 m1.b.test 192.0.2.1 300", 0);
	qf_no_memory_for = 0;
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_TRIED);
	expect_end("4.3.0", JOB_UNASKED);
}

Test(relay_way, a_host_for_which_there_is_no_memory_may_have_what_the_mail_needs)
{
	char hosts[512];
	size_t at;
	int i, k;

	rw_begin("MX_Address_Limit = 0", "b.test");
	for (k = 0; k < 2; k++) {
		cr_expect_str_eq(rw_next(), "waits");
		for (i = at = 0; i < 8; i++)
			at += (size_t)snprintf(hosts + at, sizeof(hosts) - at,
			    "%d m%d.b.test 192.0.2.%d 300,", k, 8 * k + i,
			    8 * k + i + 1);
		rw_answer(hosts, 0);
		for (i = 0; i < 8; i++)
			lack();
	}
	cr_expect_str_eq(rw_next(), "waits");
	qf_no_memory_for = 24;
	rw_answer("20 m17.b.test 192.0.2.17 300", 0);
	qf_no_memory_for = 0;
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_TRIED);
	expect_end("4.7.30", 0);
	/* it is looked for again soon */
	rw.now_ms += RELAY_BAD_MS;
	cr_expect_str_eq(rw_next(), "waits");
}
