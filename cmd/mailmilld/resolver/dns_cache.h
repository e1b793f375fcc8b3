/* Answers that are still good.
 * Owns: their memory, which is bounded, and the order in which they make room.
 * Knows nothing of packets or of who asks; the time comes from the caller. */

#ifndef CMD_MAILMILLD_RESOLVER_DNS_CACHE_H
#define CMD_MAILMILLD_RESOLVER_DNS_CACHE_H

#include "cmd/mailmilld/resolver/dns_packet.h"

#define DNS_TTL_MAX_S		86400	/* a day: who changes a record waits no longer, whatever its TTL */
#define DNS_TTL_NEGATIVE_MAX_S	10800	/* RFC 2308 5: one to three hours */
#define DNS_TTL_FAILED_S	5	/* RFC 9520 3.2: at least one second */

struct dns_cache;

/* dns_cache_new(max_octets): It takes no more than that.  NULL: ENOMEM. */
struct dns_cache *dns_cache_new(size_t max_octets);

/* dns_cache_find(c, name, type, now_ms, answer_r): The answer to that question,
 * with the TTL that is left.  It is valid until dns_cache_put().  Return whether
 * there is one. */
bool dns_cache_find(struct dns_cache *c, const char *name, enum dns_type type,
    uint64_t now_ms, struct lookup_answer *answer_r);

/* dns_cache_put(c, name, type, now_ms, answer): Keep ${answer}, which is copied,
 * for its TTL within the bounds above; one that failed for DNS_TTL_FAILED_S.
 * Those that were asked for least lately make room.  Nothing is kept without
 * memory. */
void dns_cache_put(struct dns_cache *c, const char *name, enum dns_type type,
    uint64_t now_ms, const struct lookup_answer *answer);

/* dns_cache_octets(c), dns_cache_entries(c): What it takes now. */
size_t dns_cache_octets(const struct dns_cache *c);
size_t dns_cache_entries(const struct dns_cache *c);

void dns_cache_free(struct dns_cache *c);	/* NULL does nothing */

#endif
