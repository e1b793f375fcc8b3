/* A resolver that the test is, at the other end of a channel. */

#ifndef TEST_UNIT_CMD_MAILMILLD_LOOKUP_FAKE_RESOLVER_H
#define TEST_UNIT_CMD_MAILMILLD_LOOKUP_FAKE_RESOLVER_H

#include "cmd/mailmilld/lookup/lookup.h"
#include "core/process/channel.h"

struct fake_question {
	uint64_t	 ask;
	enum lookup_type type;
	char		 name[LIM_DOMAIN + 1];
};

/* fake_resolver_open(asker, fd_r): Its end of a channel to a process of that role, whose
 * end is *${fd_r}, for the peer fake_resolver_who.
 * fake_resolver_connect(lookup, asker): The same, given to ${lookup}.
 * fake_resolver_hear(resolver, q_r): The next question; return false: there is none.
 * fake_resolver_say(resolver, ask, status, flags, octets, len): The answer, with these
 * records.
 * fake_resolver_address(octets, len, text): One record, of that address and port;
 * return its octets. */
extern const struct msg_peer fake_resolver_who;
struct channel *fake_resolver_open(enum role_id asker, int *fd_r);
struct channel *fake_resolver_connect(struct lookup *lookup,
    enum role_id asker);
bool fake_resolver_hear(struct channel *resolver, struct fake_question *q_r);
void fake_resolver_say(struct channel *resolver, uint64_t ask,
    enum lookup_status status, uint32_t flags, const uint8_t *octets,
    size_t len);
size_t fake_resolver_address(uint8_t *octets, size_t len, const char *text);

#endif
