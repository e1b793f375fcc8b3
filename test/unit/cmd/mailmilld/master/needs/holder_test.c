#include <sys/socket.h>
#include <sys/un.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/holder.h"
#include "core/util/addr.h"

/* A socket that is bound to ${addr}, whose port is filled in. */
static int
bound(union addr *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd == -1)
		return -1;
	if (bind(fd, &addr->sa, addr_len(&addr->sa)) == -1 ||
	    getsockname(fd, &addr->sa, &len) == -1) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

Test(holder, of_listening_sockets_alone_and_by_their_process)
{
	union addr a = { .in = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	union addr any, other;
	int fd = bound(&a);

	cr_assert_neq(fd, -1);
	cr_expect_not(holder_is(getpid(), &a.sa));
	cr_assert_eq(listen(fd, 1), 0);
	cr_expect(holder_is(getpid(), &a.sa));
	cr_expect_not(holder_is(1, &a.sa));
	/* it keeps others from all addresses, too, but not from another one */
	any = other = a;
	any.in.sin_addr.s_addr = INADDR_ANY;
	other.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	cr_expect(holder_is(getpid(), &any.sa));
	cr_expect_not(holder_is(getpid(), &other.sa));
	close(fd);
	cr_expect_not(holder_is(getpid(), &a.sa));
}

Test(holder, a_wildcard_of_ipv6_holds_ipv4)
{
	union addr any6 = { .in6 = { .sin6_family = AF_INET6 } }, a;
	int fd = bound(&any6);

	if (fd == -1) {
		/* a kernel without IPv6; any other reason is a failure */
		cr_assert(errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL,
		    "%s", strerror(errno));
		cr_skip_test("this kernel has no IPv6");
	}
	cr_assert_eq(listen(fd, 1), 0);
	memset(&a, 0, sizeof(a));
	a.in.sin_family = AF_INET;
	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.in.sin_port = any6.in6.sin6_port;
	cr_expect(holder_is(getpid(), &a.sa));
	cr_expect(holder_is(getpid(), &any6.sa));
	close(fd);
}

Test(holder, of_unix_sockets_that_listen_by_their_path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/mailmill holder.XXXXXX";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_not_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/a b", dir);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_expect_not(holder_is_at(getpid(), un.sun_path));
	cr_assert_eq(listen(fd, 1), 0);
	cr_expect(holder_is_at(getpid(), un.sun_path));
	cr_expect_not(holder_is_at(1, un.sun_path));
	cr_expect_not(holder_is_at(getpid(), dir));
	close(fd);
	cr_expect_not(holder_is_at(getpid(), un.sun_path));
	unlink(un.sun_path);
	rmdir(dir);
}
