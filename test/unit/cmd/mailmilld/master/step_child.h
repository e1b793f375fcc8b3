/* The processes of a play (step_fixture.h): the other ends of the channels of the
 * master's children, what they are told and what they do. */

#ifndef TEST_UNIT_CMD_MAILMILLD_MASTER_STEP_CHILD_H
#define TEST_UNIT_CMD_MAILMILLD_MASTER_STEP_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/master/state/state.h"

#define STEP_CHILDREN_MAX 128
#define STEP_SESSIONS	100	/* of one worker */
#define STEP_SLOTS_MAX	4	/* workers at once, where a test looks at an authd */
#define STEP_SESSIONS_MAX 300	/* where a test allows more */

struct step_child {
	struct channel	*ch;		/* NULL: has closed it */
	enum role_id	 role;
	unsigned int	 slot, generation;
	uint32_t	 uid, gid;
	bool		 has_exited, is_ready, is_told, is_killed;
	bool		 is_held, is_successor;
	unsigned int	 nwriters;	/* of a logger: processes whose lines it has */
	uint32_t	 writer;	/* the instance of the last one */
	bool		 is_stuck;	/* takes no sessions; a logger: does not end */
	bool		 is_traced;
	uint32_t	 version;	/* of certificates */
	struct msg_tickets tickets;	/* what a worker has got last */
	struct ended	*ended;		/* of a worker: what it shares */
	struct vouch	*vouches[STEP_SLOTS_MAX + 1]; /* of an authd: sessions, by
					 * the worker's slot; the last told */
	unsigned int	 nleft;		/* sessions that it has not taken */
	unsigned int	 nsessions;	/* that it has got from a listener */
	struct {
		uint64_t handle;
		int	 fd;
	}		 sessions[STEP_SESSIONS_MAX];
};

extern struct master step_master;
extern struct step_child step_children[STEP_CHILDREN_MAX];
extern int step_nchildren;
extern int step_nlogs;		/* logs that the logger was given */
extern bool step_no_fork;	/* none can be started */
extern unsigned int step_nmoved; /* sessions that go on in another, since the last
				 * line */
extern unsigned int step_limit_ms; /* the last M_DRAIN has said */
extern char step_said[1024];	/* what the master has done since the last line */

/* step_say(fmt, ...): Add to step_said. */
void step_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* step_spawn(role, &fd_r), step_kill(pid, signo), step_is_traced(pid): of struct
 * master_ops */
pid_t step_spawn(enum role_id role, int *fd_r);
int step_kill(pid_t pid, int signo);
bool step_is_traced(pid_t pid);

/* step_hear(c): Take note of what ${c} has been sent. */
void step_hear(struct step_child *c);

/* step_act(verb, c): What "${verb} WHO" does to a process that WHO names.
 * Return whether it is such a verb. */
bool step_act(const char *verb, struct step_child *c);

/* step_is_named(c, who): Does WHO name it? */
bool step_is_named(const struct step_child *c, const char *who);

/* step_child_of(name): the process of that name, which has not ended */
struct step_child *step_child_of(const char *name);

/* step_name_of(c): as "w2@1"; until the next call */
const char *step_name_of(const struct step_child *c);

#endif
