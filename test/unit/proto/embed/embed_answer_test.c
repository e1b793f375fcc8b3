/* Answers that come later, by ticket: in the call that asks, in another, twice,
 * too late, from other threads. */

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"
#define UNKNOWN	"550 5.1.1 "
#define LATER	"451 4.3.0 "

static struct fake *f;
static esmtp_ticket ticket;		/* of the last question */
static unsigned int nasked, nwoken;
static int answer_inside;		/* what is answered in the call; -1 */
static char asked_about[64];

static void
woken(void *)
{
	nwoken++;
}

static enum esmtp_rcpt_status
look_up(void *, accept_construct *ac, const struct mailaddr *addr)
{
	nasked++;
	cr_assert_eq(mailaddr_format(addr, asked_about, sizeof(asked_about)) ==
	    -1, 0);
	ticket = esmtp_ticket_new(ac);
	cr_expect_neq(ticket, 0);
	/* one question has one ticket */
	errno = 0;
	cr_expect_eq(esmtp_ticket_new(ac), 0);
	cr_expect_eq(errno, EINVAL);
	if (answer_inside != -1)
		cr_expect_eq(esmtp_answer(ac->host, ticket, answer_inside), 0);
	return ESMTP_RCPT_ASKED;
}

static void
setup(void)
{
	f = fake_new();
	f->h.ops.lookup_rcpt = look_up;
	f->h.ops.wake = woken;
	answer_inside = -1;
	nasked = nwoken = 0;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<a@client.test>\r\n");
}

static void
teardown(void)
{
	fake_end(f);
}

TestSuite(embed_answer, .init = setup, .fini = teardown);

/* The loop is told, and steps the sessions that have got an answer. */
static const char *
told(void)
{
	accept_construct *ac;

	while ((ac = esmtp_answered(&f->h.host)) != NULL)
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
	return fake_say(f, "");
}

static int
answer(int value)
{
	errno = 0;
	return esmtp_answer(&f->h.host, ticket, value);
}

/* --- recipients ----------------------------------------------------------- */

Test(embed_answer, a_recipient_is_answered_when_the_look_up_is)
{
	static const struct {
		enum esmtp_rcpt_status status;
		const char *reply;
	} cases[] = {
		{ ESMTP_RCPT_OK, "250 2.1.5 " },
		{ ESMTP_RCPT_UNKNOWN, UNKNOWN },
		{ ESMTP_RCPT_FOREIGN, "550 5.7.1 " },
		{ ESMTP_RCPT_LATER, LATER },
		{ ESMTP_RCPT_RELAY, "550 5.7.1 " },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nasked = nwoken = 0;
		cr_assert_str_eq(fake_say(f, "RCPT TO:<b@x.test>\r\nNOOP\r\n"),
		    "");
		cr_expect_str_eq(asked_about, "b@x.test");
		/* what comes meanwhile waits */
		cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "");
		cr_expect_eq(nasked, 1);
		cr_expect_null(esmtp_answered(&f->h.host));
		cr_assert_eq(answer(cases[i].status), 0);
		cr_expect_eq(nwoken, 1);
		told();
		cr_expect_eq(strncmp(f->reply, cases[i].reply, 10), 0, "%s",
		    f->reply);
		cr_expect_not_null(strstr(f->reply, "\r\n" OK OK));
		/* relaying and the mailbox are two modules: one question */
		cr_expect_eq(nasked, 1);
	}
}

Test(embed_answer, inside_the_call_is_at_once)
{
	answer_inside = ESMTP_RCPT_OK;
	cr_expect_eq(strncmp(fake_say(f, "RCPT TO:<b@x.test>\r\n"), "250 ", 4),
	    0, "%s", f->reply);
	cr_expect_eq(nasked, 1);
	answer_inside = ESMTP_RCPT_UNKNOWN;
	cr_expect_eq(strncmp(fake_say(f, "RCPT TO:<c@x.test>\r\n"), UNKNOWN,
	    strlen(UNKNOWN)), 0, "%s", f->reply);
	cr_expect_eq(answer(ESMTP_RCPT_OK), -1);
	cr_expect_eq(errno, ENOENT);
	/* the loop finds nobody */
	cr_expect_null(esmtp_answered(&f->h.host));
}

