/* What verbs of a program read: lines, octets. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/embed/own.h"

#define OK	"250 2.0.0 OK\r\n"
#define LOGGED_IN "235 2.7.0 Authentication succeeded\r\n"

static struct fake *f;
static size_t line_max;		/* 0: octets */
static uint64_t octets_max;
static int read_rc, read_errno;
static char got[16384];		/* what it has read: lines end with '|' */
static size_t ngot;
static unsigned int npieces;
static unsigned int nends;	/* calls without octets */
static unsigned int stop_at;	/* it ends with this piece ... */
static int stop_with;		/* ... so */
static const char *stop_reply;
static const char *piece_login;	/* whom it logs in then; NULL */

static int
take(message_construct *mc, const char *octets, size_t len, void *closure)
{
	cr_expect_eq(closure, &got);
	if (octets == NULL) {
		nends++;
		/* it can do nothing any more */
		cr_expect_eq(esmtp_extension_reply(mc, 250, NULL, "x"), -1);
		cr_expect_eq(esmtp_verb_reset(mc), -1);
		cr_expect_eq(esmtp_verb_read_octets(mc, 1, NULL, NULL), -1);
		return ESMTP_VERB_MORE;
	}
	cr_assert_lt(ngot + len + 1, sizeof(got));
	memcpy(got + ngot, octets, len);
	ngot += len;
	if (line_max > 0)
		got[ngot++] = '|';
	if (++npieces != stop_at)
		return ESMTP_VERB_MORE;
	if (stop_reply != NULL)
		cr_expect_eq(esmtp_extension_reply(mc, atoi(stop_reply), NULL,
		    stop_reply + 4), 0);
	if (piece_login != NULL)
		cr_expect_eq(esmtp_verb_login(mc, ESMTP_AUTH_OK, piece_login),
		    0);
	if (stop_with == ESMTP_VERB_LATER)
		own.ticket = esmtp_ticket_new(esmtp_session_of(mc));
	return stop_with;
}

static void
begin_reading(message_construct *mc)
{
	errno = 0;
	read_rc = line_max > 0 ? esmtp_verb_read_lines(mc, line_max,
	    octets_max, take, &got) : esmtp_verb_read_octets(mc, octets_max,
	    take, &got);
	read_errno = errno;
	if (read_rc == 0) {
		/* once */
		cr_expect_eq(esmtp_verb_read_octets(mc, 1, NULL, NULL), -1);
		cr_expect_eq(errno, EBUSY);
	}
}

static void
again(void)
{
	ngot = npieces = nends = 0;
}

static void
begin(const char *name)
{
	f = own_begin(name);
	own.more = begin_reading;
	own.result = ESMTP_VERB_MORE;
	stop_with = ESMTP_VERB_DONE;
}

static void
expect_got(const char *text, size_t len)
{
	cr_expect_eq(ngot, len, "%zu, not %zu", ngot, len);
	cr_expect_eq(memcmp(got, text, len), 0, "%.*s", (int)ngot, got);
}

/* --- lines ---------------------------------------------------------------- */

Test(embed_verb_read, lines_are_read_to_the_one_that_the_function_ends_with)
{
	line_max = 20;
	octets_max = 1000;
	begin("XTEST");
	own.reply = "354 0.0.0 Go on";
	stop_at = 4;
	stop_reply = "250 Got it";
	cr_expect_str_eq(fake_say(f, "XTEST\r\n"), "354 Go on\r\n");
	cr_expect_eq(esmtp_session_state(f->s->ac), MC_STATE_EXTENSION_3);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n\r\nlast"), "");
	cr_expect_str_eq(fake_say(f, " one\r\n.\r\nNOOP\r\n"),
	    "250 2.0.0 Got it\r\n" OK);
	expect_got("NOOP||last one|.|", 17);
	cr_expect_eq(nends, 0);
	cr_expect_eq(esmtp_session_state(f->s->ac), MC_STATE_MAILFROM);
	again();
	/* byte by byte, and all at once */
	fake_say_bytewise(f, "XTEST\r\na\rb\r\n\r\n\r\n.\r\nNOOP\r\n");
	expect_got("a\rb|||.|", 8);
	cr_expect_str_eq(f->reply, "354 Go on\r\n250 2.0.0 Got it\r\n" OK);
	again();
	cr_expect_str_eq(fake_say(f,
	    "XTEST\r\nQUIT\r\nQUIT\r\n\r\nx\r\nNOOP\r\n"),
	    "354 Go on\r\n250 2.0.0 Got it\r\n" OK);
	expect_got("QUIT|QUIT||x|", 13);
	fake_end(f);
}

