/* A client for programs, on a simulated wire and a virtual clock; and what only a
 * real socket has. */

#include "proto/mailmill_client.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/lib/misuse.h"
#include "test/lib/simclock.h"
#include "test/lib/simwire.h"

#define START_US	UINT64_C(1790000000123456)
#define SECOND		UINT64_C(1000000)
#define HELLO		"250-mx.example\r\n250-PIPELINING\r\n250 DSN\r\n"
#define BODY		"Subject: x\r\n\r\n.a dot\r\n"

static struct simclock clock_;
static struct simnet net;
static struct simwire *wire;
static struct scheduler *sched;
static struct mailmill_client *client;
static Event *attached;
static char events[2048];	/* what the program was told, in words */
static char said[8192];		/* by the client, and not yet expected */

static void __attribute__((format(printf, 1, 2)))
note(const char *fmt, ...)
{
	size_t len = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + len, sizeof(events) - len, fmt, ap);
	va_end(ap);
}

static void
note_result(const struct mailmill_client_result *r)
{
	static const char *const words[] = { "accepted", "deferred",
		"refused", "unsent", "uncertain" };

	note("%s %d %s%s;", words[r->outcome], r->code, r->enhanced,
	    r->is_reply ? " said" : "");
}

static void
on_rcpt(void *closure, struct mailmill_message *m, size_t i,
    const struct mailmill_client_result *r)
{
	cr_expect_str_eq(closure, "m");
	note("%s ", mailmill_message_address(m, i));
	note_result(r);
}

static void
on_done(void *, struct mailmill_message *m)
{
	note("done;");
	mailmill_message_free(m);
}

static void
on_ended(void *, struct mailmill_client *, const struct mailmill_client_result *r)
{
	note("ended ");
	note_result(r);
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
	wire = NULL;
	attached = NULL;
	events[0] = said[0] = '\0';
	client = mailmill_client_new("client.example", on_ended, NULL);
	cr_assert_not_null(client);
}

static void
teardown(void)
{
	mailmill_client_free(client);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
	simnet_clear(&net);
	simclock_clear(&clock_);
}

TestSuite(mailmill_client, .init = setup, .fini = teardown, .timeout = 60);

