/* A next hop whose searches and time are the test's. */

#ifndef TEST_UNIT_CMD_MAILMILLD_RELAY_RELAY_WAY_FIXTURE_H
#define TEST_UNIT_CMD_MAILMILLD_RELAY_RELAY_WAY_FIXTURE_H

#include "cmd/mailmilld/relay/relay_way_int.h"
#include "core/lim.h"

#define RW_SEARCHES	128

/* A search that has begun: its address is what mx_open() returns. */
struct rw_search {
	char	 name[LIM_DOMAIN + 1];
	unsigned int port;
	bool	 is_host, is_open;
	unsigned int nmore;
	mx_fn	*fn;
	void	*closure;
};

struct rw {
	struct settings	*settings;
	struct relay_ways ways;
	struct relay_way way;
	struct rw_search searches[RW_SEARCHES];
	unsigned int	 nsearches;
	unsigned int	 nfound;	/* calls of ways.found() */
	unsigned int	 open_fails;	/* so many searches cannot begin */
	uint64_t	 now_ms;
};

extern struct rw rw;

/* rw_begin(domain, mx): Open the way to what Domain "a.test" with ${domain} says, or to
 * the hosts of ${mx}, and begin an attempt.
 * rw_end(): Close it; the end of each test. */
void rw_begin(const char *domain, const char *mx);
void rw_end(void);

/* rw_answer(hosts, why): Answer the last search: ${hosts} is "preference host address
 * ttl, ..." of one preference; "": there are none, because of ${why}.  The TLSA
 * records of a host "bogus..." are not known. */
void rw_answer(const char *hosts, enum mx_end why);

/* rw_next(): What is next: an address, "waits" or "end"; valid until the next call.
 * rw_number(): Of the place that is next.
 * rw_fail(): That place is refused. */
const char *rw_next(void);
uint64_t rw_number(void);
void rw_fail(void);

#endif
