/* LMTP: as many replies as a client reads, the memory of those that are owed. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define MANY	1000	/* recipients: their replies are more than LIM_OUTPUT */

static struct fake *f;

static void
setup(void)
{
	f = fake_new();
	fake_option(f, "Kind", "lmtp", NULL);
	fake_connect(f);
	fake_say(f, "LHLO x\r\n");
}

static void
teardown(void)
{
	fake_end(f);
}

TestSuite(esmtp_lmtp, .init = setup, .fini = teardown);

static unsigned int
count(const char *text, const char *word)
{
	unsigned int n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

/* Up to the body of a message for so many. */
static void
to_data(unsigned int nrcpts)
{
	char line[64];
	unsigned int i;

	fake_say(f, "MAIL FROM:<a@client.example>\r\n");
	for (i = 0; i < nrcpts; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<user%u@example.test>\r\n",
		    i);
		cr_assert_eq(strncmp(fake_say(f, line), "250 ", 4), 0, "%s",
		    f->reply);
	}
	cr_assert_eq(strncmp(fake_say(f, "DATA\r\n"), "354 ", 4), 0);
}

Test(esmtp_lmtp, each_of_a_thousand_recipients_has_its_reply)
{
	to_data(MANY);
	fake_say(f, "x\r\n.\r\nNOOP\r\n");
	cr_expect_eq(count(f->reply, "250 2.0.0 OK: queued as "), MANY);
	/* and the next command its own, behind them */
	cr_expect_str_eq(f->reply + strlen(f->reply) -
	    strlen("\r\n250 2.0.0 OK\r\n"), "\r\n250 2.0.0 OK\r\n");
	cr_expect_eq(f->h.spool.nsafe, 1);
}

/* A client that does not read has no more of them in memory than fit into a
 * buffer, and gets the rest when it reads. */
Test(esmtp_lmtp, a_client_that_reads_slowly_gets_all_of_them)
{
	static char heard[MANY * 100];
	unsigned int i;

	to_data(MANY);
	f->s->wire->window = 100;
	strcat(heard, fake_say(f, "x\r\n.\r\nQUIT\r\n"));
	cr_assert_leq(strlen(heard), 100);
	cr_assert_not_null(fake_mc(f)->out);
	cr_expect_leq(fake_mc(f)->out->size, LIM_OUTPUT);
	cr_expect_eq(esmtp_session_state(f->s->ac), ES_ASYNC_REPLY);
	for (i = 0; i < 1000 && !fake_is_ended(f); i++) {
		f->s->wire->window = 1000;
		strcat(heard, fake_say(f, ""));
	}
	cr_expect(fake_is_ended(f));
	cr_expect_eq(count(heard, "250 2.0.0 OK: queued as "), MANY);
	cr_expect_eq(count(heard, "221 2.0.0 "), 1);
}

/* What the client has to say is not looked at before it has taken the replies. */
Test(esmtp_lmtp, one_that_never_reads_is_timed_out)
{
	to_data(MANY);
	f->s->wire->window = 100;
	fake_say(f, "x\r\n.\r\nNOOP\r\n");
	cr_expect_not(fake_is_ended(f));
	fake_wait(f, 301);
	cr_expect(fake_is_ended(f));
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_TIMEOUT], 1);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
}

Test(esmtp_lmtp, a_drain_lets_it_take_the_replies)
{
	to_data(3);
	f->s->wire->window = 10;
	fake_say(f, "x\r\n.\r\n");
	simhost_drain(&f->h, false);
	f->s->wire->window = SIZE_MAX;
	fake_say(f, "");
	cr_expect_eq(count(f->reply, "queued as "), 3, "%s", f->reply);
	cr_expect_not_null(strstr(f->reply, "\r\n421 4.3.2 "), "%s", f->reply);
	cr_expect(fake_is_ended(f));
}

/* A refusal would be taken for the reply to one who has the message. */
Test(esmtp_lmtp, one_that_is_closed_meanwhile_is_told_nothing_else)
{
	static const int codes[] = { 554, 421 };
	static char heard[MANY * 100];
	size_t i;

	for (i = 0; i < 2; i++) {
		to_data(MANY);
		f->s->wire->window = 100;
		strcpy(heard, fake_say(f, "x\r\n.\r\n"));
		cr_assert_eq(esmtp_session_close(f->s->ac, codes[i],
		    "5.3.2 Closed"), 0);
		f->s->wire->window = SIZE_MAX;
		strcat(heard, fake_say(f, ""));
		cr_expect_null(strstr(heard, "Closed"), "%s", heard);
		cr_expect_geq(count(heard, "queued as "), 1, "%s", heard);
		cr_expect_lt(count(heard, "queued as "), MANY);
		cr_expect(fake_is_ended(f));
		fake_end(f);
		setup();
	}
}

