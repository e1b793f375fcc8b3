/* What dialogues cannot say of a client: bounds, a clock that is set, a server
 * that does not read, the tables. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "core/util/base64.h"
#include "proto/client/smtp_client_int.h"
#include "proto/sasl/sasl_client.h"
#include "test/lib/simhop.h"

#define START_US	UINT64_C(1790000000123456)
#define SECOND		UINT64_C(1000000)

static struct simclock clock_;
static struct simnet net;
static struct scheduler *sched;
static struct simhop hop;
static char *said;			/* by the client, all of it */
static size_t nsaid;

static void
violation(void *, const char *text)
{
	cr_assert_fail("%s", text);
}

static void
setup(void)
{
	struct scheduler_backend backend;

	simclock_init(&clock_, START_US);
	simnet_init(&net, NULL);
	clock_.poll = simnet_poll;
	clock_.poll_arg = &net;
	simclock_backend(&clock_, &backend);
	sched = scheduler_create(&backend);
	simhop_init(&hop, &clock_);
	hop.violation = violation;
	said = NULL;
	nsaid = 0;
}

static void
teardown(void)
{
	simhop_clear(&hop);
	scheduler_destroy(sched);
	simnet_clear(&net);
	simclock_clear(&clock_);
	free(said);
}

TestSuite(smtp_client, .init = setup, .fini = teardown, .timeout = 60);

/* Take what the client has said. */
static void
take(void *)
{
	const char *buf;
	size_t len;

	buf = simwire_peek(hop.wire, &len);
	said = realloc(said, nsaid + len + 1);
	memcpy(said + nsaid, buf, len);
	nsaid += len;
	said[nsaid] = '\0';
	simwire_take(hop.wire, len);
}

static void
collect(void)
{
	cr_assert_neq(simclock_settle(&clock_, sched, take, NULL), -1);
}

static void
advance(uint64_t us)
{
	cr_assert_eq(simclock_advance(&clock_, sched, us, take, NULL), 0);
}

static void
begin(void)
{
	cr_assert_eq(simhop_connect(&hop, &net), 0);
	collect();
}

static void
reply(const char *text)
{
	simwire_send_now(hop.wire, text, strlen(text));
	collect();
}

/* --- the tables ----------------------------------------------------------- */

/* Each state is reached from the first ones, bounded in time, and named. */
Test(smtp_client, states_are_sound)
{
	unsigned int reached = 1u << SS_BANNER | 1u << SS_TLS, before = 0, i;

	while (reached != before)
		for (before = reached, i = 0; i < SMTP_NSTATES; i++)
			if (before & (1u << i))
				reached |= smtp_state_rows[i].next;
	cr_assert_eq(reached, (1u << SMTP_NSTATES) - 1);
	for (i = 0; i < SMTP_NSTATES; i++) {
		cr_assert(smtp_state_rows[i].seconds > 0 &&
		    smtp_state_rows[i].seconds <= 600);
		cr_assert_neq(smtp_state_rows[i].name[0], '\0');
		cr_assert(strlen(smtp_state_rows[i].command) <
		    sizeof(hop.end.command));
	}
}

/* A code that an outcome has without a reply fits it, and its enhanced code. */
Test(smtp_client, outcomes_are_sound)
{
	struct smtp_client c = { .state = SS_IDLE };
	struct smtp_result r;
	unsigned int i;

	for (i = SMTP_WHY_CLOSED; i < SMTP_NWHYS; i++) {
		smtp_result_why(&c, (enum smtp_why)i, 0, &r);
		cr_assert(r.outcome == SMTP_REFUSED ? r.code / 100 == 5 :
		    (r.outcome == SMTP_DEFERRED || r.outcome == SMTP_UNSENT) &&
		    r.code / 100 == 4, "%s", r.words);
		cr_assert_eq(esmtp_reply_enhanced(r.enhanced, r.code / 100),
		    strlen(r.enhanced), "%s", r.words);
		cr_assert(strlen(r.words) <= LIM_CLIENT_WORDS);
	}
}

