/* Messages that are held until a time that the sender has said, RFC 4865. */

#include <sys/resource.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue.h"
#include "core/spool/spool_id.h"
#include "test/lib/segment.h"
#include "test/unit/core/queue/queue_fixture.h"

#define START	1700000000	/* the fixture's clock */

QF_SUITE(queue_hold);

/* A message that is held until ${seconds} after the start is committed, and
 * taken.  ${flags}: SPOOL_ENV_HOLD_FOR, they are an interval. */
static void
hold_with(int64_t seconds, unsigned int flags)
{
	const struct spool_envelope said = { .hold_until = START + seconds,
		.flags = flags };

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
}

static void
hold_for(int64_t seconds)
{
	hold_with(seconds, 0);
}

/* The same; the segment is written without a limit, and the rest with one. */
static void
hold_for_written(int64_t seconds, const struct rlimit *free_limit,
    const struct rlimit *limit)
{
	const struct spool_envelope said = { .hold_until = START + seconds };

	cr_assert_eq(setrlimit(RLIMIT_FSIZE, free_limit), 0);
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, limit), 0);
	qf_pass(&f, 0);
}

/* The state of the first recipient in the list, the caller's; NULL: there is no
 * message. */
static char *
listed_state(int64_t *next_r)
{
	json_t *json = qf_list(&f), *m, *r;
	const char *state;
	char *copy;

	m = json_array_get(json_object_get(json, "messages"), 0);
	r = json_array_get(json_object_get(m, "recipients"), 0);
	state = json_string_value(json_object_get(r, "state"));
	*next_r = json_integer_value(json_object_get(r, "next_attempt"));
	copy = state == NULL ? NULL : strdup(state);
	json_decref(json);
	return copy;
}

Test(queue_hold, no_agent_hears_of_it_before_its_time)
{
	int64_t next;
	char *state;

	hold_for(5000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1,
	    "the segment is not held");
	state = listed_state(&next);
	cr_assert_str_eq(state, "held");
	cr_assert_eq(next, START + 5000);
	free(state);
	qf_pass(&f, 4990 * 1000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 11 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_hold, it_survives_a_restart)
{
	hold_for(600);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 590 * 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(qf_listed(&f), 1);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 20 * 1000);
	cr_assert_eq(f.njobs, 3);
}

Test(queue_hold, a_time_that_has_passed_is_none)
{
	hold_for(0);
	cr_assert_eq(f.njobs, 3);
}