Test(embed_verb_read, without_an_answer_it_is_250_or_what_it_returns)
{
	line_max = 20;
	octets_max = 1000;
	begin("XTEST");
	stop_at = 1;
	cr_expect_str_eq(fake_say(f, "XTEST\r\nx\r\nNOOP\r\n"), OK OK);
	again();
	stop_with = ESMTP_VERB_SYNTAX;
	own_expect(f, "XTEST\r\nx\r\n", "501 5.5.4 ");
	again();
	stop_with = ESMTP_VERB_BUILTIN;
	own_expect(f, "XTEST\r\nx\r\n", "502 5.5.1 ");
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_end(f);
}

static const struct {
	const char *sent, *reply;
} broken[] = {
	{ "012345678901234567890\r\n", "500 5.5.6 Line too long\r\n421 4.5.1 " },
	{ "0123456789012345678901", "500 5.5.6 Line too long\r\n421 4.5.1 " },
	{ "a\nb\r\n", "421 4.5.2 " },
	{ "\nb\r\n", "421 4.5.2 " },
	{ "01234567890123456789\r\n01234567890123456789\r\nMAIL FROM:<>\r\n",
	    "552 5.3.4 Message too big\r\n421 4.5.1 " },
};

/* What is left are lines, and no commands. */
Test(embed_verb_read, a_line_that_breaks_a_bound_ends_the_session)
{
	size_t i;
	int is_bytewise;

	line_max = 20;
	octets_max = 40;
	begin("XTEST");
	for (i = 0; i < 2 * sizeof(broken) / sizeof(broken[0]); i++) {
		is_bytewise = i % 2;
		again();
		fake_say(f, "XTEST\r\n");
		if (is_bytewise)
			fake_say_bytewise(f, broken[i / 2].sent);
		else
			fake_say(f, broken[i / 2].sent);
		own_expect_reply(f, broken[i / 2].reply);
		cr_expect_eq(nends, 1);
		cr_expect(fake_is_ended(f));
		cr_expect_null(strstr(f->reply, "250 "));
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
	}
	fake_end(f);
}

Test(embed_verb_read, a_line_may_be_as_long_as_its_bound)
{
	static char sent[LIM_COMMAND_READ + 1];

	line_max = ESMTP_VERB_LINE_MAX;
	octets_max = LIM_COMMAND_READ;
	begin("XTEST");
	stop_at = 1;
	memset(sent, 'x', LIM_COMMAND_READ - 2);
	memcpy(sent + LIM_COMMAND_READ - 2, "\r\n", 3);
	fake_say(f, "XTEST\r\n");
	cr_expect_str_eq(fake_say(f, sent), OK);
	cr_expect_eq(ngot, LIM_COMMAND_READ - 1);
	again();
	fake_say(f, "XTEST\r\n");
	fake_say_bytewise(f, sent);
	cr_expect_str_eq(f->reply, OK);
	cr_expect_eq(ngot, LIM_COMMAND_READ - 1);
	fake_end(f);
}

/* Like AUTH: the client is asked more than once. */
Test(embed_verb_read, a_user_logs_in_with_what_was_read)
{
	line_max = 100;
	octets_max = 1000;
	begin("AUTH");
	own.reply = "334 0.0.0 VXNlcm5hbWU6";
	stop_at = 2;
	piece_login = "alice";
	own_believe(f, "alice");
	cr_expect_str_eq(fake_say(f, "AUTH LOGIN\r\n"), "334 VXNlcm5hbWU6\r\n");
	cr_expect_eq(read_rc, 0);
	cr_expect_str_eq(fake_say(f, "YWxpY2U=\r\n"), "");
	cr_expect_str_eq(fake_say(f, "c2VjcmV0\r\nNOOP\r\n"), LOGGED_IN OK);
	expect_got("YWxpY2U=|c2VjcmV0|", 18);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "alice");
	fake_end(f);
}

