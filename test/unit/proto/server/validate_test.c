/* Modules on the phases, recipients that they change, verbs added by others. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

/* What the one module of these tests does, per phase. */
static int result[VALIDATE_NPHASES], code;
static bool is_code = true;		/* that may be set */
static const char *words, *seen_str;
static unsigned int calls[VALIDATE_NPHASES];

static int
act(enum validate_phase phase, const char *str, validate_context *vctx)
{
	calls[phase]++;
	seen_str = str;
	if (result[phase] == VALIDATE_DONE && code != 0)
		cr_assert_eq(validate_context_set_code(vctx, code, words),
		    is_code);
	return result[phase];
}

#define CALLBACK(name, phase) \
static int \
name(const char *str, const struct mailaddr *addr, accept_construct *ac, \
    validate_context *vctx, void *closure) \
{ \
	(void)addr; \
	(void)ac; \
	(void)closure; \
	return act(phase, str, vctx); \
}
CALLBACK(on_connect, VALIDATE_PHASE_CONNECT)
CALLBACK(on_ehlo, VALIDATE_PHASE_EHLO)
CALLBACK(on_mailfrom, VALIDATE_PHASE_MAILFROM)
CALLBACK(on_rcptto, VALIDATE_PHASE_RCPTTO)
CALLBACK(on_rcptto_list, VALIDATE_PHASE_RCPTTO_LIST)
CALLBACK(on_rcptto_list_final, VALIDATE_PHASE_RCPTTO_LIST_FINAL)
CALLBACK(on_data, VALIDATE_PHASE_DATA)
CALLBACK(on_data_spool, VALIDATE_PHASE_DATA_SPOOL)
CALLBACK(on_each_rcpt, VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT)

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test",
	.phase = {
		[VALIDATE_PHASE_CONNECT] = on_connect,
		[VALIDATE_PHASE_EHLO] = on_ehlo,
		[VALIDATE_PHASE_MAILFROM] = on_mailfrom,
		[VALIDATE_PHASE_RCPTTO] = on_rcptto,
		[VALIDATE_PHASE_RCPTTO_LIST] = on_rcptto_list,
		[VALIDATE_PHASE_RCPTTO_LIST_FINAL] = on_rcptto_list_final,
		[VALIDATE_PHASE_DATA] = on_data,
		[VALIDATE_PHASE_DATA_SPOOL] = on_data_spool,
		[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = on_each_rcpt
	},
};

static struct fake *
start(void)
{
	cr_assert_eq(validate_module_register(&module), 0);
	return fake_new();
}

/* What leads to each phase, and what comes after it. */
static const struct {
	enum validate_phase	 phase;
	const char		*before[4], *at, *ok;
} phases[] = {
	{ VALIDATE_PHASE_EHLO, { NULL }, "HELO x\r\n",
	    "250 mx.example.test\r\n" },
	{ VALIDATE_PHASE_MAILFROM, { "HELO x\r\n" }, "MAIL FROM:<>\r\n",
	    "250 2.1.0 Sender OK\r\n" },
	{ VALIDATE_PHASE_RCPTTO, { "HELO x\r\n", "MAIL FROM:<>\r\n" },
	    "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Recipient OK\r\n" },
	{ VALIDATE_PHASE_RCPTTO_LIST, { "HELO x\r\n", "MAIL FROM:<>\r\n" },
	    "RCPT TO:<bob@example.test>\r\n", "250 2.1.5 Recipient OK\r\n" },
	{ VALIDATE_PHASE_RCPTTO_LIST_FINAL, { "HELO x\r\n",
	    "MAIL FROM:<>\r\n", "RCPT TO:<bob@example.test>\r\n" },
	    "DATA\r\n", "354 End data with <CRLF>.<CRLF>\r\n" },
	{ VALIDATE_PHASE_DATA, { "HELO x\r\n", "MAIL FROM:<>\r\n",
	    "RCPT TO:<bob@example.test>\r\n" }, "DATA\r\n",
	    "354 End data with <CRLF>.<CRLF>\r\n" },
	{ VALIDATE_PHASE_DATA_SPOOL, { "HELO x\r\n", "MAIL FROM:<>\r\n",
	    "RCPT TO:<bob@example.test>\r\n", "DATA\r\n" }, "x\r\n.\r\n",
	    "250 2.0.0 OK: queued as " },
	{ VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, { "HELO x\r\n",
	    "MAIL FROM:<>\r\n", "RCPT TO:<bob@example.test>\r\n",
	    "DATA\r\n" }, "x\r\n.\r\n", "250 2.0.0 OK: queued as " },
};
#define NCASES	(sizeof(phases) / sizeof(phases[0]))

