/* A session that is ended from outside, or from inside its own step: what is
 * reported, what is left, what comes later. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"

static struct fake *fake;

static void
destroy(void)
{
	esmtp_destroy_message_construct(fake_mc(fake));
}

/* --- from outside --------------------------------------------------------- */

static struct esmtp_report last;
static void (*report)(void *, accept_construct *, const struct esmtp_report *);

static void
keep_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	last = *r;
	/* a second call, while the first is at work */
	destroy();
	report(host, ac, r);
}

Test(esmtp_session, an_end_from_outside_is_reported)
{
	accept_construct *ac;

	fake = fake_start();
	fake_to_data(fake);
	fake_say(fake, "x\r\n.\r\n");
	fake_to_data(fake);
	fake_wait(fake, 10);
	fake_say(fake, "x\r\n");
	report = fake->h.ops.report;
	fake->h.ops.report = keep_report;
	ac = fake->s->ac;
	destroy();
	fake->h.ops.report = report;
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	cr_assert_eq(last.kind, ESMTP_REPORT_END);
	cr_assert_eq(last.nmessages, 1);
	cr_assert_eq(last.elapsed.tv_sec, 10);
	cr_assert_eq(last.now.tv_sec, FAKE_START + 10);
	cr_assert_str_eq(last.verb, "");
	/* the rest is the caller's still */
	cr_assert_eq(fake->h.spool.nopen, 0);
	cr_assert_not(fake->s->wire->is_closed);
	cr_assert_null(accept_construct_get_message_construct(ac));
	fake_end(fake);
}

Test(esmtp_session, a_call_after_the_end_begins_no_other_session)
{
	accept_construct *ac;

	fake = fake_start();
	ac = fake->s->ac;
	destroy();
	/* a completion that was posted before, and input */
	schedule_event_and_dispatch(ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(fake, "EHLO x\r\n"), "");
	cr_assert_null(accept_construct_get_message_construct(ac));
	cr_assert_not(fake->s->wire->is_closed);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_CONNECT], 1);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	cr_assert_eq(ac->event->mask, E_ASYNC);
	/* nor do answers find anybody */
	esmtp_auth_done(ac, ESMTP_AUTH_OK, "x", 1);
	esmtp_peer_done(ac, true);
	cr_assert_null(esmtp_session_login(ac));
	cr_assert_eq(esmtp_session_state(ac), ES_CONNECTED);
	fake_end(fake);
}

/* A host without session_end() has the accept_construct still. */
Test(esmtp_session, a_call_after_quit_begins_no_other_session)
{
	struct timeval now = { .tv_sec = FAKE_START };
	accept_construct *ac;
	int mask;

	fake = fake_start();
	ac = fake->s->ac;
	fake->h.ops.session_end = NULL;
	simwire_send_now(fake->s->wire, "QUIT\r\n", 6);
	mask = esmtp_message_factory(ac->event, E_READ, ac, &now);
	cr_assert_eq(mask, 0);
	mask = esmtp_message_factory(ac->event, E_ASYNC, ac, &now);
	cr_assert_eq(mask, E_ASYNC);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_CONNECT], 1);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	fake_end(fake);
}

Test(esmtp_session, without_a_session_there_is_nothing_to_end_or_answer)
{
	esmtp_destroy_message_construct(NULL);
	cr_assert_null(accept_construct_get_message_construct(NULL));
	cr_assert_null(esmtp_session_login(NULL));
	cr_assert_eq(esmtp_session_state(NULL), ES_CONNECTED);
	/* a host that looks for a session by its handle, and finds none */
	esmtp_auth_done(NULL, ESMTP_AUTH_OK, "x", 1);
	esmtp_peer_done(NULL, true);
}