static int
ask_again(message_construct *mc, const char *octets, size_t, void *)
{
	if (octets == NULL)
		return ESMTP_VERB_DONE;
	npieces++;
	/* one reply for each line, until the last */
	cr_expect_eq(esmtp_extension_reply(mc, npieces < 3 ? 334 : 535, NULL,
	    "x"), 0);
	cr_expect_eq(esmtp_extension_reply(mc, 535, NULL, "x"), -1);
	return npieces < 3 ? ESMTP_VERB_MORE : ESMTP_VERB_DONE;
}

static void
begin_asking(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_lines(mc, 10, 100, ask_again, NULL), 0);
}

Test(embed_verb_read, each_line_may_be_answered_with_a_question)
{
	begin("XTEST");
	own.more = begin_asking;
	own.reply = "334 0.0.0 ";
	fake_say(f, "XTEST\r\na\r\nb\r\nc\r\nNOOP\r\n");
	cr_expect_str_eq(f->reply, "334 \r\n334 x\r\n334 x\r\n535 5.7.1 x\r\n"
	    OK);
	fake_end(f);
}

/* --- octets --------------------------------------------------------------- */

Test(embed_verb_read, octets_are_read_whatever_they_are)
{
	static const char sent[] = "XTEST\r\n\0a\r\n.\r\nQUIT\r";

	octets_max = 12;
	begin("XTEST");
	own.reply = "354 0.0.0 Go on";
	cr_expect_str_eq(fake_say_n(f, sent, sizeof(sent) - 2),
	    "354 Go on\r\n");
	cr_expect_eq(ngot, 11);
	cr_expect_str_eq(fake_say(f, "\rNOOP\r\n"), OK OK);
	expect_got("\0a\r\n.\r\nQUIT\r", 12);
	cr_expect_eq(nends, 0);
	fake_end(f);
}

/* The answer comes at once, and what follows is no command for that. */
Test(embed_verb_read, octets_that_are_refused_are_thrown_away)
{
	octets_max = 20;
	begin("XTEST");
	stop_at = 1;
	stop_reply = "550 No";
	cr_expect_str_eq(fake_say(f, "XTEST\r\nQUIT\r\n"), "550 5.7.1 No\r\n");
	cr_expect_str_eq(fake_say(f, "QUIT\r\nQUIT\r\n"), "");
	cr_expect_str_eq(fake_say(f, "\r\nNOOP\r\n"), OK);
	expect_got("QUIT\r\n", 6);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 1);
	/* or by the verb itself */
	again();
	stop_at = 0;
	own.reply = "452 4.3.1 No room";
	cr_expect_str_eq(fake_say(f, "XTEST\r\nRSET\r\nRSET\r\n"),
	    "452 4.3.1 No room\r\n");
	cr_expect_str_eq(fake_say(f, "RSET\r\n..NOOP\r\n"), OK);
	cr_expect_eq(nends, 0);
	fake_end(f);
}

static void
begin_to_throw_away(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_octets(mc, 6, NULL, NULL), 0);
}

Test(embed_verb_read, octets_may_be_for_nobody)
{
	begin("XTEST");
	own.more = begin_to_throw_away;
	cr_expect_str_eq(fake_say(f, "XTEST\r\nQUIT\r\nNOOP\r\n"), OK OK);
	fake_say_bytewise(f, "XTEST\r\nQUIT\r\nNOOP\r\n");
	cr_expect_str_eq(f->reply, OK OK);
	fake_end(f);
}

Test(embed_verb_read, no_number_of_octets_overflows)
{
	octets_max = UINT64_MAX;
	begin("XTEST");
	fake_say(f, "XTEST\r\nQUIT\r\n");
	cr_expect_eq(ngot, 6);
	fake_say(f, "QUIT\r\n");
	cr_expect_eq(ngot, 12);
	fake_end(f);
	cr_expect_eq(nends, 1);
}

/* --- the answer comes later ----------------------------------------------- */

