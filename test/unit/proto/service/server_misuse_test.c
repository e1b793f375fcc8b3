/* What a program is told that frees a server in its own functions, or uses a
 * question that it has answered. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "proto/esmtp_factory.h"
#include "test/lib/misuse.h"
#include "test/unit/proto/service/service_talk.h"

#define FREED	"mailmill: mailmill_server_free(): not inside a callback: " \
	"mailmill_server_stop(), and when mailmill_server_run() has returned"
#define TWICE	"mailmill: mailmill_mail_answer(): a question is answered once"

enum act { NOTHING, FREE, FREE_OTHER, ANSWER, ANSWER_TWICE, KEEP };

static struct mailmill_server *other;
static struct mailmill_mail *mail;
static enum act at_sender, at_rcpt, at_message, at_report;
static int code;			/* what the functions return */

static void
act(enum act what, struct mailmill_mail *m)
{
	switch (what) {
	case FREE:
		mailmill_server_free(server);
		break;
	case FREE_OTHER:
		mailmill_server_free(other);
		other = NULL;
		break;
	case ANSWER:
		cr_expect_eq(mailmill_mail_answer(m, 250, NULL), 0);
		/* fall through */
	case KEEP:
		mail = m;
		break;
	case ANSWER_TWICE:
		(void)mailmill_mail_answer(m, 250, NULL);
		(void)mailmill_mail_answer(m, 250, NULL);
		break;
	case NOTHING:
		break;
	}
}

static int
on_sender(void *, struct mailmill_mail *m, const char *)
{
	act(at_sender, m);
	return code;
}

static int
on_rcpt(void *, struct mailmill_mail *m, const char *)
{
	act(at_rcpt, m);
	return code;
}

static int
on_message(void *, struct mailmill_mail *m, const char *)
{
	act(at_message, m);
	return code;
}

static void
on_report(void *, accept_construct *, const struct esmtp_report *)
{
	act(at_report, NULL);
}

static struct mailmill_server *
listening(const char *address)
{
	struct mailmill_server *s = mailmill_server_new("mx.example",
	    on_message, NULL);

	cr_assert_not_null(s);
	mailmill_server_on_sender(s, on_sender);
	mailmill_server_on_rcpt(s, on_rcpt);
	mailmill_server_ops(s)->report = on_report;
	cr_assert_eq(mailmill_server_listen(s, address), 0);
	return s;
}

static void
setup(void)
{
	loop = scheduler_create(NULL);
	server = listening(HERE);
	code = 250;
}

static void
teardown(void)
{
	mailmill_server_free(server);
	if (client != -1)
		close(client);
	scheduler_destroy(loop);
}

TestSuite(server_misuse, .init = setup, .fini = teardown, .timeout = 60);

static void
send_it(void *)
{
	begin();
	talk("DATA\r\n", "354");
	talk(MAIL, "250 2.0.0");
}

Test(server_misuse, a_server_is_not_freed_in_its_functions)
{
	enum act *const functions[] = { &at_sender, &at_rcpt, &at_message,
		&at_report };
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		*functions[i] = FREE;
		cr_expect_str_eq(misuse_ends(send_it, NULL), FREED, "%zu", i);
		*functions[i] = NOTHING;
	}
	cr_expect_null(misuse_ends(send_it, NULL));
}

static void
free_it(void *)
{
	mailmill_server_free(server);
}

/* Its sessions are reported while it is freed. */
Test(server_misuse, a_server_is_freed_once)
{
	begin();
	at_report = FREE;
	cr_expect_str_eq(misuse_ends(free_it, NULL), FREED);
	at_report = NOTHING;
}

Test(server_misuse, another_server_of_the_scheduler_may_be_freed)
{
	other = listening("127.0.0.2:0");
	at_rcpt = FREE_OTHER;
	send_it(NULL);
	cr_expect_null(other);
	at_rcpt = NOTHING;
}

static int
free_in_timer(Event *, int, void *, struct timeval *)
{
	mailmill_server_free(server);
	server = NULL;
	return 0;
}

static void
run_with_timer(void *is_ours)
{
	cr_assert_eq(schedule_event(build_event_from_now_f(0, -1,
	    free_in_timer, NULL)), 0);
	if (is_ours != NULL) {
		(void)scheduler_pass(loop, 100);
		(void)scheduler_pass(loop, 100);
	} else
		(void)mailmill_server_run(server);
	cr_expect_null(server);
}

