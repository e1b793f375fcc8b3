/* A socket that its close would wait for; see lingering.h. */

#include "test/unit/core/process/lingering.h"

#include <sys/socket.h>

#include <netinet/in.h>

#include <criterion/criterion.h>
#include <unistd.h>

#include "core/util/monotonic.h"

static uint64_t watched_ms;

int
lingering_socket(void)
{
	static char octets[65536];
	const struct linger l = { .l_onoff = 1, .l_linger = LINGERING_S };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int listener, client, fd;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&in, len), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	cr_assert_eq(connect(client, (struct sockaddr *)&in, len), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert_neq(fd, -1);
	close(listener);
	/* the client's end stays open, unread, until the test ends */
	while (send(fd, octets, sizeof(octets), MSG_NOSIGNAL) > 0)
		continue;
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	return fd;
}

void
lingering_watch(void)
{
	watched_ms = monotonic_ms();
}

void
lingering_expect_no_wait(const char *what)
{
	cr_expect_lt(monotonic_ms() - watched_ms, LINGERING_S * 1000 / 2,
	    "the close waits: %s", what);
}
