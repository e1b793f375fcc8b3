/* Hooks: in which order providers are called, when a session calls them, what
 * they can do to it. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/hooks.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"
#define SENDER	"250 2.1.0 Sender OK\r\n"
#define RCPT	"250 2.1.5 Recipient OK\r\n"
#define GO_ON	"354 End data with <CRLF>.<CRLF>\r\n"
#define QUEUED	"250 2.0.0 OK: queued as "
#define BY_POLICY "550 5.7.1 Refused by policy\r\n"

static struct fake *fake;
static char trace[2000];
static const char *dropped_by = "";	/* the provider that ends the session */
static int results[8];			/* of the providers, by number */
static int code;			/* that they set */
static const char *received;
static bool is_emptying;		/* they take the recipients away */

static void
note(const char *name, intptr_t number, message_construct *mc,
    validate_context *v)
{
	message_construct *found;
	size_t n = strlen(trace);

	snprintf(trace + n, sizeof(trace) - n, "%s%d ", name, (int)number);
	cr_expect_eq(validate_context_find_message_construct(v, &found), 1);
	cr_expect_eq(found, mc);
	if (code != 0)
		validate_context_set_code(v, code, "as the hook says");
	if (is_emptying)
		validate_context_remove_all_rcpts(v);
	if (strcmp(dropped_by, name) == 0)
		esmtp_destroy_message_construct(mc);
}

static int
on_accept(void *closure, accept_construct *ac, validate_context *c)
{
	note("accept", (intptr_t)closure,
	    accept_construct_get_message_construct(ac), c);
	return results[(intptr_t)closure];
}

static void
on_connect(void *closure, accept_construct *ac, validate_context *c)
{
	note("connect", (intptr_t)closure,
	    accept_construct_get_message_construct(ac), c);
}

static char lines[500];

static void
on_command(void *closure, int *b, message_construct *c, validate_context *d)
{
	const char *line;
	size_t len;

	cr_expect_eq(*b, 0);
	*b = 77;
	line = mailmill_session_command(c, &len);
	cr_assert_not_null(line);
	snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines),
	    "%.*s|", (int)len, line);
	note("command", (intptr_t)closure, c, d);
}

static int
on_received(void *closure, ec_message *msg, message_construct *mc,
    accept_construct *ac, validate_context *ctx, string *response)
{
	cr_expect_not_null(msg);
	cr_expect_eq(mc, accept_construct_get_message_construct(ac));
	note("received", (intptr_t)closure, mc, ctx);
	if (received != NULL)
		stringprintf(response, "%s", received);
	return results[(intptr_t)closure];
}

#define MESSAGE_HOOK(name, result, end) \
static result \
on_##name(void *closure, ec_message *msg, accept_construct *ac, \
    validate_context *ctx) \
{ \
	cr_expect_not_null(msg); \
	note(#name, (intptr_t)closure, \
	    accept_construct_get_message_construct(ac), ctx); \
	end; \
}
MESSAGE_HOOK(each, void, return)
MESSAGE_HOOK(final2, int, return results[(intptr_t)closure])
MESSAGE_HOOK(final, void, return)
MESSAGE_HOOK(post, int, return 5)

static void
register_all(void)
{
	cr_expect_eq(register_core_validate_accept_hook_last(on_accept, NULL),
	    0);
	cr_expect_eq(register_core_validate_connect_hook_last(on_connect,
	    NULL), 0);
	cr_expect_eq(register_core_post_smtp_command_hook_last(on_command,
	    NULL), 0);
	cr_expect_eq(register_core_get_received_header_text_hook_last(
	    on_received, NULL), 0);
	cr_expect_eq(register_core_validate_data_spool_each_rcpt_hook_last(
	    on_each, NULL), 0);
	cr_expect_eq(register_core_final_validation2_hook_last(on_final2,
	    NULL), 0);
	cr_expect_eq(register_core_final_validation_hook_last(on_final, NULL),
	    0);
	cr_expect_eq(register_core_post_final_validation_hook_last(on_post,
	    NULL), 0);
}

static const char *const script[] = { "EHLO x\r\n",
	"MAIL FROM:<a@client.example>\r\n", "RCPT TO:<alice@example.test>\r\n",
	"RCPT TO:<bob@example.test>\r\n", "DATA\r\n", "x\r\n.\r\n" };
#define NLINES	(sizeof(script) / sizeof(script[0]))

/* The dialogue, as far as the session goes; the last answer. */
static const char *
play(void)
{
	size_t i;

	fake_connect(fake);
	for (i = 0; i < NLINES && !fake_is_ended(fake); i++)
		fake_say(fake, script[i]);
	return fake->reply;
}

/* --- the lists ------------------------------------------------------------ */