/* Take what the client has said. */
static void
take(void *)
{
	const char *buf;
	size_t len, at = strlen(said);

	if (wire == NULL)
		return;
	buf = simwire_peek(wire, &len);
	cr_assert_lt(at + len, sizeof(said));
	memcpy(said + at, buf, len);
	said[at + len] = '\0';
	simwire_take(wire, len);
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

/* The server says ${text}, and the client then ${answer}. */
static void
talk(const char *text, const char *answer)
{
	if (text != NULL)
		simwire_send_now(wire, text, strlen(text));
	collect();
	cr_expect_str_eq(said, answer);
	said[0] = '\0';
}

static void
told(const char *text)
{
	cr_expect_str_eq(events, text);
	events[0] = '\0';
}

static void
open_wire(void)
{
	wire = simwire_open(&net);
	cr_assert_eq(mailmill_client_open(client, wire->fd), 0);
	simwire_attach(wire, get_event_by_fd(wire->fd));
	collect();
}

static struct mailmill_message *
message(const char *a, const char *b)
{
	static char closure[] = "m";
	struct mailmill_message *m = mailmill_message_new("a@client.example",
	    on_rcpt, on_done, closure);

	cr_assert_not_null(m);
	cr_assert_eq(mailmill_message_add(m, a, 0, NULL), 0);
	if (b != NULL)
		cr_assert_eq(mailmill_message_add(m, b, SPOOL_NOTIFY_NEVER,
		    "rfc822;other@x.example"), 0);
	mailmill_message_body(m, BODY, strlen(BODY));
	return m;
}

static void
give(struct mailmill_message *m)
{
	cr_assert_eq(mailmill_client_send(client, m), 0);
	collect();
}

static void
say_hello(void)
{
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk(HELLO, "");
}

#define GROUP1	"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@x.example>\r\n" \
	"DATA\r\n"
#define SENT	"Subject: x\r\n\r\n..a dot\r\n.\r\n"

/* --- what is sent --------------------------------------------------------- */

Test(mailmill_client, each_recipient_has_an_outcome_and_the_connection_is_kept)
{
	struct mailmill_message *late;

	say_hello();
	cr_expect(mailmill_client_offers(client, "dsn"));
	cr_expect(!mailmill_client_offers(client, "SIZE"));
	give(message("b@x.example", "c@x.example"));
	talk(NULL, "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@x.example>\r\n"
	    "RCPT TO:<c@x.example> NOTIFY=NEVER "
	    "ORCPT=rfc822;other@x.example\r\nDATA\r\n");
	talk("250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 none\r\n354 go\r\n",
	    SENT);
	told("c@x.example refused 550 5.1.1 said;");
	talk("250 2.0.0 taken\r\n", "");
	told("b@x.example accepted 250 2.0.0 said;done;");
	give(message("b@x.example", NULL));
	talk(NULL, GROUP1);
	talk("250 ok\r\n250 ok\r\n354 go\r\n", SENT);
	talk("450 4.3.0 later\r\n", "");
	told("b@x.example deferred 450 4.3.0 said;done;");
	mailmill_client_quit(client);
	late = message("x@x.example", NULL);
	cr_expect_eq(mailmill_client_send(client, late), -1);
	cr_expect_eq(errno, ESHUTDOWN);
	mailmill_message_free(late);
	talk(NULL, "QUIT\r\n");
	talk("221 bye\r\n", "");
	told("ended unsent 0 ;");
	cr_expect_str_eq(mailmill_client_state(client), "");
	cr_expect(wire->is_closed);
}

Test(mailmill_client, messages_wait_for_the_connection_and_quit_for_them)
{
	give(message("b@x.example", NULL));
	open_wire();
	mailmill_client_quit(client);
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250 mx.example\r\n", "MAIL FROM:<a@client.example>\r\n");
	talk("250 ok\r\n", "RCPT TO:<b@x.example>\r\n");
	talk("250 ok\r\n", "DATA\r\n");
	talk("354 go\r\n", SENT);
	talk("250 ok\r\n", "QUIT\r\n");
	told("b@x.example accepted 250  said;done;");
}

/* A message that the server does not take as it is, refused or converted. */
static void
send_8bit(void)
{
	static const char body[] = "Subject: a\r\n\r\n\xe4\r\n";
	struct mailmill_message *m = message("b@x.example", NULL);

	mailmill_message_body(m, body, strlen(body));
	mailmill_message_flags(m, SPOOL_ENV_8BITMIME);
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250 mx.example\r\n", "");
	give(m);
}

Test(mailmill_client, eight_bit_text_is_refused_if_the_server_has_no_8bitmime)
{
	send_8bit();
	told("b@x.example refused 554 5.6.3;done;");
}

Test(mailmill_client, eight_bit_text_is_converted_if_the_program_wants_that)
{
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_CONVERT, 1),
	    0);
	cr_expect_eq(mailmill_client_set(client, MAILMILL_CLIENT_CONVERT, 2),
	    -1);
	send_8bit();
	said[0] = '\0';
	talk("250 ok\r\n", "RCPT TO:<b@x.example>\r\n");
	talk("250 ok\r\n", "DATA\r\n");
	talk("354 go\r\n", "Subject: a\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "=E4\r\n.\r\n");
	talk("250 ok\r\n", "");
	told("b@x.example accepted 250  said;done;");
}

Test(mailmill_client, lmtp_tells_each_recipient_its_own)
{
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_LMTP, 1), 0);
	open_wire();
	cr_expect_eq(mailmill_client_set(client, MAILMILL_CLIENT_LMTP, 0), -1);
	cr_expect_eq(errno, EISCONN);
	talk("220 mx.example\r\n", "LHLO client.example\r\n");
	talk("250-mx.example\r\n250 PIPELINING\r\n", "");
	give(message("b@x.example", "c@x.example"));
	said[0] = '\0';
	talk("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", SENT);
	talk("250 2.0.0 ok\r\n452 4.2.2 full\r\n", "");
	told("b@x.example accepted 250 2.0.0 said;"
	    "c@x.example deferred 452 4.2.2 said;done;");
}

Test(mailmill_client, what_the_envelope_wants_is_said)
{
	struct mailmill_message *m = message("b@x.example", NULL);

	cr_assert_eq(mailmill_message_envid(m, "no 1"), 0);
	mailmill_message_flags(m, SPOOL_ENV_8BITMIME | SPOOL_ENV_SMTPUTF8 |
	    SPOOL_ENV_RET_HDRS | SPOOL_ENV_TLS_OPTIONAL);
	mailmill_message_priority(m, 12);
	mailmill_message_deliver_by(m, (int64_t)(START_US / SECOND) + 60);
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250-mx.example\r\n250-DSN\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
	    "250-SIZE\r\n250-DELIVERBY\r\n250 MT-PRIORITY\r\n", "");
	give(m);
	talk(NULL, "MAIL FROM:<a@client.example> SIZE=22 BODY=8BITMIME "
	    "SMTPUTF8 RET=HDRS ENVID=no+201 MT-PRIORITY=9 BY=60;N\r\n");
}

