/* A verb of a program asks the client for more, by a reply of 3xx, and nobody reads
 * that: it is not run as commands.  What a verb is told, and keeps, at its end. */

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "core/lim.h"
#include "core/scheduler.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/embed/own.h"

#define LATER	"451 4.3.0 Local error, try again later\r\n"
#define LEFT	"421 4.5.1 "

static struct fake *f;

/* The client has got ${first} and then the end; what it sends is not run. */
static void
expect_end(const char *command, const char *first)
{
	size_t n = strlen(first);

	fake_say(f, command);
	own_expect_reply(f, first);
	cr_assert_geq(strlen(f->reply), n);
	cr_expect_eq(strncmp(f->reply + n, LEFT, strlen(LEFT)), 0, "%s",
	    f->reply);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_END], 1);
}

static void
try_results(const char *name, const char *command)
{
	static const int results[] = { ESMTP_VERB_DONE, ESMTP_VERB_SYNTAX,
		ESMTP_VERB_BUILTIN, ESMTP_VERB_MORE, ESMTP_VERB_LATER };
	size_t i;

	f = own_begin(name);
	own.reply = "334 0.0.0 Go on";
	for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		own.result = results[i];
		expect_end(command, "334 Go on\r\n" LATER);
		fake_end(f);
		f = fake_new();
		fake_option(f, "Auth_Backend", "passwd:users", NULL);
		fake_option(f, "Auth_Without_TLS", "true", NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
	}
	fake_end(f);
}

Test(embed_verb_asked, a_3xx_without_reading_ends_the_session)
{
	try_results("XTEST", "XTEST\r\n");
}

Test(embed_verb_asked, a_3xx_of_auth_without_reading_does_too)
{
	try_results("AUTH", "AUTH PLAIN\r\n");
}

Test(embed_verb_asked, a_login_does_not_come_with_a_question)
{
	f = own_begin("AUTH");
	own_believe(f, "alice");
	own.login = "alice";
	own.reply = "334 0.0.0 Go on";
	expect_end("AUTH PLAIN\r\n", "334 Go on\r\n" LATER);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_AUTH_FAILED], 0);
	fake_end(f);
}

/* --- questions ------------------------------------------------------------ */

static int question_rc;
static const char *question;

static int
read_one(message_construct *, const char *, size_t, void *)
{
	return ESMTP_VERB_DONE;
}

static void
ask(message_construct *mc)
{
	question_rc = esmtp_extension_reply(mc, 334, NULL, question);
	cr_expect_eq(esmtp_verb_read_lines(mc, 10, 100, read_one, NULL), 0);
}

static void
begin_asking(const char *extension)
{
	f = fake_new();
	cr_assert_eq(esmtp_extensions_register("XTEST", NULL, own_verb, &own),
	    1);
	own = (struct own){ .result = ESMTP_VERB_MORE, .more = ask };
	fake_option(f, "SMTP_Extensions", extension, "XTEST", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
}

/* An empty challenge, RFC 4954 4: not "OK", which is base64. */
Test(embed_verb_asked, a_question_may_be_empty)
{
	begin_asking("PIPELINING");
	question = "";
	cr_expect_str_eq(fake_say(f, "XTEST\r\n"), "334 \r\n");
	question = NULL;
	cr_expect_str_eq(fake_say(f, ".\r\nXTEST\r\n"),
	    "250 OK\r\n334 \r\n");
	fake_end(f);
}

Test(embed_verb_asked, a_question_is_not_cut)
{
	static char text[ESMTP_QUESTION_MAX + 2];

	begin_asking("ENHANCEDSTATUSCODES");
	question = text;
	memset(text, 'A', ESMTP_QUESTION_MAX);
	fake_say(f, "XTEST\r\n");
	cr_expect_eq(question_rc, 0);
	cr_expect_eq(strlen(f->reply), LIM_REPLY_LINE);
	cr_expect_eq(strncmp(f->reply + 4, text, ESMTP_QUESTION_MAX), 0);
	fake_say(f, ".\r\n");
	text[ESMTP_QUESTION_MAX] = 'A';
	cr_expect_str_eq(fake_say(f, "XTEST\r\n"), "");
	cr_expect_eq(question_rc, -1);
	cr_expect_str_eq(fake_say(f, ".\r\n"), "250 2.0.0 OK\r\n");
	fake_end(f);
}

/* --- readers -------------------------------------------------------------- */

static unsigned int nlines, nends, nends_reported;
static const char *line_login[2];
static enum esmtp_auth_status line_status[2];
static int line_result[2], line_code;
static ptrdiff_t line_login_rc[2];

static int
line(message_construct *mc, const char *octets, size_t, void *)
{
	unsigned int n = nlines;

	if (octets == NULL) {
		nends++;
		nends_reported = f->s->nreports[ESMTP_REPORT_END];
		return ESMTP_VERB_DONE;
	}
	nlines++;
	cr_assert_lt(n, 2);
	if (line_code != 0)
		(void)esmtp_extension_reply(mc, line_code, NULL, "More");
	if (line_login[n] != NULL)
		line_login_rc[n] = esmtp_verb_login(mc, line_status[n],
		    line_login[n]);
	return line_result[n];
}

static void
read_lines(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_lines(mc, 100, 1000, line, NULL), 0);
}

