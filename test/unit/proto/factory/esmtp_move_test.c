/* Sessions that leave for another process, and those that come from one. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "proto/esmtp_factory.h"
#include "test/unit/proto/server/fake.h"

static struct esmtp_moved moved;
static unsigned int nmoved;
static bool is_refused;		/* the host cannot move it */

static int
move(void *closure, accept_construct *ac, const struct esmtp_moved *m)
{
	struct simhost *h = closure;
	size_t i;

	if (is_refused)
		return -1;
	moved = *m;
	nmoved++;
	/* no end is reported: it goes on elsewhere */
	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac == ac)
			h->sessions[i].nreports[ESMTP_REPORT_END]++;
	return 0;
}

/* A session that has said ${text}, when the host is configured anew. */
static struct fake *
reload(const char *text)
{
	struct fake *f = fake_new();

	nmoved = 0;
	f->h.ops.session_move = move;
	fake_connect(f);
	fake_say(f, text);
	simhost_drain(&f->h, true);
	fake_say(f, "");
	return f;
}

/* --- leaving -------------------------------------------------------------- */

Test(esmtp_move, an_idle_session_takes_along_what_counts)
{
	struct fake *f;

	f = reload("");
	cr_expect_eq(nmoved, 1);
	cr_expect_eq(moved.has_helo, 0);
	cr_expect(fake_is_ended(f));
	cr_expect_str_eq(f->reply, "", "told: %s", f->reply);
	fake_end(f);
	f = reload("XYZZY\r\nHELO c.example\r\n");
	cr_expect_eq(nmoved, 1);
	cr_expect_str_eq(moved.helo, "c.example");
	cr_expect_eq(moved.has_helo, 1);
	cr_expect_eq(moved.is_esmtp, 0);
	cr_expect_eq(moved.nerrors, 1);
	fake_end(f);
	f = reload("EHLO c.example\r\n");
	cr_expect_eq(moved.is_esmtp, 1);
	fake_end(f);
}

Test(esmtp_move, what_only_this_process_knows_stays)
{
	static const struct {
		const char *text;
		bool is_told;
	} c[] = {
		{ "NOO", true },
		{ "DATA\r\n", true },
		{ "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", true },
		{ "AUTH LOGIN\r\n", true },
		{ "MAIL FROM:<>\r\n", false },
		/* a refused chunk: what follows is no command */
		{ "BDAT 12\r\nQUIT\r\n", true },
	};
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		f = fake_new();
		nmoved = 0;
		f->h.ops.session_move = move;
		fake_option(f, "Auth_Backend", "passwd:users", NULL);
		fake_option(f, "Auth_Without_TLS", "true", NULL);
		fake_connect(f);
		fake_say(f, "EHLO c.example\r\n");
		fake_say(f, c[i].text);
		simhost_drain(&f->h, true);
		fake_say(f, "");
		cr_expect_eq(nmoved, 0, "%s", c[i].text);
		cr_expect_eq(strncmp(f->reply, "421 ", 4) == 0, c[i].is_told,
		    "%s: %s", c[i].text, f->reply);
		fake_end(f);
	}
}

Test(esmtp_move, one_that_the_host_cannot_move_is_told)
{
	struct fake *f;

	is_refused = true;
	f = reload("");
	cr_expect_eq(strncmp(f->reply, "421 ", 4), 0, "%s", f->reply);
	fake_end(f);
}

/* It comes in the moment between the beginning of the drain and the step that
 * the session is woken for. */
Test(esmtp_move, a_command_that_comes_meanwhile_is_left_to_the_other_process)
{
	static const char *const commands[] = { "NOOP\r\n", "NO",
		"MAIL FROM:<>\r\nRCPT TO:<user@example.test>\r\n" };
	struct fake *f;
	size_t i;

	is_refused = false;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		f = fake_new();
		nmoved = 0;
		f->h.ops.session_move = move;
		fake_connect(f);
		fake_say(f, "EHLO c.example\r\n");
		simhost_drain(&f->h, true);
		cr_expect_str_eq(fake_say(f, commands[i]), "");
		cr_expect_eq(nmoved, 1, "%s", commands[i]);
		cr_expect_eq(moved.nerrors, 0);
		cr_expect(fake_is_ended(f));
		fake_end(f);
	}
}

