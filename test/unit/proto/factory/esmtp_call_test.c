/* What a caller of the factory has to keep to, and the buffers that it gives. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/lib/misuse.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"
#define SAYS	"mailmill: esmtp_message_factory(): "

/* --- rules ---------------------------------------------------------------- */

static struct fake *fake;
static struct timeval now = { .tv_sec = FAKE_START };

/* One call, with something wrong. */
static void
call(void *ac)
{
	(void)esmtp_message_factory(fake->s->ac->event, E_ASYNC, ac, &now);
}

static void
call_without_a_time(void *ac)
{
	(void)esmtp_message_factory(fake->s->ac->event, E_ASYNC, ac, NULL);
}

static void
call_without_an_event(void *ac)
{
	(void)esmtp_message_factory(NULL, E_ASYNC, ac, &now);
}

static void
call_with_another_event(void *ac)
{
	Event other = *fake->s->ac->event;

	(void)esmtp_message_factory(&other, E_ASYNC, ac, &now);
}

static void
set_scratch(void *ac)
{
	fake->h.host.scratch_octets = LIM_COMMAND_READ - 1;
	call(ac);
}

static void
set_no_scratch(void *ac)
{
	fake->h.host.scratch = NULL;
	call(ac);
}

static void
set_output(void *ac)
{
	fake->h.host.output_octets = LIM_OUTPUT_LEAST - 1;
	call(ac);
}

static void
set_no_output(void *ac)
{
	fake->h.host.output = NULL;
	call(ac);
}

static void
set_no_host(void *ac)
{
	fake->s->ac->host = NULL;
	call(ac);
}

static void
set_no_options(void *ac)
{
	fake->s->ac->options = NULL;
	call(ac);
}

static void
set_options_that_are_zero(void *ac)
{
	static const struct esmtp_options zero;

	fake->s->ac->options = &zero;
	call(ac);
}

static void
set_no_ops(void *ac)
{
	fake->h.host.ops = NULL;
	call(ac);
}

static void
set_no_spool(void *ac)
{
	fake->h.host.spool = NULL;
	call(ac);
}

static void
set_half_a_spool(void *ac)
{
	struct spool_ops half = simspool_ops;

	half.commit = NULL;
	fake->h.host.spool = &half;
	call(ac);
}

static void
shrink_scratch(void *ac)
{
	fake_mc(fake)->in = &(struct esmtp_kept){
		.len = LIM_COMMAND_READ + 1 };
	fake->h.host.scratch_octets = LIM_COMMAND_READ;
	call(ac);
}

static const struct {
	void		(*call)(void *ac);
	const char	*says;
	bool		 is_first;	/* only at the session's first call */
} rules[] = {
	{ call_without_a_time, "now must point to the time of the loop",
	    false },
	{ call_without_an_event,
	    "ac->event must be the event that is dispatched", false },
	{ call_with_another_event,
	    "ac->event must be the event that is dispatched", false },
	{ set_scratch,
	    "host->scratch must have at least LIM_COMMAND_READ octets", false },
	{ set_no_scratch,
	    "host->scratch must have at least LIM_COMMAND_READ octets", false },
	{ set_output,
	    "host->output must have at least LIM_OUTPUT_LEAST octets", false },
	{ set_no_output,
	    "host->output must have at least LIM_OUTPUT_LEAST octets", false },
	{ set_no_host, "ac->host must be set", false },
	{ set_no_options,
	    "ac->options must be set, with esmtp_options_new()", false },
	{ set_options_that_are_zero,
	    "ac->options must be set, with esmtp_options_new()", false },
	{ set_no_ops, "host->ops must be set", true },
	{ set_no_spool,
	    "host->spool must have begin, append, commit and abort", true },
	{ set_half_a_spool,
	    "host->spool must have begin, append, commit and abort", true },
	{ shrink_scratch,
	    "host->scratch must not become smaller while sessions use it",
	    false },
};

