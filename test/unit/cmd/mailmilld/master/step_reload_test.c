/* The master's state machine: reloads, and old processes that drain. */

#include "cmd/mailmilld/master/state/ledger.h"
#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <sys/mman.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"

TestSuite(step_reload, .init = step_setup, .fini = step_teardown);

static struct step_who first[] = { { "d1@1" }, { "q1@1" }, { "k1@1" },
	{ "a1@1" }, { "s1@1" }, { "w1@1" } };
static struct step_who second[] = { { "d1@2" }, { "q1@2" }, { "k1@2" },
	{ "a1@2" }, { "s1@2" }, { "w1@2" } };
static struct step_who awaited[] = { { "d1@2" }, { "q1@2" }, { "k1@2" },
	{ "a1@2" }, { "s1@2" }, { "w2@2" } };

/* --- reload --------------------------------------------------------------- */

Test(step_reload, a_reload_checks_starts_and_changes_over)
{
	PLAY(STARTED,
	    { "hup", "?auth ?keys" },
	    { "keys good", "" },
	    { "connect", "w1@1<" },
	    { "auth good", ALL_START_2 },
	    { "ready w1@2; ready k1@2; ready a1@2; ready s1@2; connect", "w2@1<" },
	    { "ready w2@2; ready d1@2", "" },
	    { "ready q1@2", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" },
	    { "connect", "w1@2<" },
	    { "exit q1@1", "-d1@1" },
	    { "exit w1@1", "" },
	    { "exit w2@1", "-k1@1 -a1@1" },
	    { "exit drained", "" },
	    { "connect", "w2@2<" });
}

Test(step_reload, old_processes_but_workers_drain_within_a_bound)
{
	PLAY(STARTED, CHANGED_OVER,
	    { "wait 34999", "" }, { "wait 1", "!q1@1 !s1@1" },
	    { "exit killed", "-d1@1" },
	    { "wait 35000", "!d1@1" },
	    { "wait 1000000", "" });
}

/* It gives away more than are read in one pass, and is no more when the rest is
 * read. */
Test(step_reload, sessions_of_a_worker_that_ends_at_once_are_not_lost)
{
	int i;

	PLAY(STARTED);
	for (i = 0; i < STEP_SESSIONS; i++)
		PLAY({ "connect", "w1@1<" }, { "connect", "w2@1<" });
	PLAY(CHANGED_OVER, { "move w1@1; exit w1@1", "100 moved" });
	cr_expect_eq(ledger_sessions(step_master.ledger), 2 * STEP_SESSIONS);
}

Test(step_reload, a_bad_configuration_changes_nothing)
{
	PLAY(STARTED,
	    { "conf workers = x; hup",
	      "no:conf" },
	    { "connect", "w1@1<" },
	    { "conf workers = 2; hup", "?auth ?keys" });
}

Test(step_reload, a_port_in_use_changes_nothing)
{
	char change[256];

	/* the one that it has itself, now in a second section */
	snprintf(change, sizeof(change), "conf workers = 3 ESMTP_Listener "
	    "{ Listen \"%s\" { } }; hup", TAILQ_FIRST(&step_master.listeners)->text);
	PLAY(STARTED, { change, "?auth ?keys" },
	    { "auth good; keys good", "no:conf" }, { "connect", "w1@1<" });
}

Test(step_reload, a_bad_check_changes_nothing)
{
	PLAY(STARTED,
	    { "hup", "?auth ?keys" },
	    { "auth bad users: no such file", "no:users: no such file" },
	    { "hup", "?auth ?keys" },
	    { "auth good; keys dies", "no:TLS_Key: the check of keys has "
	      "failed: its process has died" },
	    { "hup", "?auth ?keys" },
	    { "auth good; wait 19999; connect", "w1@1<" },
	    { "wait 1", "no:TLS_Key: the check of keys takes longer than 20 "
	      "seconds" });
}

FOR_EACH(step_reload, a_new_process_that_dies_ends_the_reload, second)
{
	char line[32];

	PLAY(STARTED, CHECKED);
	snprintf(line, sizeof(line), "exit %s", who->name);
	step_happens(line);
	cr_expect_not_null(strstr(step_said, " 1 does not start: the log says why"),
	    "%s", step_said);
	PLAY({ "exit killed", "" }, { "connect", "w1@1<" }, CHANGED_OVER);
}

FOR_EACH(step_reload, a_new_process_that_does_not_get_ready_ends_the_reload,
    awaited)
{
	char expected[256];
	int i;

	/* no other deadline, such as that of the certificates, is the same */
	PLAY(STARTED, { "wait 1000", "" }, CHECKED);
	for (i = 0; i < step_nchildren; i++)
		if (step_children[i].generation == 2 &&
		    strcmp(step_name_of(&step_children[i]), who->name) != 0)
			step_act("ready", &step_children[i]);
	PLAY({ "wait 59999", "" }, { "connect; hup", "w1@1<" });
	step_happens("wait 1");
	/* and the one that waits has its turn */
	snprintf(expected, sizeof(expected), ALL_KILLED_2 " ?auth ?keys no:a "
	    "process does not get ready in 60 seconds: %s",
	    *who->name == 'd' ? "deliver" :
	    *who->name == 'q' ? "queue" :
	    *who->name == 'k' ? "keyd" :
	    *who->name == 'a' ? "authd" :
	    *who->name == 's' ? "spoold" : "worker");
	cr_expect_str_eq(step_said, expected, "%s", step_said);
	PLAY({ "exit killed; connect", "w2@1<" },
	    { "auth good; keys good", ALL_START_2 },
	    { "wait 59999", "" },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" },
	    { "wait 1", "" });
}

Test(step_reload, a_reload_that_cannot_fork_changes_nothing)
{
	PLAY(STARTED, { "hup", "?auth ?keys" },
	    { "fork fails; auth good; keys good",
	      "no:cannot start processes" }, { "connect", "w1@1<" });
}

/* --- draining ------------------------------------------------------------- */

/* The log goes to a file of the test from now on; a reload opens another. */
static int
log_here(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	log_init("mailmilld", LOG_TO_FILE, fd, LOG_LEVEL_INFO);
	return fd;
}

/* What the lines "drain" of ${fd} say, the last one; "": there is none. */
static const char *
drain_line(int fd)
{
	static char buf[8192];
	char *line = NULL, *next = buf;
	ssize_t n;

	log_flush();
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	cr_assert_geq(n, 0);
	buf[n] = '\0';
	while ((next = strstr(next, "event=drain ")) != NULL)
		line = next += strlen("event=drain ");
	return line == NULL ? "" : strtok(line, "\n");
}

Test(step_reload, one_line_says_what_became_of_the_sessions)
{
	int fd;

	PLAY(STARTED, CHANGED_OVER);
	fd = log_here();
	PLAY({ "tell w1@1; tell w1@1; tell w1@2", "" });
	cr_expect_str_eq(drain_line(fd), "");
	PLAY({ "tell w2@1", "" });
	cr_expect_str_eq(drain_line(fd),
	    "generation=2 sessions=14 moved=8 told=4 left=2");
	close(fd);
}

Test(step_reload, a_worker_that_dies_without_a_word_is_not_waited_for)
{
	int fd;

	PLAY(STARTED, CHANGED_OVER);
	fd = log_here();
	PLAY({ "tell w1@1; exit w1@1", "" }, { "exit w2@1", "-k1@1 -a1@1" });
	cr_expect_str_eq(drain_line(fd),
	    "generation=2 sessions=7 moved=4 told=2 left=1");
	close(fd);
}

Test(step_reload, another_reload_has_a_line_of_its_own)
{
	int fd;

	PLAY(STARTED, CHANGED_OVER,
	    { "tell w1@1", "" }, { "hup", "?auth ?keys" },
	    { "auth good; keys good",
	      "+d1@3 +k1@3 +q1@3 +a1@3 +s1@3 +w1@3 +w2@3" },
	    { "ready all", "-q1@2 -s1@2 -w1@2 -w2@2 @3 ok" });
	fd = log_here();
	PLAY({ "tell w1@2; tell w2@2", "" });
	cr_expect_str_eq(drain_line(fd),
	    "generation=3 sessions=14 moved=8 told=4 left=2");
	PLAY({ "tell w2@1", "" });
	cr_expect_str_eq(drain_line(fd),
	    "generation=2 sessions=14 moved=8 told=4 left=2");
	close(fd);
}

/* Its clients may be slow; but it keeps its channels, and an attacker may
 * control it. */
Test(step_reload, an_old_worker_does_not_stay_for_ever)
{
	PLAY(STARTED, { "conf workers = 2\nreload_drain_time = 2h", "" },
	    CHANGED_OVER, { "exit w2@1; exit q1@1; exit s1@1", "-d1@1" },
	    { "exit d1@1", "" }, { "wait 7199000", "" },
	    { "wait 2000", "!w1@1" }, { "exit w1@1", "-k1@1 -a1@1" });
}

/* An attacker may control the worker. */
Test(step_reload, a_worker_cannot_tell_of_more_sessions_than_it_had)
{
	int fd;

	PLAY(STARTED, CHANGED_OVER);
	fd = log_here();
	PLAY({ "lie w1@1; tell w2@1", "" });
	cr_expect_str_eq(drain_line(fd), "");
	PLAY({ "exit w1@1", "" });
	cr_expect_str_eq(drain_line(fd),
	    "generation=2 sessions=7 moved=4 told=2 left=1");
	close(fd);
}

FOR_EACH(step_reload, a_crash_of_an_old_process_is_its_end, first)
{
	PLAY(STARTED, CHANGED_OVER);
	step_happens("connect");
	step_one("exit", who->name, *who->name == 'q' ? "-d1@1" : "");
	PLAY({ "wait 10000", "" });
}

Test(step_reload, a_crash_of_an_old_process_does_not_end_the_next_reload)
{
	PLAY(STARTED, CHANGED_OVER, { "hup", "?auth ?keys" },
	    { "exit k1@1; exit d1@1", "" },
	    { "auth good; keys good",
	      "+d1@3 +k1@3 +q1@3 +a1@3 +s1@3 +w1@3 +w2@3" },
	    { "exit a1@1; exit w1@1", "" },
	    { "ready all", "-q1@2 -s1@2 -w1@2 -w2@2 @3 ok" });
}
