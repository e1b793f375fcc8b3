/* What relays tell of connections to MX hosts is counted. */

#include "cmd/mailmilld/queue/queue.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_tally.h"
#include "core/process/stats.h"
#include "core/scheduler.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/queue/queue_fixture.h"

static struct scheduler *s;
static struct qf f;
static struct child child;
static struct settings *settings;
static struct queue_role r;
static struct queue_peer p;
static struct tlsrpt_tally tally;

static void
want(const char *options)
{
	settings_free(settings);
	settings = load_good_settings("%s\nESMTP_Listener { Listen "
	    "\"127.0.0.1:2525\" { } }\n", options);
	child.settings = settings;
}

static void
setup(void)
{
	s = scheduler_create(NULL);
	qf_init(&f);
	qf_open(&f);
	want("TLS_Reports = true");
	r.child = &child;
	r.queue = f.q;
	p.role = &r;
	p.who.slot = 1;
	queue_tls_open(&p);
	tally.len = 0;
	tally.nlost = 0;
}

static void
teardown(void)
{
	qf_free(&f);
	settings_free(settings);
	scheduler_destroy(s);
}

TestSuite(queue_tls, .init = setup, .fini = teardown);

static void
add(const char *domain, enum tlsrpt_result result, uint32_t sessions)
{
	const struct tlsrpt_said said = { .type = TLSRPT_TLSA,
		.result = result, .sessions = sessions, .domain = domain,
		.policy_domain = "base.test", .policy = "3 1 1 00\n3 1 1 01",
		.mx_host = "mx.test", .sending_ip = "192.0.2.1",
		.receiving_ip = "2001:db8::1",
		.reason = result == TLSRPT_RESULT_GOOD ? "" : "it is so" };

	cr_assert_eq(tlsrpt_tally_add(&tally, &said), 0);
}

/* What ${tally} has is told, but for ${cut} octets of its end. */
static void
tell(size_t cut)
{
	const struct msg_tls mt = { .nlost = tally.nlost };
	struct channel_msg msg = { .type = Q_TLS, .base = &mt,
		.entries = tally.octets,
		.nentries = (unsigned int)(tally.len - cut), .fd = -1 };

	queue_tls_on_told(&p, &msg);
}

static json_t *
ask(const char *more)
{
	char request[128], *answer;
	json_t *json;

	snprintf(request, sizeof(request),
	    "{\"command\":\"queue\",\"action\":\"tls\"%s}", more);
	answer = qf_ask(&f, request);
	json = json_loads(answer, 0, NULL);
	cr_assert_not_null(json, "%s", answer);
	free(answer);
	return json;
}

/* Domain, result and sessions of each count, and whether there are more */
static void
expect(const char *more, const char *wanted)
{
	json_t *json = ask(more);
	const json_t *row, *rows = json_object_get(json, "counts");
	char got[512] = "";
	size_t i, len;

	cr_assert(json_is_array(rows));
	json_array_foreach(rows, i, row) {
		len = strlen(got);
		snprintf(got + len, sizeof(got) - len, "%s %s %lld, ",
		    json_string_value(json_object_get(row, "domain")),
		    json_is_null(json_object_get(row, "result")) ? "good" :
		    json_string_value(json_object_get(row, "result")),
		    (long long)json_integer_value(json_object_get(row,
		    "sessions")));
	}
	strlcat(got, json_is_true(json_object_get(json, "more")) ? "more" :
	    "all", sizeof(got));
	cr_expect_str_eq(got, wanted, "%s", got);
	json_decref(json);
}

Test(queue_tls, what_is_told_is_counted)
{
	json_t *json;
	const json_t *row;

	expect("", "all");
	add("b.test", TLSRPT_RESULT_GOOD, 2);
	add("b.test", TLSRPT_RESULT_NOT_TRUSTED, 1);
	add("a.test", TLSRPT_RESULT_GOOD, 4);
	tell(0);
	expect("", "a.test good 4, b.test good 2, "
	    "b.test certificate-not-trusted 1, all");
	tell(0);
	expect("", "a.test good 8, b.test good 4, "
	    "b.test certificate-not-trusted 2, all");
	cr_expect_eq(stats_sum(STATS_TLSRPT_COUNTED), 14);
	cr_expect_eq(stats_sum(STATS_TLSRPT_LOST), 0);
	/* the whole of one */
	json = ask(",\"filter\":{\"domain\":\"a.test\"}");
	cr_assert_eq(json_array_size(json_object_get(json, "counts")), 1);
	row = json_array_get(json_object_get(json, "counts"), 0);
	cr_expect_eq(json_integer_value(json_object_get(row, "day")) % 86400,
	    0);
	cr_expect_str_eq(json_string_value(json_object_get(row,
	    "policy_type")), "tlsa");
	cr_expect_str_eq(json_string_value(json_object_get(row,
	    "policy_domain")), "base.test");
	cr_expect_str_eq(json_string_value(json_object_get(row, "policy")),
	    "3 1 1 00\n3 1 1 01");
	cr_expect_str_eq(json_string_value(json_object_get(row, "mx_host")),
	    "mx.test");
	cr_expect_str_eq(json_string_value(json_object_get(row,
	    "sending_ip")), "192.0.2.1");
	cr_expect_str_eq(json_string_value(json_object_get(row,
	    "receiving_ip")), "2001:db8::1");
	json_decref(json);
}

