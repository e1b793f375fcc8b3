/* The limits on failed logins, by client and by login.
 * Owns: the counters, whose number is bounded; the delays.
 * The time comes from the caller.  There is one authd, so all workers share the
 * counters. */

#ifndef CMD_MAILMILLD_AUTHD_AUTH_LIMIT_H
#define CMD_MAILMILLD_AUTHD_AUTH_LIMIT_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUTH_DELAY_MIN_MS	250	/* after the first failure */
#define AUTH_DELAY_MAX_MS	8000
#define AUTH_LIMIT_ENTRIES	65536	/* clients, and logins, and both together */
#define AUTH_KNOWN_DAYS		7	/* since a success that still counts */

struct auth_limit;

struct auth_limit_config {
	unsigned int	client_max;	/* failures in a window; 0: no limit */
	unsigned int	login_max;
	unsigned int	via_max;	/* of all clients that one peer has named */
	unsigned int	window_s;	/* it slides */
	/* of each kind: clients, logins, and clients with their logins; it is
	 * rounded up.  When there is no room, the entry with the fewest
	 * failures, and among those the one that was not used for longest, of
	 * the few that might have been there is dropped */
	size_t		entries_max;
};

/* Whose attempt it is.  A client that a proxy, or XCLIENT, has named is known only
 * from a worker, which an attacker may control.  So it does not count as a client
 * of that address which has connected itself, and there is a limit on all clients
 * together that one peer has named in one worker. */
struct auth_from {
	const struct sockaddr *client;
	const struct sockaddr *via;	/* the peer that has named it; NULL: none */
	unsigned int	 slot;		/* with ${via}: of the worker */
};

/* What an attempt is charged to. */
struct auth_attempt {
	uint8_t		client[16], login[16], pair[16], via[16]; /* hashes */
	uint64_t	start_ms;	/* of the window it was charged in */
	bool		has_login;
	bool		has_via;
	bool		is_known;	/* charged to the pair, else to all others */
	bool		is_charged;
	bool		is_via_spent;	/* refused: the peer that has named the client has no failures left */
};

/* auth_limit_memory(entries_max): Memory for the counters, empty: a descriptor
 * (core/process/sealed.h), or -1 with errno.  It holds hashes of addresses and
 * logins, which are keyed with a secret that is chosen here.
 * auth_limit_new(config, fd): Count there, going on from what is there;
 * whatever it is, no access is out of bounds and no block lasts longer than
 * three windows.  ${fd} remains the caller's.  NULL with errno: EINVAL, it is
 * for another number of entries. */
int auth_limit_memory(size_t entries_max);
struct auth_limit *auth_limit_new(const struct auth_limit_config *config,
    int fd);
void auth_limit_free(struct auth_limit *l);	/* NULL does nothing */

/* auth_limit_begin(l, from, login, now_ms, attempt_r): Begin an attempt
 * (${login} NULL: not known yet).  It counts as failed until auth_limit_good(),
 * so that many attempts at the same time cannot exceed the limit.
 * If this client has used this login with success in the last AUTH_KNOWN_DAYS,
 * only failures of the two together count: nobody can lock out others by
 * failing on purpose.
 * IPv6 clients count by their /64, logins without regard to case.
 * Return false: too many, answer ESMTP_AUTH_BLOCKED without asking the back
 * end; such an attempt is not counted. */
bool auth_limit_begin(struct auth_limit *l, const struct auth_from *from,
    const char *login, uint64_t now_ms, struct auth_attempt *attempt_r);

/* auth_limit_good(l, attempt, now_ms): The attempt was right: it no longer
 * counts.
 * auth_limit_unsure(l, attempt): There was no verdict: it counts neither as a
 * failure nor as a success.  A second call for an attempt has no effect. */
void auth_limit_good(struct auth_limit *l, struct auth_attempt *attempt,
    uint64_t now_ms);
void auth_limit_unsure(struct auth_limit *l, struct auth_attempt *attempt);

/* auth_limit_delay(l, attempt, now_ms): How long the answer to a failure is
 * held back, in milliseconds: it doubles with each failure of the client or the
 * login, whichever has more. */
unsigned int auth_limit_delay(struct auth_limit *l,
    const struct auth_attempt *attempt, uint64_t now_ms);

#endif
