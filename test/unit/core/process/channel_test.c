#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/channel.h"
#include "test/unit/core/process/lingering.h"

enum { BOSS, HAND, OTHER };
enum { T_PLAIN, T_FD, T_MANY, T_UP, T_ODD, NTYPES };
enum { FROM_BOSS = 1 << BOSS, FROM_HAND = 1 << HAND };

struct base {
	uint64_t	n;
};

static const struct channel_row rows[NTYPES] = {
	[T_PLAIN] = { "plain", FROM_BOSS, FROM_HAND, sizeof(struct base), 0, 0,
		false },
	[T_FD] = { "fd", FROM_BOSS, FROM_HAND, sizeof(struct base), 0, 0,
		true },
	[T_MANY] = { "many", FROM_BOSS, FROM_HAND, 5, 8, 100, false },
	[T_UP] = { "up", FROM_HAND, FROM_BOSS, sizeof(struct base), 0, 0,
		false },
	[T_ODD] = { "odd", FROM_BOSS, FROM_HAND, 3, 1, 10, false },
};

static struct channel *boss, *hand;
static int raw;			/* a copy of the boss's descriptor */

static void
open_both(void)
{
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	raw = dup(fds[0]);
	boss = channel_open(fds[0], rows, NTYPES, BOSS, HAND);
	hand = channel_open(fds[1], rows, NTYPES, HAND, BOSS);
	cr_assert(boss != NULL && hand != NULL);
}

static void
close_both(void)
{
	channel_free(boss);
	channel_free(hand);
	close(raw);
}

TestSuite(channel, .init = open_both, .fini = close_both);

static int
nothing_to_read(struct channel *c)
{
	struct channel_msg msg;

	return channel_recv(c, &msg) == -1 && errno == EAGAIN;
}

static int
count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

Test(channel, a_message_arrives_as_it_was_sent)
{
	struct base base = { 0x0123456789abcdef };
	struct channel_msg msg;

	cr_assert(nothing_to_read(hand));
	cr_assert_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), 0);
	cr_assert_eq(channel_recv(hand, &msg), 1);
	cr_expect_eq(msg.type, T_PLAIN);
	cr_expect_eq(((const struct base *)msg.base)->n, base.n);
	cr_expect_eq(msg.nentries, 0);
	cr_expect_not_null(msg.entries);
	cr_expect_eq(msg.fd, -1);
	cr_expect(nothing_to_read(hand));
	cr_expect_eq(channel_peer(hand), BOSS);
}

Test(channel, entries_are_aligned)
{
	uint64_t entries[100];
	struct channel_msg msg;
	size_t i;

	for (i = 0; i < 100; i++)
		entries[i] = i * i;
	cr_assert_eq(channel_send(boss, T_MANY, "1234", entries, 100, -1), 0);
	cr_assert_eq(channel_send(boss, T_MANY, "1234", NULL, 0, -1), 0);
	cr_assert_eq(channel_recv(hand, &msg), 1);
	cr_expect_eq(msg.nentries, 100);
	cr_expect_str_eq(msg.base, "1234");
	cr_expect_eq((uintptr_t)msg.entries % 8, 0);
	cr_expect_arr_eq(msg.entries, entries, sizeof(entries));
	cr_assert_eq(channel_recv(hand, &msg), 1);
	cr_expect_eq(msg.nentries, 0);
}

Test(channel, a_descriptor_travels_and_is_closed_here)
{
	struct base base = { 1 };
	struct channel_msg msg;
	int before = count_fds(), fds[2];
	char c;

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(channel_send(boss, T_FD, &base, NULL, 0, fds[1]), 0);
	cr_expect_eq(fcntl(fds[1], F_GETFD), -1);
	cr_assert_eq(channel_recv(hand, &msg), 1);
	cr_assert_neq(msg.fd, -1);
	cr_expect(fcntl(msg.fd, F_GETFD) & FD_CLOEXEC);
	cr_expect_eq(write(msg.fd, "x", 1), 1);
	cr_expect_eq(read(fds[0], &c, 1), 1);
	close(msg.fd);
	close(fds[0]);
	cr_expect_eq(count_fds(), before);
}

