/* Logins of embedders, on a real session. */

#include "tls/library/mailmill_sasl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/lib/misuse.h"
#include "test/unit/tls/library/sasl_fixture.h"

Test(mailmill_sasl, verdicts_and_replies)
{
	static const struct {
		enum mailmill_sasl_verdict verdict;
		const char		*reply;
	} rows[] = {
		{ MAILMILL_SASL_NO, "535 5.7.8 " },
		{ MAILMILL_SASL_UNSURE, "454 4.7.0 " },
		{ (enum mailmill_sasl_verdict)77, "454 4.7.0 " },
		{ MAILMILL_SASL_YES, "235 2.7.0 " },
	};
	struct talk *t = sf_start(sf_password, NULL, true);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sf_program.verdict = rows[i].verdict;
		sf_expect(t, "AUTH PLAIN " GOOD "\r\n", rows[i].reply);
		cr_expect_str_eq(sf_program.user, "alice");
		cr_expect_str_eq(sf_program.password, "secret");
	}
	cr_expect_eq(sf_program.nasked, 4);
	cr_expect_str_eq(esmtp_session_login(t->ac), "alice");
	sf_stop(t);
}

Test(mailmill_sasl, what_is_offered)
{
	static const struct {
		mailmill_sasl_password	 password;
		mailmill_sasl_keys	 keys;
		bool			 is_clear;
		const char		*want;	/* NULL: nothing */
	} rows[] = {
		{ sf_password, NULL, true, "AUTH PLAIN LOGIN\r\n" },
		{ NULL, sf_keys, true, "AUTH SCRAM-SHA-256\r\n" },
		{ sf_password, sf_keys, true,
		    "AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n" },
		/* RFC 4954 4: no password in the clear */
		{ sf_password, sf_keys, false, NULL },
	};
	struct talk *t;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = sf_start(rows[i].password, rows[i].keys, rows[i].is_clear);
		if (rows[i].want != NULL)
			cr_expect_not_null(strstr(t->heard, rows[i].want),
			    "%s", t->heard);
		else
			cr_expect_null(strstr(t->heard, "AUTH"), "%s",
			    t->heard);
		if (rows[i].want == NULL)
			sf_expect(t, "AUTH PLAIN " GOOD "\r\n", "538 ");
		sf_stop(t);
	}
	cr_expect_eq(sf_program.nasked, 0);
	cr_expect_null(mailmill_sasl_new(NULL, NULL, NULL));
	cr_expect_eq(errno, EINVAL);
	mailmill_sasl_free(NULL);
}

Test(mailmill_sasl, an_answer_may_come_later)
{
	struct talk *t = sf_start(sf_password, NULL, true);
	uint64_t question;

	sf_program.verdict = MAILMILL_SASL_LATER;
	sf_expect(t, "AUTH LOGIN\r\n", "334 ");
	sf_expect(t, "YWxpY2U=\r\n", "334 ");
	cr_expect_str_eq(talk_say(t, "c2VjcmV0\r\n"), "");
	question = sf_program.question;
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question + 1,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question,
	    MAILMILL_SASL_LATER, NULL), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question,
	    MAILMILL_SASL_NO, NULL), 0);
	/* the first one counts */
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "535 ", 4), 0);
	cr_expect_str_eq(talk_say(t, "AUTH PLAIN " GOOD "\r\n"), "");
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_YES, NULL), 0);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "235 ", 4), 0);
	sf_stop(t);
}

static void *
answer_there(void *closure)
{
	const enum mailmill_sasl_verdict *v = closure;

	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    *v, sf_program.keys), 0);
	return NULL;
}