static void
lead_to(struct fake *f, size_t i)
{
	size_t j;

	fake_connect(f);
	for (j = 0; j < 4 && phases[i].before[j] != NULL; j++)
		fake_say(f, phases[i].before[j]);
}

Test(validate, a_module_refuses_in_any_phase_and_the_session_goes_on)
{
	struct fake *f;
	size_t i;

	cr_assert_eq(validate_module_register(&module), 0);
	code = 550;
	words = "5.7.1 not today\r\nX";
	for (i = 0; i < NCASES; i++) {
		f = fake_new();
		result[phases[i].phase] = VALIDATE_DONE;
		lead_to(f, i);
		cr_expect_str_eq(fake_say(f, phases[i].at),
		    "550 5.7.1 not today??X\r\n", "%zu: %s", i, f->reply);
		result[phases[i].phase] = VALIDATE_CONT;
		cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
		fake_end(f);
	}
}

Test(validate, a_module_of_an_older_version_has_no_newer_phases)
{
	struct validate_module old = module;
	struct fake *f;

	old.size = offsetof(struct validate_module, phase) +
	    (VALIDATE_PHASE_RCPTTO + 1) * sizeof(validate_func);
	cr_assert_eq(validate_module_register(&old), 0);
	/* it is not looked at again */
	memset(&old, 0xff, sizeof(old));
	code = 550;
	words = "5.7.1 no";
	result[VALIDATE_PHASE_RCPTTO_LIST] = VALIDATE_DONE;
	result[VALIDATE_PHASE_DATA] = VALIDATE_DONE;
	f = fake_new();
	fake_connect(f);
	fake_say(f, "HELO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(fake_say(f, "RCPT TO:<bob@example.test>\r\n"),
	    "250 2.1.5 Recipient OK\r\n");
	result[VALIDATE_PHASE_RCPTTO] = VALIDATE_DONE;
	cr_expect_str_eq(fake_say(f, "RCPT TO:<bob@example.test>\r\n"),
	    "550 5.7.1 no\r\n");
	cr_expect_str_eq(fake_say(f, "DATA\r\n"),
	    "354 End data with <CRLF>.<CRLF>\r\n");
	fake_end(f);
}

Test(validate, a_code_that_is_none_refuses)
{
	static const int codes[] = { -1, 1, 77, 199, 300, 354, 399, 600, 2500 };
	struct fake *f;
	size_t i, j;

	cr_assert_eq(validate_module_register(&module), 0);
	is_code = false;
	words = "2.0.0 fine";
	for (i = 0; i < NCASES; i++) {
		f = fake_new();
		lead_to(f, i);
		result[phases[i].phase] = VALIDATE_DONE;
		for (j = 0; j < sizeof(codes) / sizeof(codes[0]); j++) {
			/* after a body that is refused there is no DATA */
			if (j > 0 && phases[i].phase >= VALIDATE_PHASE_DATA_SPOOL)
				break;
			code = codes[(i + j) % (sizeof(codes) /
			    sizeof(codes[0]))];
			cr_expect_str_eq(fake_say(f, phases[i].at),
			    "451 4.3.0 Local error, try again later\r\n",
			    "%zu: %d: %s", i, code, f->reply);
		}
		result[phases[i].phase] = VALIDATE_CONT;
		fake_end(f);
	}
}