Test(smtp_client, a_name_is_needed)
{
	static const char *const bad[] = { "", "a b", "a\r\nMAIL", "a\n",
		"gr\xc3\xbcn.example" };
	static const char *const good[] = { "client.example",
		"[192.0.2.1]", "[IPv6:2001:db8::1]" };
	struct smtp_client_options o = { .helo = NULL };
	struct smtp_client *c;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.helo = bad[i];
		cr_assert_null(smtp_client_new(&o, NULL, NULL));
		cr_assert_eq(errno, EINVAL);
	}
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		o.helo = good[i];
		cr_assert_not_null(c = smtp_client_new(&o, NULL, NULL));
		smtp_client_free(c);
	}
	smtp_client_free(NULL);
}

/* A million iterations of SCRAM are made in slices, each in a step of its own,
 * so that other events of the loop are called in between. */
Test(smtp_client, the_work_for_a_login_leaves_others_their_turn)
{
	static const char first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj"
	    ")hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000000";
	char line[256] = "334 ";
	unsigned int before;
	int passes;

	hop.login = "SCRAM-SHA-256";
	hop.nonce = "rOprNGfwEbeRWgbNEkqO";
	hop.options.login = SMTP_LOGIN_MUST;
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 AUTH SCRAM-SHA-256\r\n");
	base64_encode(first, strlen(first), line + 4, sizeof(line) - 6);
	strcat(line, "\r\n");
	simwire_send_now(hop.wire, line, strlen(line));
	for (passes = 0; passes < 5; passes++) {
		before = hop.nslices;
		scheduler_pass(sched, 0);
		cr_assert_leq(hop.nslices, before + 1);
	}
	cr_assert_gt(hop.nslices, 1);
	cr_assert_eq(hop.client->state, SS_LOGIN);
	collect();
	cr_assert_geq(hop.nslices, 1000000 / SASL_CLIENT_SLICE);
	cr_assert_eq(hop.client->state, SS_AUTH);
	cr_assert_not_null(strstr(said, "AUTH SCRAM-SHA-256"));
}

/* ... and it may be stopped in the middle of it. */
Test(smtp_client, the_work_for_a_login_can_be_stopped)
{
	static const char first[] = "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000000";
	char line[256] = "334 ";

	hop.login = "SCRAM-SHA-1";
	hop.nonce = "ab";
	hop.options.login = SMTP_LOGIN_MUST;
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 AUTH SCRAM-SHA-1\r\n");
	base64_encode(first, strlen(first), line + 4, sizeof(line) - 6);
	strcat(line, "\r\n");
	simwire_send_now(hop.wire, line, strlen(line));
	scheduler_pass(sched, 0);
	scheduler_pass(sched, 0);
	cr_assert_gt(hop.nslices, 0);
	smtp_client_stop(hop.client);
	scheduler_pass(sched, 0);
	cr_assert_null(hop.client);
	cr_assert_eq(hop.end.why, SMTP_WHY_STOPPED);
	cr_assert_lt(hop.nslices, 5);
}

static void
begin_login(const char *first, const char *other)
{
	hop.login = first;
	hop.other_login = other;
	hop.user = "alice";
	hop.password = "secret";
	hop.nonce = "ab";
	hop.options.login = SMTP_LOGIN_MUST;
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 AUTH SCRAM-SHA-1 SCRAM-SHA-256\r\n");
}

/* RFC 4954 4: if the server refuses one login, another may be tried. */
Test(smtp_client, the_host_may_have_another_login)
{
	begin_login("SCRAM-SHA-256", "SCRAM-SHA-1");
	cr_assert_eq(hop.client->state, SS_AUTH);
	reply("535 5.7.8 No\r\n");
	cr_assert_eq(hop.client->state, SS_AUTH);
	cr_assert_not_null(strstr(said, "AUTH SCRAM-SHA-1 "));
	/* no third one */
	reply("535 5.7.8 No\r\n");
	cr_assert_eq(hop.client->state, SS_QUIT);
	reply("221 bye\r\n");
	cr_assert_eq(hop.end.why, SMTP_WHY_SAID);
	cr_assert_eq(hop.end.code, 535);
}

/* RFC 5802 7: a server may say why it refuses in a challenge, which is to be
 * cancelled. */
