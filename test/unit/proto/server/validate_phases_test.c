/* The phases around the list of recipients: when they come, what may be changed
 * in them, what becomes of a refusal. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"
#define RCPT_OK	"250 2.1.5 Recipient OK\r\n"
#define GO_ON	"354 End data with <CRLF>.<CRLF>\r\n"
#define QUEUED	"250 2.0.0 OK: queued as "

static const char *const names[VALIDATE_NPHASES] = { "accept", "connect",
	"ehlo", "auth", "mailfrom", "rcptto", "list", "final", "data", "spool",
	"each" };
static char trace[1000];
static struct fake *fake;

/* What happens in one of the phases: returns its result; NULL: nothing. */
static int (*act)(const struct mailaddr *addr, validate_context *v);
static enum validate_phase at;
static unsigned int ncalls;	/* of it */

static int
called(const char *, const struct mailaddr *addr, accept_construct *ac,
    validate_context *v, void *closure)
{
	enum validate_phase phase = (enum validate_phase)(intptr_t)closure;
	char text[LIM_PATH + 2] = "";
	size_t n = strlen(trace);

	if (addr != NULL)
		mailaddr_format(addr, text, sizeof(text));
	snprintf(trace + n, sizeof(trace) - n, "%s%s%s@%d ", names[phase],
	    *text != '\0' ? ":" : "", text, esmtp_session_state(ac));
	if (act == NULL || phase != at)
		return VALIDATE_CONT;
	ncalls++;
	return act(addr, v);
}

/* Modules of one phase each, and behind them a second one for some. */
#define MODULE(p) { .size = sizeof(struct validate_module), .name = #p, \
	.closure = (void *)p, .phase[p] = called }
static const struct validate_module modules[] = {
	MODULE(VALIDATE_PHASE_ACCEPT), MODULE(VALIDATE_PHASE_CONNECT),
	MODULE(VALIDATE_PHASE_EHLO), MODULE(VALIDATE_PHASE_MAILFROM),
	MODULE(VALIDATE_PHASE_RCPTTO), MODULE(VALIDATE_PHASE_RCPTTO_LIST),
	MODULE(VALIDATE_PHASE_RCPTTO_LIST_FINAL), MODULE(VALIDATE_PHASE_DATA),
	MODULE(VALIDATE_PHASE_DATA_SPOOL),
	MODULE(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT)
};

static int
look_once_more(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *, void *)
{
	char text[LIM_PATH + 2];

	/* behind a module that may have changed the list */
	cr_assert_gt(mailaddr_format(addr, text, sizeof(text)), 0);
	return VALIDATE_CONT;
}

static const struct validate_module behind = {
	.size = sizeof(struct validate_module), .name = "behind",
	.phase = { [VALIDATE_PHASE_RCPTTO_LIST] = look_once_more,
	    [VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = look_once_more } };

static void
start(enum validate_phase phase, int (*f)(const struct mailaddr *,
    validate_context *))
{
	size_t i;

	for (i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		cr_assert_eq(validate_module_register(&modules[i]), 0);
	cr_assert_eq(validate_module_register(&behind), 0);
	at = phase;
	act = f;
	fake = fake_new();
}

static void
expect_rcpts(const char *expected)
{
	const struct spool_msg *m = fake_message(fake, 0);
	char text[500] = "";
	size_t i;

	cr_assert_not_null(m, "%s", fake->reply);
	for (i = 0; i < m->nrcpts; i++) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, m->rcpts[i]);
	}
	cr_expect_str_eq(text, expected);
}

static void
to_rcpt(void)
{
	fake_connect(fake);
	fake_say(fake, "HELO x\r\n");
	fake_say(fake, "MAIL FROM:<a@example.org>\r\n");
}

static const char *
rcpts(const char *a, const char *b, const char *c)
{
	char text[300];

	snprintf(text, sizeof(text), "RCPT TO:<%s@example.test>\r\n"
	    "RCPT TO:<%s@example.test>\r\nRCPT TO:<%s@example.test>\r\n", a, b,
	    c);
	return fake_say(fake, text);
}