Test(esmtp_session, a_session_cannot_be_resumed_twice_or_after_its_end)
{
	static const struct esmtp_moved moved = { .size = sizeof(moved),
		.id = "1" };
	struct timeval now = { .tv_sec = FAKE_START };

	fake = fake_start();
	cr_assert_eq(esmtp_session_resume(fake->s->ac, &moved, &now), -1);
	cr_assert_eq(errno, EINVAL);
	destroy();
	cr_assert_eq(esmtp_session_resume(fake->s->ac, &moved, &now), -1);
	cr_assert_eq(errno, EINVAL);
	fake_end(fake);
}

/* --- from inside ---------------------------------------------------------- */

/* The call in which the session is ended. */
static int at_report;		/* enum esmtp_report_kind; -1: no report */
static int at_phase;		/* enum validate_phase; -1: none */
static int phase_result;
static const char *at = "";	/* the function that does it; "": none */
static unsigned int ncalled_after;	/* modules, when that was done */

static void
report_and_destroy(void *host, accept_construct *ac,
    const struct esmtp_report *r)
{
	report(host, ac, r);
	if ((int)r->kind == at_report)
		destroy();
}

static int
phase(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *closure)
{
	ncalled_after += fake_mc(fake)->is_dropped;
	if ((intptr_t)closure != at_phase)
		return VALIDATE_CONT;
	destroy();
	validate_context_set_code(vctx, 550, "too late");
	return phase_result;
}

#define MODULE(p) { .size = sizeof(struct validate_module), .name = #p, \
	.closure = (void *)p, .phase[p] = phase }

static const struct validate_module modules[] = {
	MODULE(VALIDATE_PHASE_ACCEPT),
	MODULE(VALIDATE_PHASE_CONNECT), MODULE(VALIDATE_PHASE_EHLO),
	MODULE(VALIDATE_PHASE_AUTH), MODULE(VALIDATE_PHASE_MAILFROM),
	MODULE(VALIDATE_PHASE_RCPTTO), MODULE(VALIDATE_PHASE_RCPTTO_LIST),
	MODULE(VALIDATE_PHASE_RCPTTO_LIST_FINAL), MODULE(VALIDATE_PHASE_DATA),
	MODULE(VALIDATE_PHASE_DATA_SPOOL),
	MODULE(VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT)
};

static int
after(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	ncalled_after += fake_mc(fake)->is_dropped;
	return VALIDATE_CONT;
}

/* behind the others */
static const struct validate_module last_module = {
	.size = sizeof(struct validate_module), .name = "last",
	.phase = {
		[VALIDATE_PHASE_ACCEPT] = after,
		[VALIDATE_PHASE_CONNECT] = after,
		[VALIDATE_PHASE_EHLO] = after,
		[VALIDATE_PHASE_AUTH] = after,
		[VALIDATE_PHASE_MAILFROM] = after,
		[VALIDATE_PHASE_RCPTTO] = after,
		[VALIDATE_PHASE_RCPTTO_LIST] = after,
		[VALIDATE_PHASE_RCPTTO_LIST_FINAL] = after,
		[VALIDATE_PHASE_DATA] = after,
		[VALIDATE_PHASE_DATA_SPOOL] = after,
		[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = after,
	}
};

static int
verb(char *arg, Event *, message_construct *mc, void *)
{
	if (strcmp(arg, "first") != 0)
		esmtp_extension_reply(mc, 250, "2.0.0", "before");
	destroy();
	return *arg == '\0';
}

static int
setup(char *, message_construct *, void *)
{
	if (strcmp(at, "setup") == 0)
		destroy();
	return 1;
}

static int
spool_begin(void *s, uint64_t handle, const struct timeval *now,
    struct spool_msg **msg_r)
{
	if (strcmp(at, "begin") == 0)
		destroy();
	return simspool_ops.begin(s, handle, now, msg_r);
}

static int
spool_append(struct spool_msg *m, const char *buf, size_t len)
{
	if (strcmp(at, "append") == 0)
		destroy();
	return simspool_ops.append(m, buf, len);
}

static int
spool_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	if (strcmp(at, "commit") == 0)
		destroy();
	return simspool_ops.commit(m, env);
}

static void
spool_abort(struct spool_msg *m)
{
	if (strcmp(at, "abort") == 0)
		destroy();
	simspool_ops.abort(m);
}

