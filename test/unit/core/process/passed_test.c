#include "core/process/passed.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/process/lingering.h"

static int fds[2];

static void
setup(void)
{
	const int on = 1;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
	    fds), 0);
	cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on,
	    sizeof(on)), 0);
}

TestSuite(passed, .init = setup);

/* ${n} descriptors, the first and the last of which linger, and ${len} octets;
 * the sender keeps none. */
static void
send_with(size_t n, size_t len)
{
	static char octets[100];
	union {
		struct cmsghdr	head;
		char		buf[CMSG_SPACE(sizeof(int) * PASSED_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = octets, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int sent[PASSED_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		sent[i] = i == 0 || i + 1 == n ? lingering_socket() : 2;
	if (n > 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.head), sent, sizeof(int) * n);
	}
	cr_assert_eq(sendmsg(fds[1], &mh, 0), len, "%s", strerror(errno));
	for (i = 0; i < n; i++)
		if (sent[i] != 2)
			close(sent[i]);
}

static unsigned int
nopen(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			n++;
	return n;
}

Test(passed, what_comes_with_a_message_is_closed_without_waiting)
{
	static const size_t n[] = { 1, 2, 100, PASSED_MAX };
	static const size_t len[] = { 0, 100 };
	unsigned int before;
	size_t i, j;

	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		for (j = 0; j < 2; j++) {
			before = nopen();
			send_with(n[i], len[j]);
			lingering_watch();
			cr_expect_eq(passed_discard(fds[0]), 0);
			lingering_expect_no_wait("a message that was taken");
			/* the clients of lingering_socket() stay open */
			cr_expect_eq(nopen(), before + (n[i] > 1 ? 2 : 1));
		}
}

Test(passed, an_end_is_no_message_without_octets)
{
	cr_expect_eq(passed_discard(fds[0]), -1);
	cr_expect_eq(errno, EAGAIN);
	send_with(0, 0);
	send_with(0, 100);
	cr_expect_eq(passed_discard(fds[0]), 0);
	cr_expect_eq(passed_discard(fds[0]), 0);
	cr_expect_eq(passed_discard(fds[0]), -1);
	cr_expect_eq(errno, EAGAIN);
	send_with(0, 0);
	close(fds[1]);
	cr_expect_eq(passed_discard(fds[0]), 0);
	cr_expect_eq(passed_discard(fds[0]), -1);
	cr_expect_eq(errno, ENODATA);
}

Test(passed, the_end_of_a_socket_waits_for_nothing)
{
	send_with(1, 0);
	send_with(0, 0);
	send_with(PASSED_MAX, 100);
	send_with(1, 100);
	lingering_watch();
	passed_close(fds[0]);
	lingering_expect_no_wait("a socket");
	cr_expect_eq(send(fds[1], "x", 1, MSG_NOSIGNAL), -1);
	cr_expect_eq(errno, EPIPE);
}