/* --- order ---------------------------------------------------------------- */

Test(validate_phases, come_at_their_places_in_their_states)
{
	start(VALIDATE_NPHASES, NULL);
	to_rcpt();
	fake_say(fake, "RCPT TO:<alice@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\n");
	fake_say(fake, "DATA\r\n");
	cr_expect_eq(esmtp_session_state(fake->s->ac), MC_STATE_BODY);
	fake_say(fake, "x\r\n.\r\n");
	cr_expect_str_eq(trace, "accept@21 connect@21 ehlo@3 "
	    "mailfrom:a@example.org@5 rcptto:alice@example.test@7 "
	    "list:alice@example.test@19 rcptto:bob@example.test@7 "
	    "list:bob@example.test@19 final@20 data@8 spool@11 "
	    "each:alice@example.test@11 each:bob@example.test@11 ");
	expect_rcpts("alice@example.test bob@example.test");
	fake_end(fake);
}

Test(validate_phases, of_a_list_are_not_for_a_recipient_that_is_refused)
{
	start(VALIDATE_NPHASES, NULL);
	to_rcpt();
	trace[0] = '\0';
	fake_say(fake, "RCPT TO:<nobody@example.test>\r\n");
	cr_expect_str_eq(trace, "");
	fake_say(fake, "RCPT TO:<bad\r\n");
	cr_expect_str_eq(trace, "");
	cr_expect_str_eq(fake_say(fake, "DATA\r\n"),
	    "503 5.5.1 No valid recipients\r\n");
	cr_expect_str_eq(trace, "");
	fake_end(fake);
}

/* A command with two phases is run again as a whole. */
static int
once_later(const struct mailaddr *, validate_context *)
{
	return ncalls == 1 ? VALIDATE_AGAIN : VALIDATE_CONT;
}

Test(validate_phases, that_are_over_are_not_repeated_when_a_later_one_was_suspended)
{
	static const struct {
		enum validate_phase	 phase;
		const char		*say, *calls, *answer;
		int			 state;
	} rows[] = {
		{ VALIDATE_PHASE_RCPTTO_LIST, "RCPT TO:<bob@example.test>\r\n",
		    "rcptto:bob@example.test@7 list:bob@example.test@19 "
		    "list:bob@example.test@19 ", RCPT_OK, 19 },
		{ VALIDATE_PHASE_RCPTTO_LIST_FINAL, "DATA\r\n",
		    "final@20 final@20 data@8 ", GO_ON, 20 },
		{ VALIDATE_PHASE_DATA, "DATA\r\n", "final@20 data@8 data@8 ",
		    GO_ON, 8 },
	};
	size_t i;

	start(VALIDATE_NPHASES, NULL);
	for (i = 0; i < 3; i++) {
		if (i > 0)
			fake = fake_new();
		act = NULL;
		to_rcpt();
		fake_say(fake, "RCPT TO:<alice@example.test>\r\n");
		trace[0] = '\0';
		act = once_later;
		at = rows[i].phase;
		ncalls = 0;
		cr_expect_str_eq(fake_say(fake, rows[i].say), "");
		cr_expect_eq(esmtp_session_state(fake->s->ac), rows[i].state);
		/* other reasons to call the session are no answer */
		cr_expect_str_eq(fake_wait(fake, 10), "");
		cr_expect_eq(ncalls, 1);
		schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
		cr_expect_str_eq(fake_say(fake, ""), rows[i].answer);
		cr_expect_str_eq(trace, rows[i].calls);
		fake_end(fake);
	}
}

/* --- the list ------------------------------------------------------------- */

static int
refuse(const struct mailaddr *, validate_context *v)
{
	return validate_refuse(v, RPL_POLICY);
}

