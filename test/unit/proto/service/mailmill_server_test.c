/* A server in a few lines, with clients on its machine. */

#include "proto/mailmill_server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "proto/esmtp_factory.h"
#include "proto/validate.h"
#include "test/unit/proto/service/service_talk.h"

/* What the functions have been asked, and how they answer. */
static struct {
	char			 sender[64], rcpt[64], body[4096];
	char			 address[64], rcpts[2][64];
	int			 sender_code, rcpt_code, message_code;
	const char		*text;
	unsigned int		 nasked;
	struct mailmill_mail	*mail;
	int			 inside;	/* answered so, inside */
} program;

static int
answer(struct mailmill_mail *mail, int code)
{
	program.nasked++;
	program.mail = mail;
	if (code == MAILMILL_LATER && program.inside != 0)
		cr_expect_eq(mailmill_mail_answer(mail, program.inside,
		    program.text), 0);
	return code == MAILMILL_LATER || program.text == NULL ? code :
	    mailmill_mail_reply(mail, code, program.text);
}

static int
on_sender(void *closure, struct mailmill_mail *mail, const char *address)
{
	size_t len = 1;

	cr_expect_eq(closure, &program);
	cr_expect_null(mailmill_mail_body(mail, &len));
	cr_expect_eq(len, 0);
	cr_expect_str_eq(mailmill_mail_sender(mail), address);
	cr_expect_null(mailmill_mail_rcpt(mail, 0));
	snprintf(program.sender, sizeof(program.sender), "%s", address);
	return answer(mail, program.sender_code);
}

static int
on_rcpt(void *, struct mailmill_mail *mail, const char *address)
{
	snprintf(program.rcpt, sizeof(program.rcpt), "%s", address);
	cr_expect_not_null(mailmill_mail_session(mail));
	return answer(mail, program.rcpt_code);
}

static int
on_message(void *, struct mailmill_mail *mail, const char *address)
{
	const char *body, *rcpt;
	size_t len, i;

	body = mailmill_mail_body(mail, &len);
	snprintf(program.body, sizeof(program.body), "%.*s", (int)len, body);
	snprintf(program.address, sizeof(program.address), "%s", address);
	for (i = 0; i < 2; i++) {
		rcpt = mailmill_mail_rcpt(mail, i);
		snprintf(program.rcpts[i], sizeof(program.rcpts[i]), "%s",
		    rcpt == NULL ? "none" : rcpt);
	}
	return answer(mail, program.message_code);
}

static void
setup(void)
{
	memset(&program, 0, sizeof(program));
	program.sender_code = program.rcpt_code = program.message_code = 250;
	loop = scheduler_create(NULL);
	server = mailmill_server_new("mx.example", on_message, &program);
	cr_assert_not_null(server);
	mailmill_server_on_sender(server, on_sender);
	mailmill_server_on_rcpt(server, on_rcpt);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
}

static void
teardown(void)
{
	mailmill_server_free(server);
	if (client != -1)
		close(client);
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
}

TestSuite(mailmill_server, .init = setup, .fini = teardown);

static int
never(Event *, int, void *, struct timeval *)
{
	cr_expect_fail("not to be called");
	return 0;
}

Test(mailmill_server, a_message_is_given_to_the_program)
{
	begin();
	talk("RCPT TO:<\"c d\"@MX.example>\r\n", "250");
	talk("DATA\r\n", "354");
	talk(MAIL, "250 2.0.0");
	cr_expect_str_eq(program.sender, "a@client.example");
	cr_expect_str_eq(program.address, "b@mx.example");
	cr_expect_str_eq(program.rcpts[0], "b@mx.example");
	cr_expect_str_eq(program.rcpts[1], "\"c d\"@mx.example");
	cr_expect_eq(strncmp(program.body, "Received: from x", 16), 0);
	cr_expect_not_null(strstr(program.body,
	    "\r\nSubject: x\r\n\r\nHello.\r\n"));
	talk("MAIL FROM:<>\r\n", "250");
	cr_expect_str_eq(program.sender, "");
	talk("QUIT\r\n", "221");
}