Test(esmtp_move, at_a_stop_none_moves)
{
	struct fake *f = fake_new();

	nmoved = 0;
	f->h.ops.session_move = move;
	fake_connect(f);
	simhost_drain(&f->h, false);
	fake_say(f, "");
	cr_expect_eq(nmoved, 0);
	cr_expect_eq(strncmp(f->reply, "421 ", 4), 0, "%s", f->reply);
	fake_end(f);
}

static void (*move_report)(void *, accept_construct *,
    const struct esmtp_report *);

static void
end_self(void *closure, accept_construct *ac, const struct esmtp_report *r)
{
	struct simhost *h = closure;

	move_report(h, ac, r);
	if (r->kind != ESMTP_REPORT_REJECTED)
		return;
	simhost_drain(h, true);
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(ac));
}

/* It ends here, and is not handed to another process. */
Test(esmtp_move, one_that_its_host_has_ended_does_not_move)
{
	struct fake *f = fake_new();

	nmoved = 0;
	f->h.ops.session_move = move;
	move_report = f->h.ops.report;
	f->h.ops.report = end_self;
	fake_connect(f);
	fake_say(f, "XYZZY\r\n");
	cr_expect_eq(nmoved, 0);
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

/* --- arriving ------------------------------------------------------------- */

static const struct esmtp_moved good = { .size = sizeof(good),
	.has_helo = 1, .is_esmtp = 1,
	.helo = "c.example", .id = "0123456789abcdef", .nmessages = 2,
	.nrcpts = 3, .nerrors = 1 };

/* Return what esmtp_session_resume() does with ${m}. */
static int
resume(struct fake *f, const struct esmtp_moved *m)
{
	const struct timeval now = *scheduler_now();

	f->s = simhost_connect(&f->h, "192.0.2.1");
	cr_assert_not_null(f->s);
	/* its beginning has been reported elsewhere */
	f->s->nreports[ESMTP_REPORT_CONNECT]++;
	return esmtp_session_resume(f->s->ac, m, &now);
}

Test(esmtp_resume, it_goes_on_without_a_banner)
{
	struct fake *f = fake_new();

	cr_assert_eq(resume(f, &good), 0);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_str_eq(f->s->ac->id, good.id);
	cr_expect_eq(strncmp(fake_say(f, "MAIL FROM:<>\r\n"), "250 ", 4), 0,
	    "%s", f->reply);
	fake_end(f);
}

Test(esmtp_resume, one_that_had_not_said_hello_still_has_to)
{
	const struct esmtp_moved silent = { .size = sizeof(silent),
		.id = "1" };
	struct fake *f = fake_new();

	cr_assert_eq(resume(f, &silent), 0);
	cr_expect_eq(strncmp(fake_say(f, "MAIL FROM:<>\r\n"), "503 ", 4), 0,
	    "%s", f->reply);
	cr_expect_eq(strncmp(fake_say(f, "EHLO d.example\r\n"), "250-", 4), 0,
	    "%s", f->reply);
	fake_end(f);
}

Test(esmtp_resume, errors_are_counted_on)
{
	struct esmtp_moved m = good;
	struct fake *f = fake_new();

	fake_option(f, "Max_Errors", "5", NULL);
	m.nerrors = 5;
	cr_assert_eq(resume(f, &m), 0);
	cr_expect_eq(strncmp(fake_say(f, "XYZZY\r\n"), "421 ", 4), 0, "%s",
	    f->reply);
	fake_end(f);
}

/* The client has been told what is spoken. */
Test(esmtp_resume, not_where_another_protocol_is_spoken)
{
	struct esmtp_moved m = good;
	struct fake *f = fake_new();

	m.kind = ESMTP_KIND_LMTP;
	cr_expect_eq(resume(f, &m), -1);
	cr_expect_eq(errno, EINVAL);
	/* where there was no Kind yet, it was SMTP, whatever is behind it */
	m.size = offsetof(struct esmtp_moved, kind);
	cr_expect_eq(resume(f, &m), 0);
	m.size--;
	cr_expect_eq(resume(f, &m), -1);
	m.size = sizeof(m);
	fake_option(f, "Kind", "lmtp", NULL);
	cr_expect_eq(resume(f, &good), -1);
	cr_expect_eq(resume(f, &m), 0);
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    "500 5.5.2 Command not recognized\r\n");
	fake_end(f);
}

