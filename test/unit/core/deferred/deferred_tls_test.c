/* Counts for reports of TLS. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/deferred/deferred_tls.h"
#include "test/unit/core/deferred/deferred_fixture.h"

#define DAY	1459468800	/* 1 April 2016 */
#define DAY_S	86400

TestSuite(deferred_tls, .init = ds_setup, .fini = ds_teardown);

static struct deferred_tls
session(int64_t day, const char *domain, const char *result, const char *host)
{
	return (struct deferred_tls){ .day = day, .domain = domain,
		.policy_type = "sts", .policy_domain = "p.test", .policy = "mode: enforce\nmx: *.x",
		.result = result, .mx_host = host, .sending_ip = "192.0.2.1",
		.receiving_ip = "192.0.2.2", .reason = "expired", .sessions = 1 };
}

static int
add(int64_t day, const char *domain, const char *result, const char *host)
{
	const struct deferred_tls t = session(day, domain, result, host);

	return deferred_tls_add(ds.d, &t);
}

/* What was seen of a day and domain */
static struct {
	int		 nrows;
	uint64_t	 sessions, nameless;	/* nameless: without a host */
	char		 results[256];
} seen;

static int
see(void *closure, const struct deferred_tls *t)
{
	size_t len = strlen(seen.results);

	cr_expect_eq(t->day, *(const int64_t *)closure);
	seen.nrows++;
	seen.sessions += t->sessions;
	if (*t->mx_host == '\0') {
		cr_expect_str_eq(t->policy_domain, "");
		cr_expect_str_eq(t->policy, "");
		cr_expect_str_eq(t->sending_ip, "");
		cr_expect_str_eq(t->receiving_ip, "");
		cr_expect_str_eq(t->reason, "");
		seen.nameless += t->sessions;
	}
	snprintf(seen.results + len, sizeof(seen.results) - len, "%s ",
	    t->result);
	return 0;
}

static int
rows(int64_t day, const char *domain)
{
	int n;

	memset(&seen, 0, sizeof(seen));
	n = deferred_tls_rows(ds.d, day, domain, see, &day);
	cr_expect_eq(n, seen.nrows);
	return n;
}

/* RFC 8460 4.1: from 00:00:00 UTC */
Test(deferred_tls, a_day_is_one_of_utc)
{
	cr_expect_eq(deferred_tls_day(DAY), DAY);
	cr_expect_eq(deferred_tls_day(DAY + DAY_S - 1), DAY);
	cr_expect_eq(deferred_tls_day(DAY + DAY_S), DAY + DAY_S);
	cr_expect_eq(deferred_tls_day(0), 0);
	cr_expect_eq(deferred_tls_day(-1), -DAY_S);
}

Test(deferred_tls, sessions_that_are_alike_are_one_row_which_a_restart_keeps)
{
	struct deferred_tls t = session(DAY, "a.test", "", "mx.a.test");

	t.sessions = 7;
	cr_assert_eq(deferred_begin(ds.d), 0);
	cr_expect_eq(deferred_tls_add(ds.d, &t), 1);
	cr_expect_eq(add(DAY, "a.test", "", "mx.a.test"), 1);
	cr_expect_eq(add(DAY, "a.test", "certificate-expired", "mx.a.test"), 1);
	cr_expect_eq(add(DAY, "a.test", "certificate-expired", "mx2.a.test"),
	    1);
	cr_expect_eq(add(DAY + DAY_S, "a.test", "", "mx.a.test"), 1);
	cr_expect_eq(add(DAY, "b.test", "", "mx.a.test"), 1);
	cr_assert_eq(deferred_commit(ds.d), 0);
	ds_reopen();
	cr_expect_eq(rows(DAY, "a.test"), 3);
	cr_expect_eq(seen.sessions, 10);
	cr_expect_str_eq(seen.results,
	    " certificate-expired certificate-expired ");
	cr_expect_eq(rows(DAY + DAY_S, "a.test"), 1);
	cr_expect_eq(seen.sessions, 1);
	cr_expect_eq(rows(DAY, "c.test"), 0);
}

Test(deferred_tls, days_that_are_over_are_found_in_their_order)
{
	static const struct {
		int64_t		 day;
		const char	*domain;
	} found[] = { { DAY, "a.test" }, { DAY, "b.test" },
		{ DAY + DAY_S, "a.test" } };
	char domain[LIM_DOMAIN + 1] = "";
	int64_t day = 0;
	size_t n = 0;

	add(DAY + 2 * DAY_S, "a.test", "", "");
	add(DAY + DAY_S, "a.test", "", "");
	add(DAY, "b.test", "", "");
	add(DAY, "a.test", "", "");
	while (deferred_tls_next(ds.d, &day, domain, DAY + 2 * DAY_S) == 1) {
		cr_assert_lt(n, 3);
		cr_expect_eq(day, found[n].day);
		cr_expect_str_eq(domain, found[n].domain);
		n++;
	}
	cr_expect_eq(n, 3);
}

