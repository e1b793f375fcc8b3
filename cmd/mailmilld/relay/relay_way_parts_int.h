/* The parts of relay_way.c, which has the attempts: places, policies of MTA-STS,
 * searches.  Nobody else calls them. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_WAY_PARTS_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_WAY_PARTS_INT_H

#include "cmd/mailmilld/relay/relay_told.h"
#include "cmd/mailmilld/relay/relay_way_int.h"

/* --- relay_way_place.c ---------------------------------------------------- */

/* relay_way_place_of(w, number): NULL: it is not there any more.
 * relay_way_place_is_enough(w, now): Is no other place to be used in this attempt?
 * relay_way_place_untried(w, is_enough, good_ms): The first that may be tried, if
 * those that are bad until ${good_ms} are left alone; ${is_enough}: and if no
 * other is to be used; NULL: none. */
struct relay_place *relay_way_place_of(const struct relay_way *w,
    uint64_t number);
bool relay_way_place_is_enough(const struct relay_way *w, uint64_t now);
const struct relay_place *relay_way_place_untried(const struct relay_way *w,
    bool is_enough, uint64_t good_ms);

/* relay_way_place_add_policy(w, f): The way's; NULL: there is no memory, and the
 * place is looked for again soon.
 * relay_way_place_free_policies(w): No place may be left that has one.
 * relay_way_place_add(w, addr, policy): Return whether it is a new one. */
struct relay_policy *relay_way_place_add_policy(struct relay_way *w,
    const struct relay_policy_facts *f);
void relay_way_place_free_policies(struct relay_way *w);
bool relay_way_place_add(struct relay_way *w, const struct route_addr *addr,
    const struct relay_policy *policy);

/* --- relay_way_sts.c ------------------------------------------------------ */

/* relay_way_sts_ask(w): Ask for the policy of the domain, unless it is known.
 * Return whether the search has to wait for it.
 * relay_way_sts_end(w): It is not waited for any more.
 * relay_way_sts_failed(w): Nobody knows whether the domain has a policy, and what
 * it says.
 * relay_way_sts_late(ways): The first that waits for too long; NULL: none.
 * relay_way_sts_of(w, host): What the policy says of that host.
 * relay_way_sts_free(w): Forget it. */
bool relay_way_sts_ask(struct relay_way *w);
void relay_way_sts_end(struct relay_way *w);
void relay_way_sts_failed(struct relay_way *w);
struct relay_way *relay_way_sts_late(const struct relay_ways *ways);
enum relay_sts relay_way_sts_of(const struct relay_way *w, const char *host);
void relay_way_sts_free(struct relay_way *w);

/* relay_way_sts_is_told(w): Is what becomes of policies told, for reports?
 * relay_way_sts_tell(w, told, result, reason): Tell what one without a connection has
 * come to; takes ${told}, which may be NULL. */
bool relay_way_sts_is_told(const struct relay_way *w);
void relay_way_sts_tell(const struct relay_way *w, struct relay_told *told,
    enum relay_result result, const char *reason);

/* --- relay_way_search.c --------------------------------------------------- */

/* relay_way_search_begin(w): Begin one, when nothing else has to come first and
 * there may be one more.
 * relay_way_search_give_up(w): There is one, and it takes too long.
 * relay_way_search_end(w): If there is one. */
void relay_way_search_begin(struct relay_way *w);
void relay_way_search_give_up(struct relay_way *w);
void relay_way_search_end(struct relay_way *w);

#endif
