/* Verbs of a program that are answered later. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/embed/own.h"

#define OK	"250 2.0.0 OK\r\n"
#define LOGGED_IN "235 2.7.0 Authentication succeeded\r\n"

static struct fake *f;

/* --- later ---------------------------------------------------------------- */

Test(embed_verb_later, the_answer_comes_later)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	cr_expect_str_eq(fake_say(f, "XTEST x\r\nNOOP\r\n"), "");
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "");
	/* no answers to such a question */
	cr_expect_eq(own_answer(f, ESMTP_VERB_LATER), -1);
	cr_expect_eq(own_answer(f, -1), -1);
	cr_expect_eq(own_answer_reply(f, 354, NULL, "x"), -1);
	cr_expect_eq(own_answer_auth(f, ESMTP_AUTH_CHALLENGE, "x"), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(own_answer_reply(f, 251, "2.5.0", "At last"), 0);
	/* once */
	cr_expect_eq(own_answer_reply(f, 250, NULL, "x"), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_str_eq(own_told(f), "251 2.5.0 At last\r\n" OK OK);
	cr_expect_eq(own.ncalls, 1);
	fake_say(f, "XTEST x\r\n");
	cr_expect_eq(own_answer(f, ESMTP_VERB_DONE), 0);
	cr_expect_str_eq(own_told(f), OK);
	fake_say(f, "XTEST x\r\n");
	cr_expect_eq(own_answer(f, ESMTP_VERB_SYNTAX), 0);
	own_told(f);
	own_expect_reply(f, "501 5.5.4 ");
	/* there is no built-in XTEST */
	fake_say(f, "XTEST x\r\n");
	cr_expect_eq(own_answer(f, ESMTP_VERB_BUILTIN), 0);
	own_told(f);
	own_expect_reply(f, "502 5.5.1 ");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 2);
	fake_end(f);
}

Test(embed_verb_later, a_login_comes_later)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	own_believe(f, "bob");
	fake_say(f, "XTEST x\r\nNOOP\r\n");
	cr_expect_eq(own_answer_auth(f, ESMTP_AUTH_FAILED, "bob"), 0);
	own_told(f);
	own_expect_reply(f, "535 5.7.8 ");
	cr_expect_not_null(strstr(f->reply, "\r\n" OK));
	fake_say(f, "XTEST x\r\n");
	/* what is no login is none */
	cr_expect_eq(own_answer_auth(f, ESMTP_AUTH_OK, "b\nb"), 0);
	own_told(f);
	own_expect_reply(f, "454 4.7.0 ");
	fake_say(f, "XTEST x\r\n");
	cr_expect_eq(own_answer_auth(f, ESMTP_AUTH_OK, "bob"), 0);
	cr_expect_str_eq(own_told(f), LOGGED_IN);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "bob");
	fake_say(f, "XTEST x\r\n");
	own_answer_auth(f, ESMTP_AUTH_OK, "eve");
	own_told(f);
	own_expect_reply(f, "503 5.5.1 ");
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "bob");
	fake_end(f);
}

/* RFC 4954 4: longer than other lines.  It is run again as it was, though it could
 * not begin any more. */
Test(embed_verb_later, a_long_line_is_answered_later)
{
	static char line[LIM_COMMAND_LINE + 64];
	size_t n;

	f = own_begin("AUTH");
	own.result = ESMTP_VERB_LATER;
	n = (size_t)snprintf(line, sizeof(line), "AUTH PLAIN ");
	memset(line + n, 'A', LIM_COMMAND_LINE);
	memcpy(line + n + LIM_COMMAND_LINE, "\r\n", 3);
	cr_expect_str_eq(fake_say(f, line), "");
	cr_expect_eq(own.ncalls, 1);
	fake_option(f, "Auth_Without_TLS", "false", NULL);
	cr_expect_eq(own_answer_reply(f, 535, NULL, "No"), 0);
	cr_expect_str_eq(own_told(f), "535 5.7.1 No\r\n");
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	cr_expect_eq(own.ncalls, 1);
	fake_end(f);
}

/* Its time has passed while the client has replies to take: it does not hear. */
Test(embed_verb_later, a_client_that_takes_nothing_is_not_answered)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	f->s->wire->window = 0;
	cr_expect_str_eq(fake_say(f, "NOOP\r\nXTEST\r\n"), "");
	cr_expect_eq(own.ncalls, 1);
	fake_wait(f, LIM_ANSWER_SECONDS + 1);
	cr_expect(fake_is_ended(f));
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_TIMEOUT], 1);
	cr_expect_eq(own_answer(f, ESMTP_VERB_DONE), -1);
	fake_end(f);
}

Test(embed_verb_later, success_of_a_built_in_verb_does_not_come_later_either)
{
	f = own_begin("MAIL");
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	cr_expect_eq(own_answer_reply(f, 250, "2.1.0", "OK"), 0);
	own_told(f);
	own_expect_reply(f, "451 4.3.0 ");
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	own_answer_auth(f, ESMTP_AUTH_OK, "eve");
	own_told(f);
	own_expect_reply(f, "451 4.3.0 ");
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	own_answer_reply(f, 550, NULL, "No");
	cr_expect_str_eq(own_told(f), "550 5.7.1 No\r\n");
	own_expect(f, "RCPT TO:<alice@example.test>\r\n", "503 5.5.1 ");
	fake_end(f);
}