Test(smtp_client, the_host_may_have_another_login_than_one_that_is_given_up)
{
	static const char why[] = "e=unsupported-channel-binding-type";
	char line[128] = "334 ";

	begin_login("SCRAM-SHA-256", "SCRAM-SHA-1");
	base64_encode(why, strlen(why), line + 4, sizeof(line) - 6);
	strcat(line, "\r\n");
	reply(line);
	cr_assert_not_null(strstr(said, "*\r\n"));
	reply("501 5.7.0 Cancelled\r\n");
	cr_assert_not_null(strstr(said, "AUTH SCRAM-SHA-1 "));
	reply("535 5.7.8 No\r\n");
	cr_assert_eq(hop.client->state, SS_QUIT);
	reply("221 bye\r\n");
	cr_assert_eq(hop.end.why, SMTP_WHY_SAID);
}

/* "Later" is no reason to try another one. */
Test(smtp_client, a_server_that_cannot_tell_now_is_not_asked_again)
{
	begin_login("SCRAM-SHA-256", "SCRAM-SHA-1");
	reply("454 4.7.0 Later\r\n");
	cr_assert_eq(hop.client->state, SS_QUIT);
	reply("221 bye\r\n");
	cr_assert_eq(hop.end.code, 454);
}

/* RFC 4954 4 and RFC 5802 4: what may be used without TLS. */
Test(smtp_client, mechanisms_in_the_clear)
{
	struct smtp_ehlo e = { 0 }, shown = { 0 }, bound = { 0 };

	smtp_ehlo_line(&e, "AUTH SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5", 39);
	smtp_ehlo_line(&shown, "AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER", 36);
	smtp_ehlo_line(&bound,
	    "AUTH EXTERNAL SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS", 49);
	cr_assert_eq(smtp_login_may(false, false), e.mechanisms);
	cr_assert_eq(smtp_login_may(false, true),
	    e.mechanisms | shown.mechanisms);
	cr_assert_eq(smtp_login_may(true, false),
	    e.mechanisms | bound.mechanisms);
	cr_assert_eq(smtp_login_may(true, true),
	    e.mechanisms | shown.mechanisms | bound.mechanisms);
}

/* RFC 3461 4.2, 4.4: an envelope may come from anywhere.  What could end the
 * command, or is no parameter, refuses the message, or the recipient. */
Test(smtp_client, parameters_that_no_server_could_read)
{
	static char long_envid[] = "envid=0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789012345678901234567=";
	static const struct { const char *word; bool is_of_mail; } rows[] = {
		{ "envid=", true }, { "envid=a\r\nRSET", true },
		{ "envid=a\tb", true }, { "envid=gr\xc3\xbcn", true },
		{ "envid=\x7f", true }, { long_envid, true },
		{ "orcpt=rfc822", false }, { "orcpt=;a@b.example", false },
		{ "orcpt=rfc822;", false }, { "orcpt=a b;c@d.example", false },
		{ "orcpt=a\r\nRSET\r\n;c", false },
		{ "orcpt=a NOTIFY=NEVER;c", false },
		{ "orcpt=rfc822;a\r\nb", false },
		{ "orcpt=rfc822;gr\xc3\xbcn@example.test", false },
		{ "orcpt=utf-8;\xff", false }, { "orcpt=utf-8;a\nb", false },
		{ "orcpt=utf-8;", false }, { "orcpt=UTF-8;\xe2\x80\xae", false },
	};
	struct simhop_message *m;
	size_t i;

	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 DSN\r\n");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		nsaid = 0;
		m = simhop_add(&hop, "a@client.example", "b@example.test",
		    "x\r\n", 3);
		cr_assert(simhop_envelope(m, rows[i].word));
		simhop_wake(&hop);
		collect();
		if (hop.client->is_open && !rows[i].is_of_mail &&
		    hop.client->state == SS_RSET)
			reply("250 fine\r\n");
		if (!rows[i].is_of_mail)
			reply("250 fine\r\n");
		cr_expect(m->is_done, "%s", rows[i].word);
		cr_expect_eq(m->results[0].why, SMTP_WHY_PARAMETER, "%s",
		    rows[i].word);
		cr_expect_null(strstr(said, rows[i].is_of_mail ? "MAIL" :
		    "RCPT"), "%s", said);
	}
}

