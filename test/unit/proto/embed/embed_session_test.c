/* Sessions as embedders make, ask and end them. */

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/factory/esmtp_embed.h"
#include "test/lib/misuse.h"
#include "test/lib/simspool.h"
#include "test/unit/proto/server/fake.h"

#define BYE	"421 4.3.2 Good bye\r\n"

/* --- without simulated parts ---------------------------------------------- */

static struct simclock clock_of_spool;
static struct simspool spool;
static struct esmtp_host *host;
static struct esmtp_options *options;
static int client;			/* the other end of the socket */
static int context;			/* its address is the session's */
static int nreports, nends;		/* reports; calls of session_end() */
static enum esmtp_report_kind last_report;
static struct timeval now = { .tv_sec = FAKE_START };

static void
report(void *closure, accept_construct *ac, const struct esmtp_report *r)
{
	cr_expect_eq(closure, &context);
	cr_expect_eq(esmtp_session_context(ac), &context);
	nreports++;
	last_report = r->kind;
}

static void
session_end(void *closure, accept_construct *ac)
{
	cr_expect_eq(closure, &context);
	nends++;
	esmtp_session_free(ac);
}

static void
setup(void)
{
	const struct esmtp_host_ops ops = { .size = sizeof(ops),
		.report = report, .session_end = session_end };

	simclock_init(&clock_of_spool, 0);
	simspool_init(&spool, &clock_of_spool);
	host = esmtp_host_new(&ops, &context, &simspool_ops, &spool);
	options = esmtp_options_new("mx.example.test");
	cr_assert_not_null(host);
	cr_assert_not_null(options);
}

static void
teardown(void)
{
	cr_expect_eq(spool.nopen, 0);
	close(client);
	esmtp_options_free(options);
	esmtp_host_free(host);
	simspool_clear(&spool);
	simclock_clear(&clock_of_spool);
}

TestSuite(embed_session, .init = setup, .fini = teardown);

static accept_construct *
session_of_host(struct esmtp_host *h, const struct sockaddr *peer)
{
	accept_construct *ac;
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	client = fds[1];
	ac = esmtp_session_new(h, options, fds[0], peer, &context);
	cr_assert_not_null(ac);
	return ac;
}

static accept_construct *
new_session(const struct sockaddr *peer)
{
	return session_of_host(host, peer);
}

/* One step; what the client says before it, and what it hears. */
static const char *
step(accept_construct *ac, const char *says)
{
	static char heard[4096];
	Event *e = esmtp_session_event(ac);
	ssize_t n;
	int mask;

	n = send(client, says, strlen(says), MSG_NOSIGNAL);
	cr_assert_eq(n, (ssize_t)strlen(says));
	mask = e->callback(e, E_READ | E_WRITE, e->closure, &now);
	if (mask == 0)
		event_free(e);
	n = recv(client, heard, sizeof(heard) - 1, MSG_DONTWAIT);
	heard[n > 0 ? n : 0] = '\0';
	return heard;
}

static bool
is_hung_up(void)
{
	char c;

	return recv(client, &c, 1, MSG_DONTWAIT) == 0;
}

Test(embed_session, begins_with_what_it_was_given)
{
	accept_construct *ac = new_session(NULL), *other;

	cr_expect_eq(ac->host, host);
	cr_expect_eq(esmtp_session_options(ac), options);
	cr_expect_eq(esmtp_session_context(ac), &context);
	cr_expect_eq(esmtp_session_event(ac)->closure, ac);
	cr_expect_eq(esmtp_session_event(ac)->mask, E_READ | E_WRITE);
	cr_expect_eq(esmtp_session_peer(ac)->sa_family, AF_UNIX);
	cr_expect_str_eq(esmtp_session_id(ac), "1");
	cr_expect_null(esmtp_session_helo(ac));
	cr_expect_null(esmtp_session_sender(ac));
	cr_expect_null(esmtp_session_rcpt(ac, 0));
	cr_expect_null(esmtp_session_login(ac));
	cr_expect_null(esmtp_session_tls(ac));
	other = esmtp_session_new(host, options, -1, NULL, NULL);
	cr_assert_not_null(other);
	cr_expect_str_eq(esmtp_session_id(other), "2");
	cr_expect_null(esmtp_session_context(other));
	esmtp_session_set_context(other, other);
	cr_expect_eq(esmtp_session_context(other), other);
	esmtp_session_free(other);
	/* without a step there was no session: nothing is reported */
	esmtp_session_free(ac);
	cr_expect(is_hung_up());
	cr_expect_eq(nreports, 0);
	cr_expect_eq(nends, 0);
}

