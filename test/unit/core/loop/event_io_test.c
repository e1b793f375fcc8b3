#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "test/lib/eventpair.h"
#include "test/unit/core/process/lingering.h"

static Event *ea, *eb;

static void
setup(void)
{
	Event *ends[2];

	cr_assert_eq(event_pair(ends), 0);
	ea = ends[0];
	eb = ends[1];
}

static void
teardown(void)
{
	if (ea->fd != -1)
		event_close(ea);
	if (eb->fd != -1)
		event_close(eb);
	event_free(ea);
	event_free(eb);
}

TestSuite(event_io, .init = setup, .fini = teardown);

Test(event_io, read_that_would_block_names_the_mask)
{
	char buf[10];
	int needmask = 0;

	cr_assert_eq(event_read(ea, buf, 10, &needmask), -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(needmask, E_READ);
	cr_assert_eq(event_write(eb, "hello", 5, &needmask), 5);
	cr_assert_eq(event_read(ea, buf, 10, NULL), 5);
	cr_assert_eq(memcmp(buf, "hello", 5), 0);
}

/* A callback may return it whenever something was read. */
Test(event_io, read_sets_the_mask_whatever_its_result)
{
	char buf[10];
	int needmask = 0x5a5a;

	cr_assert_eq(event_write(eb, "hello", 5, NULL), 5);
	cr_assert_eq(event_read(ea, buf, 10, &needmask), 5);
	cr_assert_eq(needmask, E_READ);
	needmask = 0x5a5a;
	event_close(eb);
	cr_assert_eq(event_read(ea, buf, 10, &needmask), 0);
	cr_assert_eq(needmask, E_READ);
}

static int
read_that_must_write(Event *, char *, int, int *needmask)
{
	*needmask = E_WRITE;
	errno = EAGAIN;
	return -1;
}

Test(event_io, the_opset_says_what_a_blocked_read_waits_for)
{
	static event_io_opset opset;
	int needmask = 0;
	char buf[1];

	opset = event_plain_opset;
	opset.event_read = read_that_must_write;
	ea->io_opset = &opset;
	cr_assert_eq(event_read(ea, buf, 1, &needmask), -1);
	cr_assert_eq(needmask, E_WRITE);
	cr_assert_eq(event_read(ea, buf, 1, NULL), -1);
	cr_assert_eq(errno, EAGAIN);
	ea->io_opset = &event_plain_opset;
}

Test(event_io, a_write_that_moves_octets_leaves_the_mask)
{
	int needmask = E_READ;

	cr_assert_eq(event_write(ea, "x", 1, &needmask), 1);
	cr_assert_eq(needmask, E_READ);
}

Test(event_io, write_that_would_block_names_the_mask)
{
	static char buf[65536];
	int n, needmask = 0;

	while ((n = event_write(ea, buf, sizeof buf, &needmask)) > 0)
		;
	cr_assert_eq(n, -1);
	cr_assert_eq(errno, EAGAIN);
	cr_assert_eq(needmask, E_WRITE);
	cr_assert_eq(event_write(ea, buf, 1, NULL), -1);
	cr_assert_eq(errno, EAGAIN);
}

/* Another process that has the socket, too, can have made it a blocking one. */
Test(event_io, neither_waits_on_a_descriptor_that_blocks, .timeout = 10)
{
	static char buf[65536];
	int n, needmask = 0;

	cr_assert_eq(fcntl(ea->fd, F_SETFL, 0), 0);
	cr_expect_eq(event_read(ea, buf, sizeof buf, &needmask), -1);
	cr_expect_eq(errno, EAGAIN);
	cr_expect_eq(needmask, E_READ);
	while ((n = event_write(ea, buf, sizeof buf, &needmask)) > 0)
		;
	cr_expect_eq(n, -1);
	cr_expect_eq(errno, EAGAIN);
	cr_expect_eq(needmask, E_WRITE);
}

Test(event_io, the_end_is_0_and_a_vanished_reader_an_errno_not_a_signal)
{
	char buf[10];
	int needmask;

	event_close(eb);
	cr_assert_eq(event_read(ea, buf, 10, &needmask), 0);
	cr_assert_eq(event_write(ea, "x", 1, &needmask), -1);
	cr_assert_eq(errno, EPIPE);
}

Test(event_io, a_negative_length_is_refused)
{
	char buf[1];
	int needmask;

	cr_assert_eq(event_read(ea, buf, -1, &needmask), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(event_write(ea, buf, -1, &needmask), -1);
	cr_assert_eq(errno, EINVAL);
}

Test(event_io, writes_to_pipes_too)
{
	char buf[10];
	int p[2], needmask;
	Event *e;

	cr_assert_eq(pipe(p), 0);
	e = build_fd_event(p[1], E_WRITE, 0, no_callback, NULL);
	cr_assert_eq(event_write(e, "abc", 3, &needmask), 3);
	cr_assert_eq(read(p[0], buf, 10), 3);
	event_close(e);
	event_free(e);
	close(p[0]);
}

Test(event_io, accepts_a_non_blocking_descriptor)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	int fd, lfd, cfd;
	Event *e;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(lfd, (struct sockaddr *)&sin, sizeof sin), 0);
	cr_assert_eq(listen(lfd, 1), 0);
	cr_assert_eq(getsockname(lfd, (struct sockaddr *)&sin, &len), 0);
	e = build_fd_event(lfd, E_READ, 0, no_callback, NULL);
	cr_assert_eq(event_accept(e, NULL, NULL), -1);
	cr_assert_eq(errno, EAGAIN);
	cfd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(cfd, (struct sockaddr *)&sin, sizeof sin), 0);
	fd = event_accept(e, NULL, NULL);
	cr_assert_neq(fd, -1);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	close(cfd);
	event_close(e);
	event_free(e);
}

Test(event_io, sendfile_moves_from_the_offset_and_advances_it)
{
	char buf[20];
	off_t offset = 2;
	int needmask, fd;

	fd = memfd_create("event_io_test", MFD_CLOEXEC);
	cr_assert_eq(write(fd, "0123456789", 10), 10);
	cr_assert_eq(event_sendfile(ea, fd, &offset, 5, &needmask), 5);
	cr_assert_eq(offset, 7);
	cr_assert_eq(event_read(eb, buf, 20, &needmask), 5);
	cr_assert_eq(memcmp(buf, "23456", 5), 0);
	/* nobody has to ask what it waits for */
	cr_assert_eq(ftruncate(fd, 64 << 20), 0);
	while (event_sendfile(ea, fd, &offset, 1 << 20, NULL) > 0)
		continue;
	cr_expect_eq(errno, EAGAIN);
	close(fd);
}

/* Another process that has the socket, too, can have set SO_LINGER. */
Test(event_io, a_close_does_not_wait)
{
	Event *e = build_fd_event(lingering_socket(), E_READ, E_AGGRESSIVE_NONE,
	    no_callback, NULL);

	cr_assert_not_null(e);
	lingering_watch();
	cr_expect_eq(event_close(e), 0);
	lingering_expect_no_wait("an event");
	event_free(e);
}
