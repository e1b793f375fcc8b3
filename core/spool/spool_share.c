/* How much of the disk unfinished messages may use, in all and for each client.
 * Without a bound a body that never ends would take what all others need.  The
 * bounds are parts of the space that is free or that unfinished messages use,
 * so that they suit any disk: one part for the messages of all clients, and
 * half of it for those of one client.  Workers do not know of each other, and a
 * client may have sessions with all of them, so each worker may use an equal
 * part of both.  Only large messages count; the others are in memory, and
 * bounded there. */

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_writer_int.h"

#define ALL_PART	4	/* of the free space and what unfinished messages use */
#define CLIENT_PART	8

static int
compare(const struct spool_client *a, const struct spool_client *b)
{
	return (memcmp(a->key, b->key, sizeof(a->key)));
}

RB_PROTOTYPE(spool_clients, spool_client, entry, compare)
RB_GENERATE(spool_clients, spool_client, entry, compare)

int
spool_share_begin(struct spool_msg *msg)
{
	struct spool_writer *w = msg->w;
	struct spool_client key = { .octets = 0 }, *c;

	if (w->callbacks.client != NULL)
		w->callbacks.client(w->closure, msg->handle, key.key);
	if ((c = RB_FIND(spool_clients, &w->clients, &key)) == NULL) {
		if ((c = malloc(sizeof(*c))) == NULL)
			return (-1);
		*c = key;
		RB_INSERT(spool_clients, &w->clients, c);
	}
	c->nmsgs++;
	msg->client = c;
	return (0);
}

int
spool_share_grow(struct spool_msg *msg)
{
	struct spool_writer *w = msg->w;
	uint64_t more = msg->octets - msg->shared, all;
	unsigned int n = MAX(w->config.nworkers, 1);

	msg->client->octets += more;
	w->shared_octets += more;
	msg->shared = msg->octets;
	all = __atomic_load_n(&w->free_octets, __ATOMIC_RELAXED);
	if (all == UINT64_MAX)
		return (0);	/* not known */
	all += w->shared_octets;
	if (w->shared_octets <= all / ALL_PART / n && (w->callbacks.client ==
	    NULL || msg->client->octets <= all / CLIENT_PART / n))
		return (0);
	errno = ENOSPC;
	return (-1);
}

void
spool_share_end(struct spool_msg *msg)
{
	struct spool_client *c = msg->client;

	if (c == NULL)
		return;
	c->octets -= msg->shared;
	msg->w->shared_octets -= msg->shared;
	msg->client = NULL;
	if (--c->nmsgs > 0)
		return;
	RB_REMOVE(spool_clients, &msg->w->clients, c);
	free(c);
}
