/* What a client can have of a server: sessions, and memory. */

#include "proto/mailmill_server.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "proto/esmtp_factory.h"
#include "proto/service/server_int.h"
#include "test/unit/proto/service/service_talk.h"

#define PROXY	"PROXY TCP4 192.0.2.%d 192.0.2.99 1000 25\r\n"

static struct mailmill_mail *mails[64];
static unsigned int nmails;

static int
on_message(void *, struct mailmill_mail *, const char *)
{
	return 250;
}

/* It is never answered. */
static int
keep(void *, struct mailmill_mail *mail, const char *)
{
	cr_assert_lt(nmails, 64);
	mails[nmails++] = mail;
	return MAILMILL_LATER;
}

static void
setup(void)
{
	loop = scheduler_create(NULL);
	server = mailmill_server_new("mx.example", on_message, NULL);
	cr_assert_not_null(server);
}

static void
teardown(void)
{
	struct sockaddr_in none = { .sin_family = AF_INET };
	struct server_client *c;

	mailmill_server_free(server);
	if (client != -1)
		close(client);
	while (nmails > 0)
		(void)mailmill_mail_answer(mails[--nmails], 250, NULL);
	cr_expect_eq(scheduler_event_count(loop), 0);
	scheduler_destroy(loop);
	/* everything was given back */
	c = server_client_join((struct sockaddr *)&none, SERVER_DIRECT, 1);
	cr_assert_not_null(c);
	cr_expect_eq(server_client_take(c, SERVER_HELD, SERVER_HELD), 0);
	server_client_give(c, SERVER_HELD);
	server_client_leave(c);
}

TestSuite(server_bounds, .init = setup, .fini = teardown, .timeout = 60);

static void
set(const char *name, const char *value)
{
	cr_assert_eq(mailmill_server_set(server, name, value, NULL, 0), 0);
}

/* --- sessions ------------------------------------------------------------- */

/* One more than two is refused with ${words}; when one has ended, there is room
 * again. */
static void
expect_two(const char *words)
{
	int fds[2], i;

	for (i = 0; i < 2; i++) {
		dial();
		fds[i] = client;
		hear("220");
	}
	dial();
	hear(words);
	cr_expect(is_closed());
	close(client);
	client = fds[0];
	talk("QUIT\r\n", "221");
	cr_expect(is_closed());
	close(client);
	dial();
	hear("220");
	close(fds[1]);
}

Test(server_bounds, sessions_of_a_client)
{
	set("Client_Sessions", "2");
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	expect_two("421 4.7.0 Too many concurrent sessions from your address");
}

/* A session at another address. */
static int
one_elsewhere(void)
{
	cr_assert_eq(mailmill_server_listen(server, "127.0.0.2:0"), 0);
	dial_at(2);
	hear("220");
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	return client;
}

Test(server_bounds, sessions_of_a_listener)
{
	int other;

	set("Listener_Sessions", "2");
	other = one_elsewhere();
	expect_two("421 4.4.5 Too many concurrent sessions");
	close(other);
}

Test(server_bounds, sessions_of_a_service)
{
	int other;

	set("Service_Sessions", "3");
	other = one_elsewhere();
	expect_two("421 4.4.5 Too many concurrent sessions");
	close(other);
}

/* A proxy sends its header before it reads anything. */
Test(server_bounds, what_would_not_be_understood_is_not_said)
{
	ssize_t got = -1;
	int i, first;
	char c;

	set("Service_Sessions", "1");
	set("Proxy_Protocol", "true");
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	first = client;
	dial();
	for (i = 0; i < 400 && got == -1; i++) {
		(void)scheduler_pass(loop, 10);
		got = read(client, &c, 1);
	}
	cr_expect_eq(got, 0);
	close(first);
}