/* A client that has nothing to write holds no buffer: a thousand that wait for
 * replies take some MiB. */
Test(smtp_client, waiting_takes_little_memory)
{
	cr_assert(sizeof(struct smtp_client) <= 4096, "%zu",
	    sizeof(struct smtp_client));
	begin();
	reply("220 ready\r\n");
	cr_assert_null(hop.client->out);
	reply("250 mx.example.test\r\n");
	cr_assert_str_eq(smtp_client_state(hop.client),
	    "without a message");
	cr_assert_null(hop.client->out);
	simhop_add(&hop, "a@client.example", "b@example.test", "x\r\n", 3);
	simhop_wake(&hop);
	collect();
	cr_assert_null(hop.client->out);
	reply("250 fine\r\n");
	reply("250 fine\r\n");
	reply("354 go on\r\n");
	cr_assert_eq(hop.client->state, SS_DOT);
	cr_assert_null(hop.client->out);
}

/* --- many recipients ------------------------------------------------------ */

#define MANY	3000

static void
add_many(void)
{
	char *rcpts = malloc(MANY * 24), *at = rcpts;
	unsigned int i;

	for (i = 0; i < MANY; i++)
		at += sprintf(at, "%suser%u@example.test", i > 0 ? "," : "",
		    i);
	simhop_add(&hop, "a@client.example", rcpts, "text\r\n", 6);
	free(rcpts);
}