/* A session on our scheduler, and threads that answer. */
Test(mailmill_sasl, another_thread_may_answer)
{
	static enum mailmill_sasl_verdict verdicts[] = { MAILMILL_SASL_NO,
		MAILMILL_SASL_UNSURE, MAILMILL_SASL_YES };
	static const char *const replies[] = { "535 ", "454 ", "235 " };
	struct talk *t = sf_start(sf_password, NULL, true);
	struct scheduler *loop = scheduler_create(NULL);
	char reply[256];
	pthread_t thread;
	ssize_t n;
	int i, k;

	cr_assert_eq(schedule_event(t->ac->event), 0);
	sf_program.verdict = MAILMILL_SASL_LATER;
	for (i = 0; i < 3; i++) {
		sf_program.nasked = 0;
		cr_assert_gt(write(t->fd, "AUTH PLAIN " GOOD "\r\n", 33), 0);
		for (k = 0; k < 100 && sf_program.nasked == 0; k++)
			(void)scheduler_pass(loop, 10);
		cr_assert_eq(pthread_create(&thread, NULL, answer_there,
		    &verdicts[i]), 0);
		for (k = 0, n = -1; k < 500 && n <= 0; k++) {
			(void)scheduler_pass(loop, 10);
			n = read(t->fd, reply, sizeof(reply));
		}
		cr_assert_eq(pthread_join(thread, NULL), 0);
		cr_assert_gt(n, 0);
		cr_expect_eq(strncmp(reply, replies[i], 4), 0, "%.*s", (int)n,
		    reply);
	}
	/* one that ends while a question is open: its event goes with it */
	cr_expect_eq(scheduler_event_count(loop), 1);
	esmtp_session_free(t->ac);
	t->ac = NULL;
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
	sf_stop(t);
}

/* The session ends before the answer of another thread. */
Test(mailmill_sasl, a_scheduled_session_that_ends_leaves_no_event)
{
	struct talk *t = sf_start(sf_password, NULL, true);
	struct scheduler *loop = scheduler_create(NULL);
	int k;

	cr_assert_eq(schedule_event(t->ac->event), 0);
	sf_program.verdict = MAILMILL_SASL_LATER;
	cr_assert_gt(write(t->fd, "AUTH PLAIN " GOOD "\r\n", 33), 0);
	for (k = 0; k < 100 && sf_program.nasked == 0; k++)
		(void)scheduler_pass(loop, 10);
	cr_expect_eq(scheduler_event_count(loop), 2);
	esmtp_session_free(t->ac);
	t->ac = NULL;
	cr_expect_eq(scheduler_event_count(loop), 0);
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	scheduler_destroy(loop);
	sf_stop(t);
}

Test(mailmill_sasl, an_answer_may_come_inside_the_question)
{
	struct talk *t = sf_start(sf_password, sf_keys, true);

	sf_program.verdict = MAILMILL_SASL_LATER;
	sf_program.is_inside = true;
	sf_expect(t, "AUTH PLAIN " GOOD "\r\n", "235 ");
	sf_stop(t);
}

static enum mailmill_sasl_verdict
free_inside(void *, accept_construct *, const char *, const char *,
    uint64_t question)
{
	if (sf_program.is_inside)
		(void)mailmill_sasl_answer(sf_program.sasl, question,
		    MAILMILL_SASL_YES, NULL);
	mailmill_sasl_free(sf_program.sasl);
	return MAILMILL_SASL_LATER;
}

static void
log_in(void *t)
{
	(void)talk_say(t, "AUTH PLAIN " GOOD "\r\n");
}

static void
free_it(void *)
{
	mailmill_sasl_free(sf_program.sasl);
}

/* Its question is not answered, or it is the client's turn. */
Test(mailmill_sasl, freeing_it_while_a_client_logs_in_is_misuse)
{
	static const char want[] = "mailmill: mailmill_sasl_free(): not while "
	    "a client logs in: after the last session";
	struct talk *t = sf_start(sf_password, NULL, true);

	cr_expect_null(misuse_ends(free_it, NULL));
	sf_expect(t, "AUTH LOGIN\r\n", "334 ");
	cr_expect_str_eq(misuse_ends(free_it, NULL), want);
	sf_expect(t, "*\r\n", "501 ");
	cr_expect_null(misuse_ends(free_it, NULL));
	sf_program.verdict = MAILMILL_SASL_LATER;
	log_in(t);
	cr_expect_str_eq(misuse_ends(free_it, NULL), want);
	cr_assert_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_YES, NULL), 0);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "235 ", 4), 0);
	cr_expect_null(misuse_ends(free_it, NULL));
	sf_stop(t);
}

