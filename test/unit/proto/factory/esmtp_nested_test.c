/* Calls of the factory inside calls of the factory. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"
#define QUEUED	"250 2.0.0 OK: queued as "

static struct fake *fake;
static struct simhost_session *other;	/* than fake->s */
static const char *at;		/* the function in which it has its step */
static bool is_due;		/* it has not had it yet */
static char heard[4096];	/* by the other one, so far */

static void
hear(void)
{
	const char *p;
	size_t n;

	p = simwire_peek(other->wire, &n);
	cr_assert_lt(strlen(heard) + n, sizeof(heard));
	strncat(heard, p, n);
	simwire_take(other->wire, n);
}

/* In the function ${at}, and in no other, everything that the other client has
 * to say arrives, and its session's steps are made. */
static void
step_other(const char *function)
{
	static const char *const says[] = { "EHLO other.example\r\n",
		"MAIL FROM:<other@client.example>\r\n"
		"RCPT TO:<bob@example.test>\r\nDATA\r\n",
		"other\r\n.\r\nNOOP\r\n" };
	Event *e = other->ac->event;
	struct timeval now;
	size_t i;

	if (!is_due || strcmp(function, at) != 0)
		return;
	is_due = false;
	simclock_now(&fake->h.clock, &now);
	for (i = 0; i < 3; i++) {
		simwire_send_now(other->wire, says[i], strlen(says[i]));
		cr_assert_neq(e->callback(e, E_READ, e->closure, &now), 0);
		hear();
	}
}

/* --- the places from which it is called ----------------------------------- */

static void (*report)(void *, accept_construct *, const struct esmtp_report *);

static void
nested_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if (ac == fake->s->ac && r->kind == ESMTP_REPORT_REJECTED)
		step_other("report of a rejection");
	if (ac == fake->s->ac && r->kind == ESMTP_REPORT_ACCEPTED)
		step_other("report of a message");
	report(host, ac, r);
}

static int
nested_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	step_other("commit");
	return simspool_ops.commit(m, env);
}

static int
nested_append(struct spool_msg *m, const char *buf, size_t len)
{
	step_other("append");
	return simspool_ops.append(m, buf, len);
}

static enum esmtp_rcpt_status
nested_lookup(void *, accept_construct *, const struct mailaddr *)
{
	step_other("lookup");
	return ESMTP_RCPT_OK;
}

static int
nested_verb(char *arg, Event *, message_construct *mc, void *)
{
	char text[64];

	step_other("verb");
	snprintf(text, sizeof(text), "for %s", arg);
	esmtp_extension_reply(mc, 250, "2.0.0", text);
	return 1;
}

static void
begin(void)
{
	static struct spool_ops ops;

	(void)esmtp_extensions_register("XNEST", NULL, nested_verb, NULL);
	ops = simspool_ops;
	ops.commit = nested_commit;
	ops.append = nested_append;
	is_due = false;
	heard[0] = '\0';
	fake = fake_new();
	fake->h.host.spool = &ops;
	fake->h.spool.is_inside = true;
	report = fake->h.ops.report;
	fake->h.ops.report = nested_report;
	fake->h.ops.lookup_rcpt = nested_lookup;
	fake_connect(fake);
	other = simhost_connect(&fake->h, "192.0.2.2");
	cr_assert_not_null(other);
	simhost_settle(&fake->h);
	hear();
	cr_assert_str_eq(heard, "220 mx.example.test ESMTP mailmill\r\n");
	heard[0] = '\0';
	fake_say(fake, "EHLO a.example\r\n");
}

/* All that a client says at once, with each of the places in the middle. */
#define SAID "MAIL FROM:<a@client.example>\r\nRCPT TO:<alice@example.test>\r\n" \
	"RCPT TO:<carol@example.test>\r\nXNEST me\r\nBAD\r\nNOOP\r\nDATA\r\n"
#define BODY "Subject: a\r\n\r\nnot the other\r\n.\r\nNOOP\r\nXNEST x\r\n"