Test(embed_verb_read, what_was_read_is_answered_later)
{
	line_max = 20;
	octets_max = 100;
	begin("XTEST");
	stop_at = 2;
	stop_with = ESMTP_VERB_LATER;
	cr_expect_str_eq(fake_say(f, "XTEST\r\na\r\nb\r\nNOOP\r\n"), "");
	cr_expect_eq(esmtp_session_state(f->s->ac), MC_STATE_EXTENSION_4);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "");
	cr_expect_eq(own_answer_reply(f, 250, "2.6.0", "Stored"), 0);
	cr_expect_str_eq(own_told(f), "250 2.6.0 Stored\r\n" OK OK);
	cr_expect_eq(own.ncalls, 1);
	expect_got("a|b|", 4);
	/* a login */
	again();
	own_believe(f, "bob");
	fake_say(f, "XTEST\r\na\r\nb\r\n");
	own_answer_auth(f, ESMTP_AUTH_OK, "bob");
	cr_expect_str_eq(own_told(f), LOGGED_IN);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "bob");
	/* nobody answers */
	again();
	fake_say(f, "XTEST\r\na\r\nb\r\nNOOP\r\n");
	cr_expect_str_eq(fake_wait(f, LIM_ANSWER_SECONDS - 1), "");
	cr_expect_eq(strncmp(fake_wait(f, 2), "451 4.3.0 ", 10), 0, "%s",
	    f->reply);
	cr_expect_not_null(strstr(f->reply, "\r\n" OK));
	cr_expect_eq(own_answer(f, ESMTP_VERB_DONE), -1);
	cr_expect_eq(nends, 0);
	fake_end(f);
}

/* The octets come first, whenever it is answered. */
Test(embed_verb_read, the_octets_end_before_their_answer)
{
	octets_max = 10;
	begin("XTEST");
	stop_at = 1;
	stop_with = ESMTP_VERB_LATER;
	cr_expect_str_eq(fake_say(f, "XTEST\r\nQUIT\r\n"), "");
	cr_expect_eq(own_answer(f, ESMTP_VERB_DONE), 0);
	cr_expect_str_eq(own_told(f), "");
	cr_expect_str_eq(fake_say(f, "QUITNOOP\r\n"), OK OK);
	again();
	cr_expect_str_eq(fake_say(f, "XTEST\r\nQUIT\r\nQUITNOOP\r\n"), "");
	own_answer(f, ESMTP_VERB_SYNTAX);
	own_told(f);
	own_expect_reply(f, "501 5.5.4 ");
	cr_expect_not_null(strstr(f->reply, "\r\n" OK));
	fake_end(f);
}

static int
answer_inside(message_construct *mc, const char *octets, size_t, void *)
{
	accept_construct *ac = esmtp_session_of(mc);

	if (octets != NULL)
		cr_expect_eq(esmtp_answer(ac->host, esmtp_ticket_new(ac),
		    ESMTP_VERB_DONE), 0);
	return ESMTP_VERB_LATER;
}

static void
begin_inside(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_lines(mc, 10, 100, answer_inside, NULL),
	    0);
}

Test(embed_verb_read, the_answer_may_come_inside)
{
	begin("XTEST");
	own.more = begin_inside;
	cr_expect_str_eq(fake_say(f, "XTEST\r\na\r\nNOOP\r\n"), OK OK);
	cr_expect_null(esmtp_answered(&f->h.host));
	fake_end(f);
}

/* --- the end -------------------------------------------------------------- */

Test(embed_verb_read, a_client_that_falls_silent_is_told)
{
	line_max = 20;
	octets_max = 40;
	begin("XTEST");
	fake_say(f, "XTEST\r\n");
	fake_wait(f, 100);
	cr_expect_str_eq(fake_say(f, "a"), "");
	/* Data_Block_Timeout */
	cr_expect_str_eq(fake_wait(f, 179), "");
	fake_wait(f, 2);
	own_expect_reply(f, "421 4.4.2 ");
	cr_expect(fake_is_ended(f));
	cr_expect_eq(nends, 1);
	fake_end(f);
}

Test(embed_verb_read, slow_input_ends_with_data_timeout)
{
	int i;

	octets_max = 100;
	begin("XTEST");
	fake_option(f, "Data_Timeout", "3600", NULL);
	fake_say(f, "XTEST\r\n");
	for (i = 0; i < 60 && !fake_is_ended(f); i++) {
		fake_say(f, "x");
		fake_wait(f, 100);
	}
	cr_expect_eq(i, 36);
	own_expect_reply(f, "421 4.4.2 ");
	cr_expect_eq(nends, 1);
	fake_end(f);
}

Test(embed_verb_read, one_that_reads_is_told_of_every_end)
{
	octets_max = 100;
	begin("XTEST");
	fake_say(f, "XTEST\r\nx");
	simwire_close(f->s->wire);
	fake_say(f, "");
	cr_expect(fake_is_ended(f));
	cr_expect_eq(nends, 1);
	fake_connect(f);
	fake_say(f, "XTEST\r\nx");
	esmtp_session_close(f->s->ac, 421, "4.3.2 Enough");
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	own_expect(f, "", "421 4.3.2 Enough\r\n");
	cr_expect_eq(nends, 2);
	fake_connect(f);
	fake_say(f, "XTEST\r\nx");
	esmtp_destroy_message_construct(fake_mc(f));
	cr_expect_eq(nends, 3);
	fake_end(f);
}