Test(channel, what_does_not_fit_the_row_is_not_sent)
{
	struct base base = { 1 };
	uint64_t entries[101] = { 0 };
	int fd = dup(2);

	cr_expect_eq(channel_send(boss, NTYPES, &base, NULL, 0, -1), -1);
	cr_expect_eq(channel_send(boss, T_UP, &base, NULL, 0, -1), -1);
	cr_expect_eq(channel_send(hand, T_PLAIN, &base, NULL, 0, -1), -1);
	cr_expect_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, fd), -1);
	cr_expect_eq(channel_send(boss, T_FD, &base, NULL, 0, -1), -1);
	cr_expect_eq(channel_send(boss, T_MANY, "1234", entries, 101, -1), -1);
	cr_expect_eq(channel_send(boss, T_PLAIN, NULL, NULL, 0, -1), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_neq(fcntl(fd, F_GETFD), -1, "taken though it failed");
	cr_expect(nothing_to_read(hand));
	close(fd);
}

Test(channel, a_peer_that_is_gone_is_told)
{
	struct base base = { 1 };
	struct channel_msg msg;

	cr_assert_eq(channel_send(hand, T_UP, &base, NULL, 0, -1), 0);
	channel_free(hand);
	hand = NULL;
	cr_expect_eq(channel_recv(boss, &msg), 1, "what was sent is there");
	cr_expect_eq(channel_recv(boss, &msg), 0);
	cr_expect_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), -1);
	cr_expect_eq(errno, EPIPE);
}

Test(channel, what_the_peer_does_not_read_is_kept_in_order)
{
	struct base base = { 0 };
	struct channel_msg msg;
	uint64_t sent = 0, got = 0;
	int rv;

	while (!channel_wants_write(boss) || sent < 2000) {
		base.n = sent++;
		cr_assert_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1),
		    0);
	}
	cr_expect_eq(channel_flush(boss), -1);
	cr_expect_eq(errno, EAGAIN);
	while (got < sent) {
		if ((rv = channel_recv(hand, &msg)) == 1) {
			cr_assert_eq(((const struct base *)msg.base)->n, got);
			got++;
		} else {
			cr_assert_eq(errno, EAGAIN);
			channel_flush(boss);
		}
	}
	cr_expect_not(channel_wants_write(boss));
}

Test(channel, what_is_kept_is_bounded)
{
	struct base base = { 0 };
	unsigned int n;

	for (n = 0; n < 3 * CHANNEL_QUEUE_MAX; n++)
		if (channel_send(boss, T_PLAIN, &base, NULL, 0, -1) == -1)
			break;
	cr_expect_eq(errno, ENOBUFS);
	cr_expect_lt(n, 3 * CHANNEL_QUEUE_MAX);
	cr_expect_geq(n, CHANNEL_QUEUE_MAX);
}

Test(channel, descriptors_that_were_kept_are_closed_in_the_end)
{
	struct base base = { 0 };
	int before = count_fds(), i, fd;

	while (!channel_wants_write(boss))
		channel_send(boss, T_PLAIN, &base, NULL, 0, -1);
	for (i = 0; i < 10; i++) {
		fd = dup(2);
		cr_assert_eq(channel_send(boss, T_FD, &base, NULL, 0, fd), 0);
		cr_expect_neq(fcntl(fd, F_GETFD), -1, "closed too early");
	}
	channel_free(boss);
	boss = NULL;
	cr_expect_eq(count_fds(), before - 1);
}

#define FDS_MAX	253		/* that the kernel takes at once */

