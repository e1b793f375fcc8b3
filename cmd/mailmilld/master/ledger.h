/* The master's list of the sessions it has handed out: which worker has each,
 * from which client, listener and service it came.
 * Owns: the handles, the counts per worker, tally and client address, the
 * choice of the worker for the next session.
 * Knows nothing of sockets and processes. */

#ifndef CMD_MAILMILLD_MASTER_LEDGER_H
#define CMD_MAILMILLD_MASTER_LEDGER_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;
struct book;			/* the sessions of one worker */

/* Sessions of one listener, or of one service; the caller's memory, which must
 * outlive them. */
struct tally {
	unsigned int	n;
};

/* ledger_create(): NULL: ENOMEM.  ledger_free(NULL) does nothing. */
struct ledger *ledger_create(void);
void ledger_free(struct ledger *l);
unsigned int ledger_sessions(const struct ledger *l);

/* ledger_clients(l, sa): Sessions from the address of ${sa} (the port does not
 * count; an IPv4 address mapped into IPv6 is the IPv4 address). */
unsigned int ledger_clients(struct ledger *l, const struct sockaddr *sa);

/* book_open(l, max): A worker that may have ${max} sessions.  NULL: ENOMEM.
 * book_close(b): It is gone, and its sessions with it.  NULL does nothing. */
struct book *book_open(struct ledger *l, unsigned int max);
void book_close(struct book *b);
unsigned int book_sessions(const struct book *b);

/* book_pick(books, n, &rotor): The book with the fewest sessions that has room
 * for one more; NULL entries are skipped.  Equals take turns by ${rotor}.
 * Return its index, or -1. */
int book_pick(struct book *const *books, size_t n, unsigned int *rotor);

/* book_add(b, sa, listener, service, &handle_r): A session begins; all counts
 * go up.  ${handle_r}: see msg.h.  Return 0
 * or -1 (ENOMEM; ENFILE: ${max} reached). */
int book_add(struct book *b, const struct sockaddr *sa, struct tally *listener,
    struct tally *service, uint64_t *handle_r);

/* book_remove(b, handle): The session is over; all counts go down.  Return 0,
 * or -1 (ENOENT) when ${b} has no such session (any more). */
int book_remove(struct book *b, uint64_t handle);

#endif