/* A body of which the program has only a part at first. */
static size_t room;

static ssize_t
read_some(void *, struct mailmill_message *, uint64_t offset, char *buf,
    size_t size)
{
	size_t len = strlen(BODY) - offset;

	if (offset >= room && room < strlen(BODY))
		return errno = EAGAIN, -1;
	len = len < size ? len : size;
	len = room - offset < len ? room - offset : len;
	memcpy(buf, BODY + offset, len);
	return (ssize_t)len;
}

static ssize_t
read_fails(void *, struct mailmill_message *, uint64_t, char *, size_t)
{
	return errno = EIO, -1;
}

Test(mailmill_client, a_body_may_come_later)
{
	struct mailmill_message *m = message("b@x.example", NULL);

	mailmill_message_source(m, read_some, 0);
	room = 5;
	say_hello();
	give(m);
	said[0] = '\0';
	talk("250 ok\r\n250 ok\r\n354 go\r\n", "Subje");
	room = strlen(BODY);
	mailmill_message_ready(m);
	talk(NULL, SENT + 5);
	talk("250 ok\r\n", "");
	told("b@x.example accepted 250  said;done;");
}

Test(mailmill_client, a_body_that_cannot_be_read_is_not_sent)
{
	struct mailmill_message *m = message("b@x.example", NULL);

	mailmill_message_source(m, read_fails, 0);
	say_hello();
	give(m);
	simwire_send_now(wire, "250 a\r\n250 b\r\n354 c\r\n", 21);
	collect();
	told("b@x.example unsent 451 4.3.0;done;ended unsent 451 4.3.0;");
}

/* --- how it ends ---------------------------------------------------------- */

Test(mailmill_client, a_stop_tells_what_may_have_come)
{
	say_hello();
	give(message("b@x.example", NULL));
	give(message("c@x.example", NULL));
	said[0] = '\0';
	talk("250 ok\r\n250 ok\r\n354 go\r\n", SENT);
	mailmill_client_stop(client);
	collect();
	told("b@x.example uncertain 451 4.3.2;done;"
	    "c@x.example unsent 451 4.3.2;done;ended unsent 451 4.3.2;");
}

Test(mailmill_client, a_stop_without_a_connection_gives_the_messages_back)
{
	give(message("b@x.example", NULL));
	mailmill_client_stop(client);
	told("b@x.example unsent 451 4.3.2;done;");
}

/* A server that wants no mail at all has refused what waits; one that goes after
 * a message has said nothing of the next. */
Test(mailmill_client, the_words_of_a_server_are_for_what_waits)
{
	give(message("b@x.example", NULL));
	open_wire();
	talk("554 5.3.2 no mail here\r\n", "QUIT\r\n");
	talk("221 bye\r\n", "");
	told("b@x.example refused 554 5.3.2 said;done;"
	    "ended refused 554 5.3.2 said;");
	say_hello();
	give(message("b@x.example", NULL));
	give(message("c@x.example", NULL));
	said[0] = '\0';
	talk("250 a\r\n250 b\r\n354 c\r\n", SENT);
	talk("421 4.3.2 going\r\n", "");
	told("b@x.example deferred 421 4.3.2 said;done;"
	    "c@x.example unsent 421 4.3.2 said;done;"
	    "ended deferred 421 4.3.2 said;");
}

Test(mailmill_client, times_are_of_the_program_within_those_of_the_rfc)
{
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_REPLY_SECONDS,
	    20), 0);
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_IDLE_SECONDS,
	    7), 0);
	open_wire();
	advance(20 * SECOND - 1);
	told("");
	advance(2);
	told("ended unsent 451 4.4.2;");
	say_hello();
	advance(7 * SECOND + 1);
	talk(NULL, "QUIT\r\n");
	advance(20 * SECOND);
	told("ended unsent 0 ;");
	/* RFC 5321 4.5.3.2.1: the banner, five minutes; more is not waited */
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_REPLY_SECONDS,
	    1000), 0);
	open_wire();
	advance(300 * SECOND + 1);
	told("ended unsent 451 4.4.2;");
}

