/* Logins of embedders, on a real session. */

#include "tls/library/mailmill_sasl.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <gsasl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/unit/tls/keys_fixture.h"
#include "test/unit/tls/library/talk.h"
#include "tls/library/mailmill_tls.h"

#define GOOD	"AGFsaWNlAHNlY3JldA=="		/* alice, secret */
#define BAD	"AGFsaWNlAHNlY3JlVA=="
/* alice's with the password "secret", salt "0123456789abcdef" */
#define KEYS	"4096,MDEyMzQ1Njc4OWFiY2RlZg==," \
	"bpSY5Ze9NUH+I35LC3gVq+DpBfK46iXBxvhAKqVu9pE=," \
	"VpYlBuxyzeCI1KnctrefdljpB1mk3Gp7sBI/t11+NkQ="

/* What the program's functions have been asked, and how they answer. */
static struct {
	struct mailmill_sasl	*sasl;
	unsigned int		 nasked;
	char			 user[64], password[64];
	uint64_t		 question;
	enum mailmill_sasl_verdict verdict;	/* LATER: as it says */
	bool			 is_inside;	/* answers before it returns */
	const char		*keys;
} program;

static enum mailmill_sasl_verdict
asked(uint64_t question)
{
	program.nasked++;
	program.question = question;
	if (program.verdict == MAILMILL_SASL_LATER && program.is_inside) {
		cr_expect_eq(mailmill_sasl_answer(program.sasl, question,
		    MAILMILL_SASL_YES, program.keys), 0);
		cr_expect_eq(mailmill_sasl_answer(program.sasl, question,
		    MAILMILL_SASL_NO, NULL), -1);
		cr_expect_eq(errno, ENOENT);
	}
	return program.verdict;
}

static enum mailmill_sasl_verdict
password(void *closure, accept_construct *ac, const char *user,
    const char *word, uint64_t question)
{
	cr_expect_eq(closure, &program);
	cr_expect_not_null(ac);
	snprintf(program.user, sizeof(program.user), "%s", user);
	snprintf(program.password, sizeof(program.password), "%s", word);
	return asked(question);
}

static enum mailmill_sasl_verdict
keys(void *, accept_construct *, const char *user, char *keys_r, size_t len,
    uint64_t question)
{
	enum mailmill_sasl_verdict v;

	snprintf(program.user, sizeof(program.user), "%s", user);
	v = asked(question);
	if (v == MAILMILL_SASL_YES)
		snprintf(keys_r, len, "%s", program.keys);
	return v;
}

static struct talk *
start(mailmill_sasl_password p, mailmill_sasl_keys k, bool is_clear)
{
	struct talk *t = talk_new();

	memset(&program, 0, sizeof(program));
	program.sasl = mailmill_sasl_new(p, k, &program);
	cr_assert_not_null(program.sasl);
	cr_assert_eq(mailmill_sasl_host(program.sasl, &t->ops), 0);
	if (is_clear)
		talk_option(t, "Auth_Without_TLS", "true");
	talk_connect(t);
	talk_say(t, "EHLO x\r\n");
	return t;
}

static void
stop(struct talk *t)
{
	talk_end(t);
	mailmill_sasl_free(program.sasl);
}

static void
expect(struct talk *t, const char *say, const char *want)
{
	const char *said = talk_say(t, say);

	cr_expect_eq(strncmp(said, want, strlen(want)), 0, "%s: %s", say, said);
}

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
	struct talk *t = start(password, NULL, true);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		program.verdict = rows[i].verdict;
		expect(t, "AUTH PLAIN " GOOD "\r\n", rows[i].reply);
		cr_expect_str_eq(program.user, "alice");
		cr_expect_str_eq(program.password, "secret");
	}
	cr_expect_eq(program.nasked, 4);
	cr_expect_str_eq(esmtp_session_login(t->ac), "alice");
	stop(t);
}

Test(mailmill_sasl, what_is_offered)
{
	static const struct {
		mailmill_sasl_password	 password;
		mailmill_sasl_keys	 keys;
		bool			 is_clear;
		const char		*want;	/* NULL: nothing */
	} rows[] = {
		{ password, NULL, true, "AUTH PLAIN LOGIN\r\n" },
		{ NULL, keys, true, "AUTH SCRAM-SHA-256\r\n" },
		{ password, keys, true, "AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n" },
		/* RFC 4954 4: no password in the clear */
		{ password, keys, false, NULL },
	};
	struct talk *t;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = start(rows[i].password, rows[i].keys, rows[i].is_clear);
		if (rows[i].want != NULL)
			cr_expect_not_null(strstr(t->heard, rows[i].want),
			    "%s", t->heard);
		else
			cr_expect_null(strstr(t->heard, "AUTH"), "%s",
			    t->heard);
		if (rows[i].want == NULL)
			expect(t, "AUTH PLAIN " GOOD "\r\n", "538 ");
		stop(t);
	}
	cr_expect_eq(program.nasked, 0);
	cr_expect_null(mailmill_sasl_new(NULL, NULL, NULL));
	cr_expect_eq(errno, EINVAL);
	mailmill_sasl_free(NULL);
}