Test(embed_session, without_a_host_or_options_there_is_none)
{
	errno = 0;
	cr_expect_null(esmtp_session_new(NULL, options, -1, NULL, NULL));
	cr_expect_eq(errno, EINVAL);
	errno = 0;
	cr_expect_null(esmtp_session_new(host, NULL, -1, NULL, NULL));
	cr_expect_eq(errno, EINVAL);
	esmtp_session_free(NULL);
}

Test(embed_session, the_peer_is_copied)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const ec_sockaddr *peer;
	accept_construct *ac;

	in.sin_addr.s_addr = htonl(0xc0000201);
	ac = new_session((struct sockaddr *)&in);
	memset(&in, 0, sizeof(in));
	peer = (const ec_sockaddr *)(const void *)esmtp_session_peer(ac);
	cr_expect_eq(peer->sin.sin_family, AF_INET);
	cr_expect_eq(peer->sin.sin_addr.s_addr, htonl(0xc0000201));
	cr_expect_eq(peer->sin.sin_port, htons(7));
	esmtp_session_free(ac);
	close(client);
	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	ac = new_session((struct sockaddr *)&in6);
	peer = (const ec_sockaddr *)(const void *)esmtp_session_peer(ac);
	cr_expect_eq(memcmp(&peer->sin6.sin6_addr, &in6.sin6_addr,
	    sizeof(in6.sin6_addr)), 0);
	esmtp_session_free(ac);
	close(client);
	ac = new_session((struct sockaddr *)&un);
	cr_expect_eq(esmtp_session_peer(ac)->sa_family, AF_UNIX);
	esmtp_session_free(ac);
}