Test(validate_phases, a_recipient_refused_in_the_list_is_out_of_it)
{
	start(VALIDATE_PHASE_RCPTTO_LIST, refuse);
	act = NULL;
	to_rcpt();
	fake_say(fake, "RCPT TO:<alice@example.test>\r\n");
	act = refuse;
	cr_expect_str_eq(fake_say(fake, "RCPT TO:<bob@example.test>\r\n"),
	    "550 5.7.1 Refused by policy\r\n");
	cr_expect_eq(fake_mc(fake)->nrcpts, 1);
	/* one that was there before stays, though it was named again */
	cr_expect_str_eq(fake_say(fake, "RCPT TO:<ALICE@example.test>\r\n"),
	    "550 5.7.1 Refused by policy\r\n");
	fake_say(fake, "DATA\r\n");
	fake_say(fake, "x\r\n.\r\n");
	expect_rcpts("alice@example.test");
	fake_end(fake);
}

static int
remove_and_wait(const struct mailaddr *, validate_context *v)
{
	if (ncalls > 1)
		return VALIDATE_CONT;
	cr_expect_eq(validate_context_remove_rcpt(v, "bob@example.test"), 1);
	return VALIDATE_AGAIN;
}

Test(validate_phases, what_is_removed_from_the_list_stays_out_of_it)
{
	start(VALIDATE_PHASE_RCPTTO_LIST, NULL);
	to_rcpt();
	fake_say(fake, "RCPT TO:<alice@example.test>\r\n");
	act = remove_and_wait;
	fake_say(fake, "RCPT TO:<bob@example.test>\r\n");
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""), RCPT_OK);
	fake_say(fake, "DATA\r\n");
	fake_say(fake, "x\r\n.\r\n");
	expect_rcpts("alice@example.test");
	fake_end(fake);
}

static int
remove_all(const struct mailaddr *, validate_context *v)
{
	cr_expect_eq(validate_context_remove_all_rcpts(v), 1);
	return VALIDATE_CONT;
}

Test(validate_phases, a_list_that_is_emptied_is_no_list)
{
	start(VALIDATE_PHASE_RCPTTO_LIST_FINAL, remove_all);
	to_rcpt();
	fake_say(fake, "RCPT TO:<alice@example.test>\r\n");
	trace[0] = '\0';
	cr_expect_str_eq(fake_say(fake, "DATA\r\n"),
	    "503 5.5.1 No valid recipients\r\n");
	/* DATA is not asked about either */
	cr_expect_str_eq(trace, "final@20 ");
	cr_expect_str_eq(fake_say(fake, "RCPT TO:<bob@example.test>\r\n"),
	    RCPT_OK);
	act = NULL;
	cr_expect_str_eq(fake_say(fake, "DATA\r\n"), GO_ON);
	fake_end(fake);
}

/* A module that changes the list while it walks through it. */
static int
shuffle(const struct mailaddr *, validate_context *v)
{
	char *addr, copy[LIM_PATH + 1];
	int pos, n = 0;

	/* no address that RCPT would take, so that there is no other form */
	cr_expect_geq(validate_context_add_rcpt(v, "a b@example.test", 0), 0);
	for (pos = 0; pos != -1 && n < 200; n++) {
		pos = validate_context_iterate_rcpt(v, pos, &addr);
		if (addr == NULL)
			break;
		/* the address itself is in the list, which moves: it is valid
		 * for that call */
		snprintf(copy, sizeof(copy), "%s", addr);
		cr_expect_geq(validate_context_add_rcpt(v, addr, 0), 0);
		if (n % 2 == 0)
			cr_expect_geq(validate_context_remove_rcpt(v, copy),
			    0);
	}
	/* no address is none of them */
	cr_expect_eq(validate_context_remove_rcpt(v, NULL), -1);
	validate_context_remove_all_rcpts(v);
	validate_context_add_rcpt(v, "carol@example.test", 1);
	return VALIDATE_CONT;
}