/* Each is found once, whatever was edited in. */
Test(deferred_tls, what_is_no_name_is_passed_over)
{
	char domain[LIM_DOMAIN + 1] = "", found[256] = "";
	int64_t day = 0;
	size_t len, n = 0;

	add(DAY, "a.test", "", "");
	add(DAY, "z.test", "", "");
	cr_assert_eq(ds_exec("INSERT INTO tls_domain VALUES"
	    " (1459468800, printf('%0256d', 0), 1),"
	    " (1459468800, 'b' || char(0) || 'c', 1),"
	    " (1459468800, x'6262', 1), (1459468800, printf('y%0254d', 0), 1)"
	    ), 0);
	while (n++ < 10 &&
	    deferred_tls_next(ds.d, &day, domain, INT64_MAX) == 1) {
		len = strlen(found);
		snprintf(found + len, sizeof(found) - len, "%.6s, ", domain);
	}
	cr_expect_str_eq(found, "a.test, y00000, z.test, ");
}

Test(deferred_tls, what_is_dropped_in_a_transaction_that_fails_is_there)
{
	add(DAY, "a.test", "", "mx.a.test");
	add(DAY, "b.test", "", "mx.a.test");
	cr_assert_eq(deferred_begin(ds.d), 0);
	cr_expect_eq(deferred_tls_drop(ds.d, DAY, "a.test"), 0);
	cr_expect_eq(rows(DAY, "a.test"), 0);
	deferred_rollback(ds.d);
	cr_expect_eq(rows(DAY, "a.test"), 1);
	cr_expect_eq(deferred_tls_drop(ds.d, DAY, "a.test"), 0);
	ds_reopen();
	cr_expect_eq(rows(DAY, "a.test"), 0);
	cr_expect_eq(rows(DAY, "b.test"), 1);
}

/* Whoever has tried it the first time, and when: also before a restart */
Test(deferred_tls, it_is_known_since_when_a_report_was_tried_in_vain)
{
	int64_t since;

	cr_assert_eq(add(DAY, "a.test", "", "mx"), 1);
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "a.test", 7, &since), 0);
	cr_expect_eq(since, 7);
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "a.test", 9, &since), 0);
	cr_expect_eq(since, 7);
	ds_reopen();
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "a.test", 11, &since), 0);
	cr_expect_eq(since, 7);
	/* of one that nobody counts nothing is kept */
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "b.test", 11, &since), 0);
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "b.test", 12, &since), 0);
	cr_expect_eq(since, 12);
	/* and it goes with the counts */
	cr_assert_eq(deferred_tls_drop(ds.d, DAY, "a.test"), 0);
	cr_assert_eq(add(DAY, "a.test", "", "mx"), 1);
	cr_assert_eq(deferred_tls_tried(ds.d, DAY, "a.test", 13, &since), 0);
	cr_expect_eq(since, 13);
}

Test(deferred_tls, who_has_the_report_is_known_until_the_counts_go)
{
	uint64_t uris[LIM_TLSRPT_URIS], i;

	cr_assert_eq(add(DAY, "a.test", "", "mx"), 1);
	cr_assert_eq(add(DAY, "b.test", "", "mx"), 1);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "a.test", uris), 0);
	cr_assert_eq(deferred_tls_take(ds.d, DAY, "a.test", UINT64_MAX), 0);
	cr_assert_eq(deferred_tls_take(ds.d, DAY, "a.test", 7), 0);
	cr_assert_eq(deferred_tls_take(ds.d, DAY, "a.test", 7), 0);
	ds_reopen();
	cr_assert_eq(deferred_tls_taken(ds.d, DAY, "a.test", uris), 2);
	cr_expect_eq(uris[0] + uris[1], 6);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "b.test", uris), 0);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY + 86400, "a.test", uris), 0);
	/* of one that nobody counts nothing is kept, of another not too much */
	cr_assert_eq(deferred_tls_take(ds.d, DAY, "c.test", 7), 0);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "c.test", uris), 0);
	for (i = 0; i < LIM_TLSRPT_URIS + 10; i++)
		cr_assert_eq(deferred_tls_take(ds.d, DAY, "b.test", i), 0);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "b.test", uris),
	    LIM_TLSRPT_URIS);
	cr_expect_eq(uris[LIM_TLSRPT_URIS - 1], LIM_TLSRPT_URIS - 1);
	cr_assert_eq(deferred_tls_drop(ds.d, DAY, "a.test"), 0);
	cr_assert_eq(add(DAY, "a.test", "", "mx"), 1);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "a.test", uris), 0);
	cr_expect_eq(deferred_tls_taken(ds.d, DAY, "b.test", uris),
	    LIM_TLSRPT_URIS);
}

