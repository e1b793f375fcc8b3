/* The end of data: what is answered when something is wrong with the message
 * or the spool. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/message/esmtp_message.h"
#include "test/unit/proto/server/fake.h"

static struct fake *
start(const char *option, const char *value)
{
	struct fake *f = fake_new();

	if (option != NULL)
		fake_option(f, option, value, NULL);
	fake_connect(f);
	return f;
}

/* Whatever failed, the session goes on. */
static void
check_alive(struct fake *f)
{
	cr_assert_eq(f->h.spool.nopen, 0);
	cr_assert_null(fake_mc(f)->txn);
	memset(&f->h.spool.begin_errno, 0, sizeof(int));
	f->h.spool.append_errno = f->h.spool.refuse_errno =
	    f->h.spool.commit_errno = 0;
	fake_to_data(f);
	cr_assert_eq(strncmp(fake_say(f, ".\r\n"), "250 ", 4), 0, "%s",
	    f->reply);
	fake_end(f);
}

Test(esmtp_body, a_message_too_big_is_read_to_its_end_and_refused)
{
	struct fake *f = start("Max_Message_Size", "100");
	char big[5000];

	memset(big, 'x', sizeof(big));
	fake_to_data(f);
	cr_assert_str_eq(fake_say_n(f, big, sizeof(big)), "");
	cr_assert_eq(f->h.spool.nopen, 0);
	cr_assert_str_eq(fake_say(f, "\r\nRSET\r\n"), "");
	cr_assert_str_eq(fake_say(f, ".\r\n"),
	    "552 5.3.4 Message too big\r\n");
	check_alive(f);
}

Test(esmtp_body, a_message_of_exactly_the_limit_is_accepted)
{
	struct fake *f = start("Max_Message_Size", "10");

	fake_to_data(f);
	cr_assert_eq(strncmp(fake_say(f, "..234567\r\n.\r\n"), "250 ", 4), 0);
	fake_to_data(f);
	cr_assert_str_eq(fake_say(f, "123456789\r\n.\r\n"),
	    "552 5.3.4 Message too big\r\n");
	fake_end(f);
}

static const struct {
	int		 errnum;
	const char	*reply;
} errors[] = {
	{ ENOSPC, "452 4.3.1 Insufficient system storage, try again later"
	    "\r\n" },
	{ ENOMEM, "451 4.3.0 Out of memory, try again later\r\n" },
	{ EIO, "451 4.3.0 Local error, try again later\r\n" },
};

Test(esmtp_body, a_spool_that_fails_is_answered_4xx_at_each_step)
{
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		f = start(NULL, NULL);
		f->h.spool.begin_errno = errors[i].errnum;
		fake_say(f, "EHLO x\r\n");
		fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n");
		cr_expect_str_eq(fake_say(f, "DATA\r\n"), errors[i].reply);
		cr_expect_str_eq(fake_say(f, "RSET\r\n"), "250 2.0.0 OK\r\n");
		check_alive(f);

		f = start(NULL, NULL);
		fake_to_data(f);
		f->h.spool.append_errno = errors[i].errnum;
		cr_expect_str_eq(fake_say(f, "x\r\n"), "");
		cr_expect_str_eq(fake_say(f, ".\r\n"), errors[i].reply);
		check_alive(f);

		f = start(NULL, NULL);
		f->h.spool.refuse_errno = errors[i].errnum;
		fake_to_data(f);
		cr_expect_str_eq(fake_say(f, "x\r\n.\r\n"), errors[i].reply);
		check_alive(f);

		f = start(NULL, NULL);
		f->h.spool.commit_errno = errors[i].errnum;
		fake_to_data(f);
		cr_expect_str_eq(fake_say(f, "x\r\n.\r\n"), errors[i].reply);
		check_alive(f);
	}
}

Test(esmtp_body, no_250_before_the_commit)
{
	struct fake *f = start(NULL, NULL);

	f->h.spool.is_held = true;
	fake_to_data(f);
	cr_assert_str_eq(fake_say(f, "x\r\n.\r\nNOOP\r\n"), "");
	cr_assert_eq(esmtp_session_state(f->s->ac), ES_ASYNC);
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "");
	simspool_release(&f->h.spool);
	cr_assert_eq(strncmp(fake_say(f, ""), "250 2.0.0 OK: queued as ", 24),
	    0);
	cr_assert_not_null(strstr(f->reply,
	    "\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n"));
	fake_end(f);
}