Test(mailmill_sasl, an_answer_may_come_later)
{
	struct talk *t = start(password, NULL, true);
	uint64_t question;

	program.verdict = MAILMILL_SASL_LATER;
	expect(t, "AUTH LOGIN\r\n", "334 ");
	expect(t, "YWxpY2U=\r\n", "334 ");
	cr_expect_str_eq(talk_say(t, "c2VjcmV0\r\n"), "");
	question = program.question;
	cr_expect_eq(mailmill_sasl_answer(program.sasl, question + 1,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(mailmill_sasl_answer(program.sasl, question,
	    MAILMILL_SASL_LATER, NULL), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(mailmill_sasl_answer(program.sasl, question,
	    MAILMILL_SASL_NO, NULL), 0);
	/* the first one counts */
	cr_expect_eq(mailmill_sasl_answer(program.sasl, question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "535 ", 4), 0);
	cr_expect_str_eq(talk_say(t, "AUTH PLAIN " GOOD "\r\n"), "");
	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question,
	    MAILMILL_SASL_YES, NULL), 0);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "235 ", 4), 0);
	stop(t);
}

static void *
answer_there(void *closure)
{
	const enum mailmill_sasl_verdict *v = closure;

	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question, *v,
	    program.keys), 0);
	return NULL;
}

/* A session on our scheduler, and threads that answer. */
Test(mailmill_sasl, another_thread_may_answer)
{
	static enum mailmill_sasl_verdict verdicts[] = { MAILMILL_SASL_NO,
		MAILMILL_SASL_UNSURE, MAILMILL_SASL_YES };
	static const char *const replies[] = { "535 ", "454 ", "235 " };
	struct talk *t = start(password, NULL, true);
	struct scheduler *loop = scheduler_create(NULL);
	char reply[256];
	pthread_t thread;
	ssize_t n;
	int i, k;

	cr_assert_eq(schedule_event(t->ac->event), 0);
	program.verdict = MAILMILL_SASL_LATER;
	for (i = 0; i < 3; i++) {
		program.nasked = 0;
		cr_assert_gt(write(t->fd, "AUTH PLAIN " GOOD "\r\n", 33), 0);
		for (k = 0; k < 100 && program.nasked == 0; k++)
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
	stop(t);
}

/* The session ends before the answer of another thread. */
Test(mailmill_sasl, a_scheduled_session_that_ends_leaves_no_event)
{
	struct talk *t = start(password, NULL, true);
	struct scheduler *loop = scheduler_create(NULL);
	int k;

	cr_assert_eq(schedule_event(t->ac->event), 0);
	program.verdict = MAILMILL_SASL_LATER;
	cr_assert_gt(write(t->fd, "AUTH PLAIN " GOOD "\r\n", 33), 0);
	for (k = 0; k < 100 && program.nasked == 0; k++)
		(void)scheduler_pass(loop, 10);
	cr_expect_eq(scheduler_event_count(loop), 2);
	esmtp_session_free(t->ac);
	t->ac = NULL;
	cr_expect_eq(scheduler_event_count(loop), 0);
	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	scheduler_destroy(loop);
	stop(t);
}

Test(mailmill_sasl, an_answer_may_come_inside_the_question)
{
	struct talk *t = start(password, keys, true);

	program.verdict = MAILMILL_SASL_LATER;
	program.is_inside = true;
	expect(t, "AUTH PLAIN " GOOD "\r\n", "235 ");
	stop(t);
}

Test(mailmill_sasl, a_session_that_ends_has_no_question_open)
{
	struct talk *t = start(password, NULL, true);

	program.verdict = MAILMILL_SASL_LATER;
	talk_say(t, "AUTH PLAIN " GOOD "\r\n");
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(t->ac));
	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question,
	    MAILMILL_SASL_YES, NULL), -1);
	cr_expect_eq(errno, ENOENT);
	esmtp_session_free(t->ac);
	t->ac = NULL;
	stop(t);
}