/* A program that does not ask for it gets ASCII alone. */
Test(mailmill_server, addresses_are_utf8_where_the_program_asks_for_it)
{
	static const char mail[] = "MAIL FROM:<gru\xcc\x88n@client.example> "
	    "SMTPUTF8\r\n";

	dial();
	hear("220");
	cr_expect_null(strstr(talk("EHLO x\r\n", "250 "), "SMTPUTF8"));
	talk(mail, "553 5.6.7");
	cr_expect_eq(program.nasked, 0);
	talk("QUIT\r\n", "221");
	close(client);
	cr_assert_eq(mailmill_server_set(server, "SMTP_Extensions",
	    "8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES", NULL, 0), 0);
	dial();
	hear("220");
	cr_expect_not_null(strstr(talk("EHLO x\r\n", "250 "), "SMTPUTF8"));
	talk(mail, "250");
	cr_expect_str_eq(program.sender, "gr\xc3\xbcn@client.example");
	talk("RCPT TO:<\xc3\xbc@gr\xc3\xbcn.example>\r\n", "250");
	talk("DATA\r\n", "354");
	talk(MAIL, "250");
	cr_expect_str_eq(program.address, "\xc3\xbc@xn--grn-ioa.example");
	cr_expect_not_null(strstr(program.body, " with UTF8SMTP id "));
	talk("QUIT\r\n", "221");
}

/* Each of the three, each answer, now, inside and later. */
Test(mailmill_server, answers_and_replies)
{
	static const struct {
		int		 code;
		const char	*text, *reply;
	} rows[] = {
		{ 550, NULL, "550 " },
		{ 451, "4.7.1 Not now", "451 4.7.1 Not now\r\n" },
		{ 550, "Never", "550 5." },
		{ 77, "a code that is none", "451 4." },
		{ 354, NULL, "451 4." },
		{ 250, NULL, "250 2." },
	};
	int *codes[] = { &program.sender_code, &program.rcpt_code,
		&program.message_code };
	size_t i, which, how;

	cr_assert_eq(mailmill_server_set(server, "Max_Errors", "0", NULL, 0),
	    0);
	dial();
	hear("220");
	talk("EHLO x\r\n", "250 ");
	for (i = 0; i < 6; i++) for (which = 0; which < 3; which++)
	for (how = 0; how < 3; how++) {
		program.text = NULL;
		program.sender_code = program.rcpt_code =
		    program.message_code = 250;
		program.inside = 0;
		talk("RSET\r\n", "250 ");
		if (which > 0)
			talk("MAIL FROM:<a@client.example>\r\n", "250 ");
		if (which > 1)
			talk("RCPT TO:<b@mx.example>\r\n", "250 ");
		if (which > 1)
			talk("DATA\r\n", "354 ");
		program.text = rows[i].text;
		*codes[which] = how == 0 ? rows[i].code : MAILMILL_LATER;
		program.inside = how == 1 ? rows[i].code : 0;
		program.mail = NULL;
		if (how < 2) {
			talk(which == 0 ? "MAIL FROM:<a@client.example>\r\n" :
			    which == 1 ? "RCPT TO:<b@mx.example>\r\n" : MAIL,
			    rows[i].reply);
			continue;
		}
		cr_assert_gt(write(client, which == 0 ?
		    "MAIL FROM:<a@client.example>\r\n" : which == 1 ?
		    "RCPT TO:<b@mx.example>\r\n" : MAIL, which == 0 ? 30 :
		    which == 1 ? 24 : strlen(MAIL)), 0);
		while (program.mail == NULL)
			(void)scheduler_pass(loop, 10);
		cr_expect_eq(mailmill_mail_answer(program.mail, rows[i].code,
		    rows[i].text), 0);
		hear(rows[i].reply);
	}
}

static void *
answer_there(void *mail)
{
	cr_expect_eq(mailmill_mail_answer(mail, 250, NULL), 0);
	return NULL;
}

