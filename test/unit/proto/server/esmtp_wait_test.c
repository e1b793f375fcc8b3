/* What a session waits for: the table; each timeout ends what it is for, and
 * nothing else. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/base/reply_line.h"
#include "proto/server/esmtp_wait.h"
#include "test/unit/proto/server/fake.h"

#define LATE	"421 4.4.2 Timeout, closing the channel\r\n"

static struct fake *
start(const char *command, const char *idle)
{
	struct fake *f = fake_new();

	fake_option(f, "Command_Timeout", command, NULL);
	fake_option(f, "Idle_Time", idle, NULL);
	fake_option(f, "Data_Block_Timeout", "20", NULL);
	fake_option(f, "Data_Timeout", "60", NULL);
	fake_connect(f);
	return f;
}

Test(esmtp_wait, a_command_must_be_complete_in_time)
{
	struct fake *f = start("30", "0");
	int i;

	/* octets that trickle in do not help */
	for (i = 0; i < 29; i++) {
		fake_say(f, "N");
		cr_assert_str_eq(fake_wait(f, 1), "");
	}
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	cr_assert(fake_is_ended(f));
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_TIMEOUT], 1);
	fake_end(f);
}

Test(esmtp_wait, a_command_starts_the_time_anew)
{
	struct fake *f = start("30", "0");
	int i;

	for (i = 0; i < 10; i++) {
		cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
		cr_assert_str_eq(fake_wait(f, 29), "");
	}
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_wait, without_a_limit_nothing_expires)
{
	message_construct mc = { .wait = WAIT_ROOM };
	struct esmtp_options o = { .data_timeout = 60 };
	accept_construct ac = { .options = &o };
	struct timeval now = { .tv_sec = INT32_MAX };
	const char *which = "";

	mc.ac = &ac;
	cr_assert_eq(esmtp_wait_rows[WAIT_ROOM].seconds, 0);
	cr_assert_not(esmtp_is_expired(&mc, &now, &which));
	cr_assert_null(which);
}

