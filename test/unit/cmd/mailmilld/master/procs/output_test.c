/* What becomes of the output of children. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/output.h"
#include "core/scheduler.h"

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

Test(output, a_child_that_floods_is_cut_short)
{
	char junk[4096];
	struct stat st;
	unsigned int i;

	memset(junk, 'x', sizeof(junk));
	junk[sizeof(junk) - 1] = '\0';
	begin();
	for (i = 0; i < 1000; i++) {
		say(junk);
		cr_assert_geq(scheduler_pass(sched, 1000), 0);
	}
	end();
	cr_assert_eq(fstat(file, &st), 0);
	/* of 4 MB: some 256 KB at once, and 64 KB for each second it took */
	cr_assert_geq(st.st_size, 256000);
	cr_assert_leq(st.st_size, 2 << 20);
}
