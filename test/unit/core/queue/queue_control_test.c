#include "core/queue/queue.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_control);

static json_t *
ask(const char *action, uint64_t id)
{
	char request[128], text[SPOOL_ID_TEXT + 1];
	char *answer;
	json_t *json;

	spool_id_text(id, text);
	snprintf(request, sizeof(request),
	    "{\"command\":\"queue\",\"action\":\"%s\",\"id\":\"%s\"}", action,
	    text);
	answer = qf_ask(&f, request);
	json = json_loads(answer, 0, NULL);
	cr_assert_not_null(json, "%s", answer);
	free(answer);
	return json;
}

/* The answer to "show", compact and in the order of its keys; the caller's */
static char *
shown(uint64_t id)
{
	json_t *json = ask("show", id);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(json);
	cr_assert_not_null(text);
	return text;
}

Test(queue_control, show_has_what_the_client_has_said)
{
	static const uint8_t notify[] = { 0, SPOOL_NOTIFY_SUCCESS |
		SPOOL_NOTIFY_DELAY, SPOOL_NOTIFY_NEVER };
	static const char *const orcpts[] = { NULL, "rfc822;B@x.test", NULL };
	const struct spool_envelope said = { .envid = "my id",
		.solicit = "x:ADV", .deliver_by = 2000000000, .priority = -3,
		.flags = SPOOL_ENV_RET_FULL | SPOOL_ENV_BY_RETURN |
		SPOOL_ENV_REQUIRETLS, .notify = notify, .orcpts = orcpts };
	static const char *const wanted[] = { "\"envid\":\"my id\"",
		"\"solicit\":\"x:ADV\"", "\"deliver_by\":2000000000",
		"\"deliver_by_mode\":\"return\"", "\"priority\":-3",
		"\"ret\":\"full\"", "\"require_tls\":true",
		"\"notify\":[\"success\",\"delay\"],"
		"\"orcpt\":\"rfc822;B@x.test\",\"recipient\":\"b@x.test\"",
		"\"notify\":[\"never\"],\"recipient\":\"c@x.test\"" };
	unsigned int round;
	char *text;
	size_t i;

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	/* in its segment, and then in the deferred store, without the
	 * recipient that is done: what was said stays with the others */
	for (round = 0; round < 2; round++) {
		text = shown(QF_ID(1));
		for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			cr_expect_not_null(strstr(text, wanted[i]),
			    "%u: %s: %s", round, wanted[i], text);
		cr_expect_eq(strstr(text, "\"a@x.test\"") == NULL,
		    round == 1, "%s", text);
		free(text);
		if (round == 1)
			break;
		qf_done(&f, f.agent, f.jobs[0].job.job, 0);
		qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
		qf_done(&f, f.agent, f.jobs[2].job.job, EACCES);
		f.njobs = 0;
		qf_pass(&f, 0);
	}
}

Test(queue_control, show_says_that_tls_is_optional)
{
	const struct spool_envelope said = { .flags = SPOOL_ENV_TLS_OPTIONAL };
	unsigned int round;
	char *text;

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	for (round = 0; round < 2; round++) {
		text = shown(QF_ID(1));
		cr_expect_not_null(strstr(text, "\"tls_optional\":true"), "%s",
		    text);
		free(text);
		/* then it is in a row */
		qf_finish(&f, EACCES);
		qf_pass(&f, 0);
	}
}

/* So that a report of TLS that is exported and imported is one there, too. */
Test(queue_control, show_says_that_it_is_a_report_of_tls)
{
	const struct spool_envelope said = { .flags = SPOOL_ENV_TLS_REPORT };
	char *text;

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	text = shown(QF_ID(1));
	cr_expect_not_null(strstr(text, "\"tls_report\":true"), "%s", text);
	free(text);
}

Test(queue_control, what_was_not_said_is_not_shown)
{
	static const char *const none[] = { "envid", "solicit", "hold_until",
		"deliver_by", "priority", "\"ret\"", "require_tls",
		"tls_optional", "tls_report", "notify", "orcpt" };
	char *text;
	size_t i;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	text = shown(QF_ID(1));
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_expect_null(strstr(text, none[i]), "%s", text);
	free(text);
}

Test(queue_control, show_has_the_envelope_and_the_client)
{
	static const char *const keys[] = {
	    "session", "client", "helo", "id", "sender"};
	json_t *json, *m;
	size_t i, k;

	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	for (k = 0; k < 2; k++) {
		json = ask("show", QF_ID(1));
		m = json_object_get(json, "message");
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			cr_assert(json_is_string(json_object_get(m, keys[i])),
			    "%s", keys[i]);
		cr_assert_eq(json_integer_value(json_object_get(m,
		    "octets")), 6);
		cr_assert_eq(json_array_size(json_object_get(m,
		    "recipients")), 3);
		json_decref(json);
		/* and once more, deferred */
		f.is_deaf = false;
		qf_pass(&f, 500);
		qf_finish(&f, EACCES);
		qf_pass(&f, 0);
	}
}