Test(deferred_tls, a_domain_with_too_many_rows_is_counted_without_names)
{
	char host[64];
	int i;

	cr_assert_eq(deferred_begin(ds.d), 0);
	for (i = 0; i < LIM_TLSRPT_ROWS + 50; i++) {
		snprintf(host, sizeof(host), "mx%d.a.test", i);
		cr_assert_eq(add(DAY, "a.test", i % 2 == 0 ? "" :
		    "validation-failure", host), 1);
	}
	/* those that have a row still have it */
	cr_assert_eq(add(DAY, "a.test", "", "mx0.a.test"), 1);
	cr_assert_eq(deferred_commit(ds.d), 0);
	cr_expect_eq(rows(DAY, "a.test"), LIM_TLSRPT_ROWS + 2);
	cr_expect_eq(seen.sessions, LIM_TLSRPT_ROWS + 51);
	cr_expect_eq(seen.nameless, 50);
	/* another day, and another domain, has its own */
	cr_assert_eq(add(DAY + DAY_S, "a.test", "", "mx999.a.test"), 1);
	cr_assert_eq(add(DAY, "b.test", "", "mx999.a.test"), 1);
	rows(DAY + DAY_S, "a.test");
	cr_expect_eq(seen.nameless, 0);
	rows(DAY, "b.test");
	cr_expect_eq(seen.nameless, 0);
}

Test(deferred_tls, a_day_with_too_many_domains_counts_the_first_ones)
{
	char domain[64];
	int i;

	cr_assert_eq(ds_exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
	    " SELECT i + 1 FROM n WHERE i < 10000)"
	    " INSERT INTO tls_domain SELECT 1459468800, i || '.test', 1"
	    " FROM n"), 0);
	cr_assert_eq(LIM_TLSRPT_DOMAINS, 10000);
	for (i = 1; i <= 3; i++) {
		snprintf(domain, sizeof(domain), "%d.test", i * 5000);
		cr_expect_eq(add(DAY, domain, "", "mx"), i < 3, "%s", domain);
		cr_expect_eq(rows(DAY, domain), i < 3, "%s", domain);
		cr_expect_eq(add(DAY + DAY_S, domain, "", "mx"), 1);
	}
	cr_expect_eq(deferred_tls_drop(ds.d, DAY, "1.test"), 0);
	cr_expect_eq(add(DAY, "15000.test", "", "mx"), 1);
}

Test(deferred_tls, a_day_with_too_many_rows_is_counted_without_names)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "INSERT INTO tls_domain VALUES (%d, "
	    "'x.test', %d)", DAY, LIM_TLSRPT_DAY_ROWS - 2);
	cr_assert_eq(ds_exec(sql), 0);
	cr_assert_eq(deferred_begin(ds.d), 0);
	cr_expect_eq(add(DAY, "a.test", "", "mx1"), 1);
	deferred_rollback(ds.d);	/* that is none */
	cr_expect_eq(add(DAY, "a.test", "", "mx1"), 1);
	cr_expect_eq(add(DAY, "b.test", "", "mx1"), 1);
	rows(DAY, "b.test");
	cr_expect_eq(seen.nameless, 0);
	cr_expect_eq(add(DAY, "a.test", "", "mx2"), 1);
	cr_expect_eq(add(DAY, "c.test", "", "mx1"), 1);
	cr_expect_eq(add(DAY, "c.test", "", "mx2"), 1);
	/* a row that is there goes on */
	cr_expect_eq(add(DAY, "a.test", "", "mx1"), 1);
	rows(DAY, "a.test");
	cr_expect_eq(seen.sessions, 3);
	cr_expect_eq(seen.nameless, 1);
	cr_expect_eq(rows(DAY, "c.test"), 1);
	cr_expect_eq(seen.nameless, 2);
	/* the next day has room, and there is some again when rows go */
	cr_expect_eq(add(DAY + DAY_S, "c.test", "", "mx1"), 1);
	rows(DAY + DAY_S, "c.test");
	cr_expect_eq(seen.nameless, 0);
	cr_expect_eq(deferred_tls_drop(ds.d, DAY, "x.test"), 0);
	cr_expect_eq(add(DAY, "c.test", "", "mx3"), 1);
	cr_expect_eq(rows(DAY, "c.test"), 2);
}