/* In a callback that is none of the server's it may be, unless the scheduler
 * goes with it. */
Test(server_misuse, the_last_server_is_not_freed_while_its_scheduler_runs)
{
	begin();
	cr_expect_null(misuse_ends(run_with_timer, loop));
	mailmill_server_free(server);
	scheduler_destroy(loop);
	server = listening(HERE);
	cr_expect_str_eq(misuse_ends(run_with_timer, NULL), FREED);
	mailmill_server_free(server);
	server = NULL;
	cr_expect_eq(is_scheduler_thread(), 0);
	loop = NULL;
}

static void
destroy_first(void *)
{
	scheduler_destroy(loop);
	mailmill_server_free(server);
}

Test(server_misuse, a_server_is_freed_before_the_scheduler_of_the_program)
{
	begin();
	cr_expect_str_eq(misuse_ends(destroy_first, NULL),
	    "mailmill: scheduler_destroy(): not before "
	    "netlistener_unregister(), or mailmill_server_free()");
}

/* --- questions ------------------------------------------------------------ */

static void
answer_it(void *)
{
	(void)mailmill_mail_answer(mail, 550, NULL);
}

static void
ask_for_rcpt(void *)
{
	(void)mailmill_mail_rcpt(mail, 0);
}

static void
ask_for_body(void *)
{
	size_t len;

	(void)mailmill_mail_body(mail, &len);
}

static void
ask_for_sender(void *)
{
	(void)mailmill_mail_sender(mail);
}

static void
ask_for_session(void *)
{
	(void)mailmill_mail_session(mail);
}

static void
reply(void *)
{
	(void)mailmill_mail_reply(mail, 550, "no");
}

static void
expect_answered(void)
{
	static const struct {
		void		(*f)(void *);
		const char	*name;
	} rows[] = {
		{ ask_for_rcpt, "rcpt" }, { ask_for_body, "body" },
		{ ask_for_sender, "sender" }, { ask_for_session, "session" },
		{ reply, "reply" }
	};
	char want[128];
	size_t i;

	cr_expect_str_eq(misuse_ends(answer_it, NULL), TWICE);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(want, sizeof(want), "mailmill: mailmill_mail_%s(): "
		    "a mail is there until it is answered", rows[i].name);
		cr_expect_str_eq(misuse_ends(rows[i].f, NULL), want);
	}
}

/* Later, for an address and for a message; and by the result of the function. */
Test(server_misuse, a_question_is_answered_once)
{
	at_sender = KEEP;
	code = MAILMILL_LATER;
	dial();
	hear("220 mx.example");
	talk("EHLO x\r\n", "250 ");
	cr_assert_gt(write(client, TO_RCPT, strlen(TO_RCPT)), 0);
	while (mail == NULL)
		(void)scheduler_pass(loop, 10);
	cr_expect_null(misuse_ends(answer_it, NULL));
	cr_expect_null(misuse_ends(ask_for_sender, NULL));
	code = 250;
	cr_expect_eq(mailmill_mail_answer(mail, 250, NULL), 0);
	expect_answered();
	hear("250 2.1.5");
	expect_answered();

	at_sender = NOTHING;
	at_message = KEEP;
	code = MAILMILL_LATER;
	mail = NULL;
	talk("DATA\r\n", "354");
	cr_assert_gt(write(client, MAIL, strlen(MAIL)), 0);
	while (mail == NULL)
		(void)scheduler_pass(loop, 10);
	cr_expect_null(misuse_ends(ask_for_body, NULL));
	cr_expect_eq(mailmill_mail_answer(mail, 250, NULL), 0);
	expect_answered();
	hear("250 2.0.0");

	/* the next one may lie where that was */
	code = 250;
	talk(TO_RCPT, "250 2.1.5");
	expect_answered();
	talk("DATA\r\n", "354");
	talk(MAIL, "250 2.0.0");
	expect_answered();
}

static void
begin_it(void *)
{
	begin();
}

Test(server_misuse, a_question_is_answered_once_inside_its_function)
{
	at_rcpt = ANSWER_TWICE;
	cr_expect_str_eq(misuse_ends(begin_it, NULL), TWICE);
	at_rcpt = ANSWER;
	begin();
	expect_answered();
}
