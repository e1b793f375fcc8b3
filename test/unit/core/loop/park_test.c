#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/loop/park.h"

static void
make_pair(int sv[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv),
	    0);
}

static int
epfd_readable(const struct park *p)
{
	struct pollfd pfd = { .fd = p->epfd, .events = POLLIN };

	return poll(&pfd, 1, 0);
}

Test(park, tells_of_a_descriptor_that_becomes_readable)
{
	struct park_ready ready[PARK_BATCH];
	struct park p;
	int sv[2];

	make_pair(sv);
	park_init(&p);
	cr_assert_eq(park_add(&p, sv[0]), 0);
	cr_assert_eq(p.count, 1);
	cr_assert_eq(epfd_readable(&p), 0);
	cr_assert_eq(park_collect(&p, ready, PARK_BATCH), 0);
	cr_assert_eq(write(sv[1], "x", 1), 1);
	cr_assert_eq(epfd_readable(&p), 1);
	cr_assert_eq(park_collect(&p, ready, PARK_BATCH), 1);
	cr_assert_eq(ready[0].fd, sv[0]);
	cr_assert_eq(ready[0].revents, POLLIN);
	park_remove(&p, sv[0]);
	cr_assert_eq(p.count, 0);
	cr_assert_eq(epfd_readable(&p), 0);
	park_free(&p);
	close(sv[0]);
	close(sv[1]);
}

Test(park, tells_of_a_hang_up)
{
	struct park_ready ready[PARK_BATCH];
	struct park p;
	int sv[2];

	make_pair(sv);
	park_init(&p);
	cr_assert_eq(park_add(&p, sv[0]), 0);
	close(sv[1]);
	cr_assert_eq(park_collect(&p, ready, PARK_BATCH), 1);
	cr_assert(ready[0].revents & POLLHUP);
	park_remove(&p, sv[0]);
	park_free(&p);
	close(sv[0]);
}

Test(park, a_duplicate_elsewhere_does_not_keep_a_removed_one_alive)
{
	struct park_ready ready[PARK_BATCH];
	struct park p;
	int sv[2], dup_fd;

	make_pair(sv);
	park_init(&p);
	cr_assert_eq(park_add(&p, sv[0]), 0);
	dup_fd = dup(sv[0]);
	park_remove(&p, sv[0]);
	close(sv[0]);
	cr_assert_eq(write(sv[1], "x", 1), 1);
	cr_assert_eq(park_collect(&p, ready, PARK_BATCH), 0);
	park_free(&p);
	close(dup_fd);
	close(sv[1]);
}

Test(park, refuses_what_epoll_cannot_watch)
{
	struct park p;
	int fd;

	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cr_assert_neq(fd, -1);
	park_init(&p);
	cr_assert_eq(park_add(&p, fd), -1);
	cr_assert_eq(errno, EPERM);
	cr_assert_eq(p.count, 0);
	park_free(&p);
	close(fd);
}
