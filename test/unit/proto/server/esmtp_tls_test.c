/* The way to TLS and the PROXY header: what dialogues do not see. */

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "proto/hooks.h"
#include "proto/server/esmtp_proxy.h"
#include "test/lib/simtls.h"
#include "test/unit/proto/server/fake.h"

static struct fake *
start(void)
{
	struct fake *f = fake_new();

	cr_assert_eq(simtls_setup(), 0);
	simtls_use(&f->h);
	fake_option(f, "TLS_Certificate", "server.pem", NULL);
	fake_connect(f);
	fake_say(f, "EHLO client.example\r\n");
	return f;
}

/* The client's handshake, to its end. */
static struct simtls_client *
shake_hands(struct fake *f)
{
	struct simtls_client *c = simtls_client_new(0);
	const char *octets;
	size_t n;
	int done;

	do {
		done = simtls_client_handshake(c);
		n = simtls_client_take(c, &octets);
		simwire_send_now(f->s->wire, octets, n);
		simhost_settle(&f->h);
		octets = simwire_peek(f->s->wire, &n);
		simtls_client_feed(c, octets, n);
		simwire_take(f->s->wire, n);
	} while (done == 0);
	cr_assert_eq(done, 1);
	return c;
}

/* Modules that leave something in the dictionary, before the banner and after
 * it. */
static int
note_network(const char *, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	validate_context_set(v, VCTX_CONN, "network", "known");
	validate_context_set(v, VCTX_CONN, "guess", "good");
	return VALIDATE_CONT;
}

static int
note_helo(const char *str, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	validate_context_set(v, VCTX_CONN, "helo", str);
	return VALIDATE_CONT;
}

static void
note_client(void *, accept_construct *, validate_context *v)
{
	validate_context_set(v, VCTX_CONN, "client", "seen");
}

Test(esmtp_tls, forgets_all_but_what_the_connect_phase_found)
{
	static const struct validate_module notes = {
		.size = sizeof(struct validate_module), .name = "notes",
		.phase = { [VALIDATE_PHASE_CONNECT] = note_network,
		    [VALIDATE_PHASE_EHLO] = note_helo } };
	struct simtls_client *c;
	validate_context *v;
	struct fake *f;

	cr_assert_eq(validate_module_register(&notes), 0);
	cr_assert_eq(register_core_validate_connect_hook_last(note_client,
	    NULL), 0);
	f = start();
	v = &fake_mc(f)->vctx;
	cr_assert_str_eq(validate_context_get(v, VCTX_CONN, "helo"),
	    "client.example");
	validate_context_set(v, VCTX_CONN, "guess", "bad");
	cr_assert_str_eq(fake_say(f, "STARTTLS\r\n"),
	    "220 2.0.0 Ready to start TLS\r\n");
	cr_assert_str_eq(fake_mc(f)->helo, "client.example");
	c = shake_hands(f);
	cr_assert_null(fake_mc(f)->helo);
	cr_assert_str_eq(validate_context_get(v, VCTX_CONN, "network"),
	    "known");
	/* the phase's hook is part of it */
	cr_assert_str_eq(validate_context_get(v, VCTX_CONN, "client"),
	    "seen");
	cr_assert_not(validate_context_exists(v, VCTX_CONN, "helo"));
	cr_assert_not(validate_context_exists(v, VCTX_CONN, "guess"));
	cr_assert_eq(fake_mc(f)->state, ES_EHLO);
	simtls_client_free(c);
	fake_end(f);
}

/* The session owns two layers then, and each has to be given back. */
Test(esmtp_tls, a_session_may_end_while_the_220_is_on_its_way)
{
	static const enum { KILLED, TIMED_OUT, RESET } ends[] = { KILLED,
		TIMED_OUT, RESET };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct fake *f = start();

		f->s->wire->window = 7;
		cr_assert_str_eq(fake_say(f, "STARTTLS\r\n"), "220 2.0");
		cr_assert_eq(fake_mc(f)->tls_stage, TLS_GO_AHEAD);
		cr_assert_eq(f->s->ac->event->io_opset, &simwire_opset);
		if (ends[i] == RESET) {
			simwire_reset(f->s->wire);
			simhost_settle(&f->h);
		} else if (ends[i] == TIMED_OUT)
			fake_wait(f, 301);
		if (ends[i] != KILLED)
			cr_assert(fake_is_ended(f));
		fake_end(f);
	}
}

Test(esmtp_tls, a_session_may_be_killed_while_it_waits_for_a_signature)
{
	struct fake *f = start();
	struct simtls_client *c = simtls_client_new(0);
	const char *octets;
	size_t n;

	simtls_sign(SIMTLS_HOLDS, 0);
	fake_say(f, "STARTTLS\r\n");
	cr_assert_eq(simtls_client_handshake(c), 0);
	n = simtls_client_take(c, &octets);
	simwire_send_now(f->s->wire, octets, n);
	simhost_settle(&f->h);
	cr_assert_eq(simtls_nsigning(), 1);
	cr_assert_eq(f->s->mask, E_ASYNC | E_TIMEOUT);
	fake_end(f);
	cr_assert_eq(simtls_nsigning(), 0);
	simtls_client_free(c);
}

