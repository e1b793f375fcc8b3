/* Messages of a mailmill_server, in memory; see mailmill_server.h.
 * Owns: how much memory they take, in the whole process. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spool_msg {
	struct server_session	*session;
	struct server_octets	 octets;
	char			 id[SPOOL_ID_MAX + 1];
};

static _Atomic size_t held;

void
server_octets_free(struct server_octets *o)
{
	atomic_fetch_sub(&held, o->room);
	free(o->v);
	memset(o, 0, sizeof(*o));
}

struct server_octets
server_spool_take(struct server_session *s)
{
	struct server_octets o = s->msg->octets;

	memset(&s->msg->octets, 0, sizeof(s->msg->octets));
	return o;
}

static int
spool_begin(void *spool, uint64_t handle, const struct timeval *,
    struct spool_msg **msg_r)
{
	struct mailmill_server *server = spool;
	struct server_session *s = (void *)(uintptr_t)handle;
	struct spool_msg *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -1;
	m->session = s;
	snprintf(m->id, sizeof(m->id), "%" PRIX64, ++server->nmessages);
	s->msg = m;
	s->is_safe = false;
	*msg_r = m;
	return 0;
}

static const char *
spool_id(const struct spool_msg *m)
{
	return m->id;
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

static int
spool_append(struct spool_msg *m, const char *buf, size_t len)
{
	struct server_octets *o = &m->octets;
	size_t room = o->room == 0 ? 4096 : o->room;

	while (room - o->len < len)
		room *= 2;
	if (room > o->room && grow(o, room) == -1)
		return -1;
	memcpy(o->v + o->len, buf, len);
	o->len += len;
	return 0;
}

static void
spool_abort(struct spool_msg *m)
{
	if (m == NULL)
		return;
	m->session->msg = NULL;
	server_octets_free(&m->octets);
	free(m);
}

/* The program has made it safe before: server_mail.c.  It was not asked if a
 * module in front of the server's has accepted the message. */
static int
spool_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	struct esmtp_host *host = m->session->server->host;

	if (!m->session->is_safe) {
		errno = EIO;
		return -1;
	}
	spool_abort(m);
	return esmtp_answer(host, env->ticket, 0);
}

const struct spool_ops server_spool = {
	.size = sizeof(struct spool_ops),
	.begin = spool_begin,
	.id = spool_id,
	.append = spool_append,
	.commit = spool_commit,
	.abort = spool_abort
};
