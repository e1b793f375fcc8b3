/* The octets of messages, in memory; see mailmill_server.h.
 * Owns: how that memory grows. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OCTETS_FIRST	4096

/* How much more a full room of ${room} octets gets. */
static size_t
step(size_t room)
{
	return room == 0 ? OCTETS_FIRST : room < SERVER_STEP ? room :
	    SERVER_STEP;
}

static int
grow(struct server_octets *o, size_t room, size_t share)
{
	char *v;

	if (server_client_take(o->client, room - o->room, share) == -1)
		return -1;
	if ((v = realloc(o->v, room)) == NULL) {
		server_client_give(o->client, room - o->room);
		errno = ENOMEM;
		return -1;
	}
	o->v = v;
	o->room = room;
	return 0;
}

int
server_octets_add(struct server_octets *o, const char *buf, size_t len,
    size_t share)
{
	size_t room = o->room;

	while (room - o->len < len)
		room += step(room);
	if (room > o->room && grow(o, room, share) == -1)
		return -1;
	memcpy(o->v + o->len, buf, len);
	o->len += len;
	return 0;
}

void
server_octets_trim(struct server_octets *o)
{
	char *v;

	if (o->len == 0 || (v = realloc(o->v, o->len)) == NULL)
		return;
	o->v = v;
	server_client_give(o->client, o->room - o->len);
	o->room = o->len;
}

void
server_octets_free(struct server_octets *o)
{
	free(o->v);
	if (o->client != NULL)
		server_client_give(o->client, o->room);
	memset(o, 0, sizeof(*o));
}
