/* A process for sessions to live in, made of simulated parts: the real
 * scheduler on the virtual clock, the simulated wire and spool.
 * Owns: the sessions by handle, the esmtp_host, the mailboxes; at each step,
 * the checks that hold for any session (below).
 * Knows nothing of what is sent on the wire.
 *
 * Always checked, and reported by violation():
 *   a callback comes only for what was waited for, and no timer early;
 *   no timer is forgotten (simhost_check());
 *   a session waits for a timer or a completion, never for bytes alone;
 *   an ended session has closed its wire once, has said session_end() once,
 *   reported CONNECT and END once each, and left no open message. */

#ifndef TEST_LIB_SIMHOST_H
#define TEST_LIB_SIMHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lim.h"
#include "proto/esmtp_factory.h"
#include "proto/options/options.h"
#include "proto/server/esmtp_host_struct.h"
#include "test/lib/simauth.h"
#include "test/lib/simclock.h"
#include "test/lib/simpolicy.h"
#include "test/lib/simspool.h"
#include "test/lib/simwire.h"

#define SIMHOST_HOSTNAME	"mx.example.test"
#define SIMHOST_DOMAIN		"example.test"
#define SIMHOST_NKINDS		(ESMTP_REPORT_LONE_LF + 1)

/* The names of the reports in dialogues and traces. */
extern const char *const simhost_report_names[SIMHOST_NKINDS];

/* For which session memory is being allocated, by number; 0: for none. */
extern volatile unsigned int simalloc_owner;

struct simhost_session {
	struct simhost		*host;
	accept_construct	*ac;		/* NULL: ended, or never began */
	struct simwire		*wire;
	unsigned int		 number;	/* 1, 2, ... in the host's life */
	bool			 is_begun, is_ended, is_in_step;
	bool			 is_asked, is_answered;	/* simpolicy's */
	struct simauth_exchange	 auth;
	int			 mask;		/* what it waits for */
	uint64_t		 trigger_us;
	uint64_t		 wrote_us;	/* when its last reply began or ended */
	uint64_t		 woken_us;	/* when something it waited for came */
	uint64_t		 timeout_us;	/* when it reported a timeout */
	unsigned int		 nreports[SIMHOST_NKINDS];
};

/* What simhost can do wrong on purpose, to show that its checks notice. */
enum simhost_mutation {
	SIMHOST_HONEST,
	SIMHOST_TIMER_EARLY,	/* deadlines are moved a second forward */
	SIMHOST_TIMER_LOST,	/* E_TIMEOUT is dropped from masks */
	SIMHOST_STALL,		/* a session that has replies or input left waits for more input */
	SIMHOST_DEAF		/* it waits for nothing but its deadline */
};

struct simhost {
	struct simclock		 clock;
	struct simnet		 net;
	struct simspool		 spool;
	struct scheduler	*sched;
	struct esmtp_host	 host;
	struct esmtp_host_ops	 ops;		/* the host's; simtls_use() adds to them */
	void			(*ended)(accept_construct *ac);	/* a session's, before it is freed; NULL: nothing */
	struct esmtp_options	 options;
	struct simhost_session	 sessions[SIMWIRE_MAX];
	unsigned int		 nsessions;	/* begun so far */
	int			 nothers;	/* events that are of no session: a test's own */
	bool			 is_lookup_later; /* every lookup is put off */
	unsigned int		 nest_permille;	/* by chance: the step of a session inside that of another */
	void			(*violation)(void *arg, const char *text);
	void			*arg;
	bool			 is_traced;
	enum simhost_mutation	 mutation;
	struct simpolicy	 policy;
	struct simauth		 auth;
	char			 scratch[LIM_SCRATCH];
	char			 output[LIM_OUTPUT];
};

/* simhost_init(h, start_us, r): A host without sessions; ${r} (may be NULL)
 * deals out faults.  options are the defaults.  simhost_clear ends what is
 * left.  Return 0 or -1 (ENOMEM). */
int simhost_init(struct simhost *h, uint64_t start_us, struct simrand *r);
void simhost_clear(struct simhost *h);

/* simhost_connect(h, peer): A session from address ${peer} ("192.0.2.1",
 * IPv6 too; or "unix:1000", that account through a Unix socket).  NULL when memory or wires are short. */
struct simhost_session *simhost_connect(struct simhost *h, const char *peer);

/* simhost_drain(h, is_reconfigured): As the server does on SIGTERM, SIGHUP. */
void simhost_drain(struct simhost *h, bool is_reconfigured);

/* simhost_settle(h): Passes until nothing is ready and nothing due now.
 * Return the number of callbacks; a violation if it never ends. */
int simhost_settle(struct simhost *h);

/* simhost_advance(h, us): Let so much time pass, timer by timer. */
void simhost_advance(struct simhost *h, uint64_t us);

/* simhost_set_clock(h, delta_us): The clock is set, and the scheduler is told: no
 * session may notice. */
void simhost_set_clock(struct simhost *h, int64_t delta_us);

/* simhost_check(h): The invariants that hold between two passes. */
void simhost_check(struct simhost *h);

/* simhost_violation(h, fmt, ...): Report one. */
void simhost_violation(struct simhost *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* simhost_release(s): Give the place and wire of an ended session back. */
void simhost_release(struct simhost_session *s);

#endif
