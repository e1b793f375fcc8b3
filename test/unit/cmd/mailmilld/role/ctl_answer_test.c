/* Answers to mailmillctl, over a socket that takes less than all of one at once. */

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/ctl_answer.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"

#define LARGE	(4 << 20)

static struct scheduler *sched;
static struct ctl_answer answer;
static unsigned int ncalls;
static int last_mask;

static int
on_event(Event *e, int, void *, struct timeval *now)
{
	ncalls++;
	last_mask = ctl_answer_write(&answer, e, now);
	if (last_mask == 0)
		event_close(e);
	return last_mask;
}

static void
setup(void)
{
	cr_assert_not_null(sched = scheduler_create(NULL));
}

static void
teardown(void)
{
	ctl_answer_clear(&answer);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(ctl_answer, .init = setup, .fini = teardown);

static void
begin(int fds[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	cr_assert_not_null(watch_fd(fds[0], E_WRITE, on_event, NULL));
}

Test(ctl_answer, it_is_written_as_it_is_read_and_is_one_line)
{
	char *text = malloc(LARGE + 1), *got = malloc(LARGE + 64);
	size_t len = 0;
	ssize_t n = 1;
	json_t *said;
	int fds[2];

	cr_assert(text != NULL && got != NULL);
	memset(text, 'a', LARGE);
	text[LARGE] = '\0';
	cr_assert_not_null(said = json_pack("{s:s}", "x", text));
	ctl_answer_set(&answer, said);
	json_decref(said);
	begin(fds);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	cr_expect_eq(last_mask, E_WRITE | E_TIMEOUT);
	while (n != 0) {
		cr_assert_geq(scheduler_pass(sched, 0), 0);
		if ((n = read(fds[1], got + len, LARGE + 64 - len)) > 0)
			len += (size_t)n;
	}
	cr_expect_gt(ncalls, 1);
	cr_assert_eq(len, LARGE + strlen("{\"x\":\"\"}\n"));
	cr_expect_eq(memcmp(got + len - 4, "a\"}\n", 4), 0);
	close(fds[1]);
	free(text);
	free(got);
}

Test(ctl_answer, without_memory_it_says_so)
{
	char buf[128] = "";
	int fds[2];

	ctl_answer_set(&answer, NULL);
	begin(fds);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	cr_assert_gt(read(fds[1], buf, sizeof(buf) - 1), 0);
	cr_expect_str_eq(buf, CTL_ANSWER_NO_MEMORY);
	close(fds[1]);
}

Test(ctl_answer, whoever_leaves_ends_it)
{
	int fds[2];

	ctl_answer_set(&answer, NULL);
	begin(fds);
	close(fds[1]);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	cr_expect_eq(last_mask, 0);
}
