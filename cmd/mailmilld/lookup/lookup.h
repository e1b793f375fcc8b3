/* The asker's side of the role resolver: questions to the DNS, and their
 * answers, for a role that has ROLE_RESOLVER among its peers.
 *
 *	role.peers = ... | ROLE_BIT(ROLE_RESOLVER)	(the struct role)
 *	msg.def: the role among the senders of N_ASK and N_CANCEL and the
 *		receivers of N_ANSWER, which lookup.c is
 *
 *	l = lookup_new(ROLE_RELAY);			after child_drop()
 *	child_ops.peer: if (peer->role == ROLE_RESOLVER) lookup_peer(l, peer, fd)
 *	child_ops.drain: nothing; what was asked is answered
 *	a = lookup_ask(l, LOOKUP_TXT, "_dmarc.example.com", on_answer, me)
 *	...
 *	lookup_free(l)
 *
 * Who wants the next hops of a domain does not ask for MX records and addresses
 * himself: mx.h does.
 *
 * Owns: the channel to the resolver, the questions that wait for it.
 * An answer has been checked (lookup_answer_check()) before it is given to the
 * callback: the resolver is believed in what it says, not in how it says it.
 *
 * A resolver that dies is followed by another, and at a reload by one with the
 * new settings.  The questions that wait are then asked again of that one; in
 * between they wait.  Each is answered within LIM_LOOKUP_SECONDS, if need be with
 * LOOKUP_TEMPORARY. */

#ifndef CMD_MAILMILLD_LOOKUP_LOOKUP_H
#define CMD_MAILMILLD_LOOKUP_LOOKUP_H

#include "cmd/mailmilld/lookup/lookup_answer.h"
#include "cmd/mailmilld/role/msg.h"

struct lookup;
struct lookup_ask;

/* lookup_fn(closure, answer): The answer to one question, which is over: the
 * pointer that lookup_ask() has returned is not valid any more.  ${answer} is
 * valid until the callback returns, which may ask and cancel, but not call
 * lookup_free(). */
typedef void lookup_fn(void *closure, const struct lookup_answer *answer);

/* lookup_new(self): For a process of the role ${self}.  NULL: ENOMEM. */
struct lookup *lookup_new(enum role_id self);

/* lookup_set_limit(l, ms): Each question is answered within ${ms}, in place of
 * LIM_LOOKUP_SECONDS.  Before the first question. */
void lookup_set_limit(struct lookup *l, unsigned int ms);

/* lookup_peer(l, who, fd): ${fd} is the channel to a resolver; it replaces the
 * one before.  takes ${fd}.  Return 0, or -1 with errno: the next one will be
 * asked. */
int lookup_peer(struct lookup *l, const struct msg_peer *who, int fd);

/* lookup_ask(l, type, name, fn, closure): Ask for the records of ${name}; ${fn}
 * is called once, never from within this call.  NULL with errno EINVAL: no such
 * name can be in the DNS (lookup_name()); EAGAIN: LIM_LOOKUPS questions wait
 * already; ENOMEM. */
struct lookup_ask *lookup_ask(struct lookup *l, enum lookup_type type,
    const char *name, lookup_fn *fn, void *closure);

/* lookup_cancel(&a): Forget the question: its callback is not made.  *a is NULL
 * afterwards; NULL there does nothing. */
void lookup_cancel(struct lookup_ask **a);

/* lookup_waiting(l): How many questions wait. */
unsigned int lookup_waiting(const struct lookup *l);

/* lookup_free(l): Also the questions; no callback is made.  NULL does
 * nothing. */
void lookup_free(struct lookup *l);

#endif
