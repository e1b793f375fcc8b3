/* Failed logins, counted by client and by login, and what they cost.
 * Owns: the table, bounded; the delays.
 * Pure: the time comes from the caller.  One table for all workers, since there
 * is one authd. */

#ifndef CMD_MAILMILLD_AUTH_LIMIT_H
#define CMD_MAILMILLD_AUTH_LIMIT_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_limit;

struct auth_limit_config {
	unsigned int	client_max;	/* failures in a window; 0: no limit */
	unsigned int	login_max;
	unsigned int	window_s;
	size_t		entries_max;	/* the one unused longest goes first */
};

struct auth_limit *auth_limit_new(const struct auth_limit_config *config);
void auth_limit_free(struct auth_limit *l);	/* NULL does nothing */

/* auth_limit_begin(l, peer, login, now_ms): An attempt; it counts as failed
 * until auth_limit_good(), so that many at once are no way around the limit.
 * A login that this client has used with success lately is not bound by what
 * others fail with.  IPv6 clients count by their /64.  Return false: too many,
 * answer ESMTP_AUTH_BLOCKED without asking the back end. */
bool auth_limit_begin(struct auth_limit *l, const struct sockaddr *peer,
    const char *login, uint64_t now_ms);

/* auth_limit_good(l, ...): The attempt was right: it no longer counts.
 * auth_limit_unsure(l, ...): there was no verdict: the same, but it is no
 * success either. */
void auth_limit_good(struct auth_limit *l, const struct sockaddr *peer,
    const char *login, uint64_t now_ms);
void auth_limit_unsure(struct auth_limit *l, const struct sockaddr *peer,
    const char *login, uint64_t now_ms);

/* auth_limit_delay(l, ...): How long the answer to a failure is held back, in
 * milliseconds: it doubles with each failure of the client or the login,
 * whichever has more. */
unsigned int auth_limit_delay(struct auth_limit *l,
    const struct sockaddr *peer, const char *login, uint64_t now_ms);

#endif