/* Send octets and descriptors as a hostile peer would. */
static void
send_raw(const void *buf, size_t len, const int *fds, size_t nfds)
{
	char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	struct iovec iov;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	memcpy(&iov.iov_base, &buf, sizeof(buf));
	iov.iov_len = len;
	if (nfds > 0) {
		memset(control, 0, sizeof(control));
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	cr_assert_eq(sendmsg(raw, &mh, 0), (ssize_t)len);
}

struct packet {
	uint32_t	type, nentries;
	uint64_t	n;
	uint64_t	more[120];
};

Test(channel, a_packet_that_does_not_fit_its_row_is_thrown_away)
{
	static const struct {
		const char *why;
		struct packet p;
		size_t len;
	} c[] = {
		{ "no header", { 0 }, 4 },
		{ "header alone", { 0 }, 8 },
		{ "short base", { 0 }, 15 },
		{ "long base", { 0 }, 17 },
		{ "unknown type", { .type = NTYPES }, 16 },
		{ "type far out", { .type = 0xffffffff }, 16 },
		{ "not from this peer", { .type = T_UP }, 16 },
		{ "entries where none", { .nentries = 1 }, 24 },
		{ "fewer entries than said", { T_MANY, 2, 0, { 0 } }, 24 },
		{ "more entries than said", { T_MANY, 1, 0, { 0 } }, 32 },
		{ "more than the row", { T_MANY, 101, 0, { 0 } }, 16 + 808 },
		{ "count that overflows", { T_MANY, 0x20000000, 0, { 0 } },
		    16 },
		{ "larger than any", { T_MANY, 110, 0, { 0 } }, 16 + 880 },
		{ "no descriptor", { .type = T_FD }, 16 },
	};
	struct base base = { 7 };
	struct channel_msg msg;
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		send_raw(&c[i].p, c[i].len, NULL, 0);
		cr_expect_eq(channel_recv(hand, &msg), -1, "%s", c[i].why);
		cr_expect_eq(errno, EPROTO, "%s", c[i].why);
		cr_expect_eq(msg.fd, -1);
	}
	cr_assert_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), 0);
	cr_assert_eq(channel_recv(hand, &msg), 1, "the next one is good");
	cr_expect_eq(((const struct base *)msg.base)->n, 7);
}

Test(channel, descriptors_that_do_not_belong_are_closed)
{
	struct packet p = { .type = T_PLAIN };
	int before = count_fds(), fds[16], i;
	struct channel_msg msg;

	for (i = 0; i < 16; i++)
		fds[i] = 2;
	send_raw(&p, 16, fds, 1);	/* none expected */
	cr_expect_eq(channel_recv(hand, &msg), -1);
	cr_expect_eq(errno, EPROTO);
	p.type = T_FD;
	for (i = 2; i <= 16; i++) {	/* one expected */
		send_raw(&p, 16, fds, (size_t)i);
		cr_expect_eq(channel_recv(hand, &msg), -1, "%d", i);
		cr_expect_eq(errno, EPROTO);
	}
	p.type = NTYPES;
	send_raw(&p, 16, fds, 1);
	cr_expect_eq(channel_recv(hand, &msg), -1);
	cr_expect_eq(count_fds(), before);
}

Test(channel, a_descriptor_lost_to_the_limit_is_told)
{
	struct base base = { 42 };
	struct channel_msg msg;
	struct rlimit old, low;
	int fd = dup(2), lowest;

	cr_assert_eq(channel_send(boss, T_FD, &base, NULL, 0, fd), 0);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	lowest = dup(2);
	close(lowest);
	low.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &low);
	cr_expect_eq(channel_recv(hand, &msg), -1);
	cr_expect_eq(errno, EMFILE);
	cr_expect_eq(msg.type, T_FD);
	cr_expect_eq(msg.fd, -1);
	cr_expect_eq(((const struct base *)msg.base)->n, 42);
	setrlimit(RLIMIT_NOFILE, &old);
	cr_expect(nothing_to_read(hand));
}

