/* The octets of messages, in memory; see mailmill_server.h.
 * Owns: how much memory they take, in the whole process. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic size_t held;

void
server_octets_free(struct server_octets *o)
{
	atomic_fetch_sub(&held, o->room);
	free(o->v);
	memset(o, 0, sizeof(*o));
}

static int
grow(struct server_octets *o, size_t room)
{
	char *v;

	if (atomic_fetch_add(&held, room - o->room) + (room - o->room) >
	    SERVER_HELD) {
		errno = ENOSPC;
		goto err0;
	}
	if ((v = realloc(o->v, room)) == NULL)
		goto err0;
	o->v = v;
	o->room = room;
	return 0;
err0:
	atomic_fetch_sub(&held, room - o->room);
	return -1;
}

int
server_octets_add(struct server_octets *o, const char *buf, size_t len)
{
	size_t room = o->room == 0 ? 4096 : o->room;

	while (room - o->len < len)
		room *= 2;
	if (room > o->room && grow(o, room) == -1)
		return -1;
	memcpy(o->v + o->len, buf, len);
	o->len += len;
	return 0;
}