static void
end_again(void *, struct mailmill_client *c, const struct mailmill_client_result *)
{
	note("ended;");
	mailmill_client_free(c);
}

Test(mailmill_client, it_is_freed_with_its_connection)
{
	say_hello();
	give(message("b@x.example", NULL));
	mailmill_client_free(client);
	told("b@x.example unsent 451 4.3.2;done;ended unsent 451 4.3.2;");
	cr_expect(wire->is_closed);
	said[0] = '\0';
	/* in the function that is told of its end, also there */
	client = mailmill_client_new("client.example", end_again, NULL);
	say_hello();
	mailmill_client_free(client);
	told("ended;");
	client = mailmill_client_new("client.example", end_again, NULL);
	say_hello();
	simwire_close(wire);
	collect();
	told("ended;");
	client = NULL;
}

static unsigned int nagain;

static void
give_again(void *, struct mailmill_message *m)
{
	note("done;");
	if (nagain++ > 3 || mailmill_client_send(client, m) == -1)
		mailmill_message_free(m);
}

Test(mailmill_client, what_comes_back_may_be_sent_again_on_the_next_connection)
{
	static char closure[] = "m";
	struct mailmill_message *m = mailmill_message_new("", on_rcpt,
	    give_again, closure);

	mailmill_message_add(m, "b@x.example", 0, NULL);
	mailmill_message_body(m, BODY, strlen(BODY));
	say_hello();
	give(m);
	simwire_close(wire);
	collect();
	/* once as it was under way, and once as it waits */
	told("b@x.example unsent 451 4.4.2;done;b@x.example unsent 451 4.4.2;"
	    "done;ended unsent 451 4.4.2;");
}

static void
stop_inside(void *, struct mailmill_message *m, size_t i,
    const struct mailmill_client_result *r)
{
	note("%s ", mailmill_message_address(m, i));
	note_result(r);
	mailmill_client_stop(client);
}

/* Also where that is why it is called. */
Test(mailmill_client, a_stop_inside_tells_each_recipient_once)
{
	struct mailmill_message *m[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		m[i] = mailmill_message_new("", stop_inside, NULL, NULL);
		mailmill_message_add(m[i], "a@x.example", 0, NULL);
		mailmill_message_add(m[i], "b@x.example", 0, NULL);
		mailmill_message_body(m[i], BODY, strlen(BODY));
		give(m[i]);
	}
	mailmill_client_stop(client);
	told("a@x.example unsent 451 4.3.2;b@x.example unsent 451 4.3.2;"
	    "a@x.example unsent 451 4.3.2;b@x.example unsent 451 4.3.2;");
	mailmill_message_free(m[0]);
	mailmill_message_free(m[1]);
}

static void
free_inside(void *, struct mailmill_message *, size_t,
    const struct mailmill_client_result *)
{
	mailmill_client_free(client);
}

static void
do_misuse(void *)
{
	struct mailmill_message *m = mailmill_message_new("", free_inside,
	    NULL, NULL);

	mailmill_message_add(m, "b@x.example", 0, NULL);
	mailmill_message_body(m, BODY, strlen(BODY));
	give(m);
	simwire_send_now(wire, "550 no\r\n", 8);
	collect();
}

static void
free_message(void *m)
{
	mailmill_message_free(m);
}

Test(mailmill_client, misuse_ends_the_process)
{
	struct mailmill_message *m = message("b@x.example", NULL);
	const char *line;

	say_hello();
	line = misuse_ends(do_misuse, NULL);
	cr_expect(line != NULL && strstr(line, "mailmill_client_free"), "%s",
	    line);
	give(m);
	line = misuse_ends(free_message, m);
	cr_expect(line != NULL && strstr(line, "mailmill_message_free"), "%s",
	    line);
}

/* --- a loop of the program ------------------------------------------------ */

Test(mailmill_client, a_loop_of_the_program_calls_its_event)
{
	wire = simwire_open(&net);
	attached = mailmill_client_attach(client, wire->fd);
	cr_assert_not_null(attached);
	simwire_attach(wire, attached);
	cr_assert_eq(schedule_event(attached), 0);
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk(HELLO, "");
	give(message("b@x.example", NULL));
	talk(NULL, "");
	schedule_event_and_dispatch(attached, E_ASYNC);
	talk(NULL, GROUP1);
	mailmill_client_stop(client);
	talk(NULL, "");
	told("");
	schedule_event_and_dispatch(attached, E_ASYNC);
	collect();
	told("b@x.example unsent 451 4.3.2;done;ended unsent 451 4.3.2;");
}

