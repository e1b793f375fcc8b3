#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "cmd/mailmilld/role/child_log.h"
#include "cmd/mailmilld/role/roles.h"

TestSuite(child_log, .timeout = 30);

/* M_LOG with ${fd}; -1: this process had no descriptor left. */
static void
get_log(struct child *c, int fd)
{
	struct msg_log log = { .kind = LOG_TO_FILE };
	struct channel_msg msg = { .type = M_LOG, .base = &log, .fd = fd };

	child_log_on_log(c, &msg);
	cr_assert_eq(msg.fd, -1);
}

/* A pipe that nobody reads. */
static int
broken(void)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	return fds[1];
}

static void
say(void)
{
	log_warnx("test", "n=%d", 1);
	log_flush();
}

Test(child_log, another_log_is_wished_for_until_there_is_one)
{
	struct child c = { .role = role_of(ROLE_LOGGER), .log_fd = -1 };

	signal(SIGPIPE, SIG_IGN);
	get_log(&c, broken());
	cr_expect_not(c.is_relog_wanted);
	say();
	cr_expect(c.is_relog_wanted);
	get_log(&c, -1);
	cr_expect(c.is_relog_wanted);
	get_log(&c, open("/dev/null", O_WRONLY | O_CLOEXEC));
	cr_expect_not(c.is_relog_wanted);
	say();
	cr_expect_not(c.is_relog_wanted);
	/* the next one may fail again */
	get_log(&c, broken());
	say();
	cr_expect(c.is_relog_wanted);
	close(c.log_fd);
}
