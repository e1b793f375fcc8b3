/* Requests of mailmillctl that look at many rows or recipients, in small steps. */

#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/queue_spool.h"
#include "test/unit/core/queue/queue_fixture.h"

QF_SUITE(queue_steps);

static const char *
listed(const char *filter)
{
	return qf_states(&f, filter);
}

#define NMANY	100000
#define ZEROS	",0,0,0,0,0,0,0,0,0]}"
#define TOP_JSON "{\"by\":\"domain\",\"minutes\":[5,10,20,40,80,160,320,640,1280]," \
	"\"top\":[{\"recipients\":90000,\"ages\":[90000,0,0,0,0,0,0,0,0,0]," \
	"\"name\":\"other.test\"}]," \
	"\"total\":{\"recipients\":100000,\"ages\":[100000" ZEROS "," \
	"\"complete\":true," \
	"\"others\":{\"recipients\":10000,\"ages\":[10000" ZEROS "}\n"

static struct queue_store_ops counting;
static unsigned int nrows, nchanges, most_rows, most_changes;

struct counted {
	deferred_func	 each;
	void		*closure;
};

static int
count_row(void *closure, const struct deferred_row *row)
{
	struct counted *c = closure;

	nrows++;
	return c->each(c->closure, row);
}

static int
rows(void *store, const struct deferred_query *query, deferred_func each,
    void *closure)
{
	struct counted c = { .each = each, .closure = closure };

	return queue_spool_ops.rows(store, query, count_row, &c);
}

static int
change(void *store, const struct queue_change *changes, size_t n)
{
	nchanges += (unsigned int)n;
	return queue_spool_ops.change(store, changes, n);
}

/* NMANY rows, of each message two; 1 of 10 is at busy.test. */
static void
make_many(void)
{
	struct deferred_row row = { .sender = "a@s.test", .transport = "",
		.octets = 7, .attempts = 1, .last_error = "not now",
		.next_attempt = f.now.tv_sec + 100000 };
	struct deferred *d;
	char rcpt[64];
	unsigned int i;

	qf_close(&f);
	d = deferred_open(f.path, f.folder);
	cr_assert_not_null(d);
	cr_assert_eq(deferred_begin(d), 0);
	for (i = 0; i < NMANY; i++) {
		snprintf(rcpt, sizeof(rcpt), "u%u@%s.test", i, i % 10 == 0 ?
		    "busy" : "other");
		row.id = QF_ID(i / 2);
		row.rcpt_index = i % 2;
		row.rcpt = rcpt;
		row.received_us = QF_ID(i / 2) >> 12;
		cr_assert_eq(deferred_put(d, &row), 0);
	}
	cr_assert_eq(deferred_commit(d), 0);
	deferred_free(d);
	counting = queue_spool_ops;
	counting.rows = rows;
	counting.change = change;
	f.config.store = &counting;
	qf_open(&f);
}

static unsigned int nlooked, nkept, most_looked, most_kept;

struct looked {
	queue_record_func each;
	void		*closure;
};

static int
count_record(void *closure, const struct queue_record *record)
{
	struct looked *l = closure;

	nlooked += record->envelope->nrcpts;
	return l->each(l->closure, record);
}

static int
search(void *store, struct queue_cursor *cursor, queue_record_func each,
    void *closure)
{
	struct looked l = { .each = each, .closure = closure };

	return queue_spool_ops.search(store, cursor, count_record, &l);
}

static int
keep(void *store, struct queue_place *place)
{
	nkept++;
	return queue_spool_ops.keep(store, place);
}

/* Ask, and note the most recipients that a piece of the answer has looked at, and
 * the most messages that it has copied. */
static void
ask_looked(const char *request)
{
	struct queue_answer *a = queue_control(f.q, request, strlen(request));
	const char *piece;
	size_t len;

	most_looked = most_kept = 0;
	cr_assert_not_null(a);
	do {
		most_looked = nlooked > most_looked ? nlooked : most_looked;
		most_kept = nkept > most_kept ? nkept : most_kept;
		nlooked = nkept = 0;
	} while (queue_answer_next(a, &f.now, &piece, &len) == 1);
	queue_answer_free(a);
}

static void
open_counting(void)
{
	qf_close(&f);
	counting = queue_spool_ops;
	counting.search = search;
	counting.keep = keep;
	f.config.store = &counting;
	f.is_deaf = true;
	qf_open(&f);
	qf_segment(&f, &s, 1);
}

#define NWIDE	1000