/* --- TLS and logins ------------------------------------------------------- */

static bool is_good = true;

static void *
tls_start(void *closure, struct mailmill_client *, Event *)
{
	note("start;");
	return closure;
}

static int shaken = 1;

static int
tls_handshake(void *, int *)
{
	return shaken;
}

static const char *
tls_why(void *)
{
	return "expired";
}

static bool
tls_is_verified(void *)
{
	return is_good;
}

static size_t
tls_binding(void *, const char **type_r, uint8_t *octets_r)
{
	*type_r = "tls-exporter";
	memcpy(octets_r, "bind", 4);
	return 4;
}

static void
tls_end(void *)
{
	note("closed;");
}

static void
forget(void *)
{
	note("forgotten;");
}

static const struct mailmill_client_tls_ops tls_ops = {
	.size = sizeof(tls_ops), .start = tls_start,
	.handshake = tls_handshake, .is_verified = tls_is_verified,
	.binding = tls_binding, .why = tls_why, .end = tls_end, .forget = forget };

static void *
login_begin(void *closure, struct mailmill_client *,
    const struct mailmill_client_login_offer *o, const char **mechanism_r,
    char **out_r, size_t *len_r)
{
	note("[%s] plus=%d tls=%d verified=%d %s %.*s;", o->mechanisms,
	    o->has_plus, o->is_tls, o->is_verified, o->binding_type != NULL ?
	    o->binding_type : "unbound", (int)o->binding_len,
	    o->binding_type != NULL ? (const char *)o->binding : "");
	*mechanism_r = "PLAIN";
	*out_r = strdup("xy");
	*len_r = 2;
	return closure;
}

static int
login_step(void *, const char *challenge, size_t len, char **out_r,
    size_t *len_r)
{
	note("step %.*s;", (int)len, challenge);
	*out_r = NULL;
	*len_r = 0;
	return 1;
}

static int
login_go_on(void *, char **out_r, size_t *len_r)
{
	note("on;");
	*out_r = strdup("z");
	*len_r = 1;
	return 0;
}

static bool
login_end(void *, bool is_right)
{
	note("end %d;", is_right);
	return true;
}

static const struct mailmill_client_login_ops login_ops = {
	.size = sizeof(login_ops), .begin = login_begin, .step = login_step,
	.go_on = login_go_on, .end = login_end, .forget = forget };

static void
set_both(void)
{
	static int n;

	cr_assert_eq(mailmill_client_set_tls(client, &tls_ops, &n), 0);
	cr_assert_eq(mailmill_client_set_login(client, &login_ops, &n), 0);
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_TLS,
	    MAILMILL_CLIENT_TLS_MUST), 0);
	cr_assert_eq(mailmill_client_set(client, MAILMILL_CLIENT_LOGIN,
	    MAILMILL_CLIENT_LOGIN_MUST), 0);
}

Test(mailmill_client, tls_and_a_login_are_those_of_the_program)
{
	set_both();
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n");
	talk("220 go\r\n", "EHLO client.example\r\n");
	cr_expect(mailmill_client_is_tls(client));
	talk("250-mx\r\n250 AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS X\r\n",
	    "AUTH PLAIN eHk=\r\n");
	talk("334 bW9yZQ==\r\n", "eg==\r\n");
	cr_expect(!mailmill_client_is_logged_in(client));
	cr_expect(mailmill_client_is_verified(client));
	talk("235 ok\r\n", "");
	cr_expect(mailmill_client_is_logged_in(client));
	told("start;[SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN] plus=1 tls=1 "
	    "verified=1 tls-exporter bind;step more;on;end 1;");
	mailmill_client_free(client);
	client = NULL;
	told("ended unsent 451 4.3.2;closed;forgotten;forgotten;");
}

static void
note_words(void *, struct mailmill_client *,
    const struct mailmill_client_result *r)
{
	note("%s;", r->words);
}

Test(mailmill_client, a_handshake_that_has_failed_says_why)
{
	mailmill_client_free(client);
	client = mailmill_client_new("client.example", note_words, NULL);
	events[0] = '\0';
	shaken = -1;
	set_both();
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n");
	talk("220 go\r\n", "");
	told("start;expired;closed;");
}