Test(esmtp_body, a_lone_lf_is_kept_refused_or_mended)
{
	static const struct {
		const char *policy, *reply, *body;
		unsigned int nreports;
	} cases[] = {
		{ "ignore", "250 ", "A: b\n\na\nb\rc\r\n", 0 },
		{ "pedantic", "550 5.6.0 ", NULL, 0 },
		{ "fix", "250 ", "A: b\r\n\r\na\r\nb\r\nc\r\n", 0 },
		{ "note", "250 ", "A: b\r\n\r\na\r\nb\r\nc\r\n", 1 },
	};
	const struct spool_msg *m;
	struct fake *f;
	size_t i, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = start("RFC2822_Lone_LF_In_Body", cases[i].policy);
		fake_option(f, "RFC2822_Trace_Headers", "false", NULL);
		fake_to_data(f);
		fake_say(f, "A: b\n\na\nb\rc\r\n.\r\n");
		cr_expect_eq(strncmp(f->reply, cases[i].reply,
		    strlen(cases[i].reply)), 0, "%s", f->reply);
		cr_expect_eq(f->s->nreports[ESMTP_REPORT_LONE_LF],
		    cases[i].nreports);
		m = fake_message(f, 0);
		cr_expect_eq(m != NULL, cases[i].body != NULL);
		if (m != NULL) {
			n = strlen(cases[i].body);
			cr_expect_eq(m->len, n);
			cr_expect_eq(memcmp(m->body, cases[i].body, n), 0);
		}
		fake_end(f);
	}
}

/* What is not accepted is not noted, either. */
Test(esmtp_body, a_lone_lf_of_a_message_that_is_refused_is_not_reported)
{
	struct fake *f = start("RFC2822_Lone_LF_In_Body", "note");

	f->h.spool.commit_errno = ENOSPC;
	fake_to_data(f);
	fake_say(f, "A: b\n\na\r\n.\r\n");
	cr_expect_eq(strncmp(f->reply, "452 ", 4), 0, "%s", f->reply);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_LONE_LF], 0);
	fake_end(f);
}

/* The octets that a break adds count for Max_Message_Size. */
Test(esmtp_body, what_breaks_of_lines_add_is_of_the_message)
{
	struct fake *f;
	char text[1200];
	int i;

	memset(text, 'x', sizeof(text));
	memcpy(text + sizeof(text) - 5, "\r\n.\r\n", 5);
	for (i = 0; i < 2; i++) {
		f = start("RFC2822_Max_Line_Length", "fix");
		fake_option(f, "Max_Message_Size", i == 0 ? "1200" : "1199",
		    NULL);
		fake_to_data(f);
		fake_say_n(f, text, sizeof(text));
		cr_expect_eq(strncmp(f->reply, i == 0 ? "250 " : "552 ", 4), 0,
		    "%s", f->reply);
		fake_end(f);
	}
}

Test(esmtp_body, a_spool_without_room_is_waited_for)
{
	struct fake *f = start(NULL, NULL);
	char text[1000];
	uint64_t nread;

	memset(text, 'x', sizeof(text));
	fake_to_data(f);
	simspool_set_room(&f->h.spool, f->h.spool.buffered + 300);
	nread = f->s->wire->nread;
	fake_say_n(f, text, sizeof(text));
	cr_assert_eq(f->s->wire->nread - nread, 300);
	fake_say(f, "\r\n.\r\n");
	cr_assert_eq(f->s->wire->nread - nread, 300);
	/* the client is not to blame */
	cr_assert_str_eq(fake_wait(f, 1000), "");
	simspool_set_room(&f->h.spool, 1 << 20);
	cr_assert_eq(strncmp(fake_say(f, ""), "250 ", 4), 0);
	/* nor when it has nothing to send just then */
	fake_to_data(f);
	simspool_set_room(&f->h.spool, f->h.spool.buffered);
	cr_assert_str_eq(fake_say(f, "x"), "");
	cr_assert_str_eq(fake_wait(f, 1000), "");
	simspool_set_room(&f->h.spool, 1 << 20);
	cr_assert_str_eq(fake_wait(f, 100), "");
	cr_assert_eq(strncmp(fake_say(f, "\r\n.\r\n"), "250 ", 4), 0);
	fake_end(f);
}