static size_t
lines(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

/* RFC 2920 3.1: a group that is larger than both windows.  The server takes 500
 * octets at a time and answers each command before it takes more; and one that
 * answers only while its answers are taken is not kept waiting, since replies
 * are read at all times. */
Test(smtp_client, a_large_group_dead_locks_nobody)
{
	size_t nlines = 0, i;

	add_many();
	begin();
	reply("220 ready\r\n");
	nlines = lines(said);
	hop.wire->window = 0;
	reply("250-mx.example.test\r\n250 PIPELINING\r\n");
	for (i = 0; i < MANY + 1; ) {
		hop.wire->window = 500;
		collect();
		cr_assert(hop.client->out_len <= LIM_CLIENT_OUTPUT);
		for (; nlines < lines(said) && i < MANY + 1; nlines++, i++)
			reply(i % 3 == 2 ? "550 5.1.1 no\r\n" :
			    "250 2.1.5 fine\r\n");
	}
	hop.wire->window = SIZE_MAX;
	collect();
	cr_assert_not_null(strstr(said, "\r\nDATA\r\n"));
	reply("354 go on\r\n");
	reply("250 2.0.0 taken\r\n");
	cr_assert(hop.messages[0].is_done);
	for (i = 0; i < MANY; i++)
		cr_assert_eq(hop.messages[0].results[i].outcome,
		    (i + 1) % 3 == 2 ? SMTP_REFUSED : SMTP_ACCEPTED, "%zu", i);
}

/* All replies at once, in one read after the other. */
Test(smtp_client, many_replies_at_once)
{
	char *all = malloc((MANY + 2) * 16), *at = all;
	size_t i;

	add_many();
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 PIPELINING\r\n");
	for (i = 0; i < MANY + 1; i++)
		at += sprintf(at, "250 fine\r\n");
	sprintf(at, "354 go on\r\n");
	reply(all);
	free(all);
	reply("250 taken\r\n");
	cr_assert(hop.messages[0].is_done);
	for (i = 0; i < MANY; i++)
		cr_assert_eq(hop.messages[0].results[i].outcome,
		    SMTP_ACCEPTED);
}

/* Replies to commands that were not sent: they are not taken for those of the
 * next message. */
Test(smtp_client, a_reply_before_its_command_is_none)
{
	simhop_add(&hop, "a@client.example", "b@example.test", "x\r\n", 3);
	begin();
	hop.wire->window = 0;
	reply("220 ready\r\n");
	reply("250 mx.example.test\r\n");
	cr_assert_null(hop.client);
	cr_assert_eq(hop.end.why, SMTP_WHY_UNASKED);
}

/* RFC 3030 3: a binary message is sent as it is, in chunks that are as long as
 * they say. */
Test(smtp_client, binary_octets_stay_as_they_are)
{
	static char body[100000];
	char *at, *end;
	size_t n = 0, len, nchunks = 0;

	for (len = 0; len < sizeof(body); len++)
		body[len] = "\r\n.\0a\xff"[len * len % 6];
	simhop_envelope(simhop_add(&hop, "a@client.example", "b@example.test",
	    body, sizeof(body)), "binarymime");
	begin();
	reply("220 ready\r\n");
	reply("250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n"
	    "250 BINARYMIME\r\n");
	reply("250 fine\r\n250 fine\r\n");
	at = strstr(said, "BDAT ");
	while (at != NULL && at < said + nsaid) {
		cr_assert_eq(strncmp(at, "BDAT ", 5), 0);
		len = strtoul(at + 5, &end, 10);
		cr_assert(strncmp(end, "\r\n", 2) == 0 ||
		    strncmp(end, " LAST\r\n", 7) == 0);
		at = strchr(end, '\n') + 1;
		cr_assert(n + len <= sizeof(body));
		cr_assert_eq(memcmp(at, body + n, len), 0);
		n += len;
		at += len;
		if (*end != ' ')
			nchunks++;
	}
	while (nchunks-- > 0)
		reply("250 fine\r\n");
	cr_assert_eq(n, sizeof(body));
	reply("250 taken\r\n");
	cr_assert_eq(hop.messages[0].results[0].outcome, SMTP_ACCEPTED);
}

/* --- time ----------------------------------------------------------------- */

/* A server that uses each timeout up costs a bounded time: here every RCPT
 * takes 299 seconds. */
Test(smtp_client, a_transaction_is_bounded_in_time)
{
	uint64_t began;
	size_t i;

	add_many();
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 PIPELINING\r\n");
	began = clock_.now_us;
	for (i = 0; hop.client != NULL && i < MANY; i++) {
		advance(299 * SECOND);
		reply("250 fine\r\n");
	}
	cr_assert_null(hop.client);
	cr_assert_eq(hop.end.why, SMTP_WHY_TIMEOUT);
	cr_assert(clock_.now_us - began <= (LIM_CLIENT_SECONDS + 300) *
	    SECOND);
	cr_assert_eq(hop.messages[0].results[MANY - 1].outcome, SMTP_UNSENT);
}

/* One that takes an octet of the body each 100 seconds is within its time for
 * each piece, and not for the whole. */
Test(smtp_client, a_body_is_bounded_in_time)
{
	static char body[10000];
	uint64_t began;

	memset(body, 'x', sizeof(body));
	simhop_add(&hop, "a@client.example", "b@example.test", body,
	    sizeof(body));
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 PIPELINING\r\n");
	hop.wire->window = 1;
	reply("250 fine\r\n250 fine\r\n354 go on\r\n");
	began = clock_.now_us;
	while (hop.client != NULL) {
		advance(100 * SECOND);
		hop.wire->window = 1;
		collect();
		cr_assert(clock_.now_us - began < 3 * LIM_CLIENT_SECONDS *
		    SECOND);
	}
	cr_assert_eq(hop.messages[0].results[0].why, SMTP_WHY_TIMEOUT);
	cr_assert_eq(hop.messages[0].results[0].outcome, SMTP_UNSENT);
}

/* ... while a large body may take as long as its size asks for. */
Test(smtp_client, a_large_body_may_take_its_time)
{
	static char body[1 << 20];
	uint64_t began;

	memset(body, 'x', sizeof(body));
	simhop_add(&hop, "a@client.example", "b@example.test", body,
	    sizeof(body));
	begin();
	reply("220 ready\r\n");
	reply("250-mx.example.test\r\n250 PIPELINING\r\n");
	hop.wire->window = 0;
	reply("250 fine\r\n250 fine\r\n354 go on\r\n");
	began = clock_.now_us;
	while (hop.client->state != SS_DOT) {
		hop.wire->window = 15000;
		advance(110 * SECOND);
		cr_assert_not_null(hop.client, "after %d s",
		    (int)((clock_.now_us - began) / SECOND));
	}
	cr_assert(clock_.now_us - began > LIM_CLIENT_SECONDS * SECOND);
	hop.wire->window = SIZE_MAX;
	reply("250 taken\r\n");
	cr_assert_eq(hop.messages[0].results[0].outcome, SMTP_ACCEPTED);
}

/* The clock is set: no time passes, whether the client is called before its
 * time is over or not. */
Test(smtp_client, a_clock_that_is_set_is_no_time)
{
	static const int64_t days[] = { 1, -1, 300, -300 };
	size_t i;

	begin();
	reply("22");
	for (i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		int64_t by = days[i] * 86400 * (int64_t)SECOND;

		simclock_set(&clock_, by);
		scheduler_shift(sched, by);
		hop.trigger_us += (uint64_t)by;
		reply(i == 0 ? "0" : i == 1 ? " " : "x");
		cr_assert_not_null(hop.client, "%zu", i);
		advance(60 * SECOND);
		cr_assert_not_null(hop.client, "%zu", i);
	}
	advance(59 * SECOND);
	cr_assert_not_null(hop.client);
	advance(2 * SECOND);
	cr_assert_null(hop.client);
	cr_assert_eq(hop.end.why, SMTP_WHY_TIMEOUT);
}

/* --- the end -------------------------------------------------------------- */

/* The host knows at once that QUIT is said, whatever the reason, and asks for
 * nothing more; a message that comes then is for another connection. */
Test(smtp_client, the_host_knows_that_a_connection_is_left)
{
	static const struct {
		const char *banner, *ehlo;
		unsigned int seconds;
		bool is_last;
	} rows[] = {
		{ "554 5.7.1 go away\r\n", NULL, 0, false },
		{ "220 ready\r\n", "250 mx\r\n", 6, false },
		{ "220 ready\r\n", "250 mx\r\n", 0, true },
		{ "220 ready\r\n", "250-mx\r\n250 LIMITS MAILMAX=1\r\n", 0,
		    false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		teardown();
		setup();
		hop.options.idle_seconds = 5;
		hop.is_last = rows[i].is_last;
		if (i == 3)
			simhop_add(&hop, "a@client.example", "b@example.test",
			    "x\r\n", 3);
		begin();
		reply(rows[i].banner);
		if (rows[i].ehlo != NULL)
			reply(rows[i].ehlo);
		if (i == 3) {
			reply("250 fine\r\n");
			reply("250 fine\r\n");
			reply("354 go on\r\n");
			cr_assert_eq(hop.nleaving, 0);
			reply("250 taken\r\n");
		}
		advance(rows[i].seconds * SECOND);
		cr_assert_eq(hop.client->state, SS_QUIT, "%u", i);
		cr_assert_eq(hop.nleaving, 1, "%u", i);
		simhop_add(&hop, "a@client.example", "c@example.test", "x\r\n",
		    3);
		simhop_wake(&hop);
		collect();
		cr_assert_eq(hop.ntaken, i == 3, "%u", i);
		reply("221 bye\r\n");
		cr_assert_null(hop.client);
		cr_assert_eq(hop.nleaving, 1);
	}
}

/* --- many messages -------------------------------------------------------- */

/* A host with many messages that are all refused here does not keep the loop
 * for itself. */
Test(smtp_client, messages_that_are_not_sent_take_turns)
{
	int npasses = 0;
	size_t i;

	for (i = 0; i < SIMHOP_MESSAGES; i++)
		simhop_envelope(simhop_add(&hop, "a@client.example",
		    "b@example.test", "x\r\n", 3), "smtputf8");
	begin();
	reply("220 ready\r\n");
	simwire_send_now(hop.wire, "250 mx\r\n", 8);
	while (hop.ntaken < SIMHOP_MESSAGES && npasses++ < 100)
		scheduler_pass(sched, 0);
	cr_assert_eq(hop.ntaken, SIMHOP_MESSAGES);
	cr_assert(npasses > 1, "%d", npasses);
	collect();
	for (i = 0; i < SIMHOP_MESSAGES; i++)
		cr_assert_eq(hop.messages[i].results[0].why, SMTP_WHY_UTF8);
	cr_assert_str_eq(smtp_client_state(hop.client),
	    "without a message");
}
