/* What becomes of the output of children. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/output.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

TestSuite(output, .timeout = 30);

static struct scheduler *sched;
static int file, own, pipefd[2];

static void
begin(void)
{
	char path[] = "/tmp/output-test.XXXXXX";

	sched = scheduler_create(NULL);
	file = mkstemp(path);
	unlink(path);
	own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	cr_assert_eq(pipe2(pipefd, O_NONBLOCK | O_CLOEXEC), 0);
	dup2(file, STDERR_FILENO);
	cr_assert_eq(output_open(pipefd[0]), 0);
}

static void
end(void)
{
	output_close();
	dup2(own, STDERR_FILENO);
}

static void
say(const char *text)
{
	cr_assert_eq(write(pipefd[1], text, strlen(text)),
	    (ssize_t)strlen(text));
}

Test(output, each_line_is_marked_and_plain)
{
	static const char want[] = "from a child: mailmilld/authd-1[1] x\n"
	    "from a child: ?[2J?\tb\nfrom a child: \nfrom a child: ha\n"
	    "from a child: l??\n";
	char have[256] = "";

	begin();
	say("mailmilld/authd-1[1] x\n\033[2J\r\tb\n\nha");
	cr_assert_geq(scheduler_pass(sched, 1000), 0);
	/* a piece is a line; octets that a terminal could obey */
	say("l\302\233");
	end();
	cr_assert_gt(pread(file, have, sizeof(have) - 1, 0), 0);
	cr_assert_str_eq(have, want);
}

/* Write as much as the pipe takes, for ${ms}.  Return how much that was. */
static uint64_t
flood(unsigned int ms)
{
	uint64_t end_ms = monotonic_ms() + ms, total = 0;
	char junk[4096];
	ssize_t n;

	memset(junk, 'x', sizeof(junk));
	while (monotonic_ms() < end_ms) {
		while ((n = write(pipefd[1], junk, sizeof(junk))) > 0)
			total += (uint64_t)n;
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	}
	return total;
}

Test(output, a_child_that_floods_is_cut_short)
{
	static char have[4 << 20];
	uint64_t start_ms = monotonic_ms(), total, ms;
	ssize_t n;

	begin();
	total = flood(1500);
	/* others are read at once afterwards */
	end();
	ms = monotonic_ms() - start_ms;
	cr_assert_gt(n = pread(file, have, sizeof(have) - 1, 0), 256000);
	/* some 256 KB at once, and 64 KB for each second, with marks */
	cr_expect_leq(n, (int64_t)(2 * (262144 + 66 * ms)));
	/* so much is read at most: each 10 ms as much as a pipe has */
	cr_expect_leq(total, 400000 + ms / 10 * 70000);
	cr_expect_geq(total, 500000);
	cr_expect_not_null(strstr(have, "event=output-throttled octets="));
}

Test(output, what_is_left_out_is_counted)
{
	static char have[4 << 20];
	unsigned long long octets = 0;
	size_t shown = 0;
	uint64_t total;
	const char *p;

	begin();
	total = flood(300);
	end();
	cr_assert_gt(pread(file, have, sizeof(have) - 1, 0), 0);
	for (p = have; *p != '\0'; p++)
		shown += *p == 'x';
	cr_assert_not_null(p = strstr(have, "octets="));
	cr_assert_eq(sscanf(p, "octets=%llu", &octets), 1);
	/* the line of the log has none of these letters */
	cr_expect_geq(shown + octets, total - 1);
	cr_expect_leq(shown + octets, total + 20);
}