Test(embed_answer, the_first_counts_and_only_for_its_question)
{
	esmtp_ticket old;

	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	old = ticket;
	cr_expect_eq(answer(ESMTP_RCPT_OK), 0);
	cr_expect_eq(answer(ESMTP_RCPT_UNKNOWN), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(strncmp(told(), "250 ", 4), 0, "%s", f->reply);
	fake_say(f, "RCPT TO:<c@x.test>\r\n");
	cr_expect_neq(ticket, old);
	cr_expect_eq(esmtp_answer(&f->h.host, old, ESMTP_RCPT_OK), -1);
	cr_expect_str_eq(told(), "");
	cr_expect_eq(answer(ESMTP_RCPT_UNKNOWN), 0);
	cr_expect_eq(strncmp(told(), UNKNOWN, strlen(UNKNOWN)), 0);
}

Test(embed_answer, what_does_not_fit_leaves_the_question_open)
{
	static const int bad[] = { -1, ESMTP_RCPT_ASKED, 99 };
	size_t i;

	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(answer(bad[i]), -1);
		cr_expect_eq(errno, EINVAL, "%d", bad[i]);
	}
	cr_expect_eq(esmtp_answer_reply(&f->h.host, ticket, 550, "5.1.1",
	    "none"), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_answer_auth(&f->h.host, ticket, ESMTP_AUTH_OK, NULL,
	    0), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_answer_auth(&f->h.host, ticket, ESMTP_AUTH_OK, "x",
	    1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_str_eq(told(), "");
	cr_expect_eq(nwoken, 0);
	cr_expect_eq(answer(ESMTP_RCPT_OK), 0);
	cr_expect_eq(strncmp(told(), "250 ", 4), 0);
}

Test(embed_answer, tickets_that_were_never_given_find_nobody)
{
	static const esmtp_ticket made_up[] = { 0, 1, UINT64_MAX,
		UINT64_C(1) << 32 | 17, UINT64_C(7) << 32 | 1 };
	size_t i;

	for (i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++) {
		errno = 0;
		cr_expect_eq(esmtp_answer(&f->h.host, made_up[i], 0), -1);
		cr_expect_eq(errno, ENOENT, "%zu", i);
	}
	errno = 0;
	cr_expect_eq(esmtp_ticket_new(f->s->ac), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_ticket_new(NULL), 0);
}

Test(embed_answer, a_look_up_without_an_answer_is_given_up)
{
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	cr_expect_str_eq(fake_wait(f, LIM_ANSWER_SECONDS - 1), "");
	cr_expect_eq(strncmp(fake_wait(f, 2), LATER, strlen(LATER)), 0, "%s",
	    f->reply);
	cr_expect_eq(answer(ESMTP_RCPT_OK), -1);
	cr_expect_eq(errno, ENOENT);
	/* the session goes on */
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	cr_expect_eq(answer(ESMTP_RCPT_OK), 0);
	cr_expect_eq(strncmp(told(), "250 ", 4), 0);
}

Test(embed_answer, a_session_that_has_ended_is_not_found)
{
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	esmtp_destroy_message_construct(fake_mc(f));
	cr_expect_eq(answer(ESMTP_RCPT_OK), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_null(esmtp_answered(&f->h.host));
}

Test(embed_answer, a_session_that_ends_with_an_answer_is_not_named)
{
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	cr_expect_eq(answer(ESMTP_RCPT_OK), 0);
	esmtp_destroy_message_construct(fake_mc(f));
	cr_expect_null(esmtp_answered(&f->h.host));
}

/* It says that it has asked, but has made no ticket. */
static enum esmtp_rcpt_status
ask_nobody(void *, accept_construct *, const struct mailaddr *)
{
	return ESMTP_RCPT_ASKED;
}

Test(embed_answer, a_question_without_a_ticket_has_no_answer)
{
	f->h.ops.lookup_rcpt = ask_nobody;
	cr_expect_eq(strncmp(fake_say(f, "RCPT TO:<b@x.test>\r\n"), LATER,
	    strlen(LATER)), 0, "%s", f->reply);
}

/* An event for another reason. */
Test(embed_answer, a_step_without_an_answer_changes_nothing)
{
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_eq(nasked, 1);
	/* and an answer is heard in any step */
	cr_expect_eq(answer(ESMTP_RCPT_OK), 0);
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_expect_eq(strncmp(fake_say(f, ""), "250 ", 4), 0);
	cr_expect_null(esmtp_answered(&f->h.host));
}

/* --- commits -------------------------------------------------------------- */

static enum esmtp_rcpt_status
all_are(void *, accept_construct *, const struct mailaddr *)
{
	return ESMTP_RCPT_OK;
}

static void
to_commit(void)
{
	f->h.ops.lookup_rcpt = all_are;
	f->h.spool.is_held = true;
	fake_say(f, "RCPT TO:<b@x.test>\r\n");
	fake_say(f, "DATA\r\n");
	cr_assert_str_eq(fake_say(f, "x\r\n.\r\n"), "");
	ticket = f->h.spool.msgs->ticket;
}

Test(embed_answer, a_commit_may_have_its_own_words)
{
	static const struct {
		int code;
		const char *enhanced, *text, *reply;
		bool is_accepted;
	} cases[] = {
		{ 250, "2.6.0", "Stored as 17", "250 2.6.0 Stored as 17\r\n",
		    true },
		{ 250, NULL, "Stored", "250 2.0.0 Stored\r\n", true },
		{ 250, NULL, NULL, "250 2.0.0\r\n", true },
		{ 550, "5.7.1", "It is spam", "550 5.7.1 It is spam\r\n",
		    false },
		{ 451, "", "Not now", "451 4.7.1 Not now\r\n", false },
		{ 552, "5.2.2", NULL, "552 5.2.2 Refused by policy\r\n",
		    false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->s->nreports[ESMTP_REPORT_ACCEPTED] = 0;
		to_commit();
		cr_assert_eq(esmtp_answer_reply(&f->h.host, ticket,
		    cases[i].code, cases[i].enhanced, cases[i].text), 0);
		cr_expect_str_eq(told(), cases[i].reply);
		cr_expect_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED],
		    cases[i].is_accepted);
		cr_expect_str_eq(fake_say(f, "MAIL FROM:<a@client.test>\r\n"),
		    "250 2.1.0 Sender OK\r\n");
	}
}

Test(embed_answer, what_is_no_reply_leaves_the_commit_open)
{
	static const struct {
		int code;
		const char *enhanced, *text;
	} bad[] = {
		{ 354, NULL, "go on" }, { 199, NULL, "x" }, { 600, NULL, "x" },
		{ 0, NULL, "x" }, { -250, NULL, "x" },
		{ 250, "2.0.0", "x\r\n250 y" }, { 250, "2.0.0", "x\n" },
		{ 250, "2.0.0\r\n", "x" }, { 250, "5.0.0", "x" },
		{ 550, "5.7", "x" }, { 550, "abc", "x" }, { 550, "5.0.0 ", "x" },
	};
	size_t i;

	to_commit();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(esmtp_answer_reply(&f->h.host, ticket,
		    bad[i].code, bad[i].enhanced, bad[i].text), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_eq(answer(-1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_str_eq(told(), "");
	cr_expect_eq(answer(ENOSPC), 0);
	cr_expect_eq(strncmp(told(), "452 4.3.1 ", 10), 0, "%s", f->reply);
}

Test(embed_answer, a_reply_of_421_to_a_commit_ends_the_session)
{
	to_commit();
	cr_assert_eq(esmtp_answer_reply(&f->h.host, ticket, 421, "4.3.2",
	    "Good bye"), 0);
	cr_expect_str_eq(told(), "421 4.3.2 Good bye\r\n");
	cr_expect(fake_is_ended(f));
}

/* --- each recipient ------------------------------------------------------- */

/* ${f} is new: in LMTP, with a message for b@x.test, c@x.test and, twice again,
 * b@x.test. */
static void
to_commit_of_lmtp(void)
{
	fake_end(f);
	f = fake_new();
	fake_option(f, "Kind", "lmtp", NULL);
	fake_connect(f);
	f->h.ops.lookup_rcpt = all_are;
	fake_say(f, "LHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<b@x.test>\r\n"
	    "RCPT TO:<c@x.test>\r\nRCPT TO:<b@x.test>\r\n");
	to_commit();
}

static int
answer_rcpts(const int *codes, const char *const *texts, size_t n)
{
	errno = 0;
	return esmtp_answer_rcpts(&f->h.host, ticket, codes, texts, n);
}

Test(embed_answer, in_lmtp_each_recipient_has_its_own)
{
	static const int codes[] = { 552, 0 };
	static const char *const texts[] = { "5.2.2 Full", NULL };
	char wanted[256];

	to_commit_of_lmtp();
	cr_assert_eq(answer_rcpts(codes, texts, 2), 0);
	snprintf(wanted, sizeof(wanted), "552 5.2.2 Full\r\n"
	    "250 2.0.0 OK: queued as %s\r\n552 5.2.2 Full\r\n"
	    "552 5.2.2 Full\r\n", f->h.spool.msgs->id);
	cr_expect_str_eq(told(), wanted);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 1);
	/* the first counts */
	cr_expect_eq(answer_rcpts(codes, texts, 2), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
}

Test(embed_answer, in_lmtp_nobody_may_have_the_message)
{
	static const int codes[] = { 450, 550 };

	to_commit_of_lmtp();
	cr_assert_eq(answer_rcpts(codes, NULL, 2), 0);
	cr_expect_str_eq(told(), "450 4.7.1 Try again later\r\n"
	    "550 5.7.1 Refused by policy\r\n450 4.7.1 Try again later\r\n"
	    "450 4.7.1 Try again later\r\n");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 0);
}

Test(embed_answer, a_recipient_that_is_left_out_is_to_be_sent_again)
{
	static const int codes[] = { 0 };

	to_commit_of_lmtp();
	cr_assert_eq(answer_rcpts(codes, NULL, 1), 0);
	cr_expect_eq(strncmp(told(), "250 2.0.0 OK: queued as ", 24), 0, "%s",
	    f->reply);
	cr_expect_not_null(strstr(f->reply, "\r\n451 "), "%s", f->reply);
}

Test(embed_answer, in_smtp_the_first_refusal_is_for_all)
{
	static const int codes[] = { 550 }, good[] = { 250 };
	static const char *const texts[] = { "5.1.1 Who?" };

	to_commit();
	cr_assert_eq(answer_rcpts(codes, texts, 1), 0);
	cr_expect_str_eq(told(), "550 5.1.1 Who?\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	to_commit();
	cr_assert_eq(answer_rcpts(good, NULL, 1), 0);
	cr_expect_eq(strncmp(told(), "250 2.0.0 OK: queued as ", 24), 0, "%s",
	    f->reply);
}

Test(embed_answer, what_is_no_list_of_replies_leaves_the_commit_open)
{
	static const int bad[] = { 421, 354, 600, -1, 42 };
	static const char *const lines[] = { "a\r\n250 b" };
	static const int good[] = { 250 };
	size_t i;

	to_commit();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(answer_rcpts(&bad[i], NULL, 1), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_eq(answer_rcpts(good, lines, 1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(answer_rcpts(good, NULL, 0), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(answer_rcpts(NULL, NULL, 1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_str_eq(told(), "");
	cr_expect_eq(answer(0), 0);
	cr_expect_eq(strncmp(told(), "250 ", 4), 0, "%s", f->reply);
}

/* --- other threads -------------------------------------------------------- */

#define NTHREADS	4
#define NROUNDS		200

static atomic_uint_fast64_t shared;	/* the ticket that all answer */
static atomic_int naccepted;
static atomic_bool is_over;

static void *
answer_again_and_again(void *)
{
	uint64_t t;

	while (!atomic_load(&is_over)) {
		t = atomic_load(&shared);
		if (t != 0 && esmtp_answer(&f->h.host, t, ESMTP_RCPT_OK) == 0)
			atomic_fetch_add(&naccepted, 1);
	}
	return NULL;
}

/* A child that is forked off while they answer can answer. */
Test(embed_answer, a_child_finds_the_table_free, .timeout = 60)
{
	pthread_t threads[NTHREADS];
	int i, status;
	pid_t pid;

	f->h.ops.wake = NULL;
	/* there is no such question: they only take the lock */
	atomic_store(&shared, UINT64_MAX);
	for (i = 0; i < NTHREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL,
		    answer_again_and_again, NULL), 0);
	for (i = 0; i < NROUNDS; i++) {
		cr_assert_neq(pid = fork(), -1);
		if (pid == 0) {
			alarm(10);
			_exit(esmtp_answer(&f->h.host, 1, 0) == -1 ? 0 : 1);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0);
	}
	atomic_store(&is_over, true);
	for (i = 0; i < NTHREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Each question is answered once, whoever answers; a session that ends while
 * they do is not found. */
Test(embed_answer, any_thread_may_answer)
{
	pthread_t threads[NTHREADS];
	accept_construct *ac;
	int i;

	f->h.ops.wake = NULL;
	for (i = 0; i < NTHREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL,
		    answer_again_and_again, NULL), 0);
	for (i = 0; i < NROUNDS; i++) {
		fake_say(f, "RCPT TO:<b@x.test>\r\n");
		atomic_store(&shared, ticket);
		while ((ac = esmtp_answered(&f->h.host)) == NULL)
			continue;
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
		cr_assert_eq(strncmp(fake_say(f, ""), "250 ", 4), 0, "%s",
		    f->reply);
	}
	fake_say(f, "RCPT TO:<c@x.test>\r\n");
	atomic_store(&shared, ticket);
	esmtp_destroy_message_construct(fake_mc(f));
	atomic_store(&is_over, true);
	for (i = 0; i < NTHREADS; i++)
		pthread_join(threads[i], NULL);
	/* the last question may have been answered before the end */
	i = atomic_load(&naccepted);
	cr_expect(i == NROUNDS || i == NROUNDS + 1, "%d", i);
	cr_expect_null(esmtp_answered(&f->h.host));
}
