/* Connections that relay will tell of; see tlsrpt_tally.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_tally.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool
is_alike(const struct tlsrpt_said *a, const struct tlsrpt_said *b)
{
	return a->type == b->type && a->result == b->result &&
	    strcmp(a->domain, b->domain) == 0 &&
	    strcmp(a->policy_domain, b->policy_domain) == 0 &&
	    strcmp(a->mx_host, b->mx_host) == 0 &&
	    strcmp(a->sending_ip, b->sending_ip) == 0 &&
	    strcmp(a->receiving_ip, b->receiving_ip) == 0 &&
	    strcmp(a->reason, b->reason) == 0 &&
	    strcmp(a->policy, b->policy) == 0;
}

/* Replace the entry at ${from}, of which ${said} is a part, by one with more
 * sessions: it takes the same octets. */
static int
add_to(struct tlsrpt_tally *t, size_t from, const struct tlsrpt_said *said,
    uint32_t sessions)
{
	char octets[TLSRPT_SAID_MAX];
	struct tlsrpt_said more = *said;
	size_t len = 0;

	if (__builtin_add_overflow(said->sessions, sessions, &more.sessions))
		more.sessions = UINT32_MAX;
	if (tlsrpt_said_put(octets, sizeof(octets), &len, &more) == -1)
		return -1;
	memcpy(t->octets + from, octets, len);
	return 0;
}

int
tlsrpt_tally_add(struct tlsrpt_tally *t, const struct tlsrpt_said *said)
{
	char octets[TLSRPT_SAID_MAX];
	struct tlsrpt_said cut, other;
	size_t len = 0, at = 0, from = 0;

	/* as it is when it has been written, with its texts cut */
	if (tlsrpt_said_put(octets, sizeof(octets), &len, said) == -1 ||
	    tlsrpt_said_next(octets, len, &at, &cut) != 1)
		return -1;
	for (at = 0; tlsrpt_said_next(t->octets, t->len, &at, &other) == 1;
	    from = at)
		if (is_alike(&cut, &other))
			return add_to(t, from, &other, cut.sessions);
	if (sizeof(t->octets) - t->len < len) {
		t->nlost += cut.sessions;
		errno = ENOSPC;
		return -1;
	}
	memcpy(t->octets + t->len, octets, len);
	t->len += len;
	return 0;
}
