/* Many rows: a clock that is set, large messages.  No pass is longer for them, and the
 * queue goes on with its other work.  What a pass does is counted, not timed. */

#include "core/queue/queue_answer.h"
#include "core/queue/queue_tls_report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/queue/queue_mem.h"

#define ROWS	(4 * QUEUE_SHIFT_ROWS)
#define DAY	86400

static struct qf f;

static void
setup(void)
{
	mem_setup(&f);
}

static void
teardown(void)
{
	mem_teardown(&f);
}

TestSuite(queue_clock, .init = setup, .fini = teardown);

/* The ids of new messages: one is before all rows, one behind them. */
#define BEFORE	QF_ID(1)
#define BEHIND	QF_ID(1000 + ROWS)

/* ROWS messages that are due in a minute, with ${has_new} two that an agent has, and
 * then a clock that goes back by a day. */
static void
set_back(bool has_new)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		mem_put_row(QF_ID(1000 + i), f.now.tv_sec + 60);
	qf_close(&f);
	qf_open(&f);
	if (has_new) {
		mem_arrive(BEFORE);
		mem_arrive(BEHIND);
	}
	qf_pass(&f, 1000);
	f.now.tv_sec -= DAY;
}

/* Rows that are due within a minute, by the clock as it is now */
static size_t
nmoved(void)
{
	size_t i, n = 0;

	for (i = 0; i < mem.nrows; i++)
		n += mem.rows[i].row.next_attempt <= f.now.tv_sec + 60;
	return n;
}

static const struct deferred_row *
row_of(uint64_t id)
{
	size_t i;

	for (i = 0; i < mem.nrows; i++)
		if (mem.rows[i].row.id == id)
			return &mem.rows[i].row;
	return NULL;
}

Test(queue_clock, new_mail_goes_on_while_rows_are_moved)
{
	size_t i;

	set_back(false);
	for (i = 1; i <= ROWS / QUEUE_SHIFT_ROWS; i++) {
		mem_arrive(QF_ID(i));
		f.njobs = 0;
		cr_expect((queue_pass(f.q, &f.now, f.ms) == 0) ==
		    (i < ROWS / QUEUE_SHIFT_ROWS), "at once again, %zu", i);
		cr_expect_eq(nmoved(), i * QUEUE_SHIFT_ROWS, "%zu: %zu", i,
		    nmoved());
		cr_expect_eq(f.njobs, 3, "%zu: %zu", i, f.njobs);
	}
	qf_finish(&f, 0);
	f.njobs = 0;
	qf_pass(&f, 50000);
	cr_expect_eq(f.njobs, 0, "too early");
	qf_pass(&f, 10000);
	cr_expect_gt(f.njobs, 100, "too late");
}

/* What has failed is due as long after that as without a clock that is set. */
static void
expect_due(const char *what, uint64_t id)
{
	const struct deferred_row *row = row_of(id);
	long long left;

	cr_assert_not_null(row, "%s", what);
	left = (long long)(row->next_attempt - f.now.tv_sec);
	cr_expect_leq(left, 60, "%s: in %lld s", what, left);
	cr_expect_geq(left, 50, "%s: in %lld s", what, left);
	if (row->since != 0) {
		cr_expect_geq(row->since, f.now.tv_sec - 60, "%s", what);
		cr_expect_leq(row->since, f.now.tv_sec, "%s", what);
	}
}

/* Passes, as long as they come at once */
static void
move_all(void)
{
	unsigned int i;

	for (i = 0; queue_pass(f.q, &f.now, f.ms) == 0; i++)
		cr_assert_lt(i, 20);
	cr_expect_eq(nmoved(), mem.nrows);
}

/* Of what is written where rows have not been moved yet, no row is moved too far. */
Test(queue_clock, what_fails_meanwhile_is_stored_at_once)
{
	set_back(true);
	cr_assert_eq(f.njobs, 6, "an agent has them");
	queue_pass(f.q, &f.now, f.ms);
	qf_finish(&f, EACCES);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_eq(mem.nrows, ROWS + 6);
	cr_assert_lt(nmoved(), ROWS);
	move_all();
	expect_due("before", BEFORE);
	expect_due("behind", BEHIND);
}

/* A store that notes what else is written while rows are moved, and may fail to move
 * some */
static struct queue_store_ops spy;
static size_t nearly, nimported;
static unsigned int npieces, fails_at;	/* which of them; 0: none */

static int
spy_shift(void *store, struct deferred_shift *at, unsigned int limit)
{
	if (++npieces != fails_at)
		return mem_ops.shift(store, at, limit);
	errno = EAGAIN;
	return -1;
}