Test(queue_tls, a_request_is_for_a_domain_and_has_a_limit)
{
	static const char *const bad[] = { ",\"id\":\"all\"",
		",\"filter\":{\"domain\":\"a.test\",\"sender\":\"x\"}",
		",\"filter\":{\"sender\":\"a@a.test\"}",
		",\"filter\":{\"domain\":\"*.test\"}", ",\"by\":\"domain\"" };
	json_t *json;
	size_t i;

	add("a.test", TLSRPT_RESULT_GOOD, 1);
	add("b.test", TLSRPT_RESULT_GOOD, 1);
	add("b.test", TLSRPT_RESULT_EXPIRED, 1);
	tell(0);
	expect(",\"filter\":{\"domain\":\"B.test\"}",
	    "b.test good 1, b.test certificate-expired 1, all");
	expect(",\"filter\":{\"domain\":\"c.test\"}", "all");
	expect(",\"limit\":2", "a.test good 1, b.test good 1, more");
	expect(",\"limit\":3", "a.test good 1, b.test good 1, "
	    "b.test certificate-expired 1, all");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json = ask(bad[i]);
		cr_expect_not_null(json_object_get(json, "error"), "%s",
		    bad[i]);
		json_decref(json);
	}
}

/* A relay that somebody has taken over */
Test(queue_tls, what_is_malformed_is_not_counted)
{
	size_t cut;

	add("a.test", TLSRPT_RESULT_GOOD, 1);
	for (cut = 1; cut < tally.len; cut++) {
		tell(cut);
		queue_tls_open(&p);
	}
	memset(tally.octets, 0xff, sizeof(tally.octets));
	tally.len = sizeof(tally.octets);
	tell(0);
	expect("", "all");
	/* a part of a message is nothing, too */
	tally.len = 0;
	add("a.test", TLSRPT_RESULT_GOOD, 1);
	add("b.test", TLSRPT_RESULT_GOOD, 1);
	tell(1);
	expect("", "all");
	tell(0);
	expect("", "a.test good 1, b.test good 1, all");
}

Test(queue_tls, a_relay_that_tells_for_ever_is_heard_at_a_rate)
{
	uint64_t n;
	int i;

	add("a.test", TLSRPT_RESULT_GOOD, 1);
	for (i = 0; i < 1000; i++)
		tell(0);
	n = stats_sum(STATS_TLSRPT_COUNTED);
	cr_expect_geq(n, 10);
	cr_expect_lt(n, 500, "%llu", (unsigned long long)n);
}

Test(queue_tls, sums_stay_what_they_can_be)
{
	add("a.test", TLSRPT_RESULT_GOOD, UINT32_MAX);
	tally.nlost = UINT64_MAX;
	tell(0);
	expect("", "a.test good 100000, all");
	cr_expect_eq(stats_sum(STATS_TLSRPT_COUNTED), 100000);
	cr_expect_eq(stats_sum(STATS_TLSRPT_LOST), 100000);
}

Test(queue_tls, what_the_store_cannot_take_is_lost_alone)
{
	char path[128];
	sqlite3 *db;

	add("a.test", TLSRPT_RESULT_GOOD, 3);
	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	tell(0);
	cr_expect_eq(stats_sum(STATS_TLSRPT_LOST), 3);
	cr_assert_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	/* mail does not wait for it each time */
	tell(0);
	cr_expect_eq(stats_sum(STATS_TLSRPT_LOST), 6);
	expect("", "all");
	qf_pass(&f, 6000);
	tell(0);
	expect("", "a.test good 3, all");
}

Test(queue_tls, where_no_reports_are_wanted_nothing_is_counted)
{
	want("TLS_Reports = false");
	add("a.test", TLSRPT_RESULT_GOOD, 1);
	tell(0);
	expect("", "all");
	cr_expect_eq(stats_sum(STATS_TLSRPT_COUNTED), 0);
}
