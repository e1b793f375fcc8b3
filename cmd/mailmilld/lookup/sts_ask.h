/* The asker's side of the role sts: which policy of MTA-STS a domain has, and reports
 * of TLS that are posted, for a role that has ROLE_STS among its peers.  As lookup.h
 * is used, this is.
 *
 * Owns: the channel to that process, the questions that wait for it.
 * An answer has been checked (sts_policy_check()) before it is given to the
 * callback.
 *
 * A process that dies is followed by another, which is asked again.  A question that
 * is not answered within LIM_STS_SECONDS fails: nobody knows then whether a policy
 * is in force, so that mail has to wait.  A report that is posted again for one of
 * these reasons may have been taken before. */

#ifndef CMD_MAILMILLD_LOOKUP_STS_ASK_H
#define CMD_MAILMILLD_LOOKUP_STS_ASK_H

#include "cmd/mailmilld/lookup/sts_policy.h"
#include "cmd/mailmilld/role/msg.h"

struct sts;
struct sts_ask;

/* sts_ask_fn(closure, policy, failure): The policy of the domain; one with the mode
 * STS_NONE: it has none; NULL, with STS_UNKNOWN: nobody knows.  ${failure} says
 * why there is no newer one.  The question is over; valid until the callback
 * returns, which may ask and cancel, but not call sts_free(). */
typedef void sts_ask_fn(void *closure, const struct sts_policy *policy,
    enum sts_failure failure);

/* sts_post_fn(closure, failure, why): STS_FETCHED: the report was taken; STS_UNKNOWN: it
 * was not posted, or nobody knows; any other: its server has not taken it, or there is
 * none.  ${why} is in words, of another process.  As above. */
typedef void sts_post_fn(void *closure, enum sts_failure failure,
    const char *why);

/* sts_new(self): For a process of the role ${self}.  NULL: ENOMEM.
 * sts_peer(t, who, fd): ${fd} is the channel to the process; it replaces the one
 * before.  takes ${fd}.  Return 0, or -1 with errno. */
struct sts *sts_new(enum role_id self);
int sts_peer(struct sts *t, const struct msg_peer *who, int fd);

/* sts_set_limit(t, ms): Each question is answered within ${ms}, in place of
 * LIM_STS_SECONDS.  While none waits. */
void sts_set_limit(struct sts *t, unsigned int ms);

/* sts_ask(t, domain, fn, closure): ${fn} is called once, never from within this
 * call.  NULL with errno EINVAL: no such name can be in the DNS; EAGAIN:
 * LIM_LOOKUPS questions wait already; ENOMEM.
 * sts_post(t, uri, fd, fn, closure): Have the file ${fd}, which stays the caller's,
 * posted to ${uri}, of LIM_TLSRPT_URI octets at most, as a report (RFC 8460 3).  The
 * same; EMFILE.
 * sts_cancel(&a): Forget the question; *a is NULL afterwards; NULL there does
 * nothing. */
struct sts_ask *sts_ask(struct sts *t, const char *domain, sts_ask_fn *fn,
    void *closure);
struct sts_ask *sts_post(struct sts *t, const char *uri, int fd,
    sts_post_fn *fn, void *closure);
void sts_cancel(struct sts_ask **a);

/* sts_free(t): Also the questions; no callback is made.  NULL does nothing. */
void sts_free(struct sts *t);

#endif