static void
check(const char *name)
{
	const struct spool_msg *m;
	const char *queued;
	unsigned int i, n = 0;

	at = name;
	is_due = true;
	cr_expect_str_eq(fake_say(fake, SAID), "250 2.1.0 Sender OK\r\n"
	    "250 2.1.5 Recipient OK\r\n250 2.1.5 Recipient OK\r\n"
	    "250 2.0.0 for me\r\n500 5.5.2 Command not recognized\r\n" OK
	    "354 End data with <CRLF>.<CRLF>\r\n", "%s: %s", name,
	    fake->reply);
	fake_say(fake, BODY);
	cr_expect_eq(strncmp(fake->reply, QUEUED, strlen(QUEUED)), 0, "%s: %s",
	    name, fake->reply);
	queued = strstr(fake->reply, "\r\n");
	cr_expect_str_eq(queued, "\r\n" OK "250 2.0.0 for x\r\n", "%s: %s",
	    name, fake->reply);
	/* the other one has had its turn, and was not heard by this client */
	cr_expect_not(is_due, "%s", name);
	hear();
	cr_expect_not_null(strstr(heard, QUEUED), "%s: %s", name, heard);
	cr_expect_not_null(strstr(heard, "\r\n" OK), "%s: %s", name, heard);
	for (i = 0; (m = fake_message(fake, i)) != NULL; i++) {
		bool is_other = strcmp(m->sender,
		    "other@client.example") == 0;

		n++;
		cr_expect_eq(m->nrcpts, is_other ? 1 : 2, "%s", name);
		cr_expect_not_null(memmem(m->body, m->len, is_other ?
		    "\r\nother\r\n" : "\r\nnot the other\r\n", is_other ? 9 :
		    17), "%s", name);
	}
	cr_expect_eq(n, 2, "%s", name);
	cr_expect_str_eq(fake_say(fake, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
	fake_end(fake);
}

Test(esmtp_nested, another_session_has_its_step_inside)
{
	static const char *const functions[] = { "commit", "append", "lookup",
		"verb", "report of a rejection", "report of a message" };
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		begin();
		check(functions[i]);
	}
}

/* Its first call, too: the banner is its own client's. */
Test(esmtp_nested, a_session_begins_inside)
{
	struct timeval now;
	Event *e;

	begin();
	simclock_now(&fake->h.clock, &now);
	other = simhost_connect(&fake->h, "192.0.2.3");
	e = other->ac->event;
	fake->h.host.step = (struct esmtp_step *)&now;	/* as if inside */
	cr_assert_neq(e->callback(e, E_WRITE, e->closure, &now), 0);
	fake->h.host.step = NULL;
	hear();
	cr_assert_str_eq(heard, "220 mx.example.test ESMTP mailmill\r\n");
	fake_end(fake);
}

/* --- the session itself --------------------------------------------------- */

static unsigned int ncalls, nsteps;

/* The module has its answer at once, and dispatches in place of posting. */
static int
on_rcptto(const char *, const struct mailaddr *, accept_construct *ac,
    validate_context *, void *)
{
	struct timeval now;

	if (ncalls++ > 0)
		return VALIDATE_CONT;
	simclock_now(&fake->h.clock, &now);
	cr_expect_eq(esmtp_message_factory(ac->event, E_ASYNC, ac, &now),
	    E_ASYNC);
	nsteps++;
	return VALIDATE_AGAIN;
}

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test",
	.phase[VALIDATE_PHASE_RCPTTO] = on_rcptto,
};

Test(esmtp_nested, a_call_inside_its_own_step_is_made_after_it)
{
	cr_assert_eq(validate_module_register(&module), 0);
	begin();
	cr_assert_str_eq(fake_say(fake, "MAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<alice@example.test>\r\nNOOP\r\n"),
	    "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n" OK);
	cr_assert_eq(ncalls, 2);
	cr_assert_eq(nsteps, 1);
	fake_end(fake);
}