static enum esmtp_rcpt_status
lookup(void *, accept_construct *, const struct mailaddr *)
{
	if (strcmp(at, "lookup") == 0)
		destroy();
	return ESMTP_RCPT_OK;
}

static int
auth_start(void *, accept_construct *ac, const char *, const char *, size_t)
{
	esmtp_auth_done(ac, ESMTP_AUTH_CHALLENGE, "x", 1);
	if (strcmp(at, "auth_start") == 0)
		destroy();
	return 0;
}

static int
auth_step(void *, accept_construct *ac, const char *, size_t)
{
	fake->s->auth.is_right = true;
	strcpy(fake->s->auth.login, "x");
	if (strcmp(at, "auth_step") == 0)
		destroy();
	esmtp_auth_done(ac, ESMTP_AUTH_OK, "x", 1);
	return 0;
}

static void
auth_cancel(void *, accept_construct *)
{
	if (strcmp(at, "auth_cancel") == 0)
		destroy();
}

static bool is_write_ending;

static int
ending_write(Event *e, const char *buf, int len, int *needmask)
{
	if (is_write_ending)
		destroy();
	return simwire_opset.event_write(e, buf, len, needmask);
}

static void
prepare(void)
{
	static struct spool_ops ops;
	size_t i;

	for (i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		(void)validate_module_register(&modules[i]);
	(void)validate_module_register(&last_module);
	ncalled_after = 0;
	(void)esmtp_extensions_register("XEND", setup, verb, NULL);
	ops = simspool_ops;
	ops.begin = spool_begin;
	ops.append = spool_append;
	ops.commit = spool_commit;
	ops.abort = spool_abort;
	fake = fake_new();
	fake->h.host.spool = &ops;
	report = fake->h.ops.report;
	fake->h.ops.report = report_and_destroy;
	fake->h.ops.lookup_rcpt = lookup;
	fake->h.ops.auth_start = auth_start;
	fake->h.ops.auth_step = auth_step;
	fake->h.ops.auth_cancel = auth_cancel;
	fake_option(fake, "Auth_Backend", "passwd:users", NULL);
	fake_option(fake, "Auth_Without_TLS", "true", NULL);
	fake_option(fake, "Auth_Mechanisms", "X-ANY", NULL);
}

static void
begin(void)
{
	prepare();
	fake_connect(fake);
}

/* What the client says; after each part it waits. */
enum part { CONNECT, EHLO, AUTH, AUTH_ANSWER, ENVELOPE, BODY, BAD, VERB };

static const char *const script[] = {
	[CONNECT] = "",
	[EHLO] = "EHLO x\r\n",
	[AUTH] = "AUTH X-ANY\r\n",
	[AUTH_ANSWER] = "AAAA\r\n",
	[ENVELOPE] = "MAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n",
	[BODY] = "x\r\n.\r\nNOOP\r\n",
	[BAD] = "BAD\r\n",
	[VERB] = "XEND\r\nNOOP\r\n"
};

/* ${where}: in which part the session ends, with nothing behind ${answered};
 * ${ncommitted}: how many messages have been given to the spool's commit(). */
static void
check(const char *name, enum part where, const char *answered,
    size_t ncommitted)
{
	enum part i;

	begin();
	for (i = EHLO; i <= where; i++) {
		cr_expect_not(fake_is_ended(fake), "%s: part %u", name, i);
		fake_say(fake, script[i]);
	}
	cr_expect(fake_is_ended(fake), "%s", name);
	cr_expect_str_eq(fake->reply, answered, "%s: %s", name, fake->reply);
	/* simhost has looked for the rest: closed once, ended once, CONNECT
	 * and END reported once, nothing open in the spool */
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1, "%s", name);
	cr_expect_eq(fake->h.spool.ncommitting + fake->h.spool.nsafe,
	    ncommitted, "%s, part %u", name, where);
	cr_expect_eq(ncalled_after, 0, "%s, part %u", name, where);
	fake_end(fake);
}

