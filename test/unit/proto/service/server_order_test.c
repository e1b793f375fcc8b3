/* When the program is asked to make a message safe: last, after all policies
 * and hooks that could refuse it. */

#include "proto/mailmill_server.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "proto/hooks.h"
#include "proto/validate.h"
#include "test/unit/proto/service/service_talk.h"

static unsigned int nstored;
static char last_rcpt[64];
static struct mailmill_mail *open_mail;
static int message_code;
static bool is_closing;

static int
on_message(void *, struct mailmill_mail *mail, const char *)
{
	const char *rcpt;
	size_t i;

	nstored++;
	for (i = 0; (rcpt = mailmill_mail_rcpt(mail, i)) != NULL; i++)
		snprintf(last_rcpt, sizeof(last_rcpt), "%s", rcpt);
	cr_expect_str_eq(esmtp_session_sender(mailmill_mail_session(mail)),
	    mailmill_mail_sender(mail));
	if (message_code == MAILMILL_LATER)
		open_mail = mail;
	if (is_closing)
		cr_expect_eq(esmtp_session_close(mailmill_mail_session(mail),
		    421, "4.3.2 Bye"), 0);
	return message_code;
}

/* --- modules and hooks ---------------------------------------------------- */

/* How each answers, in the order in which they are called. */
static enum { IN_SPOOL, IN_EACH, IN_HOOK2, NOBODY } refuses = NOBODY;
static bool is_accepting;

static int
in_spool(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	(void)validate_context_add_rcpt(vctx, "archive@mx.example", 1);
	if (refuses == IN_SPOOL)
		validate_context_set_code(vctx, 550, "5.7.1 Spool");
	return refuses == IN_SPOOL || is_accepting ? VALIDATE_DONE :
	    VALIDATE_CONT;
}

static int
in_each(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	if (refuses != IN_EACH)
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 550, "5.7.1 Each");
	return VALIDATE_DONE;
}

static int
final2(void *, ec_message *, accept_construct *, validate_context *vctx)
{
	if (refuses != IN_HOOK2)
		return EC_HOOK_CONT;
	validate_context_set_code(vctx, 550, "5.7.1 Hook");
	return EC_HOOK_DONE;
}

static void
setup(void)
{
	static const struct validate_module m = {
		.size = sizeof(m), .name = "others",
		.phase[VALIDATE_PHASE_DATA_SPOOL] = in_spool,
		.phase[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = in_each
	};

	message_code = 250;
	loop = scheduler_create(NULL);
	server = mailmill_server_new("mx.example", on_message, NULL);
	cr_assert_not_null(server);
	/* behind the server's own */
	cr_assert_eq(validate_module_register(&m), 0);
	register_core_final_validation2_hook_last(final2, NULL);
	cr_assert_eq(mailmill_server_set(server, "Max_Errors", "0", NULL, 0),
	    0);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
}

static void
teardown(void)
{
	mailmill_server_free(server);
	close(client);
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
}

TestSuite(server_order, .init = setup, .fini = teardown, .timeout = 60);

static void
greet(void)
{
	dial();
	hear("220");
	talk("EHLO x\r\n", "250 ");
}

static void
to_data(void)
{
	talk(TO_RCPT, "250 2.1.5");
	talk("DATA\r\n", "354");
	nstored = 0;
}

Test(server_order, a_message_that_is_refused_was_not_stored)
{
	static const char *const words[] = { "550 5.7.1 Spool",
		"550 5.7.1 Each", "550 5.7.1 Hook" };
	int i;

	greet();
	for (i = IN_SPOOL; i < NOBODY; i++) {
		refuses = i;
		to_data();
		talk(MAIL, words[i]);
		cr_expect_eq(nstored, 0, "%s", words[i]);
	}
	refuses = NOBODY;
	to_data();
	talk(MAIL, "250 2.0.0");
	cr_expect_eq(nstored, 1);
	cr_expect_str_eq(last_rcpt, "archive@mx.example");
}

/* A module that ends the phase of the message does not answer for the program. */
Test(server_order, a_module_that_accepts_does_not_keep_the_program_from_being_asked)
{
	is_accepting = true;
	greet();
	to_data();
	talk(MAIL, "250 2.0.0");
	cr_expect_eq(nstored, 1);
	message_code = 550;
	to_data();
	talk(MAIL, "550 ");
	cr_expect_eq(nstored, 1);
}

static void
answer_later(int code, const char *text, const char *want)
{
	open_mail = NULL;
	to_data();
	cr_assert_gt(write(client, MAIL, strlen(MAIL)), 0);
	while (open_mail == NULL)
		(void)scheduler_pass(loop, 10);
	cr_expect_eq(mailmill_mail_answer(open_mail, code, text), 0);
	hear(want);
}

/* The next command of the same packet is not lost. */
Test(server_order, later_answers_about_messages)
{
	greet();
	message_code = MAILMILL_LATER;
	answer_later(250, "words that are not heard", "250 2.0.0");
	answer_later(550, "5.1.1 Gone\r\n250 No", "550 5.1.1 Gone??250 No\r\n");
	answer_later(450, NULL, "450 4.7.");
	answer_later(77, "x", "451 4.3.0 The program");
	answer_later(421, "4.3.2 Bye", "421 4.3.2 Bye\r\n");
	cr_expect(is_closed());
}

Test(server_order, a_session_that_is_closed_in_the_question_ends)
{
	is_closing = true;
	greet();
	to_data();
	cr_assert_gt(write(client, MAIL, strlen(MAIL)), 0);
	cr_expect(is_closed());
	cr_expect_eq(nstored, 1);
}