Test(hooks, are_not_there_until_they_are_registered)
{
	cr_expect_eq(has_core_final_validation2_hook(), 0);
	cr_expect_eq(call_core_final_validation2_hook(NULL, NULL, NULL), 0);
	cr_expect_eq(register_core_final_validation2_hook_first(on_final2,
	    NULL), 0);
	cr_expect_neq(has_core_final_validation2_hook(), 0);
	cr_expect_eq(has_core_final_validation_hook(), 0);
	cr_expect_eq(has_core_post_smtp_command_hook(), 0);
}

Test(hooks, first_and_last_are_as_they_were_registered)
{
	register_core_final_validation_hook_last(on_final, (void *)3);
	register_core_final_validation_hook_first(on_final, (void *)2);
	register_core_final_validation_hook_last(on_final, (void *)4);
	register_core_final_validation_hook_first(on_final, (void *)1);
	fake = fake_new();
	play();
	cr_expect_str_eq(trace, "final1 final2 final3 final4 ");
	fake_end(fake);
}

Test(hooks, the_first_result_that_is_not_0_counts)
{
	register_core_final_validation2_hook_last(on_final2, (void *)1);
	register_core_final_validation2_hook_last(on_final2, (void *)2);
	register_core_final_validation2_hook_last(on_final2, (void *)3);
	results[2] = EC_HOOK_RETRY;
	results[3] = EC_HOOK_DONE;
	fake = fake_new();
	cr_expect_str_eq(play(), "451 4.7.1 Try again later\r\n");
	cr_expect_str_eq(trace, "final21 final22 ");
	fake_end(fake);
}

Test(hooks, are_registered_before_the_first_session_and_not_for_ever_more)
{
	int i;

	errno = 0;
	cr_expect_eq(register_core_final_validation_hook_last(NULL, NULL), -1);
	cr_expect_eq(errno, EINVAL);
	for (i = 0; i < LIM_HOOK_PROVIDERS; i++)
		cr_expect_eq(register_core_final_validation_hook_first(
		    on_final, NULL), 0);
	cr_expect_eq(register_core_final_validation_hook_first(on_final,
	    NULL), -1);
	cr_expect_eq(errno, ENOMEM);
	fake = fake_start();
	cr_expect_eq(register_core_post_smtp_command_hook_last(on_command,
	    NULL), -1);
	cr_expect_eq(errno, EBUSY);
	fake_end(fake);
}

/* --- a session ------------------------------------------------------------ */

Test(hooks, are_called_at_their_places)
{
	register_all();
	fake = fake_new();
	cr_expect_eq(strncmp(play(), QUEUED, strlen(QUEUED)), 0, "%s",
	    fake->reply);
	cr_expect_str_eq(trace, "accept0 connect0 command0 command0 command0 "
	    "command0 command0 received0 each0 each0 final20 final0 post0 ");
	cr_expect_str_eq(lines, "EHLO x|MAIL FROM:<a@client.example>|"
	    "RCPT TO:<alice@example.test>|RCPT TO:<bob@example.test>|DATA|");
	fake_end(fake);
}

static int nasked;

static int
wait_once(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	return nasked++ == 0 ? VALIDATE_AGAIN : VALIDATE_CONT;
}

static const struct validate_module waits = { .size = sizeof(struct validate_module), .name = "waits",
	.phase = { [VALIDATE_PHASE_MAILFROM] = wait_once } };

Test(hooks, post_smtp_command_is_called_once_for_whatever_has_come)
{
	size_t len = 1;

	cr_expect_eq(validate_module_register(&waits), 0);
	register_all();
	fake = fake_start();
	cr_expect_null(mailmill_session_command(NULL, &len));
	cr_expect_null(mailmill_session_command(fake_mc(fake), &len));
	cr_expect_eq(len, 0);
	fake_say(fake, "helo x\r\n");
	fake_say(fake, "NO\001OP  \r\n\r\n");
	/* in pieces, and run again after a module has waited */
	fake_say(fake, "MAIL FR");
	fake_say(fake, "OM:<>\r\nNOOP\r\n");
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""), SENDER OK);
	/* a chunk is none */
	fake_say(fake, "BDAT 6\r\nQUIT\r\n");
	cr_expect_str_eq(lines, "helo x|NO\001OP  ||MAIL FROM:<>|NOOP|BDAT 6|");
	fake_end(fake);
}

Test(hooks, accept_may_refuse)
{
	register_all();
	results[0] = VALIDATE_DONE;
	code = 421;
	fake = fake_new();
	fake_connect(fake);
	cr_expect_str_eq(fake->reply, "421 4.7.1 as the hook says\r\n");
	cr_expect(fake_is_ended(fake));
	cr_expect_str_eq(trace, "accept0 ");
	fake_end(fake);
}

Test(hooks, what_a_hook_without_a_result_sets_is_forgotten)
{
	register_all();
	code = 550;
	fake = fake_new();
	cr_expect_eq(strncmp(play(), QUEUED, strlen(QUEUED)), 0, "%s",
	    fake->reply);
	fake_end(fake);
}