/* Answered before, or not. */
Test(mailmill_sasl, freeing_it_inside_its_function_is_misuse)
{
	struct talk *t = sf_start(free_inside, NULL, true);
	int i;

	for (i = 0; i < 2; i++) {
		sf_program.is_inside = i == 1;
		cr_expect_str_eq(misuse_ends(log_in, t),
		    "mailmill: mailmill_sasl_free(): not inside a function "
		    "that it asks: after the last session");
	}
	sf_stop(t);
}

Test(mailmill_sasl, a_session_that_ends_has_no_question_open)
{
	struct talk *t = sf_start(sf_password, NULL, true);

	sf_program.verdict = MAILMILL_SASL_LATER;
	talk_say(t, "AUTH PLAIN " GOOD "\r\n");
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(t->ac));
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	esmtp_session_free(t->ac);
	t->ac = NULL;
	sf_stop(t);
}

/* RFC 4616 2: the password is prepared; hashes may be of what was sent. */
Test(mailmill_sasl, a_password_that_is_prepared_is_asked_about_twice)
{
	/* alice, "Ⅳ": prepared it is "IV" */
	struct talk *t = sf_start(sf_password, NULL, true);

	sf_program.verdict = MAILMILL_SASL_LATER;
	cr_expect_str_eq(talk_say(t, "AUTH PLAIN AGFsaWNlAOKFow==\r\n"), "");
	cr_expect_str_eq(sf_program.password, "IV");
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_NO, NULL), 0);
	cr_expect_str_eq(sf_program.password, "\xe2\x85\xa3");
	cr_expect_eq(sf_program.nasked, 2);
	cr_expect_eq(mailmill_sasl_answer(sf_program.sasl, sf_program.question,
	    MAILMILL_SASL_YES, NULL), 0);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "235 ", 4), 0);
	cr_expect_eq(sf_program.nasked, 2);
	sf_stop(t);
}

/* Nobody here can do them: a client that tried them would be told to try again
 * later. */
Test(mailmill_sasl, an_unknown_mechanism_is_neither_offered_nor_begun)
{
	struct talk *t = talk_new();
	const char *said;

	memset(&sf_program, 0, sizeof(sf_program));
	sf_program.sasl = mailmill_sasl_new(sf_password, NULL, &sf_program);
	cr_assert_not_null(sf_program.sasl);
	cr_assert_eq(mailmill_sasl_host(sf_program.sasl, &t->ops), 0);
	talk_option(t, "Auth_Without_TLS", "true");
	talk_option(t, "Auth_Mechanisms", "GSSAPI, PLAIN, X-NONE-PLUS");
	talk_connect(t);
	said = talk_say(t, "EHLO x\r\n");
	cr_expect_not_null(strstr(said, "AUTH PLAIN\r\n"), "%s", said);
	sf_expect(t, "AUTH GSSAPI\r\n", "504 ");
	sf_stop(t);
}

/* A sf_program with older headers has a smaller struct. */
Test(mailmill_sasl, no_more_is_set_than_the_table_has)
{
	struct esmtp_host_ops ops, before;
	static const size_t sizes[] = { 0,
		offsetof(struct esmtp_host_ops, auth_start),
		offsetof(struct esmtp_host_ops, auth_closure) };
	size_t i;

	sf_program.sasl = mailmill_sasl_new(sf_password, NULL, &sf_program);
	for (i = 0; i < 3; i++) {
		memset(&ops, 0x55, sizeof(ops));
		ops.size = sizes[i];
		before = ops;
		errno = 0;
		cr_expect_eq(mailmill_sasl_host(sf_program.sasl, &ops), -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(memcmp(&ops, &before, sizeof(ops)), 0);
	}
	ops.size = sizes[2] + sizeof(void *);
	cr_expect_eq(mailmill_sasl_host(sf_program.sasl, &ops), 0);
	cr_expect_eq(ops.auth_closure, sf_program.sasl);
	mailmill_sasl_free(sf_program.sasl);
}