Test(channel, odd_sizes_are_padded)
{
	struct channel_msg msg;

	cr_assert_eq(channel_send(boss, T_ODD, "ab", "0123456789", 10, -1),
	    0);
	cr_assert_eq(channel_recv(hand, &msg), 1);
	cr_expect_str_eq(msg.base, "ab");
	cr_expect_arr_eq(msg.entries, "0123456789", 10);
}

/* The kernel tells the reader of that first, with ECONNRESET. */
Test(channel, what_a_peer_has_sent_is_read_although_it_ended_with_some_unread)
{
	struct base base = { 7 };
	struct channel_msg msg;

	cr_assert_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), 0);
	cr_assert_eq(channel_send(hand, T_UP, &base, NULL, 0, -1), 0);
	channel_free(hand);
	hand = NULL;
	cr_assert_eq(channel_recv(boss, &msg), 1);
	cr_expect_eq(((const struct base *)msg.base)->n, 7);
	cr_expect_eq(channel_recv(boss, &msg), 0);
}

/* --- sockets whose close would wait for their peers ------------------------ */

/* Send ${n} of them with a packet of ${type}; the sender keeps none. */
static void
send_lingering(uint32_t type, size_t n)
{
	struct packet p = { .type = type };
	int fds[FDS_MAX];
	size_t i;

	fds[0] = lingering_socket();
	for (i = 1; i < n; i++)
		fds[i] = i + 1 < n ? 2 : lingering_socket();
	send_raw(&p, 16, fds, n);
	close(fds[0]);
	if (n > 1)
		close(fds[n - 1]);
}

Test(channel, no_close_of_a_descriptor_that_was_sent_waits)
{
	static const struct {
		uint32_t type;
		size_t n;
	} rows_of[] = { { T_PLAIN, 1 }, { T_FD, 2 }, { T_FD, 16 },
		{ T_FD, FDS_MAX }, { NTYPES, 1 } };
	struct channel_msg msg;
	size_t i;

	for (i = 0; i < sizeof(rows_of) / sizeof(rows_of[0]); i++) {
		send_lingering(rows_of[i].type, rows_of[i].n);
		lingering_watch();
		cr_expect_eq(channel_recv(hand, &msg), -1);
		cr_expect_eq(errno, EPROTO);
		lingering_expect_no_wait("a message that does not fit");
	}
}

Test(channel, no_close_of_what_was_not_read_waits)
{
	send_lingering(T_PLAIN, 1);
	send_lingering(T_FD, 1);
	send_lingering(T_FD, FDS_MAX);
	lingering_watch();
	channel_free(hand);
	hand = NULL;
	lingering_expect_no_wait("messages that were not read");
}

Test(channel, no_close_of_what_was_kept_or_sent_waits)
{
	struct base base = { 0 };
	struct channel_msg msg;
	int fd = lingering_socket();

	/* the receiver has closed it before the sender does */
	cr_assert_eq(channel_send(boss, T_FD, &base, NULL, 0, dup(fd)), 0);
	cr_assert_eq(channel_recv(hand, &msg), 1);
	close(msg.fd);
	while (!channel_wants_write(boss))
		channel_send(boss, T_PLAIN, &base, NULL, 0, -1);
	cr_assert_eq(channel_send(boss, T_FD, &base, NULL, 0, fd), 0);
	lingering_watch();
	channel_free(boss);
	boss = NULL;
	lingering_expect_no_wait("a message that was kept");
}

Test(channel, what_was_sent_before_is_read_after_the_end_of_sending)
{
	struct base base = { 7 };
	struct channel_msg msg;

	cr_assert_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), 0);
	channel_shut(hand);
	cr_expect_eq(channel_send(boss, T_PLAIN, &base, NULL, 0, -1), -1);
	cr_expect_eq(errno, EPIPE);
	cr_assert_eq(channel_send(hand, T_UP, &base, NULL, 0, -1), 0);
	cr_expect_eq(channel_recv(hand, &msg), 1);
	cr_expect_eq(channel_recv(hand, &msg), 0);
	cr_expect_eq(channel_recv(boss, &msg), 1, "the other way is open");
}
