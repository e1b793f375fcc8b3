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

/* A client; or a larger IPv6 network, for what all clients in it have. */
struct server_client {
	RB_ENTRY(server_client)	 link;
	struct server_client	*outer;		/* the next larger; NULL: none */
	unsigned char		 network[ADDR_NETWORK];
	unsigned int		 octets_of_network; /* 0: of a client */
	enum server_kind	 kind;
	unsigned int		 nsessions;
	size_t			 octets;
};

/* A site has 2^16 networks of 64 bits (RFC 6177 2), a provider 2^16 sites. */
static const unsigned int larger[] = { 6, 4 };
#define NLARGER	(sizeof(larger) / sizeof(larger[0]))

static int
compare(const struct server_client *a, const struct server_client *b)
{
	int order = memcmp(a->network, b->network, sizeof(a->network));

	if (order == 0)
		order = (int)a->octets_of_network - (int)b->octets_of_network;
	return order != 0 ? order : (int)a->kind - (int)b->kind;
}

RB_HEAD(server_clients, server_client);
RB_PROTOTYPE(server_clients, server_client, link, compare)
RB_GENERATE(server_clients, server_client, link, compare)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of what follows */
static struct server_clients clients = RB_INITIALIZER(&clients);
static size_t held;

/* In what addr_network() has made. */
static bool
is_ipv4(const unsigned char network[ADDR_NETWORK])
{
	static const unsigned char none[8];

	return memcmp(network + 8, none, 8) != 0;
}

/* With the lock: of ${c}, and of the networks that it is in. */
static void
forget_unused(struct server_client *c)
{
	struct server_client *outer;

	for (; c != NULL && c->nsessions == 0 && c->octets == 0; c = outer) {
		outer = c->outer;
		RB_REMOVE(server_clients, &clients, c);
		free(c);
	}
}

/* With the lock.  NULL: ENOMEM. */
static struct server_client *
find_one(const struct server_client *key)
{
	struct server_client *c = RB_FIND(server_clients, &clients,
	    (struct server_client *)(uintptr_t)key);

	if (c != NULL || (c = malloc(sizeof(*c))) == NULL)
		return c;
	*c = *key;
	RB_INSERT(server_clients, &clients, c);
	return c;
}

/* With the lock.  NULL: ENOMEM. */
static struct server_client *
find(const struct sockaddr *peer, enum server_kind kind)
{
	struct server_client key = { .kind = kind }, *c, *inner;
	size_t i;

	addr_network(peer, key.network);
	c = inner = find_one(&key);
	if (is_ipv4(key.network) || kind == SERVER_LOCAL)
		return c;
	for (i = 0; i < NLARGER && inner != NULL && inner->outer == NULL; i++) {
		key.octets_of_network = larger[i];
		memset(key.network + larger[i], 0, ADDR_NETWORK - larger[i]);
		inner->outer = find_one(&key);
		inner = inner->outer;
	}
	if (inner != NULL)
		return c;
	forget_unused(c);
	return NULL;
}

static void
count_session(struct server_client *c, int n)
{
	for (; c != NULL; c = c->outer)
		c->nsessions += (unsigned int)n;
}

static void
count_octets(struct server_client *c, size_t octets)
{
	for (; c != NULL; c = c->outer)
		c->octets += octets;
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
		count_session(c, 1);
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
	count_session(c, -1);
	forget_unused(c);
	pthread_mutex_unlock(&lock);
}

/* With the lock.  May ${c} have ${octets} more?  A site may have as much as one
 * client, and a provider half of all memory, or as much as one client if that
 * is more.  So somebody who has many networks cannot take the room of
 * others. */
static bool
has_room_for(const struct server_client *c, size_t octets, size_t share)
{
	if (held + octets > SERVER_HELD)
		return false;
	for (; c != NULL; c = c->outer) {
		if (c->octets_of_network == larger[NLARGER - 1] &&
		    share < SERVER_HELD / 2)
			share = SERVER_HELD / 2;
		if (c->octets + octets > share)
			return false;
	}
	return true;
}

int
server_client_take(struct server_client *c, size_t octets, size_t share)
{
	bool has_room;

	/* the clients of a local socket cannot be told apart */
	if (c->kind == SERVER_LOCAL)
		share = SERVER_HELD;
	pthread_mutex_lock(&lock);
	has_room = has_room_for(c, octets, share);
	if (has_room) {
		count_octets(c, octets);
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
	count_octets(c, -octets);
	held -= octets;
	forget_unused(c);
	pthread_mutex_unlock(&lock);
}

void
server_client_freeze(void)
{
	pthread_mutex_lock(&lock);
}

void
server_client_thaw(bool is_child)
{
	if (is_child) {
		RB_INIT(&clients);
		held = 0;
	}
	pthread_mutex_unlock(&lock);
}
