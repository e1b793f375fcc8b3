/* Modules that look up several addresses in one phase, and get the answers
 * later, in any order, or not at all. */

#include <criterion/criterion.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

#define LATER	"451 4.7.1 "

static struct fake *f;
static struct {
	char		 about[64];
	esmtp_ticket	 ticket;
} questions[8];
static size_t nquestions, ncalls;

static enum esmtp_rcpt_status
look_up(void *, accept_construct *ac, const struct mailaddr *addr)
{
	char about[64];

	cr_assert_neq(mailaddr_format(addr, about, sizeof(about)), -1);
	/* the policies of our own ask about the recipient */
	if (strcmp(about, "b@x.test") == 0)
		return ESMTP_RCPT_OK;
	cr_assert_lt(nquestions, 8);
	strcpy(questions[nquestions].about, about);
	questions[nquestions].ticket = esmtp_ticket_new(ac);
	cr_assert_neq(questions[nquestions++].ticket, 0);
	return ESMTP_RCPT_ASKED;
}

/* The module's closure is what it looks up. */
static int
ask_about(const char *, const struct mailaddr *, accept_construct *,
    validate_context *ctx, void *closure)
{
	bool is_refused = false;
	struct mailaddr addr;
	char **names, name[64];

	for (names = closure; *names != NULL; names++) {
		mailaddr_split(strcpy(name, *names), &addr);
		is_refused |= validate_context_lookup_rcpt(ctx, &addr) !=
		    ESMTP_RCPT_OK;
	}
	return is_refused ? validate_refuse(ctx, RPL_POLICY_LATER) :
	    VALIDATE_CONT;
}

/* It waits for something of its own, and takes any call for that. */
static int
wait_once(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	return ncalls++ == 0 ? VALIDATE_AGAIN : VALIDATE_CONT;
}

static void
module_add(const char *name, validate_func func, const char **names)
{
	const struct validate_module m = { .size = sizeof(m), .name = name,
		.phase = { [VALIDATE_PHASE_RCPTTO] = func },
		.closure = names };

	cr_assert_eq(validate_module_register(&m), 0);
}

static void
start(void)
{
	f = fake_new();
	f->h.ops.lookup_rcpt = look_up;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<a@client.test>\r\n");
	cr_assert_str_eq(fake_say(f, "RCPT TO:<b@x.test>\r\n"), "");
}

static const char *
answer(size_t i)
{
	accept_construct *ac;

	cr_assert_eq(esmtp_answer(&f->h.host, questions[i].ticket,
	    ESMTP_RCPT_OK), 0);
	while ((ac = esmtp_answered(&f->h.host)) != NULL)
		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
	return fake_say(f, "");
}

Test(embed_answer_phase, two_modules_ask_the_host_once)
{
	static const char *names[] = { "c@x.test", NULL };

	module_add("one", ask_about, names);
	module_add("two", ask_about, names);
	start();
	cr_expect_eq(strncmp(answer(0), "250 ", 4), 0, "%s", f->reply);
	cr_expect_eq(nquestions, 1);
	/* in the next phase once more */
	cr_expect_str_eq(fake_say(f, "RCPT TO:<b@x.test>\r\n"), "");
	cr_expect_eq(nquestions, 2);
	answer(1);
	fake_end(f);
}

Test(embed_answer_phase, one_of_two_answers_is_not_enough)
{
	static const char *names[] = { "c@x.test", "d@x.test", NULL };
	size_t first;

	module_add("one", ask_about, names);
	for (first = 0; first < 2; first++) {
		nquestions = 0;
		if (f == NULL)
			start();
		else
			fake_say(f, "RCPT TO:<b@x.test>\r\n");
		cr_assert_eq(nquestions, 2);
		cr_expect_str_eq(answer(first), "");
		cr_expect_eq(strncmp(answer(1 - first), "250 ", 4), 0, "%s",
		    f->reply);
		cr_expect_eq(nquestions, 2);
	}
	fake_end(f);
}

Test(embed_answer_phase, a_look_up_of_several_without_an_answer_is_given_up)
{
	static const char *names[] = { "c@x.test", "d@x.test", NULL };
	size_t answered;

	module_add("one", ask_about, names);
	for (answered = 0; answered < 2; answered++) {
		nquestions = 0;
		if (f == NULL)
			start();
		else
			fake_say(f, "RCPT TO:<b@x.test>\r\n");
		cr_expect_str_eq(answer(answered), "");
		cr_expect_str_eq(fake_wait(f, LIM_ANSWER_SECONDS - 1), "");
		cr_expect_eq(strncmp(fake_wait(f, 2), LATER, strlen(LATER)),
		    0, "%zu: %s", answered, f->reply);
		/* the session goes on */
		cr_expect_str_eq(fake_say(f, "NOOP\r\n"),
		    "250 2.0.0 OK\r\n");
	}
	fake_end(f);
}

/* Two answers come together, and the next module waits for something else. */
Test(embed_answer_phase, an_answer_to_one_module_is_none_to_the_next)
{
	static const char *names[] = { "c@x.test", "d@x.test", NULL };
	accept_construct *ac;
	size_t i;

	module_add("one", ask_about, names);
	module_add("two", wait_once, NULL);
	start();
	for (i = 0; i < 2; i++)
		cr_assert_eq(esmtp_answer(&f->h.host, questions[i].ticket,
		    ESMTP_RCPT_OK), 0);
	cr_assert_not_null(ac = esmtp_answered(&f->h.host));
	schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_eq(ncalls, 1);
	cr_expect_null(esmtp_answered(&f->h.host));
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_expect_eq(strncmp(fake_say(f, ""), "250 ", 4), 0, "%s", f->reply);
	fake_end(f);
}