/* What is said of each takes memory, which is in the same sum, once for those who
 * hear the same. */
Test(esmtp_lmtp_list, replies_that_are_owed_are_counted)
{
	size_t before, i;

	setup();
	to_data(MANY);
	before = f->h.host.held_octets;
	for (i = 0; i < 4; i++) {
		snprintf(f->h.spool.of_rcpt[i].addr, 100,
		    "user%zu@example.test", i);
		snprintf(f->h.spool.of_rcpt[i].text, 100, "5.2.2 Full %zu",
		    i / 2);
		f->h.spool.of_rcpt[i].code = 552;
	}
	f->h.spool.nof_rcpt = 4;
	f->s->wire->window = 100;
	cr_expect_eq(count(fake_say(f, "x\r\n.\r\n"),
	    "552 5.2.2 Full 1\r\n"), 2, "%s", f->reply);
	cr_expect_geq(f->h.host.held_octets, before + MANY * sizeof(uint32_t) +
	    2 * strlen("552 5.2.2 Full 0"));
	cr_expect_leq(f->h.host.held_octets, before + MANY * sizeof(uint32_t) +
	    3 * strlen("552 5.2.2 Full 0"));
	f->s->wire->window = SIZE_MAX;
	fake_say(f, "");
	cr_expect_eq(f->h.host.held_octets, 0);
	fake_end(f);
}

/* The recipients of an envelope and those that are owed a reply are in the sum
 * that ESMTP_HOST_RCPTS_MAX bounds. */
Test(esmtp_lmtp, what_is_owed_is_counted)
{
	size_t one;

	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_eq(f->h.host.held_octets, 0);
	fake_say(f, "RCPT TO:<alice@example.test>\r\n");
	one = f->h.host.held_octets;
	cr_expect_geq(one, 2 * strlen("alice@example.test"));
	fake_say(f, "RSET\r\n");
	cr_expect_eq(f->h.host.held_octets, 0);
}

/* A repeated recipient is none of the envelope, but its reply takes memory. */
Test(esmtp_lmtp, repeated_recipients_are_bounded)
{
	unsigned int i, n = 0;

	fake_say(f, "MAIL FROM:<>\r\n");
	for (i = 0; i < 1100; i++)
		n += strncmp(fake_say(f, "RCPT TO:<alice@example.test>\r\n"),
		    "250 ", 4) == 0;
	cr_expect_eq(n, 1000);
	cr_expect_eq(strncmp(f->reply, "452 4.5.3 ", 10), 0, "%s", f->reply);
}

/* RFC 2033 4.2: in the order of RCPT, whatever a policy makes of the list. */
static int
change_list(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	(void)validate_context_remove_rcpt(vctx, "bob@example.test");
	(void)validate_context_add_rcpt(vctx, "carol@example.test", 1);
	return VALIDATE_CONT;
}

static const struct validate_module changer = {
	.size = sizeof(changer), .name = "changer",
	.phase[VALIDATE_PHASE_DATA_SPOOL] = change_list,
};

Test(esmtp_lmtp_list, a_policy_that_changes_the_list_changes_no_replies)
{
	cr_assert_eq(validate_module_register(&changer), 0);
	setup();
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n"
	    "RCPT TO:<alice@example.test>\r\nDATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(count(f->reply, "queued as "), 2, "%s", f->reply);
	cr_assert_eq(fake_message(f, 0)->nrcpts, 2);
	cr_expect_str_eq(fake_message(f, 0)->rcpts[0], "alice@example.test");
	cr_expect_str_eq(fake_message(f, 0)->rcpts[1], "carol@example.test");
	/* it takes the only one away: the client asks for one reply */
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(count(f->reply, "\r\n"), 1, "%s", f->reply);
	fake_end(f);
}

/* It takes its time over each recipient, and then refuses bob. */
static unsigned int nasked;

static int
ask_later(const char *, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *)
{
	if (nasked++ % 2 == 0) {
		schedule_event_and_dispatch(ac->event, E_ASYNC);
		return VALIDATE_AGAIN;
	}
	if (addr->local_len != 3)
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 550, "5.2.1 Closed");
	return VALIDATE_DONE;
}