Test(embed_session, an_id_is_a_word)
{
	static const char *const bad[] = { NULL, "", "a b", "a\n",
		"12345678901234567890" };
	accept_construct *ac = new_session(NULL);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(esmtp_session_set_id(ac, bad[i]), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_str_eq(esmtp_session_id(ac), "1");
	cr_expect_eq(esmtp_session_set_id(ac, "1234567890123456789"), 0);
	cr_expect_str_eq(esmtp_session_id(ac), "1234567890123456789");
	esmtp_session_free(ac);
}

Test(embed_session, says_what_its_client_has_said)
{
	accept_construct *ac = new_session(NULL);

	step(ac, "");
	cr_expect_null(esmtp_session_helo(ac));
	step(ac, "EHLO client.test\r\n");
	cr_expect_str_eq(esmtp_session_helo(ac), "client.test");
	cr_expect_null(esmtp_session_sender(ac));
	step(ac, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(esmtp_session_sender(ac), "");
	cr_expect_null(esmtp_session_rcpt(ac, 0));
	step(ac, "RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n");
	cr_expect_str_eq(esmtp_session_rcpt(ac, 1), "b@example.test");
	cr_expect_null(esmtp_session_rcpt(ac, 2));
	cr_expect_null(esmtp_session_rcpt(ac, SIZE_MAX));
	cr_expect_eq(esmtp_session_of(
	    accept_construct_get_message_construct(ac)), ac);
	cr_expect_null(esmtp_session_of(NULL));
	cr_expect_eq(strncmp(step(ac, "QUIT\r\n"), "221 ", 4), 0);
	/* session_end() has freed it, and step() its event */
	cr_expect_eq(nends, 1);
	cr_expect_eq(last_report, ESMTP_REPORT_END);
}

Test(embed_session, one_that_has_not_ended_ends_when_it_is_freed)
{
	accept_construct *ac = new_session(NULL);

	step(ac, "");
	step(ac, "EHLO x\r\n");
	step(ac, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n");
	step(ac, "DATA\r\n");
	cr_expect_eq(spool.nopen, 1);
	esmtp_session_free(ac);
	cr_expect_eq(spool.nopen, 0);
	cr_expect(is_hung_up());
	cr_expect_eq(last_report, ESMTP_REPORT_END);
	cr_expect_eq(nends, 0);
}

/* As a host does that has no session_end(): the event is the loop's. */
Test(embed_session, one_that_has_returned_0_is_freed_without_its_event)
{
	struct esmtp_host *without = esmtp_host_new(NULL, NULL, &simspool_ops,
	    &spool);
	accept_construct *ac = session_of_host(without, NULL);

	step(ac, "");
	step(ac, "QUIT\r\n");
	cr_expect(is_hung_up());
	esmtp_session_free(ac);
	esmtp_host_free(without);
}

static void
free_inside(void *closure, accept_construct *ac, const struct esmtp_report *)
{
	(void)closure;
	esmtp_session_free(ac);
}

static void
step_that_frees(void *ac)
{
	step(ac, "");
}

Test(embed_session, freeing_one_inside_its_step_is_misuse)
{
	const struct esmtp_host_ops ops = { .size = sizeof(ops),
		.report = free_inside };
	struct esmtp_host *h = esmtp_host_new(&ops, NULL, &simspool_ops,
	    &spool);
	accept_construct *ac = session_of_host(h, NULL);
	const char *line;

	line = misuse_ends(step_that_frees, ac);
	cr_assert_not_null(line);
	cr_expect_str_eq(line, "mailmill: esmtp_session_free(): not inside a "
	    "step of the session: esmtp_session_close()");
	esmtp_session_free(ac);
	esmtp_host_free(h);
}

static void
free_host_inside(void *, accept_construct *ac, const struct esmtp_report *r)
{
	/* while it speaks, or at its end */
	if (r->kind == last_report)
		esmtp_host_free(ac->host);
}

static void
quit(void *ac)
{
	step(ac, "QUIT\r\n");
}

static void
free_session(void *ac)
{
	esmtp_session_free(ac);
}

static void
free_host_at_end(void *, accept_construct *ac)
{
	struct esmtp_host *h = ac->host;

	esmtp_session_free(ac);
	esmtp_host_free(h);
}

Test(embed_session, freeing_the_host_inside_a_step_is_misuse)
{
	const struct esmtp_host_ops ops = { .size = sizeof(ops),
		.report = free_host_inside, .session_end = free_host_at_end };
	static const char want[] = "mailmill: esmtp_host_free(): not inside a "
	    "step of one of its sessions: after the end of the last one";
	struct esmtp_host *h = esmtp_host_new(&ops, NULL, &simspool_ops,
	    &spool);
	accept_construct *ac = session_of_host(h, NULL);

	last_report = ESMTP_REPORT_CONNECT;
	cr_expect_str_eq(misuse_ends(step_that_frees, ac), want);
	last_report = ESMTP_REPORT_END;
	step(ac, "");
	cr_expect_str_eq(misuse_ends(quit, ac), want);
	cr_expect_str_eq(misuse_ends(free_session, ac), want);
	/* session_end() is behind the step */
	last_report = ESMTP_REPORT_ACCEPTED;
	quit(ac);
}

/* --- a host with sessions -------------------------------------------------- */

/* How far the session of a host has come that is freed. */
enum age {
	AGE_NEW,	/* it has had no step */
	AGE_BEGUN,
	AGE_IN_DATA,
	AGE_ANOTHER,	/* it has ended, another one has not */
	AGE_DESTROYED,	/* from here on there is none: it was ended and freed, */
	AGE_OVER,	/* it has ended and was not freed, */
	AGE_FREED,
	AGE_MOVED,
	NAGES
};

static int
move(void *, accept_construct *, const struct esmtp_moved *)
{
	return 0;
}

/* In a process that has made the host itself. */
static void
free_host_at(void *arg)
{
	const struct esmtp_host_ops ops = { .size = sizeof(ops),
		.session_move = move };
	struct esmtp_host *h = esmtp_host_new(&ops, NULL, &simspool_ops,
	    &spool);
	accept_construct *ac = session_of_host(h, NULL);
	enum age age = *(enum age *)arg;

	if (age != AGE_NEW)
		step(ac, "EHLO x\r\n");
	switch (age) {
	case AGE_IN_DATA:
		step(ac, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n"
		    "DATA\r\n");
		break;
	case AGE_ANOTHER:
		(void)session_of_host(h, NULL);
		/* FALLTHROUGH */
	case AGE_DESTROYED:
		esmtp_destroy_message_construct(
		    accept_construct_get_message_construct(ac));
		esmtp_session_free(ac);
		break;
	case AGE_OVER:
		step(ac, "QUIT\r\n");
		break;
	case AGE_MOVED:
		(void)esmtp_host_set(h, ESMTP_HOST_DRAINING, 1);
		(void)esmtp_host_set(h, ESMTP_HOST_RECONFIGURED, 1);
		step(ac, "");
		break;
	case AGE_FREED:
		esmtp_session_free(ac);
		break;
	default:
		break;
	}
	esmtp_host_free(h);
	/* one whose step has returned 0 does not need it any more */
	if (age == AGE_OVER || age == AGE_MOVED)
		esmtp_session_free(ac);
}

Test(embed_session, freeing_the_host_of_one_that_has_not_ended_is_misuse)
{
	static const char want[] = "mailmill: esmtp_host_free(): not before "
	    "the end of the last of its sessions: esmtp_session_free()";
	const char *said;
	enum age age;

	for (age = AGE_NEW; age < NAGES; age++) {
		said = misuse_ends(free_host_at, &age);
		if (age < AGE_DESTROYED)
			cr_expect_str_eq(said, want, "age %d", age);
		else
			cr_expect_null(said, "age %d: %s", age, said);
	}
}

/* Options of a session, and those that it has got in their place. */
static void
free_used_options(void *arg)
{
	struct esmtp_options *first = esmtp_options_new("a.test"),
	    *second = esmtp_options_new("b.test"), *used = first;
	struct esmtp_host *h = esmtp_host_new(NULL, NULL, &simspool_ops,
	    &spool);
	accept_construct *ac = esmtp_session_new(h, first, -1, NULL, NULL);
	bool is_changed = *(int *)arg & 1, has_ended = *(int *)arg & 2;

	if (is_changed) {
		esmtp_session_set_options(ac, second);
		used = second;
	}
	if (has_ended)
		esmtp_session_free(ac);
	esmtp_options_free(used == first ? second : first);
	esmtp_options_free(used);
}

Test(embed_session, freeing_the_options_of_one_that_has_not_ended_is_misuse)
{
	static const char want[] = "mailmill: esmtp_options_free(): not before "
	    "the end of the last session that uses them";
	accept_construct *ac = new_session(NULL);
	const char *said;
	int how;

	for (how = 0; how < 4; how++) {
		said = misuse_ends(free_used_options, &how);
		if (how < 2)
			cr_expect_str_eq(said, want, "%d", how);
		else
			cr_expect_null(said, "%d: %s", how, said);
	}
	esmtp_session_free(ac);
}

Test(embed_session, options_do_not_change_while_one_uses_them)
{
	accept_construct *ac = new_session(NULL);
	struct esmtp_options *others = esmtp_options_new("other.test");
	char why[100];

	cr_assert_not_null(others);
	errno = 0;
	cr_expect_eq(esmtp_options_set(options, "max_errors", "7", why,
	    sizeof(why)), -1);
	cr_expect_eq(errno, EBUSY);
	cr_expect_str_eq(why, "Max_Errors: sessions use these options: set it "
	    "before the first one");
	esmtp_session_set_options(ac, others);
	cr_expect_eq(esmtp_options_set(options, "Max_Errors", "7", NULL, 0),
	    0);
	cr_expect_eq(esmtp_options_set(others, "Max_Errors", "7", NULL, 0),
	    -1);
	step(ac, "");
	step(ac, "QUIT\r\n");
	cr_expect_eq(nends, 1);
	cr_expect_eq(esmtp_options_set(others, "Max_Errors", "7", NULL, 0), 0);
	esmtp_options_free(others);
}

/* --- a spool as a manual page has it -------------------------------------- */

static unsigned int naborts;

static void
abort_message(struct spool_msg *msg)
{
	cr_assert_not_null(msg);
	naborts++;
	simspool_ops.abort(msg);
}

/* A transaction without one, which most ends of a session are, aborts none. */
Test(embed_session, only_a_message_is_aborted)
{
	struct spool_ops ops = simspool_ops;
	struct esmtp_host *h;
	accept_construct *ac;

	ops.abort = abort_message;
	h = esmtp_host_new(NULL, NULL, &ops, &spool);
	ac = session_of_host(h, NULL);
	step(ac, "");
	step(ac, "EHLO x\r\n");
	step(ac, "MAIL FROM:<a@x.test>\r\nRSET\r\n");
	step(ac, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nRSET\r\n");
	step(ac, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nEHLO x\r\n");
	cr_expect_eq(naborts, 0);
	step(ac, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n");
	esmtp_session_free(ac);
	cr_expect_eq(naborts, 1);
	esmtp_host_free(h);
}

/* --- closing, with simulated parts ---------------------------------------- */

/* What the client hears when it is told, and whether that is the end. */
static const char *
closed(struct fake *f, int code, const char *text)
{
	const char *heard;

	cr_assert_eq(esmtp_session_close(f->s->ac, code, text), 0);
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	heard = fake_say(f, "");
	cr_expect(fake_is_ended(f));
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_ABORT], 0);
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 0);
	return heard;
}

Test(embed_close, an_idle_session_is_told)
{
	struct fake *f = fake_start();

	cr_expect_str_eq(closed(f, 421, "4.3.2 Good bye"), BYE);
	fake_end(f);
}

Test(embed_close, the_words_are_those_of_any_reply)
{
	static const struct {
		int		 code;
		const char	*text, *heard;
	} cases[] = {
		{ 0, NULL, "" },
		{ 0, "4.3.2 Good bye", "" },
		{ 421, "Good bye", "421 4.7.1 Good bye\r\n" },
		{ 554, "5.7.1 No\tmore", "554 5.7.1 No?more\r\n" },
		{ 450, NULL, "450 4.7.1 Try again later\r\n" },
	};
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = fake_start();
		cr_expect_str_eq(closed(f, cases[i].code, cases[i].text),
		    cases[i].heard);
		fake_end(f);
	}
}

Test(embed_close, what_is_no_reply_is_refused)
{
	static const struct {
		int		 code;
		const char	*text;
	} bad[] = { { 250, "OK" }, { 354, "x" }, { 600, "x" }, { -1, "x" },
	    { 399, "x" }, { 421, "x\r\n250 OK" }, { 421, "x\n" } };
	struct fake *f = fake_start();
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(esmtp_session_close(f->s->ac, bad[i].code,
		    bad[i].text), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_eq(esmtp_session_close(NULL, 421, "x"), -1);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	fake_end(f);
}

Test(embed_close, one_that_has_not_begun_or_is_over_is_refused)
{
	struct fake *f = fake_new();

	f->s = simhost_connect(&f->h, "192.0.2.1");
	cr_assert_not_null(f->s);
	errno = 0;
	cr_expect_eq(esmtp_session_close(f->s->ac, 421, "x"), -1);
	cr_expect_eq(errno, EINVAL);
	simhost_settle(&f->h);
	esmtp_destroy_message_construct(fake_mc(f));
	errno = 0;
	cr_expect_eq(esmtp_session_close(f->s->ac, 421, "x"), -1);
	cr_expect_eq(errno, EINVAL);
	fake_end(f);
}

Test(embed_close, the_first_words_are_the_last)
{
	struct fake *f = fake_start();

	cr_assert_eq(esmtp_session_close(f->s->ac, 421, "4.3.2 Good bye"), 0);
	cr_expect_str_eq(closed(f, 554, "5.0.0 again"), BYE);
	fake_end(f);
}

Test(embed_close, inside_a_message_it_is_aborted)
{
	struct fake *f = fake_start();

	fake_to_data(f);
	fake_say(f, "x\r\n");
	cr_expect_eq(f->h.spool.nopen, 1);
	cr_expect_str_eq(closed(f, 421, "4.3.2 Good bye"), BYE);
	cr_expect_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

/* It may yet be delivered: a refusal would be wrong. */
Test(embed_close, while_a_message_is_committed_nothing_is_said)
{
	struct fake *f = fake_start();

	f->h.spool.is_held = true;
	fake_to_data(f);
	fake_say(f, "x\r\n.\r\n");
	cr_expect_str_eq(closed(f, 421, "4.3.2 Good bye"), "");
	simspool_release(&f->h.spool);
	fake_say(f, "");
	cr_expect_eq(f->h.spool.nsafe, 1);
	fake_end(f);
}

/* A PROXY header is awaited: a proxy reads no replies. */
Test(embed_close, a_proxy_is_told_nothing)
{
	struct fake *f = fake_new();

	fake_option(f, "Proxy_Protocol", "true", NULL);
	fake_connect(f);
	cr_expect_str_eq(closed(f, 421, "4.3.2 Good bye"), "");
	fake_end(f);
}

/* --- inside a step -------------------------------------------------------- */

static void (*real_report)(void *, accept_construct *,
    const struct esmtp_report *);
static enum esmtp_report_kind when;

static void
close_at_report(void *h, accept_construct *ac, const struct esmtp_report *r)
{
	real_report(h, ac, r);
	if (r->kind == when)
		cr_expect_eq(esmtp_session_close(ac, 421, "4.3.2 Good bye"),
		    0);
}

static const char *
heard_when_closed_at(struct fake *f, enum esmtp_report_kind kind,
    const char *says)
{
	const char *heard;

	when = kind;
	real_report = f->h.ops.report;
	f->h.ops.report = close_at_report;
	heard = says != NULL ? fake_say(f, says) : (fake_connect(f), f->reply);
	cr_expect(fake_is_ended(f));
	return heard;
}

Test(embed_close, in_place_of_the_banner)
{
	struct fake *f = fake_new();

	cr_expect_str_eq(heard_when_closed_at(f, ESMTP_REPORT_CONNECT, NULL),
	    BYE);
	fake_end(f);
}

/* Before the handshake nobody reads replies. */
Test(embed_close, in_place_of_the_banner_not_in_the_clear)
{
	struct fake *f = fake_new();

	fake_option(f, "Use_SSL", "true", NULL);
	cr_expect_str_eq(heard_when_closed_at(f, ESMTP_REPORT_CONNECT, NULL),
	    "");
	fake_end(f);
}

Test(embed_close, behind_a_refusal_and_before_all_else)
{
	struct fake *f = fake_start();

	cr_expect_str_eq(heard_when_closed_at(f, ESMTP_REPORT_REJECTED,
	    "NOOP\r\nXYZZY\r\nNOOP\r\n"), "250 2.0.0 OK\r\n"
	    "500 5.5.2 Command not recognized\r\n" BYE);
	fake_end(f);
}

Test(embed_close, at_a_timeout_the_words_are_the_hosts)
{
	struct fake *f = fake_start();

	when = ESMTP_REPORT_TIMEOUT;
	real_report = f->h.ops.report;
	f->h.ops.report = close_at_report;
	cr_expect_str_eq(fake_wait(f, 301), BYE);
	cr_expect(fake_is_ended(f));
	fake_end(f);
}