/* The clients that a proxy names count, and not the proxy. */
Test(server_bounds, sessions_behind_a_proxy)
{
	char header[128];
	int fds[4], i;

	set("Client_Sessions", "2");
	set("Proxy_Protocol", "true");
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	for (i = 0; i < 4; i++) {
		dial();
		fds[i] = client;
		snprintf(header, sizeof(header), PROXY, 1 + i / 2);
		talk(header, "220");
	}
	dial();
	snprintf(header, sizeof(header), PROXY, 1);
	talk(header, "421 4.7.0 Too many concurrent sessions from your address");
	cr_expect(is_closed());
	for (i = 0; i < 4; i++)
		close(fds[i]);
}

/* By XCLIENT, or whatever calls the host's function again. */
Test(server_bounds, a_client_that_is_named_again_has_its_session)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct server_session s = { .server = server };
	accept_construct ac = { .handle = (uintptr_t)&s };
	netlistener_def def = { .servercode = server_step };
	netlistener_instance inst = { .def = &def };
	int i;

	set("Client_Sessions", "1");
	ac.inst = &inst;
	ac.remote_addr.sin = in;
	s.client = server_client_join(&ac.remote_addr.sa, SERVER_PROXY_ITSELF,
	    1);
	for (i = 0; i < 3; i++) {
		cr_expect_eq(server_peer_changed(server, &ac), 1);
		cr_expect(server_client_is(s.client, &ac.remote_addr.sa,
		    SERVER_PROXIED));
	}
	server_client_leave(s.client);
	client = -1;
}

/* All clients whose address XCLIENT does not know would be one. */
Test(server_bounds, a_client_of_unknown_address_counts_as_before)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct server_session s = { .server = server };
	accept_construct ac = { .handle = (uintptr_t)&s };
	netlistener_def def = { .servercode = server_step };
	netlistener_instance inst = { .def = &def };
	struct server_client *before;
	int i;

	set("Client_Sessions", "1");
	ac.inst = &inst;
	ac.remote_addr.sin = in;
	before = server_client_join(&ac.remote_addr.sa, SERVER_DIRECT, 2);
	cr_assert_not_null(before);
	memset(&ac.remote_addr, 0, sizeof(ac.remote_addr));
	for (i = 0; i < 3; i++) {
		s.client = before;
		cr_expect_eq(server_peer_changed(server, &ac), 1);
		cr_expect_eq(s.client, before);
	}
	server_client_leave(before);
	client = -1;
}

/* --- memory --------------------------------------------------------------- */

static void
talk_to_data(void)
{
	hear("220");
	talk("EHLO x\r\n", "250 ");
	talk(TO_RCPT, "250 2.1.5");
	talk("DATA\r\n", "354");
}

/* Send ${octets} of a message, whole lines of 64, and let the server read them. */
static void
pour(size_t octets)
{
	static char lines[65536];
	size_t i, n;
	ssize_t done;

	memset(lines, 'x', sizeof(lines));
	for (i = 62; i < sizeof(lines); i += 64)
		memcpy(lines + i, "\r\n", 2);
	for (i = 0; i < octets; i += done > 0 ? (size_t)done : 0) {
		n = sizeof(lines) - i % 64;
		done = write(client, lines + i % 64, octets - i < n ?
		    octets - i : n);
		(void)scheduler_pass(loop, 0);
	}
}

#define MIB	((size_t)1 << 20)
#define MOST	(24 * MIB + MIB / 2)	/* nearly Max_Message_Size: 32 of room */

/* Rooms grow by 8 MiB: 24 for 17, 16 for 9.  What is over the share of 64 gets
 * 452, for that client alone. */
Test(server_bounds, a_client_has_no_more_than_its_share)
{
	int fds[4], i;

	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	for (i = 0; i < 4; i++) {
		dial_from(i < 3 ? 1 : 9);
		fds[i] = client;
		talk_to_data();
		pour(i == 1 ? 9 * MIB : i == 2 ? MOST : 17 * MIB);
	}
	talk(".\r\n", "250 2.0.0");
	client = fds[2];
	talk(".\r\n", "452 4.3.1");
	client = fds[0];
	talk(".\r\n", "250 2.0.0");
	client = fds[2];
	talk(TO_RCPT, "250 2.1.5");
	talk("DATA\r\n", "354");
	pour(MOST);
	talk(".\r\n", "250 2.0.0");
	for (i = 0; i < 4; i++)
		close(fds[i]);
	client = -1;
}

