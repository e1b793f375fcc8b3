/* XCLIENT, XREMOTEIP, XFORWARD: what dialogues cannot see. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "core/util/addr.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/server/fake.h"

#define BANNER	"220 mx.example.test ESMTP mailmill\r\n"
#define OK	"250 2.0.0 OK\r\n"
#define FULL	"421 4.7.0 Too many concurrent sessions from your address, " \
		"try again later\r\n"

static struct fake *f;
static char seen[512];		/* the clients that the host was asked about */
static unsigned int nasked;
static esmtp_ticket ticket;
static struct esmtp_options others;

static const char *
peer(const accept_construct *ac)
{
	static char buf[ADDR_PORT_TEXT];

	return addr_port_text(esmtp_session_peer(ac), buf);
}

static const char *
via(const accept_construct *ac)
{
	static char buf[ADDR_TEXT];

	return esmtp_session_via(ac) == NULL ? NULL :
	    addr_text(esmtp_session_via(ac), buf);
}

static void
note(accept_construct *ac)
{
	nasked++;
	strncat(seen, peer(ac), sizeof(seen) - strlen(seen) - 2);
	strcat(seen, " ");
}

static int
let_in(void *, accept_construct *ac)
{
	note(ac);
	return 1;
}

static int
ask(void *, accept_construct *ac)
{
	note(ac);
	ticket = esmtp_ticket_new(ac);
	cr_assert_neq(ticket, 0);
	return 0;
}

static int
turn_away(void *, accept_construct *ac)
{
	note(ac);
	esmtp_peer_done(ac, false);
	return 0;
}

static int
with_other_options(void *, accept_construct *ac)
{
	note(ac);
	esmtp_session_set_options(ac, &others);
	return 1;
}

static int
drop(void *, accept_construct *ac)
{
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(ac));
	return 1;
}

static void
start(int (*peer_changed)(void *, accept_construct *))
{
	seen[0] = '\0';
	nasked = 0;
	f = fake_new();
	f->h.ops.peer_changed = peer_changed;
	fake_option(f, "Allow_XCLIENT", "true", NULL);
	fake_option(f, "Allow_XFORWARD", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
}

Test(ext_xclient, the_host_is_asked_about_each_new_address)
{
	start(let_in);
	cr_expect_null(via(f->s->ac));
	cr_expect_str_eq(fake_say(f, "XCLIENT NAME=a.example\r\n"), BANNER);
	cr_expect_eq(nasked, 0);
	cr_expect_str_eq(via(f->s->ac), "192.0.2.1");
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7 PORT=25\r\n"),
	    BANNER);
	cr_expect_str_eq(fake_say(f, "XCLIENT PORT=26\r\n"), BANNER);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=IPV6:2001:db8::7\r\n"),
	    BANNER);
	cr_expect_str_eq(fake_say(f, "XREMOTEIP 192.0.2.8\r\n"), OK);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=[UNAVAILABLE]\r\n"),
	    BANNER);
	cr_expect_str_eq(seen, "192.0.2.7:25 192.0.2.7:26 [2001:db8::7]:0 "
	    "192.0.2.8:0 unknown ");
	/* the client that has connected stays the same */
	cr_expect_str_eq(via(f->s->ac), "192.0.2.1");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_CLIENT], 6);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_CONNECT], 1);
	fake_end(f);
}

Test(ext_xclient, the_banner_waits_for_the_host)
{
	start(ask);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"), "");
	/* nor is anything else served */
	cr_expect_str_eq(fake_say(f, "EHLO y\r\n"), "");
	cr_expect_str_eq(fake_wait(f, 10), "");
	cr_assert_eq(esmtp_answer(&f->h.host, ticket, 1), 0);
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	fake_wait(f, 0);
	cr_expect_eq(strncmp(f->reply, BANNER "250-", strlen(BANNER) + 4), 0,
	    "%s", f->reply);
	cr_expect_str_eq(esmtp_session_helo(f->s->ac), "y");
	cr_expect_eq(nasked, 1);
	fake_end(f);
}

Test(ext_xclient, a_client_with_too_many_sessions_is_sent_away)
{
	static const char *const commands[] = { "XCLIENT ADDR=192.0.2.7\r\n",
		"XREMOTEIP 192.0.2.7\r\n" };
	size_t i;

	for (i = 0; i < 2; i++) {
		start(ask);
		cr_expect_str_eq(fake_say(f, commands[i]), "");
		cr_assert_eq(esmtp_answer(&f->h.host, ticket, 0), 0);
		schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
		cr_expect_str_eq(fake_wait(f, 0), FULL);
		cr_expect(fake_is_ended(f));
		fake_end(f);
		start(turn_away);
		cr_expect_str_eq(fake_say(f, commands[i]), FULL);
		cr_expect(fake_is_ended(f));
		fake_end(f);
	}
}