Test(validate, a_suspended_phase_is_called_again)
{
	struct fake *f;
	size_t i;

	cr_assert_eq(validate_module_register(&module), 0);
	for (i = 0; i < NCASES; i++) {
		f = fake_new();
		result[phases[i].phase] = VALIDATE_AGAIN;
		lead_to(f, i);
		cr_expect_str_eq(fake_say(f, phases[i].at), "");
		/* pipelined, but not read */
		if (strcmp(phases[i].at, "DATA\r\n") != 0)
			cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "");
		calls[phases[i].phase] = 0;
		schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
		cr_expect_str_eq(fake_say(f, ""), "");
		result[phases[i].phase] = VALIDATE_CONT;
		schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
		fake_say(f, "");
		cr_expect_eq(strncmp(f->reply, phases[i].ok,
		    strlen(phases[i].ok)), 0, "%zu: %s", i, f->reply);
		if (strcmp(phases[i].at, "DATA\r\n") != 0)
			cr_expect_not_null(strstr(f->reply,
			    "\r\n250 2.0.0 OK\r\n"), "%zu: %s", i, f->reply);
		cr_expect_eq(calls[phases[i].phase], 2);
		fake_end(f);
	}
}

Test(validate, a_module_that_never_answers_is_not_waited_for_for_ever)
{
	struct fake *f = start();

	result[VALIDATE_PHASE_EHLO] = VALIDATE_AGAIN;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 1), "");
	cr_assert_str_eq(fake_wait(f, 2),
	    "451 4.3.0 The check takes too long, try again later\r\n");
	cr_assert_eq(calls[VALIDATE_PHASE_EHLO], 1);
	/* its answer comes after all */
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "");
	result[VALIDATE_PHASE_EHLO] = VALIDATE_CONT;
	cr_assert_eq(strncmp(fake_say(f, "EHLO x\r\n"), "250-", 4), 0);
	cr_assert_eq(calls[VALIDATE_PHASE_EHLO], 2);
	fake_end(f);
}

/* The client waits for one reply, however many phases there are (RFC 5321
 * 4.5.3.2.6). */
Test(validate, slow_phases_of_a_message_have_one_limit_together)
{
	struct fake *f = start();

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	fake_say(f, "RCPT TO:<alice@example.test>\r\n");
	fake_say(f, "RCPT TO:<bob@example.test>\r\n");
	cr_assert_eq(strncmp(fake_say(f, "DATA\r\n"), "354 ", 4), 0, "%s",
	    f->reply);
	result[VALIDATE_PHASE_DATA_SPOOL] = VALIDATE_AGAIN;
	result[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = VALIDATE_AGAIN;
	/* DATA has its time, of which no more counts when all has come */
	cr_assert_str_eq(fake_wait(f, 100), "");
	cr_assert_str_eq(fake_say(f, "x\r\n.\r\n"), "");
	cr_assert_str_eq(fake_wait(f, LIM_MESSAGE_SECONDS - 100), "");
	result[VALIDATE_PHASE_DATA_SPOOL] = VALIDATE_CONT;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "");
	cr_assert_eq(calls[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT], 1);
	cr_assert_str_eq(fake_wait(f, 99), "");
	cr_assert_str_eq(fake_wait(f, 2),
	    "451 4.3.0 The check takes too long, try again later\r\n");
	cr_assert_eq(calls[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT], 1);
	fake_end(f);
}

static const char too_late[] =
    "451 4.3.0 The check takes too long, try again later\r\n";

static void
answer_after(struct fake *f, enum validate_phase phase, unsigned int seconds)
{
	cr_assert_str_eq(fake_wait(f, seconds), "");
	result[phase] = VALIDATE_CONT;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "");
}

/* Clients wait five minutes for the reply to a command (RFC 5321 4.5.3.2.3). */
Test(validate, slow_phases_of_a_command_have_one_limit_together)
{
	struct fake *f = start();

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	fake_say(f, "RCPT TO:<alice@example.test>\r\n");
	result[VALIDATE_PHASE_RCPTTO_LIST_FINAL] = VALIDATE_AGAIN;
	result[VALIDATE_PHASE_DATA] = VALIDATE_AGAIN;
	cr_assert_str_eq(fake_say(f, "DATA\r\n"), "");
	answer_after(f, VALIDATE_PHASE_RCPTTO_LIST_FINAL, 200);
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 201), "");
	cr_assert_str_eq(fake_wait(f, 2), too_late);
	/* the next command has all of its time */
	result[VALIDATE_PHASE_MAILFROM] = VALIDATE_AGAIN;
	cr_assert_eq(strncmp(fake_say(f, "RSET\r\n"), "250 ", 4), 0);
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"), "");
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 1), "");
	cr_assert_str_eq(fake_wait(f, 2), too_late);
	fake_end(f);
}