/* The piece number ${n} fails, once. */
static void
fail_at(unsigned int n)
{
	spy = mem_ops;
	spy.shift = spy_shift;
	f.config.store = &spy;
	fails_at = 0;
	set_back(true);
	cr_assert_eq(f.njobs, 6, "an agent has them");
	npieces = 0;
	fails_at = n;
}

/* As when somebody has the database locked for a moment: what is written until that is
 * tried again is moved with the others. */
Test(queue_clock, what_is_stored_after_a_piece_has_failed_is_moved_once)
{
	unsigned int n, i;

	for (n = 1; n <= 3; n++) {
		mem_teardown(&f);
		mem_setup(&f);
		fail_at(n);
		for (i = 0; i < n; i++)
			queue_pass(f.q, &f.now, f.ms);
		cr_assert_eq(npieces, n);
		qf_finish(&f, EACCES);
		/* the next try is not at once, and no row is due before */
		cr_expect_gt(queue_pass(f.q, &f.now, f.ms), 100);
		cr_expect_eq(npieces, n);
		cr_assert_eq(mem.nrows, ROWS + 6, "%u: %zu", n, mem.nrows);
		cr_expect_eq(f.njobs, 0, "%u", n);
		f.ms += QUEUE_TROUBLE_MS;
		f.now.tv_sec += QUEUE_TROUBLE_MS / 1000;
		move_all();
		cr_expect_gt(npieces, n);
		expect_due("before", BEFORE);
		expect_due("behind", BEHIND);
		expect_due("of others", QF_ID(999 + ROWS));
	}
}

/* Else what he has changed would be moved. */
Test(queue_clock, an_administrator_is_told_that_rows_cannot_be_moved)
{
	static const char import[] = "{\"action\":\"import\"}";
	struct queue_answer *a;
	const char *piece;
	unsigned int i;
	size_t len;

	fail_at(2);
	queue_pass(f.q, &f.now, f.ms);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_eq(npieces, 2);
	cr_expect_not_null(strstr(qf_asked(&f, "retry", "\"id\":\"all\""),
	    queue_answer_no_disk));
	cr_assert_not_null(a = queue_control(f.q, import, strlen(import)));
	for (i = 0; i < 10 && queue_answer_next(a, &f.now, &piece, &len) == 1;
	    i++)
		continue;
	cr_expect_eq(i, 2, "ready, and why not");
	queue_answer_free(a);
	cr_expect_eq(npieces, 2, "not tried again before its time");
	cr_expect_gt(row_of(QF_ID(999 + ROWS))->next_attempt,
	    f.now.tv_sec + DAY / 2, "as it was");
	qf_finish(&f, 0);
}

/* What a change writes of a row where all are about to be moved leads to what it was
 * to write. */
Test(queue_clock, what_is_written_in_front_of_the_move_is_what_was_meant)
{
	const int64_t now = f.now.tv_sec - DAY;
	const struct deferred_row rows[] = {
		{ .next_attempt = now + 60 },
		{ .next_attempt = now + 60, .since = now - 5,
		    .deliver_by = now + 90 },
		/* held until a time of day, and for so long */
		{ .next_attempt = now + 50, .hold_until = now + 50 },
		{ .next_attempt = now + 50, .hold_until = now + 50,
		    .flags = SPOOL_ENV_HOLD_FOR },
		/* the same, with an attempt */
		{ .next_attempt = now + 60, .hold_until = now - 70,
		    .flags = SPOOL_ENV_HOLD_FOR },
		{ .next_attempt = now + 60, .hold_until = now - 70 },
	};
	static const struct queue_place place;
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	struct queue_change c[6];
	const struct deferred_row *row;
	size_t i;

	set_back(false);
	queue_pass(f.q, &f.now, f.ms);
	for (i = 0; i < n; i++) {
		c[i] = (struct queue_change){ .kind = CHANGE_PUT, .row = rows[i],
			.place = &place };
		c[i].row.id = BEHIND + 4096 * i;
		c[i].row.sender = c[i].row.rcpt = c[i].row.transport = "x";
	}
	queue_shift_await(f.q, c, n);
	cr_assert_eq(mem_ops.change(&mem, c, n), 0);
	move_all();
	for (i = 0; i < n; i++) {
		row = row_of(BEHIND + 4096 * i);
		cr_expect_eq(row->next_attempt, rows[i].next_attempt, "%zu: %lld",
		    i, (long long)(row->next_attempt - now));
		cr_expect_eq(row->hold_until, rows[i].hold_until, "%zu", i);
		cr_expect_eq(row->deliver_by, rows[i].deliver_by, "%zu", i);
		cr_expect_eq(row->since, rows[i].since, "%zu", i);
	}
}

