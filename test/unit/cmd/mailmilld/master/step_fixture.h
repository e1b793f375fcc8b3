/* The master's state machine without a fork: its processes are the other ends
 * of their channels, its checks are pipes, its clock is turned by hand.
 *
 * A test is a play: lines of what happens (several in one pass are parted by
 * ';') and of what the master does then.  Processes are named by role, slot
 * and generation: w2@1 is the second worker of the first configuration.
 *	+w1@1	is started		-w1@1	is told to drain
 *	!w1@1	is killed		w1@1=2	gets version 2 of certificates
 *	w1@1<	gets a session		q1@1?	gets a request of mailmillctl
 *	?auth ?keys ?modules		a check begins
 *	7 moved				sessions go on in workers that are in use
 *	w1@1:held w1@1:free		has to refuse MAIL, or not any more
 *	running stopping ended		the phase; of the last, its status
 *	accept deaf			takes connections, or does not any more
 *	@2				that generation is in use
 * The logger l1@1 ends when it is told to drain, as the real one does when all
 * others have ended; not while it is stuck ("stick l1@1").
 *	ok, no:WHY			a reload is answered; of what is wrong in the
 *					configuration, no more than that */

#ifndef TEST_UNIT_CMD_MAILMILLD_MASTER_STEP_FIXTURE_H
#define TEST_UNIT_CMD_MAILMILLD_MASTER_STEP_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "cmd/mailmilld/master/config/config.h"
#include "test/unit/cmd/mailmilld/master/step_child.h"

struct step_line {
	const char	*happens;
	const char	*follows;
};

/* where checks answer; -1: none runs */
extern int step_check_fds[CONFIG_NCHECKS];
extern char step_top[64];	/* the folder of the test */

/* step_setup_sessions(): The same, with counters, and with descriptors for
 * STEP_SESSIONS_MAX sessions in each of two workers. */
void step_setup(void);
void step_setup_sessions(void);
void step_teardown(void);

/* step_happens(line): What ${line} says, in one pass.  Return what follows:
 * step_said. */
const char *step_happens(const char *line);

/* step_play(lines): Each of them, and what has to follow. */
void step_play(const struct step_line *lines);

/* step_one(verb, who, follows): "${verb} ${who}", and then ${follows}, where
 * '%' is ${who}. */
void step_one(const char *verb, const char *who, const char *follows);

/* step_heard(): What the client that has connected last has been sent, since it was
 * asked for; "": nothing.
 * step_log_aside(): From now on the log goes where step_logged() finds it.
 * step_logged(words): How many times ${words} are in it. */
const char *step_heard(void);
void step_log_aside(void);
int step_logged(const char *words);

#define PLAY(...)	step_play((const struct step_line[]){ __VA_ARGS__, { 0 } })

#define ALL_START	"+l1@1 +d1@1 +k1@1 +q1@1 +a1@1 +s1@1 +w1@1 +w2@1"
#define ALL_START_2	"+d1@2 +k1@2 +q1@2 +a1@2 +s1@2 +w1@2 +w2@2"
#define ALL_KILLED	"!d1@1 !k1@1 !q1@1 !a1@1 !s1@1 !w1@1 !w2@1"
#define ALL_KILLED_2	"!d1@2 !k1@2 !q1@2 !a1@2 !s1@2 !w1@2 !w2@2"
#define STARTED	\
	{ "begin", ALL_START }, { "ready all", "running accept" }
#define CHECKED	\
	{ "hup", "?auth ?keys" }, { "auth good; keys good", ALL_START_2 }
#define CHANGED_OVER	\
	CHECKED, { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" }
#define REFUSED "the server is stopping"

/* For tests that are made for several processes. */
struct step_who {
	char	name[8];
};

/* A test of ${suite} for each process of ${table}. */
#define FOR_EACH(suite, name, table) \
	ParameterizedTestParameters(suite, name) \
	{ \
		return cr_make_param_array(struct step_who, table, \
		    sizeof(table) / sizeof(table[0])); \
	} \
	ParameterizedTest(struct step_who *who, suite, name)

#endif