static int
answer_inside(char *arg, Event *, message_construct *mc, void *)
{
	accept_construct *ac = esmtp_session_of(mc);
	esmtp_ticket t = esmtp_ticket_new(ac);

	own.ncalls++;
	cr_expect_eq(esmtp_ticket_new(ac), 0);
	if (*arg == 'b')
		cr_expect_eq(esmtp_answer(ac->host, t, ESMTP_VERB_BUILTIN), 0);
	else if (*arg == 'l')
		cr_expect_eq(esmtp_answer_auth(ac->host, t, ESMTP_AUTH_OK,
		    "alice", 5), 0);
	else
		cr_expect_eq(esmtp_answer_reply(ac->host, t, 250, NULL, "Now"),
		    0);
	return ESMTP_VERB_LATER;
}

Test(embed_verb_later, the_answer_may_come_inside)
{
	cr_assert_eq(esmtp_verb_replace("HELP", answer_inside, NULL), 1);
	f = fake_start();
	own_believe(f, "alice");
	cr_expect_str_eq(fake_say(f, "HELP\r\nHELP\r\nNOOP\r\n"),
	    "250 2.0.0 Now\r\n250 2.0.0 Now\r\n" OK);
	own_expect(f, "HELP b\r\n", "214 2.0.0 ");
	cr_expect_str_eq(fake_say(f, "HELP l\r\nNOOP\r\n"), LOGGED_IN OK);
	cr_expect_eq(own.ncalls, 4);
	cr_expect_null(esmtp_answered(&f->h.host));
	fake_end(f);
}

static void *
other_thread(void *arg)
{
	esmtp_ticket *t = arg;

	cr_expect_eq(esmtp_answer_reply(&f->h.host, *t, 250, "2.5.0",
	    "From afar"), 0);
	return NULL;
}

Test(embed_verb_later, the_answer_may_come_from_another_thread)
{
	pthread_t t;

	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "XTEST x\r\n");
	cr_assert_eq(pthread_create(&t, NULL, other_thread, &own.ticket), 0);
	cr_assert_eq(pthread_join(t, NULL), 0);
	cr_expect_str_eq(own_told(f), "250 2.5.0 From afar\r\n");
	fake_end(f);
}

Test(embed_verb_later, without_an_answer_it_is_given_up)
{
	f = own_begin("NOOP");
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "NOOP\r\nVRFY x\r\n");
	cr_expect_str_eq(fake_wait(f, LIM_ANSWER_SECONDS - 1), "");
	fake_wait(f, 2);
	own_expect_reply(f, "451 4.3.0 ");
	cr_expect_not_null(strstr(f->reply, "\r\n252 "));
	cr_expect_eq(own_answer_reply(f, 250, NULL, "x"), -1);
	cr_expect_eq(errno, ENOENT);
	own.result = ESMTP_VERB_DONE;
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_end(f);
}

static int
promise(char *, Event *, message_construct *, void *)
{
	return ESMTP_VERB_LATER;
}

Test(embed_verb_later, later_without_a_ticket_is_an_error)
{
	cr_assert_eq(esmtp_extensions_register("XNEVER", NULL, promise, NULL),
	    1);
	f = fake_start();
	own_expect(f, "XNEVER\r\n", "451 4.3.0 ");
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_end(f);
}

Test(embed_verb_later, what_was_answered_at_once_is_not_answered_later)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	own.reply = "250 2.0.0 At once";
	cr_expect_str_eq(fake_say(f, "XTEST x\r\nNOOP\r\n"),
	    "250 2.0.0 At once\r\n" OK);
	cr_expect_eq(own_answer_reply(f, 250, NULL, "x"), -1);
	cr_expect_eq(errno, ENOENT);
	fake_end(f);
}

Test(embed_verb_later, a_session_that_has_ended_is_not_answered)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "XTEST x\r\n");
	esmtp_destroy_message_construct(fake_mc(f));
	cr_expect_eq(own_answer_reply(f, 250, NULL, "x"), -1);
	cr_expect_eq(errno, ENOENT);
	fake_end(f);
}

Test(embed_verb_later, a_host_that_drains_waits_for_the_answer)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	fake_say(f, "XTEST x\r\n");
	simhost_drain(&f->h, false);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_eq(own_answer(f, ESMTP_VERB_DONE), 0);
	cr_expect_eq(strncmp(own_told(f), OK "421 4.3.2 ", 24), 0, "%s",
	    f->reply);
	fake_end(f);
}

/* A client that does not take its replies. */
Test(embed_verb_later, the_function_is_called_once_while_replies_wait)
{
	f = own_begin("XTEST");
	own.result = ESMTP_VERB_LATER;
	f->s->wire->window = 0;
	cr_expect_str_eq(fake_say(f, "NOOP\r\nXTEST x\r\nVRFY x\r\n"), "");
	cr_expect_eq(own.ncalls, 1);
	cr_expect_eq(own_answer_reply(f, 250, NULL, "Now"), 0);
	cr_expect_str_eq(own_told(f), "");
	f->s->wire->window = 10;
	fake_say(f, "");
	cr_expect_str_eq(f->reply, "250 2.0.0 ");
	f->s->wire->window = 4096;
	own_expect(f, "", "OK\r\n250 2.0.0 Now\r\n252 ");
	cr_expect_eq(own.ncalls, 1);
	fake_end(f);
}