/* A password is for the server that it should be. */
Test(mailmill_client, a_server_that_is_not_verified_gets_no_password)
{
	is_good = false;
	set_both();
	open_wire();
	talk("220 mx.example\r\n", "EHLO client.example\r\n");
	talk("250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n");
	talk("220 go\r\n", "EHLO client.example\r\n");
	talk("250-mx\r\n250 AUTH PLAIN LOGIN XOAUTH2\r\n", "QUIT\r\n");
	talk("221 bye\r\n", "");
	told("start;ended deferred 451 4.7.4;closed;");
}

Test(mailmill_client, functions_are_set_whole_and_before_the_connection)
{
	struct mailmill_client_tls_ops t = tls_ops;
	struct mailmill_client_login_ops l = login_ops;

	t.size = 0;
	cr_expect_eq(mailmill_client_set_tls(client, &t, NULL), -1);
	cr_expect_eq(errno, EINVAL);
	l.begin = NULL;
	cr_expect_eq(mailmill_client_set_login(client, &l, NULL), -1);
	cr_expect_eq(errno, EINVAL);
	open_wire();
	cr_expect_eq(mailmill_client_set_tls(client, &tls_ops, NULL), -1);
	cr_expect_eq(errno, EISCONN);
	cr_expect_eq(mailmill_client_set_login(client, NULL, NULL), -1);
	cr_expect_eq(errno, EISCONN);
}

/* --- arguments ------------------------------------------------------------ */

Test(mailmill_client, bad_arguments_are_refused)
{
	struct mailmill_message *m;

	cr_expect_null(mailmill_client_new("", NULL, NULL));
	cr_expect_null(mailmill_client_new("a b", NULL, NULL));
	cr_expect_eq(mailmill_client_set(client,
	    (enum mailmill_client_option)99, 0), -1);
	cr_expect_eq(mailmill_client_set(client, MAILMILL_CLIENT_TLS, 4), -1);
	cr_expect_eq(mailmill_client_set(client, MAILMILL_CLIENT_TLS, -1), -1);
	cr_expect_eq(mailmill_client_set(client,
	    MAILMILL_CLIENT_CONNECT_SECONDS, 0), -1);
	cr_expect_null(mailmill_message_new("a@x.example", NULL, NULL, NULL));
	m = mailmill_message_new("a@x.example", on_rcpt, NULL, NULL);
	cr_expect_eq(mailmill_client_send(client, m), -1);
	mailmill_message_add(m, "b@x.example", 0, NULL);
	cr_expect_eq(mailmill_client_send(client, m), -1);
	cr_expect_eq(errno, EINVAL);
	mailmill_message_free(m);
	m = message("b@x.example", NULL);
	give(m);
	cr_expect_eq(mailmill_client_send(client, m), -1);
	cr_expect_eq(errno, EBUSY);
	cr_expect_eq(mailmill_message_add(m, "c@x.example", 0, NULL), -1);
	cr_expect_eq(errno, EBUSY);
}

/* --- sockets -------------------------------------------------------------- */

static void
real(void)
{
	mailmill_client_free(client);
	events[0] = '\0';
	scheduler_destroy(sched);
	sched = scheduler_create(NULL);
	client = mailmill_client_new("client.example", on_ended, NULL);
}

Test(mailmill_client, a_port_where_nobody_listens)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	char address[32];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	real();
	/* bound, so that nobody else listens there */
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    ntohs(a.sin_port));
	cr_assert_eq(mailmill_client_send(client, message("b@x.example",
	    NULL)), 0);
	cr_assert_eq(mailmill_client_connect(client, address), 0);
	cr_expect_str_eq(mailmill_client_state(client),
	    "awaiting the connection");
	cr_assert_eq(scheduler_run(sched), 0);
	told("b@x.example unsent 451 4.4.1;done;ended unsent 451 4.4.1;");
	cr_assert_eq(mailmill_client_connect(client, address), 0);
	mailmill_client_stop(client);
	cr_assert_eq(scheduler_run(sched), 0);
	told("ended unsent 451 4.3.2;");
	close(fd);
}

Test(mailmill_client, what_is_no_address)
{
	static const char *const bad[] = { "", "mx.example:25", "127.0.0.1",
		"unix:", "[::1]" };
	size_t i;

	real();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(mailmill_client_connect(client, bad[i]), -1);
		cr_expect_eq(errno, EINVAL, "%s", bad[i]);
	}
	cr_expect_eq(mailmill_client_connect(client, "unix:/nonexistent"), 0);
	cr_assert_eq(scheduler_run(sched), 0);
	told("ended unsent 451 4.4.1;");
}