/* RFC 4616 2: the password is prepared; hashes may be of what was sent. */
Test(mailmill_sasl, a_password_that_is_prepared_is_asked_about_twice)
{
	/* alice, "Ⅳ": prepared it is "IV" */
	struct talk *t = start(password, NULL, true);

	program.verdict = MAILMILL_SASL_LATER;
	cr_expect_str_eq(talk_say(t, "AUTH PLAIN AGFsaWNlAOKFow==\r\n"), "");
	cr_expect_str_eq(program.password, "IV");
	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question,
	    MAILMILL_SASL_NO, NULL), 0);
	cr_expect_str_eq(program.password, "\xe2\x85\xa3");
	cr_expect_eq(program.nasked, 2);
	cr_expect_eq(mailmill_sasl_answer(program.sasl, program.question,
	    MAILMILL_SASL_YES, NULL), 0);
	cr_expect_eq(strncmp(talk_step(t, E_ASYNC), "235 ", 4), 0);
	cr_expect_eq(program.nasked, 2);
	stop(t);
}

/* --- SCRAM ---------------------------------------------------------------- */

/* A login with GNU SASL as the client.  Return its last reply. */
static const char *
scram(struct talk *t, const char *user, const char *word)
{
	Gsasl *g;
	Gsasl_session *s;
	char line[4096], *out = NULL;
	int rc;

	gsasl_init(&g);
	gsasl_client_start(g, "SCRAM-SHA-256", &s);
	gsasl_property_set(s, GSASL_AUTHID, user);
	gsasl_property_set(s, GSASL_PASSWORD, word);
	strcpy(line, "AUTH SCRAM-SHA-256\r\n");
	for (;;) {
		talk_say(t, line);
		if (*t->heard == '\0' && program.verdict == MAILMILL_SASL_LATER)
		{
			cr_expect_eq(mailmill_sasl_answer(program.sasl,
			    program.question, program.keys != NULL ?
			    MAILMILL_SASL_YES : MAILMILL_SASL_NO,
			    program.keys), 0);
			talk_step(t, E_ASYNC);
		}
		if (strncmp(t->heard, "334 ", 4) != 0)
			break;
		t->heard[strcspn(t->heard, "\r")] = '\0';
		rc = gsasl_step64(s, t->heard + 4, &out);
		cr_assert(rc == GSASL_OK || rc == GSASL_NEEDS_MORE, "%s",
		    gsasl_strerror(rc));
		snprintf(line, sizeof(line), "%s\r\n", out);
		gsasl_free(out);
	}
	gsasl_finish(s);
	gsasl_done(g);
	return t->heard;
}

Test(mailmill_sasl, scram_with_keys_now_and_later)
{
	static const struct {
		enum mailmill_sasl_verdict verdict;
		const char		*keys, *word, *reply;
	} rows[] = {
		{ MAILMILL_SASL_YES, KEYS, "secret", "235 " },
		{ MAILMILL_SASL_YES, KEYS, "Secret", "535 " },
		{ MAILMILL_SASL_LATER, KEYS, "secret", "235 " },
		{ MAILMILL_SASL_LATER, KEYS, "Secret", "535 " },
		{ MAILMILL_SASL_LATER, NULL, "secret", "535 " },
		{ MAILMILL_SASL_NO, NULL, "secret", "535 " },
		{ MAILMILL_SASL_YES, "1,2,3", "secret", "454 " },
		{ MAILMILL_SASL_UNSURE, NULL, "secret", "454 " },
	};
	struct talk *t;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = start(NULL, keys, true);
		program.verdict = rows[i].verdict;
		program.keys = rows[i].keys;
		cr_expect_eq(strncmp(scram(t, "alice", rows[i].word),
		    rows[i].reply, 4), 0, "row %zu: %s", i, t->heard);
		cr_expect_eq(program.nasked, 1);
		stop(t);
	}
}

/* Which users there are is not told: a salt that stays, and of the usual
 * form. */