/* Whatever the share is, there is room for one message of the size that is
 * allowed. */
Test(server_bounds, the_largest_message_has_room)
{
	set("Max_Message_Size", "200M");
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	talk_to_data();
	pour(150 * MIB);
	talk(".\r\n", "250 2.0.0");
}

/* Each of its messages would be refused, with a 452, for ever. */
Test(server_bounds, a_size_that_memory_has_no_room_for_is_told_at_once)
{
	static const char *const sizes[] = { "0", "256M", "255M", "1024G" };
	size_t i;

	for (i = 0; i < 4; i++) {
		set("Max_Message_Size", sizes[i]);
		errno = 0;
		cr_expect_eq(mailmill_server_listen(server, HERE), -1);
		cr_expect_eq(errno, EFBIG, "%s", sizes[i]);
	}
	client = -1;
}

Test(server_bounds, the_share_is_of_a_client_and_of_an_ipv6_network)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = { { { 0x20, 1, 0xd, 0xb8 } } } }, b = a, other = a;
	struct server_client *c[3];

	b.sin6_addr.s6_addr[15] = 7;
	other.sin6_addr.s6_addr[3] = 7;
	c[0] = server_client_join((struct sockaddr *)&a, SERVER_DIRECT, 2);
	c[1] = server_client_join((struct sockaddr *)&b, SERVER_DIRECT, 2);
	c[2] = server_client_join((struct sockaddr *)&other, SERVER_DIRECT, 1);
	cr_assert_eq(c[0], c[1]);
	cr_assert_neq(c[0], c[2]);
	cr_expect_null(server_client_join((struct sockaddr *)&a, SERVER_DIRECT,
	    2));
	cr_expect_eq(errno, EUSERS);
	cr_expect_eq(server_client_take(c[0], SERVER_SHARE, SERVER_SHARE), 0);
	cr_expect_eq(server_client_take(c[1], 1, SERVER_SHARE), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(server_client_take(c[2], 1, SERVER_SHARE), 0);
	/* the bound for all */
	cr_expect_eq(server_client_take(c[2], SERVER_HELD - SERVER_SHARE,
	    SERVER_HELD), -1);
	/* it outlives its sessions, while it has memory */
	server_client_leave(c[2]);
	server_client_give(c[2], 1);
	server_client_leave(c[0]);
	server_client_leave(c[1]);
	server_client_give(c[0], SERVER_SHARE);
}

#define NETWORKS	600
#define STEP		(256u << 10)

static struct server_client *many[NETWORKS];
static size_t has[NETWORKS];

/* What the clients of many networks get, with the number of each in octet
 * ${at} of its address and the next one. */
static size_t
take_all(unsigned int at)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = { { { 0x20, 1, 0xd, 0xb8 } } } };
	size_t i, sum = 0;

	for (i = 0; i < NETWORKS; i++) {
		a.sin6_addr.s6_addr[at] = (uint8_t)(i >> 8);
		a.sin6_addr.s6_addr[at + 1] = (uint8_t)i;
		many[i] = server_client_join((struct sockaddr *)&a,
		    SERVER_DIRECT, 0);
		cr_assert_not_null(many[i]);
		for (has[i] = 0; server_client_take(many[i], STEP,
		    SERVER_SHARE) == 0; has[i] += STEP)
			sum += STEP;
		cr_expect_eq(errno, ENOSPC);
	}
	return sum;
}

static void
give_all(void)
{
	size_t i;

	for (i = 0; i < NETWORKS; i++) {
		server_client_give(many[i], has[i]);
		server_client_leave(many[i]);
	}
}