Test(esmtp_body, a_loop_is_refused)
{
	struct fake *f = start("Max_Received_Headers", "2");

	fake_to_data(f);
	fake_say(f, "Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n.\r\n");
	cr_assert_eq(strncmp(f->reply, "250 ", 4), 0);
	fake_to_data(f);
	cr_assert_str_eq(fake_say(f, "Received: a\r\nReceived: b\r\n"
	    "received: c\r\n\r\n.\r\n"),
	    "554 5.4.6 Too many Received headers, mail loop?\r\n");
	cr_assert_null(fake_mc(f)->txn);
	fake_end(f);
}

Test(esmtp_body, an_empty_message_is_a_message)
{
	struct fake *f = start("RFC2822_Trace_Headers", "false");

	fake_to_data(f);
	cr_assert_eq(strncmp(fake_say(f, ".\r\n"), "250 ", 4), 0);
	cr_assert_eq(fake_message(f, 0)->len, 0);
	fake_end(f);
}

Test(esmtp_body, a_recipient_named_twice_gets_it_once)
{
	struct fake *f = start(NULL, NULL);

	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n"
	    "RCPT TO:<Bob@EXAMPLE.test>\r\nRCPT TO:<alice@example.test>\r\n");
	cr_assert_str_eq(f->reply, "250 2.1.0 Sender OK\r\n"
	    "250 2.1.5 Recipient OK\r\n250 2.1.5 Recipient OK\r\n"
	    "250 2.1.5 Recipient OK\r\n");
	fake_say(f, "DATA\r\n");
	fake_say(f, ".\r\n");
	cr_assert_eq(fake_message(f, 0)->nrcpts, 2);
	/* RFC 5321 4.4: no for clause that would tell one of the other */
	cr_assert_null(memmem(fake_message(f, 0)->body,
	    fake_message(f, 0)->len, "for <", 5));
	fake_end(f);
}

/* --- the message's name --------------------------------------------------- */

static char env_id[64];

static int
keep_id(struct spool_msg *m, const struct spool_envelope *env)
{
	snprintf(env_id, sizeof(env_id), "%s", env->id);
	return simspool_ops.commit(m, env);
}

/* One message: its name in the reply. */
static void
receive(struct fake *f, char id_r[64])
{
	static const char queued[] = "250 2.0.0 OK: queued as ";
	const struct spool_msg *m;
	char received[128];

	fake_to_data(f);
	cr_assert_eq(strncmp(fake_say(f, "x\r\n.\r\n"), queued,
	    strlen(queued)), 0, "%s", f->reply);
	snprintf(id_r, 64, "%.*s", (int)strcspn(f->reply + strlen(queued),
	    "\r"), f->reply + strlen(queued));
	cr_expect_str_eq(env_id, id_r);
	m = f->h.spool.msgs;
	snprintf(received, sizeof(received), " id %s", id_r);
	cr_expect_not_null(memmem(m->body, m->len, received,
	    strlen(received)), "%s", received);
}

Test(esmtp_body, a_spool_may_leave_the_names_of_messages_to_the_library)
{
	struct fake *f = fake_new();
	struct spool_ops ops = *f->h.host.spool;
	char first[64], second[64];

	ops.commit = keep_id;
	f->h.host.spool = &ops;
	fake_connect(f);
	receive(f, first);
	cr_expect_str_eq(first, f->h.spool.msgs->id);
	ops.id = NULL;
	receive(f, first);
	receive(f, second);
	cr_expect_str_neq(first, second);
	cr_expect_leq(strlen(first), SPOOL_ID_MAX);
	cr_expect_eq(strspn(first, "0123456789ABCDEF"), strlen(first));
	fake_end(f);
}
