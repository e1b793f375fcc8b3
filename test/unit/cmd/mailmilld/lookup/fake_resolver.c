/* A resolver that the test is; see fake_resolver.h. */

#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct msg_peer fake_resolver_who = { .role = ROLE_RESOLVER, .slot = 1,
	.instance = 1 };

struct channel *
fake_resolver_open(enum role_id asker, int *fd_r)
{
	struct channel *resolver;
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	resolver = channel_open(fds[0], msg_rows, NMSGS, ROLE_RESOLVER, asker);
	cr_assert_not_null(resolver);
	*fd_r = fds[1];
	return resolver;
}

struct channel *
fake_resolver_connect(struct lookup *lookup, enum role_id asker)
{
	int fd;
	struct channel *resolver = fake_resolver_open(asker, &fd);

	cr_assert_eq(lookup_peer(lookup, &fake_resolver_who, fd), 0);
	return resolver;
}

bool
fake_resolver_hear(struct channel *resolver, struct fake_question *q_r)
{
	struct channel_msg msg;
	struct msg_lookup base;
	int rc;

	/* those that are cancelled get no answer, and may get one */
	while ((rc = channel_recv(resolver, &msg)) == 1 && msg.type != N_ASK)
		;
	if (rc != 1) {
		cr_assert(rc == 0 || errno == EAGAIN);
		return false;
	}
	memcpy(&base, msg.base, sizeof(base));
	q_r->ask = base.ask;
	q_r->type = base.type;
	snprintf(q_r->name, sizeof(q_r->name), "%.*s", (int)msg.nentries,
	    (const char *)msg.entries);
	return true;
}

void
fake_resolver_say(struct channel *resolver, uint64_t ask,
    enum lookup_status status, uint32_t flags, const uint8_t *octets,
    size_t len)
{
	const struct msg_looked_up base = { .ask = ask, .status = status,
		.flags = flags, .ttl_s = 60 };

	cr_assert_eq(channel_send(resolver, N_ANSWER, &base, octets,
	    (unsigned int)len, -1), 0);
}

size_t
fake_resolver_address(uint8_t *octets, size_t len, const char *text)
{
	struct lookup_record r = { .type = LOOKUP_R_ADDRESS };
	size_t at = 0;

	cr_assert_eq(addr_parse(text, &r.addr), 0);
	/* that of a record is 0 */
	r.addr.in.sin_port = 0;
	cr_assert_eq(lookup_record_put(octets, len, &at, &r), 0);
	return at;
}