Test(hooks, final_validation2_refuses_in_its_own_words)
{
	static const struct {
		int		 result, code;
		const char	*reply;
	} rows[] = {
		{ EC_HOOK_DONE, 0, BY_POLICY },
		{ EC_HOOK_DONE, 554, "554 5.7.1 as the hook says\r\n" },
		/* it says rejected: a reply of another class would not */
		{ EC_HOOK_DONE, 450, BY_POLICY },
		{ EC_HOOK_DONE, 250, BY_POLICY },
		{ EC_HOOK_RETRY, 450, "450 4.7.1 as the hook says\r\n" },
		{ EC_HOOK_RETRY, 550, "451 4.7.1 Try again later\r\n" },
		{ -1, 0, "451 4.7.1 Try again later\r\n" },
	};
	size_t i;

	register_core_final_validation2_hook_last(on_final2, NULL);
	register_core_final_validation_hook_last(on_final, NULL);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		results[0] = rows[i].result;
		code = rows[i].code;
		trace[0] = '\0';
		fake = fake_new();
		cr_expect_str_eq(play(), rows[i].reply, "%zu: %s", i,
		    fake->reply);
		cr_expect_str_eq(trace, "final20 ");
		cr_expect_null(fake_message(fake, 0));
		cr_expect_str_eq(fake_say(fake, "NOOP\r\n"), OK);
		fake_end(fake);
	}
}

Test(hooks, a_message_whose_recipients_are_taken_away_is_refused)
{
	register_core_final_validation_hook_last(on_final, NULL);
	is_emptying = true;
	fake = fake_new();
	cr_expect_str_eq(play(), "503 5.5.1 No valid recipients\r\n");
	cr_expect_null(fake_message(fake, 0));
	fake_end(fake);
}

/* --- the Received field --------------------------------------------------- */

static void
expect_received(const char *head)
{
	const struct spool_msg *m = fake_message(fake, 0);

	cr_assert_not_null(m);
	cr_expect(m->len >= strlen(head) && memcmp(m->body, head,
	    strlen(head)) == 0, "%.*s", (int)m->len, m->body);
}

Test(hooks, get_received_header_text_has_its_text_taken_if_it_says_so)
{
	static const struct {
		int		 result;
		const char	*text, *head;
	} rows[] = {
		{ 1, "by the hook", "Received: by the hook\r\n\r\nx\r\n" },
		{ 1, "received: by it\nX: y\r\n\r\nbody\r\n",
		    "Received: by it\r\n\tX: y\r\n\tbody\r\n\r\nx\r\n" },
		{ 0, "by the hook", "Received: from x ([192.0.2.1])" },
		{ 1, "", "Received: from x ([192.0.2.1])" },
		{ 1, NULL, "Received: from x ([192.0.2.1])" },
	};
	size_t i;

	register_core_get_received_header_text_hook_last(on_received, NULL);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		results[0] = rows[i].result;
		received = rows[i].text;
		fake = fake_new();
		play();
		expect_received(rows[i].head);
		fake_end(fake);
	}
}

Test(hooks, get_received_header_text_is_not_asked_for_no_field)
{
	register_core_get_received_header_text_hook_last(on_received, NULL);
	fake = fake_new();
	fake_option(fake, "RFC2822_Trace_Headers", "false", NULL);
	play();
	/* an empty line ends the header that the client has not sent */
	expect_received("\r\nx\r\n");
	cr_expect_str_eq(trace, "");
	fake_end(fake);
}

Test(hooks, get_received_header_text_may_change_the_recipients)
{
	register_core_get_received_header_text_hook_last(on_received, NULL);
	is_emptying = true;
	fake = fake_new();
	cr_expect_str_eq(play(), "503 5.5.1 No valid recipients\r\n");
	fake_end(fake);
}

/* --- ends ----------------------------------------------------------------- */

Test(hooks, any_of_them_may_end_the_session)
{
	static const char *const by[] = { "accept", "connect", "command",
		"received", "each", "final2", "final", "post" };
	size_t i, k;

	register_all();
	for (i = 0; i < sizeof(by) / sizeof(by[0]); i++)
		for (k = 0; k < 2; k++) {
			dropped_by = by[i];
			/* it may refuse, or give a text, besides */
			results[0] = k == 0 ? 0 : strcmp(by[i], "accept") == 0
			    ? VALIDATE_DONE : 1;
			code = k == 0 ? 0 : 550;
			received = "by the hook";
			if (i != 0 && i != 5)
				results[0] = 0;
			lines[0] = trace[0] = '\0';
			fake = fake_new();
			play();
			cr_expect(fake_is_ended(fake), "%s", by[i]);
			cr_expect_str_eq(fake->reply, "", "%s: %s", by[i],
			    fake->reply);
			cr_expect_null(fake_message(fake, 0), "%s", by[i]);
			cr_expect_eq(fake->h.spool.nopen, 0);
			cr_expect_eq(fake->s->nreports[ESMTP_REPORT_END], 1);
			fake_end(fake);
		}
}