static int
answer_and_ask(void *, accept_construct *ac)
{
	nasked++;
	ticket = esmtp_ticket_new(ac);
	cr_assert_neq(ticket, 0);
	esmtp_peer_done(ac, true);
	return 0;
}

Test(ext_xclient, an_answer_about_another_client_lets_nobody_in)
{
	esmtp_ticket first;

	start(answer_and_ask);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"), BANNER);
	first = ticket;
	f->h.ops.peer_changed = ask;
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.8\r\n"), "");
	cr_expect_eq(esmtp_answer(&f->h.host, first, 1), -1);
	fake_wait(f, 1);
	cr_expect_str_eq(f->reply, "");
	cr_assert_eq(esmtp_answer(&f->h.host, ticket, 0), 0);
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_wait(f, 0), FULL);
	fake_end(f);
}

Test(ext_xclient, a_host_that_says_nothing_is_not_waited_for_for_ever)
{
	start(ask);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"), "");
	fake_wait(f, LIM_ASYNC_SECONDS + 1);
	cr_expect_eq(strncmp(f->reply, "421 4.3.0 ", 10), 0, "%s", f->reply);
	cr_expect(fake_is_ended(f));
	/* the answer comes too late */
	cr_expect_eq(esmtp_answer(&f->h.host, ticket, 1), -1);
	fake_end(f);
}

Test(ext_xclient, a_client_that_leaves_meanwhile_is_gone)
{
	start(ask);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"), "");
	fake_end(f);
}

Test(ext_xclient, the_new_client_may_itself_not_say_who_it_is)
{
	cr_assert_eq(options_init(&others, "other.example.test"), 0);
	start(with_other_options);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"),
	    "220 other.example.test ESMTP mailmill\r\n");
	fake_say(f, "EHLO x\r\n");
	cr_expect_null(strstr(f->reply, "XCLIENT"));
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.1\r\n"),
	    "550 5.7.0 Not allowed from your address\r\n");
	cr_expect_str_eq(fake_say(f, "XREMOTEIP 192.0.2.1\r\n"),
	    "550 5.7.0 Not allowed from your address\r\n");
	cr_expect_str_eq(seen, "192.0.2.7:0 ");
	cr_expect_str_eq(peer(f->s->ac), "192.0.2.7:0");
	fake_end(f);
	options_clear(&others);
}

/* Options that want TLS first are of another port: this one goes on in the
 * clear. */
Test(ext_xclient, implicit_tls_is_not_begun_in_mid_session)
{
	cr_assert_eq(options_init(&others, "other.example.test"), 0);
	others.use_ssl = true;
	start(with_other_options);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"),
	    "220 other.example.test ESMTP mailmill\r\n");
	fake_end(f);
	others.use_ssl = false;
	options_clear(&others);
}