/* A failure is one after the release: the retries begin then. */
Test(queue_hold, after_its_time_it_is_a_message_like_others)
{
	int64_t next;
	char *state;

	hold_for(600);
	qf_pass(&f, 601 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	state = listed_state(&next);
	cr_assert_str_eq(state, "deferred");
	cr_assert_leq(llabs(next - (START + 601 + 60)), 2, "%lld",
	    (long long)next);
	free(state);
}

Test(queue_hold, retry_leaves_it_held_and_remove_removes_it)
{
	char request[128], id[SPOOL_ID_TEXT + 1], *answer;

	hold_for(600);
	spool_id_text(QF_ID(1), id);
	snprintf(request, sizeof(request), "{\"command\":\"queue\","
	    "\"action\":\"retry\",\"id\":\"%s\"}", id);
	answer = qf_ask(&f, request);
	cr_assert_str_eq(answer, "{\"retried\":0,\"messages\":0}\n");
	free(answer);
	answer = qf_ask(&f, "{\"command\":\"queue\",\"action\":\"retry\","
	    "\"id\":\"all\"}");
	cr_assert_str_eq(answer, "{\"retried\":0,\"messages\":0}\n");
	free(answer);
	qf_pass(&f, 10 * 1000);
	cr_assert_eq(f.njobs, 0);
	snprintf(request, sizeof(request), "{\"command\":\"queue\","
	    "\"action\":\"remove\",\"id\":\"%s\"}", id);
	answer = qf_ask(&f, request);
	cr_assert_str_eq(answer, "{\"removed\":3,\"messages\":1}\n");
	free(answer);
	qf_pass(&f, 700 * 1000);
	cr_assert_eq(f.njobs, 0);
}

/* The clock goes back to before the release, of which an attempt has followed. */
Test(queue_hold, what_was_released_is_not_held_again)
{
	int64_t next;
	char *state;

	hold_for(600);
	qf_pass(&f, 601 * 1000);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	f.now.tv_sec -= 300;
	qf_pass(&f, 1000);
	state = listed_state(&next);
	cr_assert_str_eq(state, "deferred");
	free(state);
	qf_pass(&f, 60 * 1000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	free(qf_ask(&f, "{\"command\":\"queue\",\"action\":\"retry\","
	    "\"id\":\"all\"}"));
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 3);
}

/* What is in a record was written by a worker, which an attacker may control. */
Test(queue_hold, no_record_is_held_for_ever)
{
	int64_t next;

	hold_for(INT64_MAX - START);
	free(listed_state(&next));
	cr_assert_eq(next, START + 365 * 86400);
}

/* The store cannot be written: it waits in its segment, and is not delivered
 * before its time. */
Test(queue_hold, it_is_held_in_its_segment_while_the_store_is_full)
{
	struct rlimit old, none;

	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	hold_for_written(600, &old, &none);
	qf_pass(&f, 300 * 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	qf_pass(&f, 400 * 1000);
	cr_assert_eq(f.njobs, 3);
}

/* Nor later: that the store was full is no attempt, after which it would count as
 * released. */
Test(queue_hold, what_was_held_in_its_segment_is_not_released_by_retry)
{
	static const char all[] = "{\"command\":\"queue\","
	    "\"action\":\"retry\",\"id\":\"all\"}";
	struct rlimit old, none;
	int64_t next;
	char *state;

	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	hold_for_written(6000, &old, &none);
	spool_segment_close(&s.file);
	qf_pass(&f, 300 * 1000);
	free(qf_ask(&f, all));
	qf_pass(&f, 300 * 1000);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	free(qf_ask(&f, all));
	qf_pass(&f, 600 * 1000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1, "it has a row now");
	state = listed_state(&next);
	cr_assert_str_eq(state, "held");
	free(state);
	free(qf_ask(&f, all));
	qf_pass(&f, 60 * 1000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 4800 * 1000);
	cr_assert_eq(f.njobs, 3);
}

/* HOLDUNTIL: the wall clock says when: a step of it ends the wait, or makes it
 * longer. */
Test(queue_hold, a_clock_that_is_set_does_not_move_the_time_of_day)
{
	hold_for(5000);
	qf_pass(&f, 1000);
	f.now.tv_sec += 3600;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	f.now.tv_sec -= 7200;
	qf_pass(&f, 2000 * 1000);
	cr_assert_eq(f.njobs, 0);
	f.now.tv_sec += 7200 - 3600;
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, 0);
	f.now.tv_sec += 3600;
	qf_pass(&f, 3000);
	cr_assert_eq(f.njobs, 3);
}

/* HOLDFOR: it is held for as long as was said, whatever the wall clock says. */
Test(queue_hold, an_interval_is_not_ended_by_a_clock_that_is_set)
{
	int64_t next;

	hold_with(5000, SPOOL_ENV_HOLD_FOR);
	qf_pass(&f, 1000);
	f.now.tv_sec += 86400;
	qf_pass(&f, 4000 * 1000);
	cr_assert_eq(f.njobs, 0);
	free(listed_state(&next));
	cr_assert_leq(llabs(next - (START + 86400 + 5000)), 2);
	qf_pass(&f, 1001 * 1000);
	cr_assert_eq(f.njobs, 3);
}

Test(queue_hold, an_interval_is_not_longer_by_a_clock_that_is_set)
{
	hold_with(5000, SPOOL_ENV_HOLD_FOR);
	qf_pass(&f, 1000);
	f.now.tv_sec -= 86400;
	qf_pass(&f, 4000 * 1000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 1001 * 1000);
	cr_assert_eq(f.njobs, 3);
}

/* A message that ${login} has held for ${seconds}, as ${writer} says */
static void
hold_by(unsigned int writer, uint64_t n, const char *login, int64_t seconds)
{
	const struct spool_envelope said = { .hold_until = START + seconds,
		.login = login };

	memset(&s, 0, sizeof(s));
	cr_assert_eq(segment_create(f.incoming, n << 12 | writer, 256 * 1024, false,
	    &s.file), 0);
	s.end = SPOOL_PAGE;
	qf_append_said(&s, (START * UINT64_C(1000000) + n) << 12 | writer,
	    &said);
	queue_committed(f.q, writer, s.file.header.segment,
	    s.file.header.generation, s.end, true);
	qf_pass(&f, 0);
	spool_segment_close(&s.file);
}

/* What one of them counts for: its body, the message, three rows */
#define OCTETS	(strlen("Subject: x\r\n\r\nhello\r\n") + 4096 + 3 * 1024)

static void
open_with_quota(uint64_t octets, uint64_t share)
{
	qf_close(&f);
	f.config.held_octets = octets;
	f.config.held_share = share;
	qf_open(&f);
}

Test(queue_hold, what_a_login_may_still_have_held_is_known)
{
	uint64_t held;

	open_with_quota(3 * OCTETS, 3 * OCTETS);
	hold_by(1, 1, "alice", 600);
	hold_by(1, 2, "alice", 5000);
	hold_by(1, 3, "bob", 5000);
	hold_by(1, 4, NULL, 5000);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), OCTETS);
	cr_assert_eq(queue_held_left(f.q, "bob", 1), 2 * OCTETS);
	cr_assert_eq(queue_held_left(f.q, "", 1), 3 * OCTETS, "nobody");
	cr_assert_eq(queue_held_left(f.q, "carol", 1), 3 * OCTETS);
	cr_assert_str_eq(queue_held_login(f.q, NULL), "alice");
	cr_assert_str_eq(queue_held_login(f.q, "alice"), "bob");
	cr_assert_null(queue_held_login(f.q, "bob"));
	f.told[0] = '\0';
	hold_by(1, 5, "alice", 5000);
	hold_by(1, 6, "alice", 5000);
	qf_pass(&f, 2000);
	cr_assert_not_null(strstr(f.told, "alice "));
	cr_assert_null(strstr(f.told, "bob "), "of bob there is no news");
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0);
	cr_assert_eq(queue_held_came(f.q, "alice", 1, &held), 4 * OCTETS);
	cr_assert_eq(held, 4 * OCTETS);
	cr_assert_eq(queue_held_came(f.q, "bob", 1, &held), OCTETS);
	cr_assert_eq(queue_held_came(f.q, "bob", 2, &held), 0);
	cr_assert_eq(held, 0);
	cr_assert_eq(queue_held_came(f.q, "carol", 1, &held), 0);
	/* the next queue process knows it */
	qf_close(&f);
	f.told[0] = '\0';
	qf_open(&f);
	cr_assert_str_eq(f.told, "alice bob ");
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0);
	cr_assert_eq(queue_held_came(f.q, "alice", 1, &held), 4 * OCTETS);
	/* the first one is released */
	qf_pass(&f, 600 * 1000);
	f.told[0] = '\0';
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_came(f.q, "alice", 1, &held), 4 * OCTETS);
	cr_assert_eq(held, 3 * OCTETS);
	cr_assert_not_null(strstr(f.told, "alice "));
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0);
	qf_pass(&f, 5000 * 1000);
	qf_finish(&f, EACCES);
	f.told[0] = '\0';
	qf_pass(&f, 2000);
	cr_assert_str_eq(f.told, "alice bob ", "what has failed was released");
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 3 * OCTETS);
	cr_assert_null(queue_held_login(f.q, NULL));
}

