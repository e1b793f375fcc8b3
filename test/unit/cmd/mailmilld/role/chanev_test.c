#include <sys/resource.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

static struct scheduler *s;
static struct chanev *server, *client;
static unsigned int nread, nreplies, hold_at;
static bool is_gone, answer_each;

static void
on_sign(void *, struct channel_msg *)
{
	struct msg_sign sign = { 0 };

	if (++nread == hold_at)
		chanev_hold(server);
	if (answer_each)
		(void)chanev_send(client, K_SIGN, &sign, NULL, 0, -1);
}

static void
on_signed(void *, struct channel_msg *)
{
	nreplies++;
}

static void
on_gone(void *)
{
	is_gone = true;
}

static const struct chanev_ops ops = {
	.on = { [K_SIGN] = on_sign, [K_SIGNED] = on_signed },
	.gone = on_gone
};

static void
setup(void)
{
	int fds[2];

	s = scheduler_create(NULL);
	cr_assert_eq(channel_pair(fds), 0);
	server = chanev_open(fds[0], ROLE_KEYD, ROLE_WORKER, &ops, NULL);
	client = chanev_open(fds[1], ROLE_WORKER, ROLE_KEYD, &ops, NULL);
	cr_assert_not_null(server);
	cr_assert_not_null(client);
}

static void
teardown(void)
{
	if (!is_gone)
		chanev_free(server);
	chanev_free(client);
	scheduler_destroy(s);
}

TestSuite(chanev, .init = setup, .fini = teardown);

static void
ask(unsigned int n)
{
	struct msg_sign sign = { 0 };

	while (n-- > 0)
		cr_assert_eq(chanev_send(client, K_SIGN, &sign, NULL, 0, -1),
		    0);
}

static void
pass(unsigned int n)
{
	while (n-- > 0)
		cr_assert_geq(scheduler_pass(s, 0), 0);
}

Test(chanev, one_that_is_held_leaves_messages_in_the_channel)
{
	struct msg_signed reply = { 0 };

	hold_at = 3;
	ask(5);
	pass(5);
	cr_assert_eq(nread, 3);
	ask(1);
	pass(5);
	cr_assert_eq(nread, 3);
	/* it can still say something */
	cr_assert_eq(chanev_send(server, K_SIGNED, &reply, NULL, 0, -1), 0);
	pass(5);
	cr_assert_eq(nreplies, 1);
	cr_assert_eq(nread, 3);
	chanev_resume(server);
	pass(5);
	cr_assert_eq(nread, 6);
	ask(1);
	pass(5);
	cr_assert_eq(nread, 7);
}

Test(chanev, one_that_is_held_sees_the_end_when_it_goes_on)
{
	hold_at = 1;
	ask(2);
	pass(5);
	cr_assert_eq(nread, 1);
	chanev_free(client);
	client = NULL;
	pass(5);
	cr_assert_not(is_gone);
	chanev_resume(server);
	pass(5);
	cr_assert_eq(nread, 2);
	cr_assert(is_gone);
}

Test(chanev, a_message_that_may_come_must_have_a_function, .signal = SIGABRT)
{
	static const struct chanev_ops without = {
		.on = { [K_SIGN] = on_sign }, .gone = on_gone
	};
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	/* a worker sends keyd nothing but that */
	chanev_free(chanev_open(fds[0], ROLE_KEYD, ROLE_WORKER, &without,
	    NULL));
	(void)chanev_open(fds[1], ROLE_WORKER, ROLE_KEYD, &without, NULL);
}

Test(chanev, what_the_peer_has_sent_is_read_to_its_end)
{
	const unsigned int n = 200;	/* more than in one pass */

	ask(n);
	chanev_finish(server);
	cr_assert_eq(nread, n);
	cr_assert_not(is_gone);
	is_gone = true;			/* it is freed */
	chanev_finish(NULL);
}

/* The peer may be alive and go on sending, if an attacker controls it. */
Test(chanev, there_is_an_end_although_the_peer_sends_more)
{
	answer_each = true;
	ask(3);
	chanev_finish(server);
	cr_assert_eq(nread, 3);
	is_gone = true;
}