Test(ext_xclient, a_host_may_end_the_session_when_it_is_asked)
{
	start(drop);
	cr_expect_str_eq(fake_say(f, "XCLIENT ADDR=192.0.2.7\r\n"), "");
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

static void
expect_attribute(enum esmtp_attribute what, const char *want)
{
	const char *have = esmtp_session_attribute(f->s->ac, what);

	if (want == NULL)
		cr_expect_null(have, "%d: %s", (int)what, have);
	else
		cr_expect(have != NULL && strcmp(have, want) == 0, "%d: %s",
		    (int)what, have);
}

Test(ext_xclient, what_is_said_beside_is_kept)
{
	start(let_in);
	expect_attribute(ESMTP_CLIENT_NAME, NULL);
	fake_say(f, "XCLIENT NAME=a.example PROTO=smtp HELO=h+20x "
	    "DESTADDR=192.0.2.25 DESTPORT=25\r\n");
	expect_attribute(ESMTP_CLIENT_NAME, "a.example");
	expect_attribute(ESMTP_CLIENT_PROTO, "SMTP");
	expect_attribute(ESMTP_CLIENT_HELO, "h?x");
	expect_attribute(ESMTP_CLIENT_DESTADDR, "192.0.2.25");
	expect_attribute(ESMTP_CLIENT_DESTPORT, "25");
	fake_say(f, "XCLIENT ADDR=192.0.2.7 HELO=[UNAVAILABLE]\r\n");
	expect_attribute(ESMTP_CLIENT_NAME, NULL);
	expect_attribute(ESMTP_CLIENT_HELO, NULL);
	expect_attribute(ESMTP_CLIENT_DESTPORT, "25");
	expect_attribute((enum esmtp_attribute)-1, NULL);
	expect_attribute(ESMTP_NATTRIBUTES, NULL);
	cr_expect_null(esmtp_session_attribute(NULL, ESMTP_CLIENT_NAME));
	cr_expect_null(esmtp_session_via(NULL));
	fake_end(f);
}

/* The Received field, with all that it may hold, is not cut. */
Test(ext_xclient, the_longest_of_each_is_taken)
{
	char line[1024], name[256];
	size_t i;

	for (i = 0; i < 253; i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	name[i] = '\0';
	start(let_in);
	snprintf(line, sizeof(line), "XCLIENT NAME=%s LOGIN=%0255d\r\n", name,
	    1);
	cr_expect_str_eq(fake_say(f, line), BANNER);
	cr_expect_eq(strlen(esmtp_session_login(f->s->ac)), 255);
	fake_to_data(f);
	fake_say(f, "x\r\n.\r\n");
	cr_assert_not_null(fake_message(f, 0));
	cr_expect_not_null(memmem(fake_message(f, 0)->body,
	    fake_message(f, 0)->len, name, strlen(name)));
	fake_end(f);
}

static const struct { const char *say; bool is_kept; } ends[] = {
	{ "NOOP\r\n", true },
	{ "MAIL FROM:<a@b.example>\r\n", true },
	{ "XFORWARD PORT=25\r\n", true },
	{ "XFORWARD WHAT=25\r\n", true },
	{ "RSET\r\n", false },
	{ "EHLO x\r\n", false },
	{ "MAIL FROM:<a@b.example>\r\nRSET\r\n", false },
	{ "XCLIENT ADDR=192.0.2.7\r\n", false },
};

Test(ext_xforward, is_of_one_message)
{
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		start(let_in);
		cr_expect_str_eq(fake_say(f, "XFORWARD ADDR=IPV6:2001:db8::7 "
		    "IDENT=abc+3Dd SOURCE=local\r\n"), OK);
		expect_attribute(ESMTP_FORWARD_ADDR, "2001:db8::7");
		fake_say(f, ends[i].say);
		expect_attribute(ESMTP_FORWARD_IDENT, ends[i].is_kept ?
		    "abc=d" : NULL);
		expect_attribute(ESMTP_FORWARD_SOURCE, ends[i].is_kept ?
		    "LOCAL" : NULL);
		fake_end(f);
	}
}

static char forwarded[64];
static void (*report)(void *, accept_construct *, const struct esmtp_report *);

static void
note_accepted(void *closure, accept_construct *ac,
    const struct esmtp_report *r)
{
	const char *ident = esmtp_session_attribute(ac, ESMTP_FORWARD_IDENT);

	if (r->kind == ESMTP_REPORT_ACCEPTED)
		snprintf(forwarded, sizeof(forwarded), "%s",
		    ident != NULL ? ident : "-");
	report(closure, ac, r);
}

Test(ext_xforward, is_there_when_the_message_is_reported)
{
	start(let_in);
	report = f->h.ops.report;
	f->h.ops.report = note_accepted;
	fake_say(f, "XFORWARD IDENT=3CF6B2AAE8\r\n");
	fake_to_data(f);
	/* the greeting in there has made an end of it */
	fake_say(f, "x\r\n.\r\n");
	cr_expect_str_eq(forwarded, "-");
	fake_say(f, "XFORWARD IDENT=3CF6B2AAE8\r\n"
	    "MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.test>\r\n"
	    "DATA\r\n");
	fake_say(f, "x\r\n.\r\n");
	cr_expect_str_eq(forwarded, "3CF6B2AAE8");
	expect_attribute(ESMTP_FORWARD_IDENT, NULL);
	fake_end(f);
}

Test(ext_xforward, has_no_say_in_who_the_client_is)
{
	start(let_in);
	fake_say(f, "XFORWARD ADDR=192.0.2.7 PORT=26 NAME=a.example\r\n");
	cr_expect_str_eq(peer(f->s->ac), "192.0.2.1:40000");
	cr_expect_null(via(f->s->ac));
	cr_expect_eq(nasked, 0);
	fake_end(f);
}