Test(queue_control, remove_is_durable_wherever_the_message_is)
{
	json_t *json;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1)); /* to be deferred */
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	f.is_deaf = true;
	qf_append(&s, QF_ID(2), "x@y", qf_three, 3, "body\r\n"); /* in memory */
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_mail(&s, QF_ID(3)); /* not read yet */
	qf_committed(&f, &s, true);
	json = ask("remove", QF_ID(1));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 1);
	json_decref(json);
	json = ask("remove", QF_ID(2));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 3);
	json_decref(json);
	json = ask("remove", QF_ID(3));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 1);
	json_decref(json);
	json = ask("remove", QF_ID(3));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	cr_assert_eq(qf_listed(&f), 0);
	qf_close(&f);
	spool_segment_close(&s.file);
	f.is_deaf = false;
	qf_open(&f);
	qf_pass(&f, 100000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_listed(&f), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue_control, what_an_agent_has_is_not_removed)
{
	json_t *json;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	json = ask("remove", QF_ID(1));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1);
	json = ask("remove", QF_ID(1));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
}

Test(queue_control, retry_makes_a_message_due_at_once)
{
	json_t *json;
	char *answer;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	json = ask("retry", QF_ID(2));
	cr_assert_eq(json_integer_value(json_object_get(json, "retried")), 1);
	json_decref(json);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_assert_str_eq(answer, "{\"retried\":2,\"messages\":2}\n");
	free(answer);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
}

Test(queue_control, a_bad_request_is_told_what_to_do)
{
	static const char *const requests[] = { "", "x", "[]", "{}",
		"{\"action\":\"dance\"}", "{\"action\":3}",
		"{\"action\":\"show\"}", "{\"action\":\"show\",\"id\":7}",
		"{\"action\":\"show\",\"id\":\"../../etc\"}",
		"{\"action\":\"retry\",\"id\":\"0000000000000\"}" };
	json_t *json;
	char *answer;
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		answer = qf_ask(&f, requests[i]);
		json = json_loads(answer, 0, NULL);
		cr_assert(json_is_string(json_object_get(json, "error")),
		    "%s: %s", requests[i], answer);
		json_decref(json);
		free(answer);
	}
}

Test(queue_control, a_list_is_bounded_and_says_that_there_is_more)
{
	json_t *json;
	char *answer;
	size_t i;

	qf_segment(&f, &s, 1);
	for (i = 0; i < 200; i++)
		qf_append(&s, QF_ID(i), "x\x80@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	for (i = 0; i < 2; i++) {
		answer = qf_ask(&f, "{\"action\":\"list\",\"limit\":70}");
		json = json_loads(answer, 0, NULL);
		cr_assert_not_null(json);
		cr_assert_eq(json_array_size(json_object_get(json,
		    "messages")), 70);
		cr_assert(json_is_true(json_object_get(json, "more")));
		json_decref(json);
		free(answer);
		cr_assert_eq(qf_listed(&f), 200);
		qf_pass(&f, 0);
		qf_finish(&f, EACCES);
		qf_pass(&f, 0);
	}
}

/* The message ${id} itself; NULL: the answer has no octets behind the JSON */
static char *
raw(uint64_t id)
{
	char request[128], text[SPOOL_ID_TEXT + 1], *answer, *body;
	json_t *json;

	spool_id_text(id, text);
	snprintf(request, sizeof(request), "{\"action\":\"show\","
	    "\"id\":\"%s\",\"raw\":true}", text);
	answer = qf_ask(&f, request);
	body = strchr(answer, '\n');
	cr_assert_not_null(body);
	*body++ = '\0';
	json = json_loads(answer, 0, NULL);
	if (json_object_get(json, "error") == NULL)
		cr_expect_eq((size_t)json_integer_value(json_object_get(json,
		    "octets")), strlen(body), "%s", answer);
	json_decref(json);
	body = *body == '\0' ? NULL : strdup(body);
	free(answer);
	return body;
}

static void
expect_raw(uint64_t id, const char *want)
{
	char *body = raw(id);

	cr_assert_not_null(body);
	cr_expect_str_eq(body, want);
	free(body);
}

Test(queue_control, the_message_itself_is_shown_wherever_it_is)
{
	static const char small[] = "Subject: x\r\n\r\nhello\r\n";
	static char large[100000];

	memset(large, 'y', sizeof(large) - 1);
	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_large(&f, &s, QF_ID(2), large, sizeof(large) - 1);
	qf_append(&s, QF_ID(3), "x@y", qf_three, 3, "another one\r\n");
	qf_committed(&f, &s, true);
	expect_raw(QF_ID(1), small);
	expect_raw(QF_ID(2), large);
	expect_raw(QF_ID(3), "another one\r\n");
	f.is_deaf = false;
	qf_pass(&f, 500);
	qf_finish(&f, EACCES);
	spool_segment_close(&s.file);
	qf_pass(&f, 2000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	expect_raw(QF_ID(1), small);
	expect_raw(QF_ID(2), large);
	expect_raw(QF_ID(3), "another one\r\n");
	cr_expect_null(raw(QF_ID(4)), "there is none");
}

/* Its segment is used again while it is being read: nobody sees another's mail. */
Test(queue_control, a_message_that_is_gone_ends_early)
{
	char request[128], id[SPOOL_ID_TEXT + 1];
	static char large[200000];
	struct queue_answer *a;
	const char *piece;
	size_t len, total = 0;

	memset(large, 'y', sizeof(large) - 1);
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, large);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_id_text(QF_ID(1), id);
	snprintf(request, sizeof(request), "{\"action\":\"show\","
	    "\"id\":\"%s\",\"raw\":true}", id);
	a = queue_control(f.q, request, strlen(request));
	cr_assert_not_null(a);
	while (total < 40000 && queue_answer_next(a, &f.now, &piece, &len) == 1)
		total += len;
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	qf_pass(&f, 2000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	while (queue_answer_next(a, &f.now, &piece, &len) == 1)
		total += len;
	queue_answer_free(a);
	cr_expect_lt(total, 100000);
}