static int others_result;

static int
others(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	return others_result;
}

static const struct validate_module other = {
	.size = sizeof(struct validate_module), .name = "other",
	.phase[VALIDATE_PHASE_MAILFROM] = others,
};

Test(validate, slow_modules_have_one_limit_together)
{
	struct fake *f = start();

	cr_assert_eq(validate_module_register(&other), 0);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	others_result = VALIDATE_AGAIN;
	result[VALIDATE_PHASE_MAILFROM] = VALIDATE_AGAIN;
	result[VALIDATE_PHASE_RCPTTO] = VALIDATE_AGAIN;
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"
	    "RCPT TO:<alice@example.test>\r\n"), "");
	answer_after(f, VALIDATE_PHASE_MAILFROM, 200);
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 201), "");
	others_result = VALIDATE_CONT;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "250 2.1.0 Sender OK\r\n");
	/* what was pipelined has all of its time */
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 1), "");
	cr_assert_str_eq(fake_wait(f, 2), too_late);
	others_result = VALIDATE_AGAIN;
	result[VALIDATE_PHASE_MAILFROM] = VALIDATE_AGAIN;
	cr_assert_eq(strncmp(fake_say(f, "RSET\r\n"), "250 ", 4), 0);
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"), "");
	answer_after(f, VALIDATE_PHASE_MAILFROM, 200);
	cr_assert_str_eq(fake_wait(f, LIM_POLICY_SECONDS - 201), "");
	cr_assert_str_eq(fake_wait(f, 2), too_late);
	fake_end(f);
}