static void
begin_reading(void)
{
	f = own_begin("XTEST");
	own.reply = "354 0.0.0 Go on";
	own.result = ESMTP_VERB_MORE;
	own.more = read_lines;
	line_result[0] = ESMTP_VERB_MORE;
	line_result[1] = ESMTP_VERB_DONE;
	own_expect(f, "XTEST\r\n", "354 Go on\r\n");
}

Test(embed_verb_asked, a_reader_that_asks_and_ends_ends_the_session)
{
	begin_reading();
	line_result[0] = ESMTP_VERB_DONE;
	line_code = 334;
	expect_end("x\r\nRSET\r\n", "334 More\r\n" LATER);
	fake_end(f);
}

Test(embed_verb_asked, a_reader_takes_back_a_login_until_it_ends)
{
	begin_reading();
	own_believe(f, "alice");
	line_login[0] = line_login[1] = "alice";
	line_status[0] = ESMTP_AUTH_OK;
	line_status[1] = ESMTP_AUTH_FAILED;
	cr_expect_str_eq(fake_say(f, "x\r\n"), "");
	cr_expect_null(esmtp_session_login(f->s->ac));
	own_expect(f, "y\r\n", "535 5.7.8 ");
	cr_expect_eq(line_login_rc[1], 0);
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_end(f);
}

/* The program may free what it has for the session with the report. */
Test(embed_verb_asked, a_reader_hears_of_the_end_before_it_is_reported)
{
	begin_reading();
	cr_expect_eq(esmtp_session_close(f->s->ac, 421, "4.3.2 Bye"), 0);
	schedule_event_and_dispatch(esmtp_session_event(f->s->ac), E_ASYNC);
	(void)fake_say(f, "");
	cr_expect_eq(nends, 1);
	cr_expect_eq(nends_reported, 0);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_END], 1);
	fake_end(f);
}

Test(embed_verb_asked, also_of_one_that_the_program_destroys)
{
	begin_reading();
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(f->s->ac));
	cr_expect_eq(nends, 1);
	cr_expect_eq(nends_reported, 0);
	fake_end(f);
}

/* --- answers that come later ---------------------------------------------- */

Test(embed_verb_asked, mail_that_is_answered_when_the_service_goes_away_is_not_begun)
{
	f = own_begin("MAIL");
	own.result = ESMTP_VERB_LATER;
	cr_expect_str_eq(fake_say(f, "MAIL FROM:<a@client.example>\r\n"), "");
	f->h.host.is_draining = 1;
	cr_expect_eq(own_answer(f, ESMTP_VERB_BUILTIN), 0);
	own_told(f);
	own_expect_reply(f, "421 4.3.2 ");
	fake_end(f);
}