/* RFC 6177 2: a client that has one network of 64 bits may have 65536. */
Test(server_bounds, many_networks_leave_room_for_others)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(0xc0000201) } };
	struct server_client *other;

	other = server_client_join((struct sockaddr *)&in, SERVER_DIRECT, 0);
	cr_expect_eq(take_all(6), SERVER_SHARE);	/* of a site */
	cr_expect_eq(server_client_take(other, SERVER_SHARE, SERVER_SHARE), 0);
	server_client_give(other, SERVER_SHARE);
	give_all();
	cr_expect_eq(take_all(4), SERVER_HELD / 2);	/* of a provider */
	cr_expect_eq(server_client_take(other, SERVER_SHARE, SERVER_SHARE), 0);
	server_client_give(other, SERVER_SHARE);
	give_all();
	/* IPv4 addresses are in no such network */
	cr_expect_eq(server_client_take(other, SERVER_HELD, SERVER_HELD), 0);
	server_client_give(other, SERVER_HELD);
	server_client_leave(other);
}

/* --- questions ------------------------------------------------------------ */

static void
next_question(const char *line)
{
	unsigned int before = nmails;

	cr_assert_gt(write(client, line, strlen(line)), 0);
	while (nmails == before)
		(void)scheduler_pass(loop, 10);
}

/* Each names those that were accepted before it, and all have the same copy. */
Test(server_bounds, questions_share_recipients)
{
	char line[64], last[64] = "";
	const char *first = NULL;
	unsigned int i;

	mailmill_server_on_rcpt(server, keep);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	hear("220");
	talk("EHLO x\r\n", "250 ");
	talk("MAIL FROM:<a@client.example>\r\n", "250 2.1.0");
	for (i = 0; i < 20; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<%u@mx.example>\r\n", i);
		next_question(line);
		cr_expect_null(mailmill_mail_rcpt(mails[0], i));
		if (i == 1)
			first = mailmill_mail_rcpt(mails[0], 0);
		if (i > 0) {
			cr_expect_eq(mailmill_mail_rcpt(mails[0], 0), first);
			cr_expect_str_eq(first, "0@mx.example");
			cr_expect_str_eq(mailmill_mail_rcpt(mails[0], i - 1),
			    last);
		}
		snprintf(last, sizeof(last), "%u@mx.example", i);
		cr_expect_eq(mailmill_mail_answer(mails[--nmails], 250, NULL),
		    0);
		hear("250 2.1.5");
	}
}

/* One whose recipients have changed, and what is still open of the former
 * transaction. */
Test(server_bounds, a_question_keeps_its_recipients)
{
	int fd;

	mailmill_server_on_rcpt(server, keep);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	hear("220");
	talk("EHLO x\r\n", "250 ");
	talk("MAIL FROM:<a@client.example>\r\n", "250 2.1.0");
	next_question("RCPT TO:<b@mx.example>\r\n");
	cr_expect_eq(mailmill_mail_answer(mails[--nmails], 250, NULL), 0);
	hear("250 2.1.5");
	next_question("RCPT TO:<c@mx.example>\r\n");
	fd = client;
	mailmill_server_free(server);
	close(fd);
	cr_expect_null(mailmill_mail_session(mails[0]));
	cr_expect_str_eq(mailmill_mail_sender(mails[0]), "a@client.example");
	cr_expect_str_eq(mailmill_mail_rcpt(mails[0], 0), "b@mx.example");
	cr_expect_null(mailmill_mail_rcpt(mails[0], 1));
	server = NULL;
	client = -1;
}

/* What a client's questions take counts, too: they may stay open when its sessions
 * have ended. */
Test(server_bounds, questions_are_of_the_clients_share)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct server_client *c;

	mailmill_server_on_rcpt(server, on_message);
	cr_assert_eq(mailmill_server_listen(server, HERE), 0);
	dial();
	hear("220");
	talk("EHLO x\r\n", "250 ");
	talk("MAIL FROM:<a@client.example>\r\n", "250 2.1.0");
	c = server_client_join((struct sockaddr *)&in, SERVER_DIRECT, 0);
	cr_assert_eq(server_client_take(c, SERVER_SHARE, SERVER_SHARE), 0);
	talk("RCPT TO:<b@mx.example>\r\n", "452 4.3.1");
	server_client_give(c, SERVER_SHARE);
	server_client_leave(c);
	talk("RCPT TO:<b@mx.example>\r\n", "250 2.1.5");
	talk("DATA\r\n", "354");
	talk(MAIL, "250 2.0.0");
}