Test(validate, a_client_refused_at_connect_may_only_quit)
{
	struct fake *f = start();

	result[VALIDATE_PHASE_CONNECT] = VALIDATE_DONE;
	code = 554;
	words = "5.7.1 no";
	fake_connect(f);
	cr_assert_str_eq(f->reply, "554 5.7.1 no\r\n");
	cr_assert_eq(esmtp_session_state(f->s->ac), ES_DENIED);
	cr_assert_str_eq(fake_say(f, "EHLO x\r\n"),
	    "503 5.5.1 Bad sequence of commands\r\n");
	cr_assert_str_eq(fake_say(f, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(validate, connect_may_wait_and_421_closes)
{
	struct fake *f = start();

	result[VALIDATE_PHASE_CONNECT] = VALIDATE_AGAIN;
	fake_connect(f);
	cr_assert_str_eq(f->reply, "");
	cr_assert_eq(esmtp_session_state(f->s->ac), ES_SETUP);
	result[VALIDATE_PHASE_CONNECT] = VALIDATE_DONE;
	code = 421;
	words = "later";
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "421 4.7.1 later\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(validate, ehlo_is_told_the_name_and_done_without_a_code_accepts)
{
	struct fake *f = start();

	result[VALIDATE_PHASE_MAILFROM] = VALIDATE_DONE;
	code = 0;
	fake_connect(f);
	simhost_settle(&f->h);
	fake_say(f, "HELO some.name\r\n");
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
	    "250 2.1.0 Sender OK\r\n");
	fake_end(f);
}

Test(validate, a_name_is_registered_once)
{
	cr_assert_eq(validate_module_register(&module), 0);
	errno = 0;
	cr_assert_eq(validate_module_register(&module), -1);
	cr_assert_eq(errno, EEXIST);
}

Test(validate, recipients_can_be_changed_until_the_commit)
{
	struct fake *f = fake_start();
	validate_context *v = &fake_mc(f)->vctx;
	char *addr;

	cr_expect_eq(validate_context_can_modify_rcpts(v), 0);
	cr_expect_eq(validate_context_add_rcpt(v, "a@b", 1), -1);
	fake_to_data(f);
	cr_expect_eq(validate_context_can_modify_rcpts(v), 1);
	cr_expect_eq(validate_context_add_rcpt(v, "bob@example.test", 1), 1);
	errno = 0;
	cr_expect_eq(validate_context_add_rcpt(v, "BOB@example.test", 1), -1);
	cr_expect_eq(errno, EEXIST);
	cr_expect_eq(validate_context_add_rcpt(v, "no\n@example.test", 1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(validate_context_add_rcpt(v, "nodomain", 1), -1);
	cr_expect_eq(validate_context_add_rcpt(v, NULL, 1), -1);
	cr_expect_eq(validate_context_iterate_rcpt(v, 1, &addr), -1);
	cr_expect_str_eq(addr, "bob@example.test");
	cr_expect_eq(validate_context_remove_rcpt(v, "alice@example.test"), 0);
	cr_expect_eq(validate_context_remove_rcpt(v, "alice@example.test"),
	    -1);
	cr_expect_eq(validate_context_remove_rcpt(v, NULL), -1);
	f->h.spool.is_held = true;
	fake_say(f, ".\r\n");
	cr_expect_eq(validate_context_can_modify_rcpts(v), 0);
	cr_expect_eq(validate_context_remove_all_rcpts(v), 0);
	simspool_release(&f->h.spool);
	fake_say(f, "");
	cr_expect_eq(fake_message(f, 0)->nrcpts, 1);
	cr_expect_str_eq(fake_message(f, 0)->rcpts[0], "bob@example.test");
	fake_to_data(f);
	cr_expect_eq(validate_context_remove_all_rcpts(v), 1);
	cr_expect_str_eq(fake_say(f, ".\r\n"),
	    "503 5.5.1 No valid recipients\r\n");
	fake_end(f);
}

/* Walk the recipients as a policy does. */
static const char *
walk(validate_context *v, char *buf)
{
	char *addr;
	int pos, calls_made = 0;

	*buf = '\0';
	for (pos = 0; pos != -1 && calls_made++ < 10; ) {
		pos = validate_context_iterate_rcpt(v, pos, &addr);
		if (addr != NULL) {
			strcat(buf, addr);
			strcat(buf, " ");
		}
	}
	return buf;
}

Test(validate, the_recipients_are_walked_by_position)
{
	struct fake *f = fake_start();
	validate_context *v = &fake_mc(f)->vctx;
	char buf[200], *addr = buf;

	cr_expect_eq(validate_context_iterate_rcpt(v, 0, &addr), -1);
	cr_expect_null(addr);
	fake_to_data(f);
	cr_expect_eq(validate_context_add_rcpt(v, "b@c.test", 1), 1);
	cr_expect_eq(validate_context_add_rcpt(v, "d@c.test", 1), 2);
	cr_expect_eq(validate_context_add_rcpt(v, "B@c.test", 0), 3);
	cr_expect_eq(validate_context_iterate_rcpt(v, 0, &addr), 1);
	cr_expect_str_eq(walk(v, buf),
	    "alice@example.test b@c.test d@c.test B@c.test ");
	addr = buf;
	cr_expect_eq(validate_context_iterate_rcpt(v, 4, &addr), -1);
	cr_expect_null(addr);
	cr_expect_eq(validate_context_iterate_rcpt(v, -1, &addr), -1);
	cr_expect_eq(validate_context_remove_rcpt(v, "d@c.test"), 2);
	cr_expect_eq(validate_context_add_rcpt(v, "e@c.test", 1), 3);
	cr_expect_str_eq(walk(v, buf),
	    "alice@example.test b@c.test B@c.test e@c.test ");
	cr_expect_eq(validate_context_remove_all_rcpts(v), 1);
	/* nothing to remove is no failure */
	cr_expect_eq(validate_context_remove_all_rcpts(v), 1);
	cr_expect_str_eq(walk(v, buf), "");
	cr_expect_eq(validate_context_add_rcpt(v, "z@c.test", 1), 0);
	fake_end(f);
}

static int
ext_setup(char *arg, message_construct *, void *closure)
{
	strcpy(arg, closure);
	return 1;
}

static int
ext_func(char *arg, Event *, message_construct *mc, void *)
{
	if (strcmp(arg, "bad") == 0)
		return 0;
	if (strcmp(arg, "silent") == 0)
		return 1;
	cr_assert_eq(esmtp_extension_reply(mc, 250, "2.1.0", arg), 0);
	cr_assert_eq(esmtp_extension_reply(mc, 250, "2.1.0", "again"), -1);
	return 1;
}

Test(esmtp_verb, an_extension_is_advertised_and_served)
{
	static char words_of[] = "ONE TWO";
	struct fake *f;

	cr_assert_eq(esmtp_extensions_register("xtest", ext_setup, ext_func,
	    words_of), 1);
	cr_assert_eq(esmtp_extensions_register("XTEST", NULL, ext_func, NULL),
	    0);
	cr_assert_eq(esmtp_extensions_register("mail", NULL, ext_func, NULL),
	    0);
	cr_assert_eq(esmtp_extensions_register("X Y", NULL, ext_func, NULL),
	    0);
	cr_assert_eq(esmtp_extensions_register("", NULL, ext_func, NULL), 0);
	cr_assert_eq(esmtp_extensions_register("X2345678901234567", NULL,
	    ext_func, NULL), 0);
	f = fake_start();
	cr_assert_not_null(strstr(fake_say(f, "EHLO x\r\n"),
	    "\r\n250 XTEST ONE TWO\r\n"));
	cr_assert_str_eq(fake_say(f, "XTest hello\r\nXTEST bad\r\n"
	    "XTEST silent\r\n"), "250 2.1.0 hello\r\n"
	    "501 5.5.4 Syntax error in parameters or arguments\r\n"
	    "250 2.0.0 OK\r\n");
	fake_end(f);
}

/* A keyword without a verb, as 8BITMIME is. */
Test(esmtp_verb, an_extension_without_a_function_is_a_keyword_only)
{
	static char words_of[] = "ONE";
	struct fake *f;

	cr_assert_eq(esmtp_extensions_register("XBARE", NULL, NULL, NULL), 1);
	cr_assert_eq(esmtp_extensions_register("XWORD", ext_setup, NULL,
	    words_of), 1);
	cr_assert_eq(esmtp_extensions_register("xbare", NULL, ext_func, NULL),
	    0);
	cr_assert_eq(esmtp_extensions_register(NULL, NULL, ext_func, NULL), 0);
	f = fake_start();
	fake_say(f, "EHLO x\r\n");
	cr_expect_not_null(strstr(f->reply, "\r\n250-XBARE\r\n"), "%s",
	    f->reply);
	cr_expect_not_null(strstr(f->reply, "\r\n250 XWORD ONE\r\n"), "%s",
	    f->reply);
	cr_expect_str_eq(fake_say(f, "XBARE x\r\n"),
	    "500 5.5.2 Command not recognized\r\n");
	fake_end(f);
}

/* RFC 4954 6 and RFC 3207 4: any command but a few. */
Test(esmtp_verb, an_extension_waits_for_a_login_and_for_tls)
{
	static char words_of[] = "ONE";
	struct fake *f;

	cr_assert_eq(esmtp_extensions_register("XTEST", ext_setup, ext_func,
	    words_of), 1);
	f = fake_start();
	fake_option(f, "Require_Auth", "true", NULL);
	fake_say(f, "EHLO x\r\n");
	cr_expect_str_eq(fake_say(f, "XTEST hello\r\n"),
	    "530 5.7.0 Authentication required\r\n");
	fake_option(f, "Require_Auth", "false", NULL);
	fake_option(f, "Require_TLS", "true", NULL);
	cr_expect_eq(strncmp(fake_say(f, "XTEST hello\r\n"), "530 5.7.0 ", 10),
	    0);
	fake_option(f, "Require_TLS", "false", NULL);
	cr_expect_str_eq(fake_say(f, "XTEST hello\r\n"),
	    "250 2.1.0 hello\r\n");
	fake_end(f);
}
