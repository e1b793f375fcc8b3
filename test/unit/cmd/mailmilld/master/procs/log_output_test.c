/* The lines of the logger on their way to a terminal: here, a pipe. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/log_output.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

static struct scheduler *sched;
static int logger[2], terminal[2];

static void
setup(void)
{
	sched = scheduler_create(NULL);
	cr_assert_eq(pipe2(logger, O_NONBLOCK | O_CLOEXEC), 0);
	cr_assert_eq(pipe2(terminal, O_NONBLOCK | O_CLOEXEC), 0);
	cr_assert_eq(log_output_open(logger[0], &terminal[1]), 0);
}

TestSuite(log_output, .init = setup, .timeout = 30);

static void
say(const char *text)
{
	cr_assert_eq(write(logger[1], text, strlen(text)),
	    (ssize_t)strlen(text));
}

static void
expect(const char *want)
{
	char have[256] = "";

	cr_assert_geq(scheduler_pass(sched, 100), 0);
	(void)!read(terminal[0], have, sizeof(have) - 1);
	cr_expect_str_eq(have, want);
}

Test(log_output, lines_are_as_they_were_and_plain)
{
	say("2026-01-01 mailmilld/authd-1[1] x\n\033[2J\tb\n");
	expect("2026-01-01 mailmilld/authd-1[1] x\n?[2J\tb\n");
	log_output_close();
	expect("");
}

/* Lines of the master may come in between. */
Test(log_output, a_line_comes_as_a_whole)
{
	say("a\nb");
	expect("a\n");
	say("c");
	expect("");
	say("d\n");
	expect("bcd\n");
	/* the logger is killed */
	say("e");
	log_output_close();
	expect("e\n");
}

Test(log_output, a_slow_terminal_loses_nothing)
{
	char line[128], have[4096], *rest;
	unsigned int said = 0, seen = 0, passes;
	size_t n = 0;
	ssize_t got;

	/* more than both pipes have room for */
	for (passes = 0; seen < 3000; passes++) {
		cr_assert_lt(passes, 20000);
		for (; said < 3000; said++) {
			snprintf(line, sizeof(line), "%099u\n", said);
			if (write(logger[1], line, 100) != 100)
				break;
		}
		cr_assert_geq(scheduler_pass(sched, 10), 0);
		if (said < 1000)
			continue;
		got = read(terminal[0], have + n, sizeof(have) - n);
		n += got > 0 ? (size_t)got : 0;
		for (rest = have; n >= 100; rest += 100, n -= 100) {
			snprintf(line, sizeof(line), "%099u\n", seen++);
			cr_assert_eq(memcmp(rest, line, 100), 0, "%.99s",
			    rest);
		}
		memmove(have, rest, n);
	}
	log_output_close();
}

/* --- a terminal that goes ------------------------------------------------- */

/* The other end is closed; what is written fails with EPIPE. */
static void
hang_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	close(terminal[0]);
}

/* The other end is read again.  It is another descriptor, as after the master has
 * opened the log anew. */
static void
come_back(void)
{
	close(terminal[1]);
	cr_assert_eq(pipe2(terminal, O_NONBLOCK | O_CLOEXEC), 0);
}

/* Lines until they go on to be read although none can be written.  Return their
 * number. */
static unsigned int
say_until_gone(void)
{
	struct pollfd pfd = { .fd = logger[0], .events = POLLIN };
	uint64_t full_ms = 0, end_ms = monotonic_ms() + 20000;
	unsigned int n = 0;
	char line[101];

	for (;;) {
		cr_assert_lt(monotonic_ms(), end_ms, "%u", n);
		snprintf(line, sizeof(line), "%099u\n", n);
		if (write(logger[1], line, 100) == 100)
			n++;
		else if (full_ms == 0)
			full_ms = monotonic_ms();
		/* many times what fits into the pipe and the buffer */
		if (n > 20000)
			break;
		cr_assert_geq(scheduler_pass(sched, n % 100 == 0 || full_ms !=
		    0 ? 1 : 0), 0);
	}
	/* it was tried for a while */
	cr_expect_neq(full_ms, 0);
	/* all of them are read */
	while (poll(&pfd, 1, 0) == 1)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
	return n;
}

Test(log_output, one_that_has_gone_is_not_waited_for_and_lines_are_counted)
{
	char have[4096] = "", *lines;
	int log[2];
	unsigned int n, lost;
	uint64_t end_ms;

	cr_assert_eq(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
	log_init("mailmilld", LOG_TO_FILE, log[1], LOG_LEVEL_INFO);
	hang_up();
	n = say_until_gone();
	come_back();
	/* it is seen by the next line that is tried */
	for (end_ms = monotonic_ms() + 20000, lines = NULL; lines == NULL;) {
		cr_assert_lt(monotonic_ms(), end_ms);
		if (write(logger[1], "again\n", 6) == 6)
			n++;
		cr_assert_geq(scheduler_pass(sched, 20), 0);
		log_flush();
		(void)!read(log[0], have, sizeof(have) - 1);
		lines = strstr(have, "event=log-output lines=");
	}
	cr_assert_eq(sscanf(lines, "event=log-output lines=%u", &lost), 1);
	memset(have, 0, sizeof(have));
	cr_assert_gt(read(terminal[0], have, sizeof(have) - 1), 0);
	cr_expect(strstr(have, "again\n") != NULL, "%s", have);
	for (lines = have; (lines = strchr(lines, '\n')) != NULL; lines++)
		lost++;
	cr_expect_eq(lost, n);
	/* and from then on nothing is lost */
	say("b\n");
	expect("b\n");
	log_output_close();
}

/* As one that has just been opened anew. */
Test(log_output, one_that_fails_for_a_moment_loses_nothing)
{
	hang_up();
	say("a\nb\n");
	cr_assert_geq(scheduler_pass(sched, 100), 0);
	come_back();
	cr_assert_geq(scheduler_pass(sched, 1000), 0);
	expect("a\nb\n");
	log_output_close();
}