Test(mailmill_sasl, an_unknown_user_has_a_salt_of_its_own)
{
	static const char first[] = "AUTH SCRAM-SHA-256 "
	    "biwsbj1ib2Iscj1mb28=\r\n";		/* n,,n=bob,r=foo */
	char salt[2][512], text[1024];
	struct talk *t = start(NULL, keys, true);
	size_t n;
	char *out;
	int i;

	/* what the others have */
	program.verdict = MAILMILL_SASL_YES;
	program.keys = KEYS;
	expect(t, first, "334 ");
	expect(t, "*\r\n", "501 ");
	program.verdict = MAILMILL_SASL_NO;
	for (i = 0; i < 2; i++) {
		expect(t, first, "334 ");
		t->heard[strcspn(t->heard, "\r")] = '\0';
		cr_assert_eq(gsasl_base64_from(t->heard + 4,
		    strlen(t->heard + 4), &out, &n), GSASL_OK);
		snprintf(text, sizeof(text), "%.*s", (int)n, out);
		gsasl_free(out);
		snprintf(salt[i], sizeof(salt[i]), "%s", strstr(text, ",s="));
		expect(t, "*\r\n", "501 ");
	}
	cr_expect_str_eq(salt[0], salt[1]);
	cr_expect_not_null(strstr(salt[0], ",i=4096"), "%s", salt[0]);
	cr_expect_eq(strlen(salt[0]), strlen(",s=MDEyMzQ1Njc4OWFiY2RlZg==,"
	    "i=4096"), "%s", salt[0]);
	stop(t);
}

/* What the server says first to bob, whom there is not: "s=...,i=..." */
static const char *
offer_to_bob(struct mailmill_sasl *sasl)
{
	static char text[512];
	struct talk *t = talk_new();
	size_t n;
	char *out;

	program.verdict = MAILMILL_SASL_NO;
	cr_assert_eq(mailmill_sasl_host(sasl, &t->ops), 0);
	talk_option(t, "Auth_Without_TLS", "true");
	talk_connect(t);
	talk_say(t, "EHLO x\r\n");
	/* n,,n=bob,r=foo */
	expect(t, "AUTH SCRAM-SHA-256 biwsbj1ib2Iscj1mb28=\r\n", "334 ");
	t->heard[strcspn(t->heard, "\r")] = '\0';
	cr_assert_eq(gsasl_base64_from(t->heard + 4, strlen(t->heard + 4),
	    &out, &n), GSASL_OK);
	snprintf(text, sizeof(text), "%.*s", (int)n, out);
	gsasl_free(out);
	talk_end(t);
	return strstr(text, ",s=");
}

/* Else a restart, or another process, tells which users there are not. */
Test(mailmill_sasl, the_program_may_say_what_unknown_users_get)
{
	static const char secret[] = "0123456789abcdef";
	struct mailmill_sasl *sasl[3];
	char text[3][512];
	int i;

	memset(&program, 0, sizeof(program));
	for (i = 0; i < 3; i++) {
		sasl[i] = mailmill_sasl_new(NULL, keys, &program);
		cr_assert_not_null(sasl[i]);
		if (i < 2)
			cr_assert_eq(mailmill_sasl_set_unknown(sasl[i], secret,
			    16, 7000, 24), 0);
		snprintf(text[i], sizeof(text[i]), "%s", offer_to_bob(sasl[i]));
	}
	cr_expect_str_eq(text[0], text[1]);
	cr_expect_str_neq(text[0], text[2]);
	cr_expect_not_null(strstr(text[0], ",i=7000"), "%s", text[0]);
	/* 24 octets in base64 */
	cr_expect_eq(strlen(text[0]), 3 + 32 + 7, "%s", text[0]);
	/* another secret, another salt */
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[1], "fedcba9876543210", 16,
	    7000, 24), 0);
	cr_expect_str_neq(text[0], offer_to_bob(sasl[1]));
	/* 0: as before the first call, and the same again */
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[2], secret, 16, 7000, 24),
	    0);
	cr_expect_str_eq(text[0], offer_to_bob(sasl[2]));
	cr_assert_eq(mailmill_sasl_set_unknown(sasl[2], NULL, 0, 0, 0), 0);
	cr_expect_str_eq(text[2], offer_to_bob(sasl[2]));
	for (i = 0; i < 3; i++)
		mailmill_sasl_free(sasl[i]);
}

/* Keys of a user change what is not set, and that alone. */
Test(mailmill_sasl, what_is_set_is_not_taken_from_users)
{
	const char *offer;
	struct talk *t;

	t = start(NULL, keys, true);
	cr_assert_eq(mailmill_sasl_set_unknown(program.sasl, NULL, 0, 0, 20),
	    0);
	program.verdict = MAILMILL_SASL_YES;
	program.keys = KEYS;
	cr_expect_eq(strncmp(scram(t, "alice", "secret"), "235 ", 4), 0);
	offer = offer_to_bob(program.sasl);
	cr_expect_not_null(strstr(offer, ",i=4096"), "%s", offer);
	cr_expect_eq(strlen(offer), 3 + 28 + 7, "%s", offer);
	stop(t);
}

