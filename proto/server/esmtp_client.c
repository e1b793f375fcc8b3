/* The clients whose recipients take much memory.
 * Owns: for each of them, how much the recipients of its transactions take.
 * Of what the recipients of all sessions may take, a client has a part: many
 * sessions get it no more than a few.  What each transaction may take anyway,
 * LIM_RCPTS_SHARE, is more than a usual message has: the host looks here only
 * for those that have more, and so few clients are known here. */

#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "proto/server/esmtp_txn.h"

static int
compare(const struct esmtp_client *a, const struct esmtp_client *b)
{
	return memcmp(a->network, b->network, sizeof(a->network));
}

RB_PROTOTYPE(esmtp_clients, esmtp_client, node, compare)
RB_GENERATE(esmtp_clients, esmtp_client, node, compare)

/* Whose sessions are one client's: by the address or the account that it has, or
 * the address that a proxy has named.  Where XCLIENT has named none, by that of
 * whoever has sent it.  NULL: nobody knows, as behind a local socket of a program
 * that does not tell the account, and these are not one. */
static const struct sockaddr *
address_of(const message_construct *mc)
{
	const struct sockaddr *sa = &mc->ac->remote_addr.sa;

	if (!addr_is_known(sa) && mc->told != NULL && mc->told->is_named)
		sa = &mc->told->via.sa;
	return addr_is_known(sa) ? sa : NULL;
}

/* NULL: ENOMEM. */
static struct esmtp_client *
join(struct esmtp_host *host, const struct sockaddr *sa)
{
	struct esmtp_client key, *c;

	addr_network(sa, key.network);
	if ((c = RB_FIND(esmtp_clients, &host->clients, &key)) == NULL) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return NULL;
		memcpy(c->network, key.network, sizeof(c->network));
		RB_INSERT(esmtp_clients, &host->clients, c);
	}
	c->n++;
	return c;
}

bool
esmtp_client_has_room(message_construct *mc)
{
	struct esmtp_host *host = mc->ac->host;
	struct esmtp_rcpts *r = &mc->txn->rcpts;
	const struct sockaddr *sa;

	if (host->client_max == 0)
		return true;
	if (r->client == NULL) {
		if ((sa = address_of(mc)) == NULL)
			return true;
		if ((r->client = join(host, sa)) == NULL)
			return false;
		r->client->octets += esmtp_rcpts_octets(r);
	}
	return r->client->octets < host->client_max;
}

void
esmtp_client_leave(struct esmtp_host *host, struct esmtp_rcpts *r)
{
	struct esmtp_client *c = r->client;

	r->client = NULL;
	if (c == NULL || --c->n > 0)
		return;
	RB_REMOVE(esmtp_clients, &host->clients, c);
	free(c);
}
