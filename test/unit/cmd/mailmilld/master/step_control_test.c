/* The master's state machine: requests that wait at the control socket. */

#include "cmd/mailmilld/master/control/control.h"
#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"

TestSuite(step_control, .init = step_setup, .fini = step_teardown);

#define RELOAD	"{\"command\":\"reload\"}\n"
#define QUEUE	"{\"command\":\"queue\"}\n"

/* A client of the control socket that has sent ${request}. */
static int
ask(const char *request)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/sock", step_top);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(write(fd, request, strlen(request)),
	    (ssize_t)strlen(request));
	step_happens("wait 0");
	return fd;
}

/* What it has been answered; "" when nothing yet, or when it was turned
 * away. */
static const char *
answer_of(int fd)
{
	static char text[SETTINGS_ERROR_MAX];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define CTL_OK		"{\"ok\":true,\"generation\":2,\"needs_restart\":\"\"}\n"

Test(step_control, a_client_that_waits_for_a_reload_may_leave)
{
	int i, fd, nevents;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED, CHECKED);
	nevents = scheduler_event_count(step_master.sched);
	/* more than the socket takes at a time */
	for (i = 0; i < 40; i++) {
		close(ask(RELOAD));
		step_happens("wait 0");
		cr_assert_eq(scheduler_event_count(step_master.sched), nevents);
	}
	fd = ask(RELOAD);
	PLAY({ "exit a1@2", "!d1@2 !k1@2 !q1@2 !s1@2 !w1@2 !w2@2 ?auth ?keys "
	      "no:authd 1 does not start: the log says why" },
	    { "auth good; keys good", ALL_START_2 }, { "exit killed", "" },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_str_eq(answer_of(fd), CTL_OK);
}

Test(step_control, a_client_that_has_sent_all_still_hears_of_its_reload)
{
	int fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED);
	fd = ask(RELOAD);
	shutdown(fd, SHUT_WR);
	PLAY({ "auth good; keys good", ALL_START_2 },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_str_eq(answer_of(fd), CTL_OK);
}

Test(step_control, each_client_is_told_why_its_own_reload_failed)
{
	int first_fd, second_fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED);
	first_fd = ask(RELOAD);
	PLAY({ "auth good; keys good", ALL_START_2 });
	second_fd = ask(RELOAD);
	PLAY({ "conf workers = x; exit a1@2",
	      "!d1@2 !k1@2 !q1@2 !s1@2 !w1@2 !w2@2 no:conf" });
	cr_expect_str_eq(answer_of(first_fd), "{\"error\":\"authd 1 does "
	    "not start: the log says why\"}\n");
	cr_expect_not_null(strstr(answer_of(second_fd), "workers"));
}

Test(step_control, a_client_is_told_that_its_reload_takes_long)
{
	int fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED, CHECKED);
	/* it waits for that one, then for its own checks and processes */
	fd = ask(RELOAD);
	PLAY({ "wait 60000", ALL_KILLED_2 " ?auth ?keys no:a process does not "
	      "get ready in 60 seconds: worker" },
	    { "exit killed", "" },
	    { "wait 19999; auth good; keys good", ALL_START_2 },
	    { "wait 20000", "" });
	cr_expect_str_eq(answer_of(fd), "");
	PLAY({ "wait 1", "" });
	cr_expect_str_eq(answer_of(fd), "{\"error\":\"the reload is still in "
	    "progress, the log will say how it ends\"}\n");
	PLAY({ "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
}

Test(step_control, a_request_of_the_queue_waits_for_its_process)
{
	int fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY({ "begin", ALL_START });
	fd = ask(QUEUE);
	PLAY({ "wait 9999", "" }, { "ready q1@1", "q1@1?" });
	/* the queue process answers, and the test has dropped what it got */
	cr_expect_str_eq(answer_of(fd), "");
	PLAY({ "ready all", "running accept" }, { "wait 10000", "" });
}

Test(step_control, a_request_of_the_queue_waits_for_a_successor)
{
	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED, { "exit q1@1", "+q1@1" });
	(void)ask(QUEUE);
	PLAY({ "exit q1@1", "" }, { "wait 250", "+q1@1" },
	    { "ready q1@1", "q1@1?" });
}

Test(step_control, a_request_of_the_queue_does_not_wait_for_ever)
{
	int fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY({ "begin", ALL_START });
	fd = ask(QUEUE);
	PLAY({ "wait 9999", "" });
	cr_expect_str_eq(answer_of(fd), "");
	PLAY({ "wait 1", "" });
	cr_expect_str_eq(answer_of(fd), "{\"error\":\"the queue process is not "
	    "running now, the log says why; try again when it is\"}\n");
	PLAY({ "ready all", "running accept" });
}

Test(step_control, a_client_that_says_nothing_is_let_go)
{
	int fd, nevents;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED);
	nevents = scheduler_event_count(step_master.sched);
	fd = ask("{");
	PLAY({ "wait 29999", "" });
	cr_expect_eq(scheduler_event_count(step_master.sched), nevents + 1);
	PLAY({ "wait 1", "" });
	cr_expect_eq(scheduler_event_count(step_master.sched), nevents);
	cr_expect_eq(read(fd, &nevents, 1), 0);
}

Test(step_control, a_reload_names_the_settings_that_it_does_not_change)
{
	int fd;

	cr_assert_eq(control_open(&step_master), 0);
	PLAY(STARTED, { "conf pidfile = \"/tmp/other\" auth_user = someone",
	      "" });
	fd = ask(RELOAD);
	PLAY({ "auth good; keys good", ALL_START_2 },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_not_null(strstr(answer_of(fd),
	    "\"needs_restart\":\"pidfile, auth_user\""));
}