/* Each is tried at the first call of a session and at a later one. */
Test(esmtp_call, misuse_ends_with_the_function_and_the_rule)
{
	const char *line;
	size_t i;
	int is_later;

	for (is_later = 0; is_later < 2; is_later++) {
		fake = fake_new();
		fake->s = simhost_connect(&fake->h, "192.0.2.1");
		cr_assert_not_null(fake->s);
		if (is_later)
			simhost_settle(&fake->h);
		for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
			if (is_later ? rules[i].is_first :
			    rules[i].call == shrink_scratch)
				continue;
			line = misuse_ends(rules[i].call, fake->s->ac);
			cr_expect_not_null(line, "%s", rules[i].says);
			if (line == NULL)
				continue;
			cr_expect_eq(strncmp(line, SAYS, strlen(SAYS)), 0,
			    "%s", line);
			cr_expect_str_eq(line + strlen(SAYS), rules[i].says);
		}
		line = misuse_ends(call, NULL);
		cr_expect_str_eq(line != NULL ? line : "",
		    SAYS "the closure must be an accept_construct");
		/* and what is right is let through */
		cr_expect_null(misuse_ends(call, fake->s->ac));
		fake_end(fake);
	}
}

/* --- buffers -------------------------------------------------------------- */

/* The least that is allowed, on the heap: a sanitizer sees each octet behind
 * it. */
Test(esmtp_call, the_least_buffers_are_enough)
{
	static char body[3 * LIM_COMMAND_READ], said[20000];
	struct fake *f = fake_new();
	char *scratch = malloc(LIM_COMMAND_READ), *p = said;
	char *output = malloc(LIM_OUTPUT_LEAST);
	const char *last;
	int i;

	f->h.host.scratch = scratch;
	f->h.host.scratch_octets = LIM_COMMAND_READ;
	f->h.host.output = output;
	f->h.host.output_octets = LIM_OUTPUT_LEAST;
	fake_option(f, "Banner_Hostname", "mx.example.test", NULL);
	fake_connect(f);
	for (i = 0; i < 600; i++)
		p = stpcpy(p, i % 2 ? "NOOP\r\n" : "HELP\r\n");
	fake_say(f, said);
	cr_assert_gt(strlen(f->reply), 2 * LIM_OUTPUT_LEAST);
	last = f->reply + strlen(f->reply) - strlen(OK);
	cr_assert_str_eq(last, OK);
	memset(body, 'x', sizeof(body));
	for (i = 998; i < (int)sizeof(body); i += 1000)
		memcpy(body + i - 2, "\r\n", 2);
	f->h.spool.is_held = true;
	fake_to_data(f);
	cr_assert_str_eq(fake_say_n(f, body, sizeof(body)), "");
	memset(said, 0, sizeof(said));
	p = stpcpy(said, "\r\n.\r\n");
	while ((size_t)(p - said) < LIM_COMMAND_READ - 6)
		p = stpcpy(p, "NOOP\r\n");
	/* what is behind the message is kept, while it is committed */
	cr_assert_str_eq(fake_say(f, said), "");
	simspool_release(&f->h.spool);
	fake_say(f, "");
	cr_assert_eq(strncmp(f->reply, "250 2.0.0 OK: queued as ", 24), 0);
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_end(f);
	free(scratch);
	free(output);
}

/* A challenge that has no room in it is given up, and nothing else. */
Test(esmtp_call, the_least_output_has_no_room_for_the_longest_challenge)
{
	struct fake *f = fake_new();

	f->h.host.output_octets = LIM_OUTPUT_LEAST;
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_option(f, "Auth_Mechanisms", "PLAIN", "x-long", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	cr_assert_str_eq(fake_say(f, "AUTH X-LONG\r\nNOOP\r\n"),
	    "503 5.5.1 Command must be the last of a pipelined group\r\n" OK);
	fake_say(f, "AUTH X-LONG\r\n");
	cr_assert_str_eq(f->reply,
	    "454 4.7.0 Temporary authentication failure\r\n");
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), OK);
	fake_end(f);
}

Test(esmtp_call, an_id_without_its_nul_is_cut)
{
	struct fake *f = fake_new();

	f->s = simhost_connect(&f->h, "192.0.2.1");
	memset(f->s->ac->id, 'x', sizeof(f->s->ac->id));
	simhost_settle(&f->h);
	cr_assert_eq(strlen(f->s->ac->id), sizeof(f->s->ac->id) - 1);
	fake_end(f);
}