Test(mailmill_server, another_thread_may_answer)
{
	pthread_t thread;

	begin();
	program.message_code = MAILMILL_LATER;
	talk("DATA\r\n", "354");
	program.mail = NULL;
	cr_assert_gt(write(client, MAIL, strlen(MAIL)), 0);
	while (program.mail == NULL)
		(void)scheduler_pass(loop, 10);
	cr_assert_eq(pthread_create(&thread, NULL, answer_there,
	    program.mail), 0);
	hear("250 2.0.0");
	cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* The client has gone, or the server: what was asked about is there until it is
 * answered. */
Test(mailmill_server, a_question_outlives_its_session)
{
	int is_server;
	size_t len;

	for (is_server = 0; is_server < 2; is_server++) {
		program.message_code = 250;
		begin();
		program.message_code = MAILMILL_LATER;
		talk("DATA\r\n", "354");
		program.mail = NULL;
		cr_assert_gt(write(client, MAIL, strlen(MAIL)), 0);
		while (program.mail == NULL)
			(void)scheduler_pass(loop, 10);
		close(client);
		client = -1;
		if (is_server) {
			mailmill_server_free(server);
			server = NULL;
		} else {
			/* it does not read while it waits: end it */
			esmtp_destroy_message_construct(
			    accept_construct_get_message_construct(
			    mailmill_mail_session(program.mail)));
			mailmill_server_free(server);
			server = mailmill_server_new("mx.example", on_message,
			    &program);
			cr_assert_not_null(server);
			cr_assert_eq(mailmill_server_listen(server, HERE), 0);
		}
		cr_expect_null(mailmill_mail_session(program.mail));
		cr_expect_not_null(strstr(mailmill_mail_body(program.mail,
		    &len), "Hello."));
		errno = 0;
		cr_expect_eq(mailmill_mail_answer(program.mail, 250, NULL),
		    -1);
		cr_expect_eq(errno, ENOENT);
	}
}

Test(mailmill_server, a_message_that_is_too_large_is_not_asked_about)
{
	static char lines[100000];
	char why[256];
	size_t i;

	mailmill_server_free(server);
	server = mailmill_server_new("mx.example", on_message, &program);
	cr_expect_eq(mailmill_server_set(server, "Max_Message_Size", "x", why,
	    sizeof(why)), -1);
	cr_expect_not_null(strstr(why, "Max_Message_Size"));
	cr_assert_eq(mailmill_server_set(server, "Max_Message_Size", "50000",
	    why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	begin();
	talk("DATA\r\n", "354");
	memset(lines, 'x', sizeof(lines) - 1);
	for (i = 78; i + 8 < sizeof(lines); i += 80)
		memcpy(lines + i, "\r\n", 2);
	memcpy(lines + sizeof(lines) - 6, "\r\n.\r\n", 5);
	for (i = 0; lines[i] != '\0'; ) {
		ssize_t n = write(client, lines + i, strlen(lines + i));

		i += n > 0 ? (size_t)n : 0;
		(void)scheduler_pass(loop, 0);
	}
	hear("552 ");
	cr_expect_str_eq(program.body, "");
	program.nasked = 0;
	talk("MAIL FROM:<a@client.example>\r\n", "250 ");
}

static int nended;

static void
tls_end(void *closure, accept_construct *ac)
{
	cr_expect_eq(closure, &program);
	cr_expect_not_null(ac->event);
	nended++;
}

/* By the client, or by the server. */
Test(mailmill_server, what_tls_has_left_is_freed_with_each_session)
{
	struct esmtp_host_ops *ops;

	mailmill_server_free(server);
	server = mailmill_server_new("mx.example", on_message, &program);
	ops = mailmill_server_ops(server);
	ops->tls_end = tls_end;
	ops->tls_closure = &program;
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	hear("220");
	talk("QUIT\r\n", "221");
	close(client);
	dial();
	hear("220");
	cr_expect_eq(nended, 1);
	mailmill_server_free(server);
	server = NULL;
	cr_expect_eq(nended, 2);
}

/* The scheduler has an event of the descriptor that the connection gets: it was
 * closed without event_close(). */
Test(mailmill_server, a_connection_that_cannot_be_scheduled_is_no_session)
{
	Event *e;
	char c;
	int fd, i;

	dial();
	fd = dup(client);
	e = build_fd_event(fd, E_TIMEOUT, E_AGGRESSIVE_NONE, never, NULL);
	cr_assert_not_null(e);
	e->trigger = *scheduler_now();
	e->trigger.tv_sec += 1000;
	cr_assert_eq(schedule_event(e), 0);
	close(fd);
	for (i = 0; i < 100 && read(client, &c, 1) == -1; i++)
		(void)scheduler_pass(loop, 10);
	/* closed; freeing the server finds no session of it */
	cr_expect_eq(read(client, &c, 1), 0);
	event_free(e);
}

Test(mailmill_server, what_cannot_be)
{
	cr_expect_null(mailmill_server_new("mx.example", NULL, NULL));
	cr_expect_eq(errno, EINVAL);
	cr_expect_null(mailmill_server_new(NULL, on_message, NULL));
	cr_expect_eq(errno, EINVAL);
	/* the test has made the scheduler */
	cr_expect_eq(mailmill_server_run(server), -1);
	cr_expect_eq(errno, EEXIST);
	cr_expect_eq(mailmill_server_listen(server, "nowhere"), -1);
	cr_expect_eq(errno, EINVAL);
	mailmill_server_free(NULL);
	client = -1;
}

/* --- servers that make their scheduler ------------------------------------ */

static struct mailmill_server *
listening(const char *address)
{
	struct mailmill_server *s = mailmill_server_new("mx.example",
	    on_message, &program);

	cr_assert_not_null(s);
	cr_assert_eq(mailmill_server_listen(s, address), 0);
	return s;
}

/* The banner has come. */
static int
stop_it(Event *e, int, void *, struct timeval *)
{
	(void)event_close(e);
	mailmill_server_stop(server);
	return 0;
}

TestSuite(mailmill_server_loop, .timeout = 20);

/* Whichever is freed first, the other one serves on. */
Test(mailmill_server_loop, two_servers_of_a_thread_share_it)
{
	struct mailmill_server *a, *b;
	Event *e;
	int is_first;

	for (is_first = 0; is_first < 2; is_first++) {
		a = listening(HERE);
		b = listening("127.0.0.2:0");
		mailmill_server_free(is_first ? a : b);
		server = is_first ? b : a;
		dial_at(is_first ? 2 : 1);
		e = build_fd_event(client, E_READ, E_AGGRESSIVE_NONE, stop_it,
		    NULL);
		cr_assert_eq(schedule_event(e), 0);
		cr_expect_eq(mailmill_server_run(server), 0);
		mailmill_server_free(server);
		/* the last one has taken the scheduler with it */
		cr_expect_eq(is_scheduler_thread(), 0);
	}
}

/* RFC 2033: the answer to a message is told to each of its recipients. */
Test(mailmill_server, a_listener_of_lmtp)
{
	const char *heard;
	char why[128];

	mailmill_server_free(server);
	server = mailmill_server_new("mx.example", on_message, &program);
	cr_assert_eq(mailmill_server_set(server, "Kind", "lmtp", why,
	    sizeof(why)), 0, "%s", why);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	hear("220 mx.example LMTP");
	talk("EHLO x\r\n", "500 ");
	talk("LHLO x\r\n", "250 ");
	talk(TO_RCPT "RCPT TO:<c@mx.example>\r\nDATA\r\n", "354 ");
	program.message_code = 452;
	program.text = "4.2.2 Full";
	heard = talk(MAIL "NOOP\r\n", "250 2.0.0 OK");
	cr_expect_str_eq(heard, "452 4.2.2 Full\r\n452 4.2.2 Full\r\n"
	    "250 2.0.0 OK\r\n");
	cr_expect_eq(program.nasked, 1);
	cr_expect_str_eq(program.rcpts[1], "c@mx.example");
}