/* As by a program that sets it each second, and is wrong each time. */
Test(queue_clock, a_clock_that_is_set_again_and_again_leaves_time_for_all)
{
	unsigned int i, stored = 0, taken = 0;

	set_back(true);
	/* one is due, whatever the clock */
	mem_put_row(QF_ID(900), 1);
	for (i = 1; i <= 30 && (stored == 0 || taken == 0); i++) {
		cr_expect_eq(queue_pass(f.q, &f.now, f.ms), 0);
		if (i == 1)
			qf_finish(&f, EACCES);
		if (stored == 0 && mem.nrows == ROWS + 7)
			stored = i;
		if (taken == 0 && f.njobs > 0)
			taken = i;
		f.now.tv_sec += i % 2 == 0 ? -1000 : 1003;
	}
	cr_expect_eq(stored, 2, "%u", stored);
	cr_expect_geq(taken, 1, "none");
	cr_expect_leq(taken, ROWS / QUEUE_SHIFT_ROWS + 2, "%u", taken);
	qf_finish(&f, 0);
	move_all();
	expect_due("before", BEFORE);
	expect_due("behind", BEHIND);
	expect_due("of others", QF_ID(999 + ROWS));
}

/* Who stops the queue does not wait for that, and nothing is lost. */
Test(queue_clock, what_was_done_is_stored_when_the_queue_is_stopped_meanwhile)
{
	set_back(true);
	queue_pass(f.q, &f.now, f.ms);
	qf_finish(&f, EACCES);
	queue_stop(f.q);
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_eq(mem.nrows, ROWS + 6);
	cr_expect_lt(nmoved(), ROWS);
	/* the others are late, but not by a day */
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 10000);
	f.njobs = 0;
	qf_pass(&f, f.config.max_retry_s * 1000);
	cr_expect_gt(f.njobs, 100);
}

Test(queue_clock, a_second_step_waits_for_the_end_of_the_first)
{
	set_back(false);
	queue_pass(f.q, &f.now, f.ms);
	f.now.tv_sec += DAY;
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_lt(row_of(QF_ID(1000))->next_attempt, f.now.tv_sec - 1000);
	cr_expect_gt(row_of(QF_ID(999 + ROWS))->next_attempt, f.now.tv_sec);
	qf_pass(&f, 1000);
	cr_expect_gt(row_of(QF_ID(1000))->next_attempt, f.now.tv_sec);
	f.njobs = 0;
	qf_pass(&f, 50000);
	cr_expect_eq(f.njobs, 0, "too early");
	qf_pass(&f, 10000);
	cr_expect_gt(f.njobs, 100, "too late");
}

/* What he changes is moved no more. */
Test(queue_clock, an_administrator_waits_until_all_are_moved)
{
	unsigned int i;
	char *answer;

	set_back(false);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_lt(nmoved(), ROWS);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_expect_str_eq(answer, "{\"retried\":2000,\"messages\":2000}\n", "%s",
	    answer);
	free(answer);
	cr_expect_eq(row_of(QF_ID(1000))->next_attempt, f.now.tv_sec);
	for (i = 0; i < ROWS / QUEUE_SHIFT_ROWS; i++)
		queue_pass(f.q, &f.now, f.ms);
	cr_expect_eq(row_of(QF_ID(999 + ROWS))->next_attempt, f.now.tv_sec);
}

static int
spy_import_file(void *, uint64_t)
{
	nearly += nmoved() < ROWS;
	nimported++;
	errno = ENOSPC;
	return -1;
}

static int
spy_change(void *, const struct queue_change *, size_t)
{
	nearly += nmoved() < ROWS;
	return 0;
}

static void
spy_on(void)
{
	nearly = nimported = 0;
	spy = mem_ops;
	spy.import_file = spy_import_file;
	spy.change = spy_change;
	f.config.store = &spy;
}

Test(queue_clock, what_is_imported_waits_until_all_are_moved)
{
	static const char request[] = "{\"action\":\"import\"}";
	static const char line[] = "{\"octets\":5}\n";
	struct queue_answer *a;
	const char *piece;
	size_t len;

	spy_on();
	set_back(false);
	a = queue_control(f.q, request, strlen(request));
	cr_assert_not_null(a);
	/* the next pass sees that the clock is set */
	while (!queue_answer_wants(a))
		cr_assert_eq(queue_answer_next(a, &f.now, &piece, &len), 1);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_lt(nmoved(), ROWS);
	queue_answer_feed(a, &f.now, line, strlen(line));
	while (queue_answer_next(a, &f.now, &piece, &len) == 1)
		continue;
	queue_answer_free(a);
	cr_expect_eq(nimported, 1);
	cr_expect_eq(nearly, 0, "it would be moved as well");
}