Test(embed_verb_read, one_that_does_not_begin_is_told)
{
	octets_max = 100;
	begin("XTEST");
	own.result = ESMTP_VERB_DONE;
	cr_expect_str_eq(fake_say(f, "XTEST\r\nNOOP\r\n"), OK OK);
	cr_expect_eq(read_rc, 0);
	cr_expect_eq(nends, 1);
	cr_expect_eq(ngot, 0);
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "XTEST\r\nNOOP\r\n");
	cr_expect_eq(nends, 2);
	own_answer(f, ESMTP_VERB_DONE);
	cr_expect_str_eq(own_told(f), OK OK);
	fake_end(f);
}

static int
drop(message_construct *mc, const char *octets, size_t, void *)
{
	if (octets == NULL)
		nends++;
	esmtp_destroy_message_construct(mc);
	return ESMTP_VERB_MORE;
}

static void
begin_dropping(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_octets(mc, 6, drop, NULL), 0);
}

Test(embed_verb_read, it_may_end_the_session)
{
	begin("XTEST");
	own.more = begin_dropping;
	cr_expect_str_eq(fake_say(f, "XTEST\r\nQUIT\r\nNOOP\r\n"), "");
	cr_expect(fake_is_ended(f));
	cr_expect_eq(nends, 1);
	fake_end(f);
}

static unsigned int nmoved;

static int
move(void *, accept_construct *, const struct esmtp_moved *)
{
	nmoved++;
	return -1;
}

/* What it reads is known in this process alone. */
Test(embed_verb_read, a_session_that_reads_does_not_move)
{
	octets_max = 6;
	begin("XTEST");
	f->h.ops.session_move = move;
	fake_say(f, "XTEST\r\nx");
	simhost_drain(&f->h, true);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_eq(nmoved, 0);
	fake_say(f, "12345");
	own_expect_reply(f, OK);
	cr_expect_not_null(strstr(f->reply, "\r\n421 "));
	expect_got("x12345", 6);
	cr_expect_eq(nmoved, 1);
	fake_end(f);
}

/* The clock is set: no time has passed. */
Test(embed_verb_read, a_step_of_the_clock_ends_nothing)
{
	octets_max = 100;
	begin("XTEST");
	fake_say(f, "XTEST\r\nx");
	simhost_set_clock(&f->h, INT64_C(86400) * 1000000);
	cr_expect_str_eq(fake_say(f, "x"), "");
	simhost_set_clock(&f->h, INT64_C(-86400) * 1000000);
	cr_expect_str_eq(fake_say(f, "x"), "");
	cr_expect_str_eq(fake_wait(f, 179), "");
	cr_expect_eq(ngot, 3);
	fake_end(f);
}

/* --- mistakes ------------------------------------------------------------- */

static void
begin_wrong(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_octets(mc, 0, take, &got), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_verb_read_lines(mc, 0, 1, take, &got), -1);
	cr_expect_eq(esmtp_verb_read_lines(mc, 1, 0, take, &got), -1);
	cr_expect_eq(esmtp_verb_read_lines(mc, 1, 1, NULL, &got), -1);
	errno = 0;
	cr_expect_eq(esmtp_verb_read_lines(mc, ESMTP_VERB_LINE_MAX + 1, 1,
	    take, &got), -1);
	cr_expect_eq(errno, EINVAL);
}

Test(embed_verb_read, a_bound_that_is_none_is_refused)
{
	begin("XTEST");
	own.more = begin_wrong;
	own_expect(f, "XTEST\r\nNOOP\r\n", "451 4.3.0 ");
	cr_expect_not_null(strstr(f->reply, OK));
	fake_end(f);
}

Test(embed_verb_read, mail_reads_nothing)
{
	octets_max = 6;
	begin("MAIL");
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, "MAIL FROM:<a@x.test>\r\n", "250 2.1.0 ");
	cr_expect_eq(read_rc, -1);
	cr_expect_eq(read_errno, EINVAL);
	fake_end(f);
}