Test(chanev, one_that_is_held_is_read_to_its_end)
{
	hold_at = 1;
	ask(5);
	pass(5);
	cr_assert_eq(nread, 1);
	chanev_finish(server);
	cr_assert_eq(nread, 5);
	is_gone = true;
}

/* --- the log -------------------------------------------------------------- */

static const char *
said_of_bad_message(void)
{
	static char text[512];
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	log_init("test", LOG_TO_STDERR, fds[1], LOG_LEVEL_INFO);
	cr_assert_eq(send(chanev_fd(client), "x", 1, 0), 1);
	pass(3);
	log_flush();
	memset(text, 0, sizeof(text));
	cr_assert_gt(read(fds[0], text, sizeof(text) - 1), 0);
	return text;
}

Test(chanev, the_log_says_which_process_has_sent_what_is_no_message)
{
	chanev_name(server, 3, 70);
	cr_expect_not_null(strstr(said_of_bad_message(), "event=channel-protocol "
	    "peer=worker slot=3 instance=70 messages=1\n"));
	chanev_name(NULL, 3, 70);
}

Test(chanev, one_of_a_kind_has_no_slot)
{
	cr_expect_not_null(strstr(said_of_bad_message(), "event=channel-protocol "
	    "peer=worker messages=1\n"));
}

/* --- descriptors in transit ----------------------------------------------- */

#define FILES_MAX	64	/* in transit, without root */

static void
on_answer(void *, struct channel_msg *)
{
}

static void
become_nobody_much(void)
{
	struct rlimit rl = { FILES_MAX, FILES_MAX };

	if (geteuid() == 0)
		cr_assert_eq(setresuid(64123, 64123, 64123), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

/* How many messages there are. */
static unsigned int
take_all(struct channel *ch)
{
	struct channel_msg msg;
	unsigned int n = 0;

	while (channel_recv(ch, &msg) == 1) {
		cr_assert_neq(msg.fd, -1);
		close(msg.fd);
		n++;
	}
	return n;
}

/* The kernel takes no more of them, but says that the socket can be written
 * to. */
Test(chanev, too_many_descriptors_in_transit_are_waited_for_without_haste)
{
	static const struct chanev_ops to_agent = {
		.on = { [D_DONE] = on_answer, [D_ERROR] = on_answer },
		.gone = on_gone
	};
	struct msg_source source = { 0 };
	unsigned int i, npasses = 0, n = 0, nsent = FILES_MAX + 30;
	struct chanev *queue;
	struct channel *agent;
	uint64_t end_ms;
	int fds[2];

	become_nobody_much();
	cr_assert_eq(channel_pair(fds), 0);
	queue = chanev_open(fds[0], ROLE_QUEUE, ROLE_DELIVER, &to_agent, NULL);
	agent = channel_open(fds[1], msg_rows, NMSGS, ROLE_DELIVER, ROLE_QUEUE);
	for (i = 0; i < nsent; i++)
		cr_assert_eq(chanev_send(queue, D_SOURCE, &source, NULL, 0,
		    dup(fds[0])), 0);
	if (!chanev_is_behind(queue))
		cr_skip_test("the kernel takes them all");
	for (end_ms = monotonic_ms() + 200; monotonic_ms() < end_ms; npasses++)
		cr_assert_geq(scheduler_pass(s, 100), 0);
	cr_expect_lt(npasses, 200, "%u passes", npasses);
	for (end_ms = monotonic_ms() + 5000; n < nsent && monotonic_ms() <
	    end_ms; n += take_all(agent))
		cr_assert_geq(scheduler_pass(s, 20), 0);
	cr_expect_eq(n, nsent);
	/* at the end, it is tried for as long as that */
	for (i = 0; i < nsent; i++)
		cr_assert_eq(chanev_send(queue, D_SOURCE, &source, NULL, 0,
		    dup(fds[0])), 0);
	end_ms = monotonic_ms();
	cr_expect_eq(chanev_flush_wait(queue, 100), -1);
	cr_expect_geq(monotonic_ms() - end_ms, 100);
	(void)take_all(agent);
	cr_expect_eq(chanev_flush_wait(queue, 1000), 0);
	channel_free(agent);
	chanev_free(queue);
}