Test(queue_clock, a_report_of_tls_waits_until_all_are_moved)
{
	const struct queue_tls_report report = { .day = DAY,
		.domain = "z.test", .sender = "" };
	unsigned int i;

	spy_on();
	set_back(false);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_lt(nmoved(), ROWS);
	cr_expect_eq(queue_tls_report_end(f.q, &report, &f.now), -1);
	cr_expect_eq(errno, EAGAIN);
	for (i = 0; i < ROWS / QUEUE_SHIFT_ROWS; i++)
		queue_pass(f.q, &f.now, f.ms);
	cr_expect_eq(queue_tls_report_end(f.q, &report, &f.now), 0);
	cr_expect_eq(nearly, 0, "it would be moved as well");
}

/* --- requests for all rows ------------------------------------------------- */

/* Ask for it, with passes and a new message between each two pieces: this is delivered
 * at once, and no piece has too many rows. */
static void
change_all(const char *action, const char *answer)
{
	static unsigned int n;
	char request[160], text[256];
	struct queue_answer *a;
	unsigned int npieces_of = 0;
	const char *piece;
	size_t len, total = 0;

	snprintf(request, sizeof(request), "{\"action\":\"%s\","
	    "\"filter\":{\"recipient\":\"b@x*\"}}", action);
	cr_assert_not_null(a = queue_control(f.q, request, strlen(request)));
	for (mem.nmost = 0; queue_answer_next(a, &f.now, &piece, &len) == 1;
	    npieces_of++, mem.nmost = 0) {
		cr_expect_leq(mem.nmost, PIECE_ROWS, "%s: %zu", action,
		    mem.nmost);
		cr_assert_lt(total + len, sizeof(text));
		if (len > 0)
			memcpy(text + total, piece, len);
		total += len;
		mem_arrive_for(QF_ID(10000 + ++n),
		    (const char *const []){ "new@y.test" }, 1);
		queue_pass(f.q, &f.now, f.ms);
		qf_finish(&f, 0);
		queue_pass(f.q, &f.now, f.ms++);
		cr_expect(mem.messages[mem.nmessages - 1]->is_done,
		    "%s, piece %u", action, npieces_of);
	}
	queue_answer_free(a);
	text[total] = '\0';
	cr_expect_geq(npieces_of, ROWS / PIECE_ROWS, "%s", action);
	cr_expect_not_null(strstr(text, answer), "%s: %s", action, text);
}

Test(queue_clock, new_mail_goes_on_while_an_administrator_changes_all_rows)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		mem_put_row(QF_ID(1000 + i), f.now.tv_sec + 7200);
	change_all("hold", "\"held\":2000");
	change_all("release", "\"released\":2000");
	change_all("remove", "\"removed\":2000");
	for (i = 0; i < ROWS; i++)
		mem_put_row(QF_ID(5000 + i), f.now.tv_sec + 7200);
	change_all("retry", "\"retried\":2000");
}

/* --- messages for many ---------------------------------------------------- */

#define LARGE	(QUEUE_LOAD_ROWS * 6 / 10)	/* recipients of each */

/* ${n} messages for LARGE recipients, which are due */
static void
put_large(size_t n, const char *rcpt)
{
	size_t i;
	uint32_t k;

	for (i = 0; i < n; i++)
		for (k = 0; k < LARGE; k++) {
			mem_put_row(QF_ID(1000 + i), f.now.tv_sec - 60);
			mem.rows[mem.nrows - 1].row.rcpt_index = k;
			strlcpy(mem.rows[mem.nrows - 1].texts[1], rcpt,
			    sizeof(mem.rows[0].texts[1]));
		}
	qf_close(&f);
	qf_open(&f);
}

Test(queue_clock, large_messages_that_are_due_are_taken_a_few_in_a_pass)
{
	put_large(3, "b@x.test");
	cr_expect_eq(queue_pass(f.q, &f.now, f.ms), 0, "at once again");
	cr_expect_not_null(queue_message_deferred(f.q, QF_ID(1001)));
	cr_expect_null(queue_message_deferred(f.q, QF_ID(1002)));
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_not_null(queue_message_deferred(f.q, QF_ID(1002)));
}