Test(validate_phases, the_list_may_be_changed_while_it_is_walked_through)
{
	start(VALIDATE_PHASE_RCPTTO_LIST_FINAL, shuffle);
	to_rcpt();
	rcpts("alice", "bob", "carol");
	cr_expect_str_eq(fake_say(fake, "DATA\r\n"), GO_ON);
	fake_say(fake, "x\r\n.\r\n");
	expect_rcpts("carol@example.test");
	fake_end(fake);
}

/* --- each recipient ------------------------------------------------------- */

static const char *remove_what, *when;

static int
change(const struct mailaddr *addr, validate_context *v)
{
	char text[LIM_PATH + 2];

	mailaddr_format(addr, text, sizeof(text));
	if (strncmp(text, when, strlen(when)) != 0)
		return VALIDATE_CONT;
	if (remove_what == NULL)
		validate_context_remove_all_rcpts(v);
	else
		validate_context_remove_rcpt(v, remove_what);
	/* not asked about, but it gets the message */
	validate_context_add_rcpt(v, "added@example.test", 0);
	return VALIDATE_CONT;
}

Test(validate_phases, for_each_recipient_the_list_may_be_changed)
{
	static const struct {
		const char *when, *what, *asked, *left;
	} rows[] = {
		{ "alice", "alice@example.test", "alice bob carol ",
		    "bob@example.test carol@example.test added@example.test" },
		{ "alice", "bob@example.test", "alice carol ",
		    "alice@example.test carol@example.test "
		    "added@example.test" },
		{ "bob", "alice@example.test", "alice bob carol ",
		    "bob@example.test carol@example.test added@example.test" },
		{ "bob", "bob@example.test", "alice bob carol ",
		    "alice@example.test carol@example.test "
		    "added@example.test" },
		{ "carol", "carol@example.test", "alice bob carol ",
		    "alice@example.test bob@example.test added@example.test" },
		{ "bob", NULL, "alice bob ", "added@example.test" },
	};
	char asked[200], *p;
	size_t i;

	start(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, change);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (i > 0)
			fake = fake_new();
		when = rows[i].when;
		remove_what = rows[i].what;
		to_rcpt();
		rcpts("alice", "bob", "carol");
		fake_say(fake, "DATA\r\n");
		trace[0] = asked[0] = '\0';
		fake_say(fake, "x\r\n.\r\n");
		for (p = trace; (p = strstr(p, "each:")) != NULL; p += 5)
			snprintf(asked + strlen(asked), 50, "%.*s ",
			    (int)strcspn(p + 5, "@"), p + 5);
		cr_expect_str_eq(asked, rows[i].asked, "%zu: %s", i, asked);
		expect_rcpts(rows[i].left);
		fake_end(fake);
	}
}

static int
refuse_bob(const struct mailaddr *addr, validate_context *v)
{
	return addr->local_len == 3 ? validate_refuse(v, RPL_POLICY) :
	    VALIDATE_CONT;
}

Test(validate_phases, who_refuses_one_of_them_refuses_the_message)
{
	start(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, refuse_bob);
	to_rcpt();
	rcpts("alice", "bob", "carol");
	fake_say(fake, "DATA\r\n");
	cr_expect_str_eq(fake_say(fake, "x\r\n.\r\nNOOP\r\n"),
	    "550 5.7.1 Refused by policy\r\n" OK);
	cr_expect_eq(ncalls, 2);
	cr_expect_null(fake_message(fake, 0));
	cr_expect_eq(fake->h.spool.nopen, 0);
	fake_end(fake);
}

static char again_for[LIM_PATH + 2];

static int
wait_twice(const struct mailaddr *addr, validate_context *v)
{
	char text[LIM_PATH + 2];

	mailaddr_format(addr, text, sizeof(text));
	if (strncmp(text, "bob", 3) != 0)
		return VALIDATE_CONT;
	snprintf(again_for, sizeof(again_for), "%s", text);
	if (ncalls > 3)
		return VALIDATE_CONT;
	/* the recipient that is asked about leaves while it is */
	validate_context_remove_rcpt(v, text);
	return VALIDATE_AGAIN;
}