Test(queue_hold, without_a_quota_there_is_no_bound)
{
	hold_by(1, 1, "alice", 600);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), UINT64_MAX);
	cr_assert_str_eq(f.told, "");
}

/* Writer 1 names alice, who knows nothing of it. */
Test(queue_hold, one_writer_uses_up_no_more_than_its_share_of_a_login)
{
	uint64_t n;

	open_with_quota(4 * OCTETS, 3 * OCTETS);
	queue_writer_add(f.q, 2);
	queue_held_slot(f.q, 1, 1);
	queue_held_slot(f.q, 2, 2);
	for (n = 1; n <= 5; n++)
		hold_by(1, n, "alice", 600);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0);
	cr_assert_eq(queue_held_left(f.q, "alice", 2), OCTETS);
	hold_by(2, n, "alice", 600);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_left(f.q, "alice", 2), 0);
	/* and through one that she does use */
	for (n = 10; n <= 11; n++)
		hold_by(2, n, "bob", 600);
	qf_pass(&f, 2000);
	cr_assert_eq(queue_held_left(f.q, "bob", 2), OCTETS);
	cr_assert_eq(queue_held_left(f.q, "bob", 1), 2 * OCTETS);
}

/* Who controls a worker can end it, and control the one that is started next. */
Test(queue_hold, the_processes_of_a_slot_have_one_share)
{
	unsigned int i;

	open_with_quota(4 * OCTETS, 3 * OCTETS);
	queue_held_slot(f.q, 1, 1);
	for (i = 2; i <= 6; i++) {
		queue_writer_add(f.q, i);
		queue_held_slot(f.q, i, 2);
		hold_by(i, i, "alice", 600);
		queue_writer_gone(f.q, i);
	}
	qf_pass(&f, 2000);
	queue_held_slot(f.q, 7, 2);
	cr_assert_eq(queue_held_left(f.q, "alice", 7), 0);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), OCTETS);
	/* the next queue process does not know where they were */
	qf_close(&f);
	qf_open(&f);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0, "as they were");
	queue_held_slot(f.q, 1, 1);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), OCTETS);
	/* one of them is there: all workers are told */
	f.told[0] = '\0';
	queue_held_slot(f.q, 6, 2);
	cr_assert_str_eq(f.told, "alice ");
	queue_held_slot(f.q, 6, 2);
	cr_assert_str_eq(f.told, "alice ", "once");
	cr_assert_eq(queue_held_left(f.q, "alice", 6), 0);
	cr_assert_eq(queue_held_left(f.q, "alice", 1), 0);
	/* what no master says */
	queue_held_slot(f.q, 8, QUEUE_SLOTS + 1);
	cr_assert_eq(queue_held_left(f.q, "bob", 8), 3 * OCTETS);
}
