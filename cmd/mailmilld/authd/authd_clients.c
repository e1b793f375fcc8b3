/* The clients of a worker's exchanges.
 * Owns: struct authd_client, which exchange makes room for another.
 *
 * An exchange that waits for its client holds a place for minutes, and clients
 * can begin many of them.  So a client has a share of the places, and where all
 * are taken, the one that has most gives one up: nobody can keep others from
 * logging in. */

#include "cmd/mailmilld/authd/authd_int.h"

#include <stdlib.h>
#include <string.h>

static int
client_cmp(const struct authd_client *a, const struct authd_client *b)
{
	return memcmp(a->key, b->key, sizeof(a->key));
}

RB_PROTOTYPE(authd_clients, authd_client, node, client_cmp)
RB_GENERATE(authd_clients, authd_client, node, client_cmp)

struct authd_client *
authd_client_join(struct authd_worker *w, const struct sockaddr *peer)
{
	struct authd_client *c, wanted;

	addr_network(peer, wanted.key);
	if ((c = RB_FIND(authd_clients, &w->clients, &wanted)) == NULL) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return NULL;
		memcpy(c->key, wanted.key, sizeof(c->key));
		TAILQ_INIT(&c->resting);
		RB_INSERT(authd_clients, &w->clients, c);
	}
	c->n++;
	return c;
}

void
authd_client_leave(struct authd_worker *w, struct authd_client *c)
{
	if (--c->n > 0)
		return;
	RB_REMOVE(authd_clients, &w->clients, c);
	free(c);
}

/* Does ${a} have to give way rather than ${b}? */
static bool
is_greedier(const struct authd_client *a, const struct authd_client *b)
{
	if (a->n != b->n)
		return a->n > b->n;
	return TAILQ_FIRST(&a->resting)->since_ms <
	    TAILQ_FIRST(&b->resting)->since_ms;
}

struct authd_exchange *
authd_clients_oldest(struct authd_worker *w)
{
	struct authd_client *c, *most = NULL;

	RB_FOREACH(c, authd_clients, &w->clients)
		if (!TAILQ_EMPTY(&c->resting) &&
		    (most == NULL || is_greedier(c, most)))
			most = c;
	return most != NULL ? TAILQ_FIRST(&most->resting)->exchange : NULL;
}