Test(esmtp_tls, is_not_offered_by_a_host_without_it)
{
	struct fake *f = fake_new();

	fake_option(f, "TLS_Certificate", "server.pem", NULL);
	fake_connect(f);
	cr_assert_null(strstr(fake_say(f, "EHLO client.example\r\n"),
	    "STARTTLS"));
	cr_assert_str_eq(fake_say(f, "STARTTLS\r\n"),
	    "502 5.5.1 Command not implemented\r\n");
	fake_end(f);
}

Test(esmtp_tls, use_ssl_without_a_certificate_says_nothing)
{
	struct fake *f = fake_new();

	fake_option(f, "Use_SSL", "true", NULL);
	fake_connect(f);
	cr_assert_str_eq(f->reply, "");
	cr_assert(fake_is_ended(f));
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_TLS_FAILED], 1);
	fake_end(f);
}

/* --- PROXY ---------------------------------------------------------------- */

static struct esmtp_options others;

static int
peer_changed(void *, accept_construct *ac)
{
	cr_assert_eq(ac->remote_addr.sin.sin_family, AF_INET);
	cr_assert_eq(ac->remote_addr.sin.sin_addr.s_addr, inet_addr("192.0.2.7"));
	cr_assert_eq(ntohs(ac->remote_addr.sin.sin_port), 56324);
	ac->options = &others;
	return 1;
}

Test(esmtp_proxy, the_options_of_the_client_hold_from_the_banner_on)
{
	struct fake *f = fake_new();
	char listed[] = "PIPELINING", *list[] = { listed };

	cr_assert_eq(options_init(&others, "other.example.test"), 0);
	others.smtp_extensions.v = list;
	others.smtp_extensions.n = 1;
	f->h.ops.peer_changed = peer_changed;
	fake_option(f, "Proxy_Protocol", "true", NULL);
	fake_connect(f);
	cr_assert_str_eq(f->reply, "");
	cr_assert_str_eq(fake_say(f,
	    "PROXY TCP4 192.0.2.7 203.0.113.1 56324 25\r\nEHLO a.example\r\n"),
	    "220 other.example.test ESMTP mailmill\r\n"
	    "250-other.example.test\r\n250 PIPELINING\r\n");
	fake_end(f);
	others.smtp_extensions.n = 0;
	others.smtp_extensions.v = NULL;
	options_clear(&others);
}

Test(esmtp_proxy, a_header_may_come_octet_by_octet)
{
	struct fake *f = fake_new();

	fake_option(f, "Proxy_Protocol", "true", NULL);
	fake_connect(f);
	cr_assert_str_eq(fake_say_bytewise(f, "PROXY UNKNOWN\r"), "");
	cr_assert_eq(fake_mc(f)->in->len, 14);
	cr_assert_str_eq(fake_say(f, "\n"),
	    "220 mx.example.test ESMTP mailmill\r\n");
	cr_assert_null(fake_mc(f)->in);
	fake_end(f);
}

/* --- may the client that the proxy names have one more session? ----------- */

static unsigned int nasked;

static int
ask(void *, accept_construct *)
{
	nasked++;
	return 0;
}

static struct fake *
asked(const char *header)
{
	struct fake *f = fake_new();

	nasked = 0;
	f->h.ops.peer_changed = ask;
	fake_option(f, "Proxy_Protocol", "true", NULL);
	fake_connect(f);
	/* what follows the header has to wait */
	cr_assert_str_eq(fake_say(f, header), "");
	cr_assert_str_eq(fake_wait(f, 1), "");
	cr_assert_eq(nasked, 1);
	return f;
}

static void
answer(struct fake *f, bool is_welcome)
{
	esmtp_peer_done(f->s->ac, is_welcome);
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
}

Test(esmtp_proxy, the_banner_waits_for_the_host)
{
	static const char *const headers[] = {
		"PROXY TCP4 192.0.2.7 203.0.113.1 56324 25\r\n",
		"PROXY UNKNOWN\r\n"
	};
	struct fake *f;
	size_t i;

	for (i = 0; i < 2; i++) {
		f = asked(headers[i]);
		answer(f, true);
		cr_assert_str_eq(fake_wait(f, 0),
		    "220 mx.example.test ESMTP mailmill\r\n");
		/* once, and not a second time */
		answer(f, false);
		cr_assert_str_eq(fake_say(f, "MAIL FROM:<a@b>\r\n"),
		    "503 5.5.1 Send EHLO first\r\n");
		cr_assert_eq(nasked, 1);
		fake_end(f);
	}
}

Test(esmtp_proxy, a_client_that_the_host_refuses_gets_421)
{
	struct fake *f = asked("PROXY UNKNOWN\r\nEHLO a.example\r\n");

	answer(f, false);
	cr_assert_str_eq(fake_wait(f, 0), "421 4.7.0 Too many concurrent "
	    "sessions from your address, try again later\r\n");
	cr_assert(fake_is_ended(f));
	/* the host has logged it already */
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 0);
	fake_end(f);
}

Test(esmtp_proxy, an_answer_that_never_comes_ends_the_session)
{
	struct fake *f = asked("PROXY UNKNOWN\r\n");

	cr_assert_str_eq(fake_wait(f, LIM_ASYNC_SECONDS + 1), "");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}
