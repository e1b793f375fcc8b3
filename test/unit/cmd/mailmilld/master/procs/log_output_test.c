/* The lines of the logger on their way to a terminal: here, a pipe. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/log_output.h"
#include "core/scheduler.h"

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