static const struct validate_module slow = {
	.size = sizeof(slow), .name = "slow",
	.phase[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = ask_later,
};

Test(esmtp_lmtp_list, a_suspended_policy_refuses_one_recipient)
{
	cr_assert_eq(validate_module_register(&slow), 0);
	setup();
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\nRCPT TO:<carol@example.test>\r\n"
	    "DATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(nasked, 6);
	cr_expect_eq(strncmp(f->reply, "250 2.0.0 OK: queued as ", 24), 0, "%s",
	    f->reply);
	cr_expect_not_null(strstr(f->reply, "\r\n550 5.2.1 Closed\r\n250 "),
	    "%s", f->reply);
	cr_assert_eq(fake_message(f, 0)->nrcpts, 2);
	cr_expect_str_eq(fake_message(f, 0)->rcpts[1], "carol@example.test");
	fake_end(f);
}

/* alice is replaced by bob and carol, of whom no RCPT has told the client; then the
 * second of them is refused. */
static int
replace(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	(void)validate_context_remove_rcpt(vctx, "alice@example.test");
	(void)validate_context_add_rcpt(vctx, "bob@example.test", 1);
	(void)validate_context_add_rcpt(vctx, "carol@example.test", 1);
	return VALIDATE_CONT;
}

static int
refuse_carol(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	if (addr->local_len != 5 || memcmp(addr->local, "carol", 5) != 0)
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 550, "5.2.1 Closed");
	return VALIDATE_DONE;
}

static const struct validate_module replacer = {
	.size = sizeof(replacer), .name = "replacer",
	.phase[VALIDATE_PHASE_DATA_SPOOL] = replace,
	.phase[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = refuse_carol,
};

Test(esmtp_lmtp_list, a_refusal_that_no_rcpt_can_hear_is_of_the_message)
{
	cr_assert_eq(validate_module_register(&replacer), 0);
	setup();
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n"
	    "RCPT TO:<user1@example.test>\r\nDATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_str_eq(f->reply,
	    "550 5.2.1 Closed\r\n550 5.2.1 Closed\r\n");
	cr_expect_eq(f->h.spool.nsafe, 0);
	cr_expect_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

/* The same if it is the spool that says so: those who have an answer of their own
 * hear that one. */
static const struct validate_module adder = {
	.size = sizeof(adder), .name = "adder",
	.phase[VALIDATE_PHASE_DATA_SPOOL] = replace,
};

Test(esmtp_lmtp_list, what_the_spool_says_of_an_added_one_is_not_lost)
{
	static const struct { const char *addr; int code; const char *text; }
	    of[] = {
		{ "user1@example.test", 452, "4.2.2 Full" },
		{ "bob@example.test", 552, "5.2.2 Bob is full" },
		{ "carol@example.test", 550, "5.2.1 Closed" } };
	size_t i;

	cr_assert_eq(validate_module_register(&adder), 0);
	setup();
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		strcpy(f->h.spool.of_rcpt[i].addr, of[i].addr);
		strcpy(f->h.spool.of_rcpt[i].text, of[i].text);
		f->h.spool.of_rcpt[i].code = of[i].code;
	}
	f->h.spool.nof_rcpt = i;
	for (i = 0; i < 2; i++) {
		fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n"
		    "RCPT TO:<user1@example.test>\r\nDATA\r\n");
		fake_say(f, "x\r\n.\r\n");
		cr_expect_str_eq(f->reply, "552 5.2.2 Bob is full\r\n"
		    "452 4.2.2 Full\r\n");
	}
	fake_end(f);
}

/* The report of a recipient's refusal may not change the list whose rest is still
 * to be reported. */
static int nchanged, nreported;
static void (*report_usual)(void *, accept_construct *,
    const struct esmtp_report *);

static void
report(void *closure, accept_construct *ac, const struct esmtp_report *r)
{
	validate_context *vctx = &accept_construct_get_message_construct(ac)->
	    vctx;
	char addr[100];
	int i;

	report_usual(closure, ac, r);
	if (r->kind != ESMTP_REPORT_REJECTED)
		return;
	cr_expect_eq(strncmp(r->rcpt, "user", 4), 0);
	nreported++;
	nchanged += validate_context_can_modify_rcpts(vctx);
	for (i = 0; i < 50; i++) {
		snprintf(addr, sizeof(addr), "other%d.%d@example.test",
		    nreported, i);
		nchanged += validate_context_add_rcpt(vctx, addr, 1) != -1;
	}
	nchanged += validate_context_remove_all_rcpts(vctx);
}

Test(esmtp_lmtp_list, a_report_of_one_recipient_changes_no_others)
{
	size_t i;

	setup();
	report_usual = f->h.ops.report;
	f->h.ops.report = report;
	to_data(3);
	for (i = 0; i < 2; i++) {
		snprintf(f->h.spool.of_rcpt[i].addr, 100,
		    "user%zu@example.test", i);
		strcpy(f->h.spool.of_rcpt[i].text, "5.2.2 Full");
		f->h.spool.of_rcpt[i].code = 552;
	}
	f->h.spool.nof_rcpt = 2;
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(nreported, 2);
	cr_expect_eq(nchanged, 0);
	cr_expect_eq(count(f->reply, "552 5.2.2 Full\r\n"), 2, "%s", f->reply);
	cr_expect_eq(count(f->reply, "queued as "), 1, "%s", f->reply);
	fake_end(f);
}