Test(mailmill_sasl, what_cannot_be_set_for_unknown_users)
{
	static const struct {
		const char	*secret;
		size_t		 len;
		unsigned int	 iterations;
		size_t		 salt_len;
	} rows[] = {
		{ "0123456789abcde", 15, 0, 0 },
		{ NULL, 16, 0, 0 },
		{ NULL, 0, 4095, 0 },
		{ NULL, 0, 10000001, 0 },
		{ NULL, 0, 0, 65 },
	};
	struct mailmill_sasl *sasl = mailmill_sasl_new(NULL, keys, &program);
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		cr_expect_eq(mailmill_sasl_set_unknown(sasl, rows[i].secret,
		    rows[i].len, rows[i].iterations, rows[i].salt_len), -1);
		cr_expect_eq(errno, EINVAL);
	}
	mailmill_sasl_free(sasl);
}

/* Nobody here can do them: a client that tried them would be told to try again
 * later. */
Test(mailmill_sasl, an_unknown_mechanism_is_neither_offered_nor_begun)
{
	struct talk *t = talk_new();
	const char *said;

	memset(&program, 0, sizeof(program));
	program.sasl = mailmill_sasl_new(password, NULL, &program);
	cr_assert_not_null(program.sasl);
	cr_assert_eq(mailmill_sasl_host(program.sasl, &t->ops), 0);
	talk_option(t, "Auth_Without_TLS", "true");
	talk_option(t, "Auth_Mechanisms", "GSSAPI, PLAIN, X-NONE-PLUS");
	talk_connect(t);
	said = talk_say(t, "EHLO x\r\n");
	cr_expect_not_null(strstr(said, "AUTH PLAIN\r\n"), "%s", said);
	expect(t, "AUTH GSSAPI\r\n", "504 ");
	stop(t);
}

/* A program with older headers has a smaller struct. */
Test(mailmill_sasl, no_more_is_set_than_the_table_has)
{
	struct esmtp_host_ops ops, before;
	static const size_t sizes[] = { 0,
		offsetof(struct esmtp_host_ops, auth_start),
		offsetof(struct esmtp_host_ops, auth_closure) };
	size_t i;

	program.sasl = mailmill_sasl_new(password, NULL, &program);
	for (i = 0; i < 3; i++) {
		memset(&ops, 0x55, sizeof(ops));
		ops.size = sizes[i];
		before = ops;
		errno = 0;
		cr_expect_eq(mailmill_sasl_host(program.sasl, &ops), -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(memcmp(&ops, &before, sizeof(ops)), 0);
	}
	ops.size = sizes[2] + sizeof(void *);
	cr_expect_eq(mailmill_sasl_host(program.sasl, &ops), 0);
	cr_expect_eq(ops.auth_closure, program.sasl);
	mailmill_sasl_free(program.sasl);
}

/* A session on TLS, in which -PLUS is named. */
Test(mailmill_sasl, over_tls_with_channel_binding)
{
	EVP_PKEY *key = keys_make(KEYS_P256);
	X509 *x = keys_certificate(key);
	char *cert = keys_cert_pem(x), *pem = keys_text(key, false, NULL);
	struct talk *t = talk_new();
	struct mailmill_tls *tls = mailmill_tls_new_pem(t->options, cert, pem,
	    NULL, 0);

	memset(&program, 0, sizeof(program));
	program.sasl = mailmill_sasl_new(password, keys, &program);
	program.verdict = MAILMILL_SASL_YES;
	program.keys = KEYS;
	cr_assert_eq(mailmill_sasl_host(program.sasl, &t->ops), 0);
	cr_assert_eq(mailmill_tls_host(tls, &t->ops), 0);
	talk_option(t, "Auth_Mechanisms", "SCRAM-SHA-256-PLUS");
	talk_option(t, "Use_SSL", "true");
	talk_connect(t);
	cr_assert(talk_tls(t));
	cr_expect_not_null(strstr(talk_say(t, "EHLO x\r\n"),
	    "AUTH SCRAM-SHA-256-PLUS\r\n"));
	/* p=tls-exporter,,n=alice,r=foo */
	expect(t, "AUTH SCRAM-SHA-256-PLUS "
	    "cD10bHMtZXhwb3J0ZXIsLG49YWxpY2Uscj1mb28=\r\n", "334 ");
	expect(t, "*\r\n", "501 ");
	/* n,,n=alice,r=foo: without a binding */
	expect(t, "AUTH SCRAM-SHA-256-PLUS biwsbj1hbGljZSxyPWZvbw==\r\n",
	    "535 ");
	stop(t);
	mailmill_tls_free(tls);
	free(cert);
	free(pem);
	X509_free(x);
	EVP_PKEY_free(key);
}
