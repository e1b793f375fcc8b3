/* Sessions: who may have one, which worker gets it, which have ended. */

#ifndef CMD_MAILMILLD_MASTER_SESSIONS_SESSIONS_H
#define CMD_MAILMILLD_MASTER_SESSIONS_SESSIONS_H

#include "cmd/mailmilld/master/state/state.h"

/* admit.c */

enum admit_limit { ADMIT_LISTENER, ADMIT_SERVICE, ADMIT_CLIENT };

/* As what a session is counted that may begin. */
struct admitted {
	enum ledger_kind	 kind;		/* as whom it is to be counted */
	/* how many sessions of each count one worker may have, at most */
	struct {
		enum admit_limit which;
		const struct tally *of;
		int64_t		 max;
		int64_t		 limit;	/* of all together */
	}			 shares[3];	/* listener, service, client */
	unsigned int		 nshares;
};

/* admit_new(l, peer, &as_r): May ${peer} have one more session of ${l}?
 * RPL_OK and as what, or how it is refused, having logged that.
 * admit_is_over(as, b, is_alone): Has the worker of ${b} its share of one of the
 * limits, so that the rest is for the others?  Only a worker says which of its
 * sessions have ended.  One that an attacker controls may never say so, and so
 * keeps what it has had.  ${is_alone}: there are no others; its share is all that
 * is not used.
 * admit_no_worker(l, peer, as): No worker can take the session of ${peer}, which
 * admit_new() has let in.  Count and log why: a limit that a lone worker has used
 * up, or the lack of workers.  Return how it is refused.
 * admit_refused(l, peer, limit, bound): Count and log that it was not let in
 * because of ${limit}. */
enum esmtp_reply_id admit_new(struct listener *l, const union addr *peer,
    struct admitted *as_r);
bool admit_is_over(const struct admitted *as, const struct book *b,
    bool is_alone);
enum esmtp_reply_id admit_no_worker(struct listener *l,
    const union addr *peer, const struct admitted *as);
void admit_refused(struct listener *l, const union addr *peer,
    const char *limit, struct log_bound *bound);
/* admit_naming(l, peer, b, handle): The session of ${peer} may speak for others,
 * if Allow_XCLIENT is set for it.
 * admit_proxied(p, mp): The worker ${p} says which client a proxy, or XCLIENT,
 * has named.  Count the session for that one.  0; 1: it has too many, having
 * logged that; -1: ${p} has no such session, or may not say so. */
void admit_naming(struct listener *l, const union addr *peer, struct book *b,
    uint64_t handle);
int admit_proxied(struct proc *p, const struct msg_proxied *mp);

/* handout.c */

/* handout_accept(event...): The callback of a listening socket. */
int handout_accept(Event *e, int eventtype, void *closure,
    struct timeval *now);
/* handout_move(p, move, fd): The session of the old worker ${p} goes on in
 * another one.  Return 0, which takes ${fd}, or -1: its client has left, or ${p}
 * offends. */
int handout_move(struct proc *p, struct msg_move *move, int fd);
/* handout_wants(m): Can connections be handed out: does the master run, is a
 * worker up, and is no pause on? */
bool handout_wants(const struct master *m);

/* able.c */

/* able_is(p): Is ${p} a worker that is to get sessions?  It may have no room now.
 * able_is_alone(p): Is there no other one that has room, or has it soon? */
bool able_is(const struct proc *p);
bool able_is_alone(const struct proc *p);

/* taken.c: sessions that their worker has not taken yet */

/* taken_add(p): ${p} has been sent one more.
 * taken_is_late(p): It has not taken one for TAKEN_LATE_MS.
 * taken_has_room(p): It is not late, and may be sent one more.
 * taken_has_room_soon(p): It had none when that was asked last, but not for long:
 * it is worth waiting for when all others are full.
 * taken_step(m): see master_step() */
#define TAKEN_MAX	256	/* sent to a worker and not taken by it */
#define TAKEN_WAIT_MS	1000	/* without room: nobody is kept waiting for it */
#define TAKEN_LATE_MS	10000	/* it gets no more */
#define TAKEN_KILL_MS	30000	/* after that: it is killed, unless somebody
				 * debugs it */
void taken_add(struct proc *p);
bool taken_is_late(const struct proc *p);
bool taken_has_room(struct proc *p);
bool taken_has_room_soon(const struct proc *p);
void taken_step(struct master *m);

/* collect.c */

/* proc_collect(p), procs_collect(m): Take the sessions off the books that their
 * workers have ended; before books are looked at.
 * proc_sessions_ended(p, message, handles, n): Take off these, which ${message}
 * has named. */
void proc_collect(struct proc *p);
void procs_collect(struct master *m);
void proc_sessions_ended(struct proc *p, const char *message,
    const uint64_t *handles, unsigned int n);

#endif
