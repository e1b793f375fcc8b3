/* The phase before all others: about a client that has just connected, before
 * its PROXY header and TLS. */

#include <criterion/criterion.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

static struct fake *fake;

/* What happens in the phase: returns its result; NULL: nothing. */
static int (*act)(validate_context *v);
static unsigned int ncalls, nconnects;
static int state;	/* of the session, when it was called */

static int
on_accept(const char *, const struct mailaddr *, accept_construct *ac,
    validate_context *v, void *)
{
	ncalls++;
	state = esmtp_session_state(ac);
	return act != NULL ? act(v) : VALIDATE_CONT;
}

static int
on_connect(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	nconnects++;
	return VALIDATE_CONT;
}

static void
start(int (*f)(validate_context *))
{
	static const struct validate_module module = {
		.size = sizeof(struct validate_module), .name = "test",
		.phase = { [VALIDATE_PHASE_ACCEPT] = on_accept,
		    [VALIDATE_PHASE_CONNECT] = on_connect } };

	cr_assert_eq(validate_module_register(&module), 0);
	act = f;
	fake = fake_new();
}

static int
later(validate_context *)
{
	return VALIDATE_AGAIN;
}

static int
refuse(validate_context *v)
{
	return validate_refuse(v, RPL_POLICY);
}

static int
close_at_once(validate_context *v)
{
	validate_context_set_code(v, 421, "4.7.0 not now");
	return VALIDATE_DONE;
}

Test(validate_accept, refuses_as_connect_does)
{
	start(refuse);
	fake_connect(fake);
	cr_expect_str_eq(fake->reply, "550 5.7.1 Refused by policy\r\n");
	cr_expect_eq(state, MC_STATE_SETUP);
	cr_expect_eq(nconnects, 0);
	cr_expect_str_eq(fake_say(fake, "EHLO x\r\n"),
	    "503 5.5.1 Bad sequence of commands\r\n");
	cr_expect_str_eq(fake_say(fake, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
	cr_expect(fake_is_ended(fake));
	fake_end(fake);
	fake = fake_new();
	act = close_at_once;
	fake_connect(fake);
	cr_expect_str_eq(fake->reply, "421 4.7.0 not now\r\n");
	cr_expect(fake_is_ended(fake));
	fake_end(fake);
}

Test(validate_accept, says_nothing_where_tls_or_a_proxy_header_comes_first)
{
	static const char *const options[] = { "Use_SSL", "Proxy_Protocol" };
	static int (*const acts[])(validate_context *) = { refuse,
		close_at_once };
	size_t i;

	start(NULL);
	for (i = 0; i < 4; i++) {
		if (i > 0)
			fake = fake_new();
		act = acts[i / 2];
		fake_option(fake, options[i % 2], "true", NULL);
		fake_connect(fake);
		cr_expect_str_eq(fake->reply, "");
		cr_expect(fake_is_ended(fake));
		/* the log knows */
		cr_expect_eq(fake->s->nreports[ESMTP_REPORT_REJECTED], 1);
		fake_end(fake);
	}
}

Test(validate_accept, may_wait_and_what_comes_first_comes_then)
{
	start(later);
	fake_option(fake, "Proxy_Protocol", "true", NULL);
	fake_connect(fake);
	cr_expect_eq(esmtp_session_state(fake->s->ac), MC_STATE_SETUP);
	cr_expect_str_eq(fake_say(fake, "PROXY TCP4 198.51.100.7 203.0.113.1 "
	    "56324 25\r\n"), "");
	cr_expect_eq(ncalls, 1);
	/* it is asked again at each completion, also of others' work */
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""), "");
	cr_expect_eq(ncalls, 2);
	act = NULL;
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""),
	    "220 mx.example.test ESMTP mailmill\r\n");
	cr_expect_eq(fake->s->ac->remote_addr.sin.sin_addr.s_addr,
	    htonl(0xc6336407));
	fake_end(fake);
}

Test(validate_accept, is_not_waited_for_for_ever)
{
	start(later);
	fake_connect(fake);
	cr_assert_str_eq(fake_wait(fake, LIM_ASYNC_SECONDS - 1), "");
	cr_assert_not(fake_is_ended(fake));
	fake_wait(fake, 2);
	cr_assert(fake_is_ended(fake));
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_TIMEOUT], 1);
	fake_end(fake);
}