Test(esmtp_session, a_report_may_end_it)
{
	static const struct {
		int		 kind;
		enum part	 where;
		const char	*answered;
		size_t		 ncommitted;
	} rows[] = {
		{ ESMTP_REPORT_CONNECT, CONNECT, "", 0 },
		{ ESMTP_REPORT_AUTH, AUTH_ANSWER, "", 0 },
		/* the message is stored, and the client is not told */
		{ ESMTP_REPORT_ACCEPTED, BODY, "", 1 },
		{ ESMTP_REPORT_REJECTED, BAD,
		    "500 5.5.2 Command not recognized\r\n", 1 },
		{ ESMTP_REPORT_END, VERB, "250 2.0.0 before\r\n", 1 },
	};
	size_t i;

	at = "";
	at_phase = -1;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at_report = rows[i].kind;
		check("report", rows[i].where, rows[i].answered,
		    rows[i].ncommitted);
	}
}

Test(esmtp_session, a_module_may_end_it)
{
	static const enum part where[VALIDATE_NPHASES] = {
		[VALIDATE_PHASE_ACCEPT] = CONNECT,
		[VALIDATE_PHASE_CONNECT] = CONNECT,
		[VALIDATE_PHASE_EHLO] = EHLO,
		[VALIDATE_PHASE_AUTH] = AUTH_ANSWER,
		[VALIDATE_PHASE_MAILFROM] = ENVELOPE,
		[VALIDATE_PHASE_RCPTTO] = ENVELOPE,
		[VALIDATE_PHASE_RCPTTO_LIST] = ENVELOPE,
		[VALIDATE_PHASE_RCPTTO_LIST_FINAL] = ENVELOPE,
		[VALIDATE_PHASE_DATA] = ENVELOPE,
		[VALIDATE_PHASE_DATA_SPOOL] = BODY,
		[VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] = BODY
	};
	static const int results[] = { VALIDATE_CONT, VALIDATE_AGAIN,
		VALIDATE_DONE };
	size_t i, n;

	at = "";
	at_report = -1;
	for (n = 0; n < 3; n++)
		for (i = 0; i < VALIDATE_NPHASES; i++) {
			at_phase = (int)i;
			phase_result = results[n];
			check("module", where[i],
			    i == VALIDATE_PHASE_RCPTTO ||
			    i == VALIDATE_PHASE_RCPTTO_LIST ?
			    "250 2.1.0 Sender OK\r\n" :
			    i == VALIDATE_PHASE_RCPTTO_LIST_FINAL ||
			    i == VALIDATE_PHASE_DATA ?
			    "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n"
			    "250 2.1.5 Recipient OK\r\n" : "", 0);
		}
}

Test(esmtp_session, a_verb_may_end_it)
{
	at = "";
	at_report = at_phase = -1;
	/* what it answered before is sent, what follows is not read */
	check("verb", VERB, "250 2.0.0 before\r\n", 1);
	begin();
	cr_expect_str_eq(fake_say(fake, "XEND x\r\nNOOP\r\n"),
	    "250 2.0.0 before\r\n");
	cr_expect(fake_is_ended(fake));
	fake_end(fake);
	/* the 501 that it asks for is neither sent nor reported */
	begin();
	cr_expect_str_eq(fake_say(fake, "XEND first\r\n"), "");
	cr_expect(fake_is_ended(fake));
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_REJECTED], 0);
	fake_end(fake);
}