Test(validate_phases, for_each_recipient_may_be_suspended)
{
	start(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, wait_twice);
	to_rcpt();
	rcpts("alice", "bob", "carol");
	fake_say(fake, "DATA\r\n");
	trace[0] = '\0';
	cr_expect_str_eq(fake_say(fake, "x\r\n.\r\n"), "");
	cr_expect_eq(ncalls, 2);
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""), "");
	cr_expect_str_eq(again_for, "bob@example.test");
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	fake_say(fake, "");
	cr_expect_str_eq(trace, "spool@11 each:alice@example.test@11 "
	    "each:bob@example.test@11 each:bob@example.test@11 "
	    "each:bob@example.test@11 each:carol@example.test@11 ");
	expect_rcpts("alice@example.test carol@example.test");
	fake_end(fake);
}

static bool is_all, is_refused;

/* It takes away the last one, or all, and answers later. */
static int
take_away_and_wait(const struct mailaddr *addr, validate_context *v)
{
	if (at == VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT &&
	    addr->local_len != 3)
		return VALIDATE_CONT;
	if (again_for[0] == '\0') {
		strcpy(again_for, "bob@example.test");
		if (is_all)
			validate_context_remove_all_rcpts(v);
		else
			validate_context_remove_rcpt(v, again_for);
		return VALIDATE_AGAIN;
	}
	if (is_refused)
		return validate_refuse(v, RPL_POLICY);
	validate_context_add_rcpt(v, "dave@example.test", 0);
	return VALIDATE_CONT;
}

/* A policy that has suspended a phase is called again, also when no recipient
 * is left; and it is asked about the next message as about the first. */
Test(validate_phases, one_that_has_taken_recipients_away_is_called_again)
{
	static const enum validate_phase phases[] = {
		VALIDATE_PHASE_RCPTTO_LIST_FINAL, VALIDATE_PHASE_DATA,
		VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT };
	unsigned int i, turn;

	start(VALIDATE_NPHASES, take_away_and_wait);
	for (i = 0; i < 3 * 4; i++) {
		at = phases[i / 4];
		is_refused = i & 1;
		is_all = i & 2;
		if (i > 0)
			fake = fake_new();
		to_rcpt();
		for (turn = 0; turn < 2; turn++) {
			again_for[0] = '\0';
			rcpts("alice", "carol", "bob");
			fake_say(fake, "DATA\r\n");
			if (at == VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT)
				fake_say(fake, "x\r\n.\r\n");
			cr_expect_str_eq(fake->reply, "", "%u: %s", i,
			    fake->reply);
			schedule_event_and_dispatch(fake->s->ac->event,
			    E_ASYNC);
			fake_say(fake, "");
			cr_expect_eq(strncmp(fake->reply, is_refused ? "550 " :
			    at == VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT ?
			    "250 " : "354 ", 4), 0, "%u: %s", i, fake->reply);
			cr_expect_eq(fake_mc(fake)->vctx.suspended, 0);
			if (at != VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT &&
			    !is_refused)
				fake_say(fake, "x\r\n.\r\n");
			else if (is_refused)
				fake_say(fake, "RSET\r\n");
			fake_say(fake, "MAIL FROM:<a@example.org>\r\n");
			cr_expect_eq(strncmp(fake->reply, "250 ", 4), 0,
			    "%u: %s", i, fake->reply);
		}
		fake_end(fake);
	}
}

Test(validate_phases, a_session_may_end_while_one_of_them_is_suspended)
{
	start(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, wait_twice);
	to_rcpt();
	rcpts("alice", "bob", "carol");
	fake_say(fake, "DATA\r\n");
	fake_say(fake, "x\r\n.\r\n");
	cr_expect_eq(fake->h.spool.nopen, 1);
	esmtp_destroy_message_construct(fake_mc(fake));
	cr_expect_eq(fake->h.spool.nopen, 0);
	fake_end(fake);
}
