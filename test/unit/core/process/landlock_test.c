#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process/landlock.h"

static char top[] = "/tmp/mailmill-landlock.XXXXXX";

static const char *
in_top(const char *name)
{
	static char path[4][128];
	static unsigned int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", top, name);
	return path[i];
}

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(top));
	cr_assert_eq(mkdir(in_top("ours"), 0700), 0);
	cr_assert_eq(mkdir(in_top("ours/a"), 0700), 0);
	cr_assert_eq(mkdir(in_top("ours/b"), 0700), 0);
	cr_assert_eq(mkdir(in_top("read"), 0700), 0);
	cr_assert_eq(close(open(in_top("read/file"), O_CREAT | O_WRONLY,
	    0600)), 0);
}

static void
teardown(void)
{
	static const char *const names[] = { "ours/a", "ours/b/file", "ours/b",
	    "ours", "read/file", "read" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)remove(in_top(names[i]));
	rmdir(top);
}

TestSuite(landlock, .init = setup, .fini = teardown, .timeout = 60);

/* In a child that lives by the rules; return the line that failed, or 0. */
static int
tries(pid_t parent, unsigned int has)
{
	int fd;

	if ((fd = open(in_top("ours/a/file"), O_CREAT | O_RDWR, 0600)) == -1)
		return __LINE__;
	if (rename(in_top("ours/a/file"), in_top("ours/b/file")) == -1)
		return __LINE__;
	if (open(in_top("read/file"), O_RDONLY) == -1)
		return __LINE__;
	if (open(in_top("read/file"), O_WRONLY) != -1 || errno != EACCES)
		return __LINE__;
	if (open(in_top("read/new"), O_CREAT | O_WRONLY, 0600) != -1 ||
	    errno != EACCES)
		return __LINE__;
	if (unlink(in_top("read/file")) != -1 || errno != EACCES)
		return __LINE__;
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return __LINE__;
	if (symlink("/etc", in_top("ours/link")) != -1 || errno != EACCES)
		return __LINE__;
	if (execl("/bin/true", "true", NULL) != -1 || errno != EACCES)
		return __LINE__;
	if ((has & LANDLOCK_SCOPE) != 0 && (kill(parent, 0) != -1 ||
	    errno != EPERM))
		return __LINE__;
	return 0;
}

Test(landlock, opens_what_the_rules_name)
{
	const struct landlock_path paths[] = { { in_top("ours"), true },
	    { in_top("read"), false }, { in_top("missing"), true } };
	pid_t parent = getpid(), pid;
	unsigned int has;
	int fd, status;

	if ((fd = landlock_rules(paths, 3, NULL, 0, &has)) == -1 && (errno == ENOSYS ||
	    errno == EOPNOTSUPP))
		cr_skip("the kernel has no Landlock");
	cr_assert_neq(fd, -1);
	cr_assert_neq(has & LANDLOCK_FILES, 0);
	if ((pid = fork()) == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    landlock_enter(fd) == -1)
			_exit(255);
		_exit(tries(parent, has));
	}
	close(fd);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "line %d", WEXITSTATUS(status));
}

Test(landlock, rules_may_name_a_file)
{
	const struct landlock_path path = { in_top("read/file"), true };
	unsigned int has;
	int fd;

	fd = landlock_rules(&path, 1, NULL, 0, &has);
	if (fd == -1 && (errno == ENOSYS || errno == EOPNOTSUPP))
		cr_skip("the kernel has no Landlock");
	cr_assert_neq(fd, -1);
	close(fd);
}

/* In a child that lives by the rules: may it connect, and bind?  Return the line
 * that failed, or 0. */
static int
tries_tcp(const struct sockaddr_in *sin, bool may_connect)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1)
		return __LINE__;
	if ((connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) == 0) !=
	    may_connect)
		return __LINE__;
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) != -1 ||
	    errno != EACCES)
		return __LINE__;
	return 0;
}

Test(landlock, sockets_are_connected_only_where_that_is_permitted)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	unsigned int has, may, port;
	int lfd = socket(AF_INET, SOCK_STREAM, 0), fd, status;
	pid_t pid;

	cr_assert_eq(bind(lfd, (struct sockaddr *)&sin, len), 0);
	cr_assert_eq(listen(lfd, 4), 0);
	cr_assert_eq(getsockname(lfd, (struct sockaddr *)&sin, &len), 0);
	port = ntohs(sin.sin_port);
	fd = landlock_rules(NULL, 0, NULL, 0, &has);
	if (fd == -1 || (has & LANDLOCK_NET) == 0)
		cr_skip("the kernel has no Landlock for TCP");
	close(fd);
	for (may = 0; may < 2; may++) {
		fd = landlock_rules(NULL, 0, &port, may, &has);
		cr_assert_neq(fd, -1);
		cr_expect((has & LANDLOCK_NET) != 0);
		if ((pid = fork()) == 0) {
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
			    landlock_enter(fd) == -1)
				_exit(255);
			_exit(tries_tcp(&sin, may == 1));
		}
		close(fd);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect_eq(status, 0, "line %d", WEXITSTATUS(status));
	}
	close(lfd);
}

/* In the child: 0, or the line that failed. */
static int
binds(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons(9);
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) != -1 ||
	    errno != EACCES)
		return __LINE__;
	in.sin_port = 0;
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1)
		return __LINE__;
	/* not for connections */
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != -1 ||
	    errno != EACCES)
		return __LINE__;
	return 0;
}

Test(landlock, sockets_are_bound_to_ports_of_the_systems_choice_if_it_says_so)
{
	const unsigned int port = 0;
	unsigned int has;
	int fd = landlock_rules(NULL, 0, &port, 1, &has), status;
	pid_t pid;

	if (fd == -1 || (has & LANDLOCK_NET) == 0)
		cr_skip("the kernel has no Landlock for TCP");
	if ((pid = fork()) == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    landlock_enter(fd) == -1)
			_exit(255);
		_exit(binds());
	}
	close(fd);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "line %d", WEXITSTATUS(status));
}

/* In the child: 0, or the line that failed.  Nobody listens on the ports, so what
 * is allowed is refused by the other end. */
static int
connects(unsigned int allowed, unsigned int other)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((in_port_t)other);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != -1 ||
	    errno != EACCES)
		return __LINE__;
	in.sin_port = htons((in_port_t)allowed);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) != -1 ||
	    errno != ECONNREFUSED)
		return __LINE__;
	return 0;
}

Test(landlock, connects_to_the_ports_that_the_rules_name)
{
	/* tcpmux and discard */
	const unsigned int ports[] = { 7, 1 };
	unsigned int has;
	int fd, status;
	pid_t pid;

	fd = landlock_rules(NULL, 0, ports, 2, &has);
	if (fd == -1 && (errno == ENOSYS || errno == EOPNOTSUPP))
		cr_skip("the kernel has no Landlock");
	cr_assert_neq(fd, -1);
	if ((has & LANDLOCK_NET) == 0) {
		close(fd);
		cr_skip("the kernel's Landlock knows no ports");
	}
	if ((pid = fork()) == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    landlock_enter(fd) == -1)
			_exit(255);
		_exit(connects(1, 9));
	}
	close(fd);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "line %d", WEXITSTATUS(status));
}