Test(queue_steps, new_messages_with_many_recipients_are_looked_at_in_small_steps)
{
	static const char *const requests[] = {
		"{\"action\":\"list\",\"filter\":{\"recipient\":\"no@*\"}}",
		"{\"action\":\"top\"}",
		"{\"action\":\"remove\",\"id\":\"all\",\"dry_run\":true}",
		"{\"action\":\"export\",\"filter\":{\"recipient\":"
		"\"no@*\"}}" };
	const char *rcpts[NWIDE];
	size_t i;

	open_counting();
	for (i = 0; i < NWIDE; i++)
		rcpts[i] = "u";
	for (i = 0; i < 20; i++)
		qf_append(&s, QF_ID(i), "one@s.test", rcpts, NWIDE, "\r\n");
	qf_committed(&f, &s, true);
	for (i = 0; i < 4; i++) {
		ask_looked(requests[i]);
		cr_expect_geq(most_looked, NWIDE, "%s", requests[i]);
		cr_expect_leq(most_looked, 4096 + NWIDE, "%s: %u",
		    requests[i], most_looked);
	}
}

Test(queue_steps, large_new_messages_are_held_in_small_steps)
{
	char *body = malloc(1 << 20);
	int i;

	cr_assert_not_null(body);
	memset(body, 'y', 1 << 20);
	open_counting();
	for (i = 0; i < 30; i++)
		qf_large(&f, &s, QF_ID(i), body, 1 << 20);
	free(body);
	qf_committed(&f, &s, true);
	ask_looked("{\"action\":\"hold\",\"id\":\"all\"}");
	cr_expect_eq(most_kept, 8, "%u messages of 1 MB", most_kept);
	cr_expect_null(strstr(listed(""), "=waiting"));
}

/* The answer to ${request}.  Note the most rows that a piece of it has looked at. */
static char *
ask_counted(const char *request)
{
	struct queue_answer *a = queue_control(f.q, request, strlen(request));
	char *last = strdup("");
	const char *piece;
	size_t len;

	most_rows = most_changes = 0;
	cr_assert_not_null(a);
	for (;;) {
		nrows = nchanges = 0;
		if (queue_answer_next(a, &f.now, &piece, &len) == 0)
			break;
		most_rows = nrows > most_rows ? nrows : most_rows;
		most_changes = nchanges > most_changes ? nchanges :
		    most_changes;
		cr_assert_leq(len, 128 * 1024);
		if (len < 2)
			continue;
		free(last);
		last = strndup(piece, len);
	}
	queue_answer_free(a);
	return last;
}

static void
expect_counted(const char *request, const char *end)
{
	char *answer = ask_counted(request);

	cr_expect_str_eq(answer, end, "%s", request);
	cr_expect_leq(most_rows, 256, "%s: %u", request, most_rows);
	cr_expect_leq(most_changes, 256, "%s: %u", request, most_changes);
	free(answer);
}

Test(queue_steps, many_rows_are_looked_at_in_small_steps)
{
	const char *busy = "{\"action\":\"hold\",\"filter\":"
	    "{\"domain\":\"busy.test\"}}";

	make_many();
	expect_counted("{\"action\":\"list\",\"limit\":100000}",
	    "],\"more\":false}\n");
	expect_counted("{\"action\":\"list\",\"filter\":{\"sender\":\"no\"}}",
	    "],\"more\":false}\n");
	expect_counted("{\"action\":\"top\",\"limit\":1}", TOP_JSON);
	expect_counted(busy, "{\"held\":10000,\"messages\":10000}\n");
	expect_counted("{\"action\":\"retry\",\"id\":\"all\"}",
	    "{\"retried\":90000,\"messages\":50000}\n");
	expect_counted("{\"action\":\"remove\",\"filter\":"
	    "{\"state\":\"hold\"}}",
	    "{\"removed\":10000,\"messages\":10000}\n");
	expect_counted("{\"action\":\"remove\",\"id\":\"all\","
	    "\"dry_run\":true}",
	    "{\"removed\":90000,\"messages\":50000,\"dry_run\":true}\n");
}

/* With an index, rows of other domains are not looked at. */
Test(queue_steps, only_the_rows_of_the_domain_are_looked_at)
{
	const char *request = "{\"action\":\"list\",\"filter\":"
	    "{\"recipient\":\"u10@busy.test\"}}";
	struct queue_answer *a;
	const char *piece;
	size_t len;

	make_many();
	a = queue_control(f.q, request, strlen(request));
	nrows = 0;
	while (queue_answer_next(a, &f.now, &piece, &len) == 1)
		;
	queue_answer_free(a);
	cr_expect_leq(nrows, NMANY / 10, "%u", nrows);
}
