/* The clients of all servers of the process; see mailmill_server.h.
 * Owns: how many sessions each has, and how much memory its messages and the
 * questions about them take; the sum of that memory. */

#include "proto/service/server_int.h"

#include <sys/tree.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/addr.h"

struct server_client {
	RB_ENTRY(server_client)	 link;
	unsigned char		 network[ADDR_NETWORK];
	enum server_kind	 kind;
	unsigned int		 nsessions;
	size_t			 octets;
};

static int
compare(const struct server_client *a, const struct server_client *b)
{
	int order = memcmp(a->network, b->network, sizeof(a->network));

	return order != 0 ? order : (int)a->kind - (int)b->kind;
}

RB_HEAD(server_clients, server_client);
RB_PROTOTYPE(server_clients, server_client, link, compare)
RB_GENERATE(server_clients, server_client, link, compare)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of what follows */
static struct server_clients clients = RB_INITIALIZER(&clients);
static size_t held;

/* With the lock.  NULL: ENOMEM. */
static struct server_client *
find(const struct sockaddr *peer, enum server_kind kind)
{
	struct server_client key = { .kind = kind }, *c;

	addr_network(peer, key.network);
	if ((c = RB_FIND(server_clients, &clients, &key)) != NULL)
		return c;
	if ((c = malloc(sizeof(*c))) == NULL)
		return NULL;
	*c = key;
	RB_INSERT(server_clients, &clients, c);
	return c;
}

/* With the lock. */
static void
forget_unused(struct server_client *c)
{
	if (c->nsessions > 0 || c->octets > 0)
		return;
	RB_REMOVE(server_clients, &clients, c);
	free(c);
}

struct server_client *
server_client_join(const struct sockaddr *peer, enum server_kind kind,
    int64_t max)
{
	struct server_client *c;

	pthread_mutex_lock(&lock);
	if ((c = find(peer, kind)) == NULL)
		errno = ENOMEM;
	else if (max > 0 && c->nsessions >= max) {
		errno = EUSERS;
		c = NULL;
	} else
		c->nsessions++;
	pthread_mutex_unlock(&lock);
	return c;
}

bool
server_client_is(const struct server_client *c, const struct sockaddr *peer,
    enum server_kind kind)
{
	struct server_client key = { .kind = kind };

	addr_network(peer, key.network);
	return compare(c, &key) == 0;
}

void
server_client_leave(struct server_client *c)
{
	pthread_mutex_lock(&lock);
	c->nsessions--;
	forget_unused(c);
	pthread_mutex_unlock(&lock);
}

int
server_client_take(struct server_client *c, size_t octets, size_t share)
{
	bool has_room;

	/* nobody knows who is behind a local socket */
	if (c->kind == SERVER_LOCAL)
		share = SERVER_HELD;
	pthread_mutex_lock(&lock);
	has_room = c->octets + octets <= share && held + octets <= SERVER_HELD;
	if (has_room) {
		c->octets += octets;
		held += octets;
	}
	pthread_mutex_unlock(&lock);
	if (has_room)
		return 0;
	errno = ENOSPC;
	return -1;
}

void
server_client_give(struct server_client *c, size_t octets)
{
	if (octets == 0)
		return;
	pthread_mutex_lock(&lock);
	c->octets -= octets;
	held -= octets;
	forget_unused(c);
	pthread_mutex_unlock(&lock);
}
