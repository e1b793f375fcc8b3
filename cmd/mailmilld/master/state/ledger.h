/* The master's list of the sessions it has handed out: which worker has each,
 * from which client, listener and service it came.
 * Owns: the handles, the counts per worker, tally and client address, the
 * choice of the worker for the next session.
 * Knows nothing of sockets and processes. */

#ifndef CMD_MAILMILLD_MASTER_STATE_LEDGER_H
#define CMD_MAILMILLD_MASTER_STATE_LEDGER_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/master/state/tally.h"
#include "core/util/log_bound.h"

#define BOOKS_MAX	256	/* workers, as in setting.def */

struct ledger;
struct book;			/* the sessions of one worker */

/* ledger_create(): NULL: ENOMEM.  ledger_free(NULL) does nothing. */
struct ledger *ledger_create(void);
void ledger_free(struct ledger *l);
unsigned int ledger_sessions(const struct ledger *l);

/* What the address of a session is.  A worker tells the address of a client
 * behind a proxy, and an attacker may control the worker.  So these clients are
 * counted apart: what a worker says counts against no client that connects
 * directly. */
enum ledger_kind {
	LEDGER_DIRECT,		/* the client */
	LEDGER_PROXY,		/* a proxy that has not named the client yet */
	LEDGER_PROXIED		/* the client that a proxy, or XCLIENT, has named */
};

/* ledger_clients(l, sa, kind): Sessions from the address of ${sa}: an IPv6
 * client is its /64; an IPv4 address mapped into IPv6 is the IPv4 address; the
 * port does not count.
 * ledger_tally(l, sa, kind): The same, with the part of each worker; NULL: none.
 * ledger_refusals(l, sa, kind): The refusals of that client; NULL: it has no
 * session. */
unsigned int ledger_clients(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind);
const struct tally *ledger_tally(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind);
struct log_bound *ledger_refusals(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind);

/* book_open(l, max): A worker that may have ${max} sessions.  NULL: ENOMEM.
 * book_show(b): From now on, before there is a session, its sessions are shown to
 * authd (vouch.h).  Return 0, or -1 with errno.
 * book_vouch_fd(b): The memory where they are, for authd; the caller's.  -1 with
 * errno: ENOENT, they are not shown.
 * book_close(b): It is gone, and its sessions with it.  NULL does nothing. */
struct book *book_open(struct ledger *l, unsigned int max);
int book_show(struct book *b);
int book_vouch_fd(const struct book *b);
void book_close(struct book *b);
unsigned int book_sessions(const struct book *b);
bool book_is_full(const struct book *b);

/* book_pick(books, n, &rotor): The book for the next session, of at most
 * BOOKS_MAX: that with the fewest sessions; equal ones take turns by ${rotor}.
 * Workers themselves tell which sessions have ended, so a worker that an
 * attacker controls could seem to be idle, and get all sessions.  So a round
 * has eight sessions for each book, and one book gets ten of them at most, a
 * quarter more than its share; a smaller bound, such as strict turns, leaves
 * processors idle.  A book that is full, or has far more sessions than most of
 * the others, is passed over.  NULL entries are skipped.  Return its index, or
 * -1: all are full. */
int book_pick(struct book *const *books, size_t n, unsigned int *rotor);

/* book_add(b, sa, kind, listener, service, &handle_r): A session begins; all
 * counts go up.  ${handle_r}: see msg.h.  Return 0
 * or -1 (ENOMEM; ENFILE: ${max} reached). */
int book_add(struct book *b, const struct sockaddr *sa, enum ledger_kind kind,
    struct tally *listener, struct tally *service, uint64_t *handle_r);

/* book_may_name(b, handle, may): Whether the client of a session, as it is
 * counted now, may speak for others, any number of times (Allow_XCLIENT).  A
 * worker that an attacker controls gains no more by it than such a client has.
 * Return 0, or -1 (ENOENT).
 * book_asked(b, handle, now_ms): The worker asks whether the client of a session,
 * which was named, may have it.  Return 0, or -1: ENOENT, no such session;
 * EALREADY, of no proxy, or asked before; EACCES, of a client that was named, or
 * is not known, and may not speak for others; EAGAIN, asked before, and too
 * often.  The sessions of a worker may ask again BOOK_AGAIN times a second: of
 * the peers that do so, a peer being a client or a proxy that has connected, each
 * has an equal part.
 * book_proxied(b, handle, sa): The client of a session was named: count it for
 * that one from now on.  AF_UNSPEC: it is not known who that is, and the session
 * stays counted as it is.  Return 0, or -1 (ENOENT: no such session; EALREADY: of
 * no proxy, or named before; ENOMEM: it stays counted as it is).
 * book_listener(b, handle): Its listener's tally, or NULL (ENOENT). */
int book_may_name(struct book *b, uint64_t handle, bool may);
#define BOOK_AGAIN	5000
#define BOOK_PEERS	64	/* of a worker; further ones have one part together */
int book_asked(struct book *b, uint64_t handle, uint64_t now_ms);
int book_proxied(struct book *b, uint64_t handle, const struct sockaddr *sa);
struct tally *book_listener(struct book *b, uint64_t handle);

/* book_vouch(b, handle, listener, peer): Show authd the session, which was just
 * added: ${peer} has connected to that listener, a number in the configuration of
 * the worker. */
void book_vouch(struct book *b, uint64_t handle, size_t listener,
    const struct sockaddr *peer);

/* book_is_from(b, handle, sa, kind): Is that a session of the client ${sa}? */
bool book_is_from(struct book *b, uint64_t handle, const struct sockaddr *sa,
    enum ledger_kind kind);

/* book_remove(b, handle): The session is over; all counts go down.  Return 0,
 * or -1 (ENOENT) when ${b} has no such session (any more). */
int book_remove(struct book *b, uint64_t handle);

#endif