/* An attacker may control the other process. */
Test(esmtp_resume, what_no_session_can_be_like_is_refused)
{
	struct esmtp_moved m[7];
	struct fake *f = fake_new();
	size_t i;

	for (i = 0; i < 7; i++)
		m[i] = good;
	memset(m[0].helo, 'a', sizeof(m[0].helo));
	strcpy(m[1].helo, "a b");
	strcpy(m[2].helo, "a\r\nb");
	strcpy(m[3].helo, "a\xff");
	memset(m[4].id, 'a', sizeof(m[4].id));
	strcpy(m[5].id, "");
	strcpy(m[6].id, "../../x");
	for (i = 0; i < 7; i++) {
		cr_expect_eq(resume(f, &m[i]), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
		cr_expect_null(accept_construct_get_message_construct(
		    f->s->ac));
	}
	/* nothing has become of them: they begin as any other */
	f->s->nreports[ESMTP_REPORT_CONNECT] = 0;
	cr_expect_eq(strncmp(fake_say(f, ""), "220 ", 4), 0, "%s", f->reply);
	fake_end(f);
}

Test(esmtp_resume, nothing_goes_on_in_the_clear_where_tls_or_a_proxy_comes_first)
{
	static const char *const options[] = { "Use_SSL", "Proxy_Protocol" };
	struct fake *f;
	size_t i;

	for (i = 0; i < 2; i++) {
		f = fake_new();
		fake_option(f, options[i], "true", NULL);
		cr_expect_eq(resume(f, &good), -1, "%s", options[i]);
		cr_expect_eq(errno, EINVAL);
		fake_end(f);
	}
}

Test(esmtp_resume, policies_are_asked_here_too)
{
	struct fake *f = fake_new();

	cr_assert_eq(simpolicy_register(), 0);
	f->h.policy.mode[VALIDATE_PHASE_CONNECT] = SIMPOLICY_DENY;
	f->h.policy.code = 554;
	strcpy(f->h.policy.text, "5.7.1 Not you");
	cr_assert_eq(resume(f, &good), 0);
	cr_expect_eq(strncmp(fake_say(f, ""), "421 4.3.2 ", 10), 0, "%s",
	    f->reply);
	cr_expect_null(strstr(f->reply, "554"));
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_resume, a_policy_may_take_its_time)
{
	struct fake *f = fake_new();

	cr_assert_eq(simpolicy_register(), 0);
	f->h.policy.mode[VALIDATE_PHASE_CONNECT] = SIMPOLICY_HOLD;
	cr_assert_eq(resume(f, &good), 0);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "");
	f->h.policy.mode[VALIDATE_PHASE_CONNECT] = SIMPOLICY_CONT;
	simpolicy_release(&f->h);
	cr_expect_eq(strncmp(fake_say(f, ""), "250 ", 4), 0, "%s", f->reply);
	cr_expect_null(strstr(f->reply, "220 "));
	fake_end(f);
}

Test(esmtp_resume, it_may_move_again_at_once)
{
	struct fake *f = fake_new();

	nmoved = 0;
	f->h.ops.session_move = move;
	cr_assert_eq(resume(f, &good), 0);
	simhost_drain(&f->h, true);
	cr_expect_str_eq(fake_say(f, ""), "");
	cr_expect_eq(nmoved, 1);
	cr_expect_eq(memcmp(&moved, &good, sizeof(good)), 0);
	fake_end(f);
}
