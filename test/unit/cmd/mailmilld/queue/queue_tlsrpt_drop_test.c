/* Reports of TLS that are dropped: what the log has of that. */

#include "test/unit/cmd/mailmilld/queue/queue_tlsrpt_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

TestSuite(queue_tlsrpt_drop, .init = qr_setup, .fini = qr_teardown);

/* What is posted is not taken, and the DNS says ${record}; NULL: nothing. */
static void
try_in_vain(const char *record)
{
	int i;

	for (i = 0; i < 8 * QR_DAY_S / 600 && qr_ncounted() > 0; i++) {
		if (qr.nposted > 0)
			qr_say_posted(STS_FETCH_ERROR, "its status is 404");
		else if (qr.nasked == 0)
			qr_pass_s(600);
		else if (record != NULL)
			qr_answer_one(record);
		else
			qr_answer(LOOKUP_TEMPORARY, NULL);
		/* not before it is so */
		cr_expect_eq(qr_logged("event=tls-report-dropped"),
		    qr_ncounted() == 0);
	}
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_nmessages(), 0);
}

#define NO_WAY	"mailto:a@nowhere.test,mailto:b@nowhere.test"

static const struct {
	const char	*record;	/* NULL: the DNS has no answer */
	const char	*reason;
	int		 age;		/* in days */
} drops[] = {
	{ "v=TLSRPTv1; rua=ftp://z.test/tls",
	    "no URI of its TXT record can be reported to", 2 },
	{ NULL, "its TXT record could not be looked up for a day", 2 },
	{ NULL, "it is too old", 9 },
	{ QR_HTTPS, "its status is 404", 2 },
	{ "v=TLSRPTv1; rua=" NO_WAY, "no message to the addresses of its TXT "
	    "record can be made", 2 },
	{ QR_HTTPS "," NO_WAY, "no URI of its TXT record has taken it, and no "
	    "message to its addresses can be made", 2 },
};

Test(queue_tlsrpt_drop, each_report_that_is_dropped_is_in_the_log_once)
{
	char line[256];
	size_t i;

	for (i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		if (i > 0) {
			qr_teardown();
			qr.sts = NULL;
			qr.nasked = qr.nposted = 0;
			qr.now_ms = 0;
			qr_setup();
		}
		qr.day_of_counts = QR_DAY - drops[i].age * QR_DAY_S;
		qr_count("z.test");
		qr_catch_log();
		qr_begin();
		qr_begin_sts();
		try_in_vain(drops[i].record);
		snprintf(line, sizeof(line), " event=tls-report-dropped "
		    "domain=z.test day=%d reason=\"%s\"\n", qr.day_of_counts,
		    drops[i].reason);
		cr_expect_eq(qr_logged(line), 1, "%zu", i);
	}
}

/* Such as when the sender is no address that can be in a header */
Test(queue_tlsrpt_drop, one_of_which_no_message_can_be_made_is_in_the_log)
{
	static char sender[] = "tls reports";

	qr.settings.tls_report_sender = sender;
	qr_catch_log();
	qr_ask_for("v=TLSRPTv1; rua=mailto:a@x.test");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_nmessages(), 0);
	cr_expect_eq(qr_logged("event=tls-report-none"), 1);
	cr_expect_eq(qr_logged("event=tls-report-dropped domain=z.test"), 1);
}

Test(queue_tlsrpt_drop, one_whose_counts_cannot_be_read_is_in_the_log)
{
	static const char *const records[] = { QR_HTTPS,
		"v=TLSRPTv1; rua=mailto:a@x.test" };
	size_t i;

	qr_catch_log();
	for (i = 0; i < 2; i++) {
		qr_count("z.test");
		qr_change_rows("UPDATE tls_count SET policy_type = 'odd'");
		if (i == 0) {
			qr_begin();
			qr_begin_sts();
		}
		while (qr.nasked == 0)
			qr_pass_s(60);
		qr_answer_one(records[i]);
		cr_expect_eq(qr_ncounted(), 0);
		cr_expect_eq(qr_logged("event=tls-report-dropped domain=z.test"),
		    i + 1);
	}
	cr_expect_eq(qr.nposts, 0);
}

/* RFC 8460 3: that one has had it is enough. */
Test(queue_tlsrpt_drop, one_that_somebody_has_had_is_not_said_to_be_dropped)
{
	static const char both[] = QR_HTTPS "," NO_WAY;

	qr_catch_log();
	qr_ask_for(both);
	qr_say_posted(STS_FETCHED, "");
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_nmessages(), 0);
	qr_count("z.test");
	while (qr.nasked == 0)
		qr_pass_s(60);
	qr_answer_one(QR_HTTPS ",https://y.test/?b");
	qr_say_posted(STS_FETCHED, "");
	qr_say_posted(STS_FETCH_ERROR, "");
	cr_expect_eq(qr_ncounted(), 1);
	/* and now the others cannot be reached */
	while (qr.nasked == 0)
		qr_pass_s(60);
	qr_answer_one(both);
	cr_expect_eq(qr_ncounted(), 0);
	cr_expect_eq(qr_logged("event=tls-report-dropped"), 0);
}

Test(queue_tlsrpt_drop, without_the_option_nothing_is_asked_and_nothing_dropped)
{
	qr.settings.tls_reports = false;
	qr_count("z.test");
	qr_begin();
	qr_pass_s(7200);
	cr_expect_null(qr.r.tlsrpt);
	cr_expect_eq(qr_ncounted(), 1);
}
