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

#define ID(n)	((uint64_t)1700000000000000 << 12 | (uint64_t)(n))

static const char *const three[] = { "a@x.test", "b@x.test", "c@x.test" };

static json_t *
ask(struct qf *f, const char *action, uint64_t id)
{
	char request[128], text[SPOOL_ID_TEXT + 1];
	char *answer;
	json_t *json;

	spool_id_text(id, text);
	snprintf(request, sizeof(request),
	    "{\"command\":\"queue\",\"action\":\"%s\",\"id\":\"%s\"}", action,
	    text);
	answer = qf_ask(f, request);
	json = json_loads(answer, 0, NULL);
	cr_assert_not_null(json, "%s", answer);
	free(answer);
	return json;
}

static json_t *
list(struct qf *f)
{
	char *answer = qf_ask(f, "{\"action\":\"list\"}");
	json_t *json = json_loads(answer, 0, NULL);

	cr_assert_not_null(json, "%s", answer);
	free(answer);
	return json;
}

static size_t
listed(struct qf *f)
{
	json_t *json = list(f);
	size_t n = json_array_size(json_object_get(json, "messages"));

	json_decref(json);
	return n;
}

Test(queue_control, show_has_the_envelope_and_the_client)
{
	static const char *const keys[] = { "session", "client", "helo", "id",
		"sender" };
	struct qf_segment s;
	json_t *json, *m;
	struct qf f;
	size_t i, k;

	qf_init(&f);
	qf_open(&f);
	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	qf_append(&s, ID(1), "x@y", three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	for (k = 0; k < 2; k++) {
		json = ask(&f, "show", ID(1));
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
	spool_segment_close(&s.file);
	qf_free(&f);
}

Test(queue_control, remove_is_durable_wherever_the_message_is)
{
	struct qf_segment s;
	json_t *json;
	struct qf f;

	qf_init(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, ID(1));		/* to be deferred */
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	f.is_deaf = true;
	qf_append(&s, ID(2), "x@y", three, 3, "body\r\n"); /* in memory */
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_mail(&s, ID(3));		/* not read yet */
	qf_committed(&f, &s, true);
	json = ask(&f, "remove", ID(1));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 1);
	json_decref(json);
	json = ask(&f, "remove", ID(2));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 3);
	json_decref(json);
	json = ask(&f, "remove", ID(3));
	cr_assert_eq(json_integer_value(json_object_get(json, "removed")), 1);
	json_decref(json);
	json = ask(&f, "remove", ID(3));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	cr_assert_eq(listed(&f), 0);
	qf_close(&f);
	spool_segment_close(&s.file);
	f.is_deaf = false;
	qf_open(&f);
	qf_pass(&f, 100000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(listed(&f), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	qf_free(&f);
}

Test(queue_control, what_an_agent_has_is_not_removed)
{
	struct qf_segment s;
	json_t *json;
	struct qf f;

	qf_init(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, ID(1));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	json = ask(&f, "remove", ID(1));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1);
	json = ask(&f, "remove", ID(1));
	cr_assert(json_is_string(json_object_get(json, "error")));
	json_decref(json);
	spool_segment_close(&s.file);
	qf_free(&f);
}

Test(queue_control, retry_makes_a_message_due_at_once)
{
	struct qf_segment s;
	json_t *json;
	char *answer;
	struct qf f;

	qf_init(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	qf_mail(&s, ID(1));
	qf_mail(&s, ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	json = ask(&f, "retry", ID(2));
	cr_assert_eq(json_integer_value(json_object_get(json, "retried")), 1);
	json_decref(json);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_assert_str_eq(answer, "{\"retried\":2}\n");
	free(answer);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	spool_segment_close(&s.file);
	qf_free(&f);
}

Test(queue_control, a_bad_request_is_told_what_to_do)
{
	static const char *const requests[] = { "", "x", "[]", "{}",
		"{\"action\":\"dance\"}", "{\"action\":3}",
		"{\"action\":\"show\"}", "{\"action\":\"show\",\"id\":7}",
		"{\"action\":\"show\",\"id\":\"../../etc\"}",
		"{\"action\":\"remove\",\"id\":\"all\"}",
		"{\"action\":\"retry\",\"id\":\"0000000000000\"}" };
	json_t *json;
	char *answer;
	struct qf f;
	size_t i;

	qf_init(&f);
	qf_open(&f);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		answer = qf_ask(&f, requests[i]);
		json = json_loads(answer, 0, NULL);
		cr_assert(json_is_string(json_object_get(json, "error")),
		    "%s: %s", requests[i], answer);
		json_decref(json);
		free(answer);
	}
	qf_free(&f);
}

Test(queue_control, a_list_is_bounded_and_says_that_there_is_more)
{
	struct qf_segment s;
	json_t *json;
	char *answer;
	struct qf f;
	size_t i;

	qf_init(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	for (i = 0; i < 200; i++)
		qf_append(&s, ID(i), "x\x80@y", three, 3, "body\r\n");
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
		cr_assert_eq(listed(&f), 200);
		qf_pass(&f, 0);
		qf_finish(&f, EACCES);
		qf_pass(&f, 0);
	}
	spool_segment_close(&s.file);
	qf_free(&f);
}