Test(esmtp_wait, a_silent_client_is_idle)
{
	struct fake *f = start("300", "10");

	cr_assert_str_eq(fake_wait(f, 9), "");
	fake_say(f, "N");
	cr_assert_str_eq(fake_wait(f, 9), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_wait, data_must_keep_coming)
{
	struct fake *f = start("300", "0");

	fake_to_data(f);
	cr_assert_str_eq(fake_wait(f, 19), "");
	fake_say(f, "x");
	cr_assert_str_eq(fake_wait(f, 19), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	cr_assert_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

Test(esmtp_wait, data_must_end_in_time)
{
	struct fake *f = start("300", "0");
	int i;

	fake_to_data(f);
	for (i = 0; i < 59; i++) {
		fake_say(f, "x\r\n");
		cr_assert_str_eq(fake_wait(f, 1), "", "%d", i);
	}
	fake_say(f, "x\r\n");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_wait, a_client_that_does_not_read_is_given_up)
{
	struct fake *f = start("30", "0");

	f->s->wire->window = 5;
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2");
	cr_assert_str_eq(fake_wait(f, 29), "");
	cr_assert_not(fake_is_ended(f));
	fake_wait(f, 2);
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_wait, no_timeout_of_the_client_runs_while_the_spool_works)
{
	struct fake *f = start("5", "5");

	f->h.spool.is_held = true;
	fake_to_data(f);
	fake_say(f, ".\r\n");
	cr_assert_str_eq(fake_wait(f, 500), "");
	simspool_release(&f->h.spool);
	cr_assert_eq(strncmp(fake_say(f, ""), "250 ", 4), 0);
	cr_assert_str_eq(fake_wait(f, 4), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_wait, a_commit_that_never_ends_does_not_hold_the_session_for_ever)
{
	struct fake *f = start("300", "0");

	f->h.spool.is_held = true;
	fake_to_data(f);
	fake_say(f, ".\r\n");
	/* without a word: the commit may yet succeed */
	cr_assert_str_eq(fake_wait(f, LIM_ASYNC_SECONDS + 1), "");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_wait, a_step_too_early_changes_nothing)
{
	struct fake *f = start("30", "10");
	struct timeval now = { .tv_sec = FAKE_START + 5 };
	int mask;

	mask = esmtp_message_factory(f->s->ac->event, E_TIMEOUT, f->s->ac,
	    &now);
	cr_assert_eq(mask, E_READ | E_TIMEOUT);
	cr_assert_eq(f->s->ac->event->trigger.tv_sec, FAKE_START + 10);
	cr_assert_str_eq(fake_wait(f, 9), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

static const struct conf_field *
option_at(size_t offset)
{
	size_t i;

	for (i = 0; i < options_nrows; i++)
		if (options_rows[i].offset == offset)
			return &options_rows[i];
	return NULL;
}

Test(esmtp_wait, every_row_has_what_it_needs)
{
	int i;

	for (i = 0; i < ESMTP_NWAITS; i++) {
		const struct esmtp_wait_row *row = &esmtp_wait_rows[i];
		const struct conf_field *o = option_at(row->option);
		bool is_async = row->events == E_ASYNC;

		cr_expect(is_async || row->events == E_READ ||
		    row->events == E_WRITE, "%d", i);
		cr_expect_neq(row->name[0], '\0', "%d", i);
		/* one limit, and an option that is one; only lack of room has
		 * none, for there Data_Timeout holds */
		cr_expect_eq((row->option != 0) + (row->seconds != 0),
		    i != WAIT_ROOM, "%d", i);
		if (row->option != 0)
			cr_expect(o != NULL && o->type == CONF_TIME, "%d", i);
		/* an answer has to be taken by somebody */
		cr_expect(!is_async || row->resume != NULL, "%d", i);
		/* Idle_Time is the client's */
		cr_expect(!(row->flags & WF_IDLE) || !is_async, "%d", i);
		/* RFC 5321 3.8: 421 is what a server may close with */
		cr_expect(row->reply == ESMTP_NREPLIES ||
		    esmtp_reply_rows[row->reply].code == 421, "%d", i);
	}
	cr_assert_eq(WAIT_ACCEPT, 0, "where each session starts");
}

/* The limit of each row is counted from where the row says, and no other. */
Test(esmtp_wait, the_row_makes_the_deadline_and_the_mask)
{
	struct fake *f = start("30", "0");
	message_construct *mc = fake_mc(f);
	const struct esmtp_wait_row *row;
	const char *which, *o = (const char *)mc->ac->options;
	struct timeval when;
	int64_t limit;

	mc->wait_since = 1000 * MOMENT_S;
	mc->idle_since = 5000 * MOMENT_S;
	mc->need_read = E_WRITE;	/* as TLS may want */
	mc->need_write = E_READ;
	for (row = esmtp_wait_rows; row < esmtp_wait_rows + ESMTP_NWAITS;
	    row++) {
		mc->wait = (uint8_t)(row - esmtp_wait_rows);
		mc->ac->is_async_done = 0;
		limit = row->seconds;
		if (row->option != 0)
			memcpy(&limit, o + row->option, sizeof(limit));
		esmtp_deadline(mc, &when, &which);
		if (mc->wait == WAIT_ROOM)
			cr_expect_null(which);
		else {
			cr_expect_str_eq(which, row->name);
			cr_expect_eq(when.tv_sec, limit +
			    (row->since == SINCE_OCTET ? 5000 : 1000), "%s",
			    row->name);
		}
		cr_expect_eq(esmtp_wait_mask(mc), E_TIMEOUT |
		    (row->events == E_READ ? E_WRITE :
		    row->events == E_WRITE ? E_READ : E_ASYNC), "%s",
		    row->name);
	}
	mc->wait = WAIT_COMMAND;
	fake_end(f);
}

Test(esmtp_wait, a_wait_begins_once_and_is_answered_once)
{
	struct fake *f = start("30", "0");
	message_construct *mc = fake_mc(f);
	struct esmtp_step st = { .mc = mc, .ac = mc->ac };

	st.now.tv_sec = 1000;
	cr_assert_eq(esmtp_wait_for(&st, WAIT_POLICY), W_WAIT);
	cr_expect_eq(mc->wait_since, 1000 * MOMENT_S);
	cr_expect(esmtp_is_waiting(mc));
	mc->ac->is_async_done = 1;
	cr_expect_not(esmtp_is_waiting(mc));
	/* the module wants more time: it has no more than before */
	st.now.tv_sec = 2000;
	esmtp_wait_for(&st, WAIT_POLICY);
	cr_expect_eq(mc->wait_since, 1000 * MOMENT_S);
	cr_expect(esmtp_is_waiting(mc));
	/* another wait is another matter */
	esmtp_wait_for(&st, WAIT_COMMIT);
	cr_expect_eq(mc->wait_since, 2000 * MOMENT_S);
	/* a command is awaited since the last reply */
	st.now.tv_sec = 3000;
	esmtp_wait_for(&st, WAIT_COMMAND);
	cr_expect_eq(mc->wait_since, 2000 * MOMENT_S);
	cr_expect_not(esmtp_is_waiting(mc));
	fake_end(f);
}

static bool is_opening;

/* The client makes room between two calls of write(2) of one step. */
static int
halting_write(Event *e, const char *buf, int len, int *needmask)
{
	int n = simwire_opset.event_write(e, buf, len, needmask);

	if (is_opening)
		((struct simwire *)e->io_data)->window = SIZE_MAX;
	return n;
}

static int verdict;

static int
on_rcptto(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	return verdict;
}

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test",
	.phase[VALIDATE_PHASE_RCPTTO] = on_rcptto,
};

/* The module's answer finds replies that were kept, and they are taken in that
 * very step: nothing else will wake the session. */
Test(esmtp_wait, an_answer_is_not_lost_while_replies_are_kept)
{
	event_io_opset opset = simwire_opset;
	struct fake *f;

	cr_assert_eq(validate_module_register(&module), 0);
	f = start("30", "0");
	fake_say(f, "EHLO client.example\r\n");
	opset.event_write = halting_write;
	f->s->ac->event->io_opset = &opset;
	verdict = VALIDATE_AGAIN;
	f->s->wire->window = 0;
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<alice@example.test>\r\nNOOP\r\n"), "");
	cr_assert_not_null(fake_mc(f)->out);
	verdict = VALIDATE_CONT;
	is_opening = true;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "250 2.1.0 Sender OK\r\n"
	    "250 2.1.5 Recipient OK\r\n250 2.0.0 OK\r\n");
	fake_end(f);
}