Test(esmtp_session, functions_of_host_and_spool_may_end_it)
{
	static const struct {
		const char	*at;
		enum part	 where;
		const char	*answered;
		size_t		 ncommitted;
	} rows[] = {
		{ "setup", EHLO, "250-mx.example.test\r\n250-PIPELINING\r\n"
		    "250-SIZE 104857600\r\n"
		    "250-LIMITS RCPTMAX=1000\r\n250-8BITMIME\r\n"
		    "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
		    "250-ENHANCEDSTATUSCODES\r\n250 AUTH X-ANY\r\n", 0 },
		{ "auth_start", AUTH, "", 0 },
		{ "auth_step", AUTH_ANSWER, "", 0 },
		{ "lookup", ENVELOPE, "250 2.1.0 Sender OK\r\n", 0 },
		{ "begin", ENVELOPE, "250 2.1.0 Sender OK\r\n250 2.1.5 "
		    "Recipient OK\r\n250 2.1.5 Recipient OK\r\n", 0 },
		{ "commit", BODY, "", 1 },
	};
	size_t i;

	at_report = at_phase = -1;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at = rows[i].at;
		check(at, rows[i].where, rows[i].answered, rows[i].ncommitted);
	}
}

/* The end of the message comes with its begin, and is not committed. */
Test(esmtp_session, a_message_that_is_appended_then_is_not_committed)
{
	at = "append";
	at_report = at_phase = -1;
	begin();
	fake_option(fake, "RFC2822_Trace_Headers", "false", NULL);
	at = "";
	fake_to_data(fake);
	at = "append";
	cr_expect_str_eq(fake_say(fake, "x\r\n.\r\n"), "");
	cr_expect(fake_is_ended(fake));
	cr_expect_eq(fake->h.spool.ncommitting + fake->h.spool.nsafe, 0);
	fake_end(fake);
}

/* What ends with the session may end it once more. */
Test(esmtp_session, what_ends_with_it_may_end_it)
{
	at = "";
	at_report = at_phase = -1;
	begin();
	at = "abort";
	fake_to_data(fake);
	destroy();
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	fake_end(fake);
	at = "";
	begin();
	at = "auth_cancel";
	fake_say(fake, "EHLO x\r\nAUTH X-ANY\r\n");
	fake_say(fake, "AUTH X-ANY\r\n");
	destroy();
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	fake_end(fake);
}

Test(esmtp_session, a_transport_may_end_it)
{
	event_io_opset opset = simwire_opset;

	at = "";
	at_report = at_phase = -1;
	begin();
	opset.event_write = ending_write;
	fake->s->ac->event->io_opset = &opset;
	is_write_ending = true;
	fake_say(fake, "NOOP\r\n");
	cr_expect(fake_is_ended(fake));
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	fake_end(fake);
}

/* With this call, not with a later one. */
Test(esmtp_session, it_ends_with_the_call_in_which_the_transport_ends_it)
{
	struct timeval now = { .tv_sec = FAKE_START };
	event_io_opset opset = simwire_opset;
	accept_construct *ac;

	at = "";
	at_report = at_phase = -1;
	begin();
	ac = fake->s->ac;
	opset.event_write = ending_write;
	ac->event->io_opset = &opset;
	fake->h.ops.session_end = NULL;
	is_write_ending = true;
	simwire_send_now(fake->s->wire, "NOOP\r\n", 6);
	cr_expect_eq(esmtp_message_factory(ac->event, E_READ, ac, &now), 0);
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	ac->event->io_opset = &simwire_opset;
	fake_end(fake);
}

static int
peer_changed(void *, accept_construct *)
{
	destroy();
	return 1;
}

Test(esmtp_session, a_host_may_end_it_when_it_learns_the_client)
{
	at = "";
	at_report = at_phase = -1;
	prepare();
	fake->h.ops.peer_changed = peer_changed;
	fake_option(fake, "Proxy_Protocol", "true", NULL);
	fake_connect(fake);
	cr_expect_str_eq(fake_say(fake, "PROXY UNKNOWN\r\n"), "");
	cr_expect(fake_is_ended(fake));
	cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
	cr_expect_eq(ncalled_after, 0);
	fake_end(fake);
}

/* Of each session that idles there are these two; malloc(3) takes 8 octets more,
 * and rounds up to a multiple of 16. */
Test(esmtp_session, takes_no_more_memory_than_it_did)
{
	cr_expect_leq(sizeof(message_construct), 27 * sizeof(void *));
	cr_expect_leq(ACCEPT_CONSTRUCT_INET, 19 * sizeof(void *));
}