Test(queue_clock, large_messages_that_fail_are_stored_a_few_in_a_pass)
{
	size_t i, npasses;

	/* no agent has to say so; a message has one report */
	put_large(8, "b@nowhere.test");
	for (npasses = 0; queue_pass(f.q, &f.now, f.ms) <= 1; npasses++) {
		cr_assert_lt(npasses, 20);
		/* a pass has two transactions */
		cr_expect_leq(mem.nchanged, 4 * LARGE + 4, "%zu",
		    mem.nchanged);
		cr_expect_leq(mem.nmost, 2 * LARGE + 2, "%zu", mem.nmost);
		mem.nchanged = 0;
		f.ms++;
	}
	cr_expect_geq(npasses, 4);
	for (i = 0; i < mem.nrows; i++)
		cr_assert_neq(mem.rows[i].row.attempts, 1, "%zu", i);
}

/* All rows of those in hand were read in each pass, and more than once, to find what
 * is behind. */
Test(queue_clock, large_messages_in_hand_hide_none_that_are_parked)
{
	size_t i;

	put_large(3, "b@x.hop");
	mem_put_row(QF_ID(5000), 0);
	for (i = 0; i < mem.nrows; i++) {
		strlcpy(mem.rows[i].texts[1], "b@x.hop", 24);
		strlcpy(mem.rows[i].texts[7], "relay x.hop", 24);
		mem.rows[i].row.next_attempt = f.now.tv_sec + 300;
	}
	f.hop_first = f.hop_max = 1000;
	qf_close(&f);
	qf_open(&f);
	for (i = 0; queue_message_deferred(f.q, QF_ID(5000)) == NULL; i++) {
		cr_assert_lt(i, 20);
		queue_pass(f.q, &f.now, f.ms++);
	}
	cr_assert_not_null(queue_message_deferred(f.q, QF_ID(1000)));
	cr_assert_not_null(queue_message_deferred(f.q, QF_ID(1002)));
	mem.nseen = 0;
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_leq(mem.nseen, 8, "%zu", mem.nseen);
	cr_expect_geq(mem.nseen, 1, "it was looked");
	qf_finish(&f, 0);
}

/* The results would come to nothing. */
Test(queue_clock, all_that_was_done_is_stored_when_the_queue_is_stopped)
{
	size_t done;

	put_large(3, "b@x.test");
	qf_pass(&f, 100);
	cr_assert_gt(f.njobs, 1000);
	done = f.njobs;
	qf_finish(&f, 0);
	queue_stop(f.q);
	mem.nmost = 0;
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_eq(mem.nrows, 3 * LARGE - done);
	cr_expect_leq(mem.nmost, 2 * LARGE, "%zu", mem.nmost);
}

/* The rows of a message, once they were measured, cannot be read. */
static int
rows_once(void *store, const struct deferred_query *query, deferred_func each,
    void *closure)
{
	static unsigned int n;

	if (query->what == DEFERRED_OF && ++n % 2 == 0) {
		errno = EIO;
		return -1;
	}
	return mem_ops.rows(store, query, each, closure);
}

Test(queue_clock, a_large_message_that_cannot_be_taken_is_not_tried_at_once)
{
	uint32_t k;

	for (k = 0; k < QUEUE_LOAD_ROWS; k++) {
		mem_put_row(QF_ID(1000), f.now.tv_sec - 60);
		mem.rows[mem.nrows - 1].row.rcpt_index = k;
	}
	qf_close(&f);
	spy = mem_ops;
	spy.rows = rows_once;
	f.config.store = &spy;
	qf_open(&f);
	cr_expect_gt(queue_pass(f.q, &f.now, f.ms), 100);
	cr_expect_null(queue_message_deferred(f.q, QF_ID(1000)));
}

/* Each pass came a millisecond after the one before, as long as that took. */
Test(queue_clock, while_agents_have_all_that_there_is_room_for_nothing_is_looked_for)
{
	unsigned int i;

	for (i = 0; i < 3 * QUEUE_FILES_MAX; i++)
		mem_put_row(QF_ID(1000 + i), f.now.tv_sec - 60);
	qf_close(&f);
	qf_open(&f);
	for (i = 0; i < 10; i++) {
		cr_expect_geq(queue_pass(f.q, &f.now, f.ms), QUEUE_HAND_MS);
		f.ms += 3000;
		f.now.tv_sec += 3;
	}
	cr_assert_eq(f.njobs, QUEUE_FILES_MAX);
	qf_finish(&f, 0);
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_leq(queue_pass(f.q, &f.now, f.ms), QUEUE_HAND_MS);
	cr_expect_eq(f.njobs, QUEUE_FILES_MAX);
	qf_finish(&f, 0);
}
