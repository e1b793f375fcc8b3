/* Messages of a mailmill_server, in memory; see mailmill_server.h.
 * Owns: a message from DATA to its commit, in which the program makes it safe:
 * behind everything that could refuse it. */

#include "proto/service/server_int.h"

#include <stdlib.h>

struct spool_msg {
	struct server_session	*session;
	struct server_octets	 octets;
};

static int
spool_begin(void *, uint64_t handle, const struct timeval *,
    struct spool_msg **msg_r)
{
	struct spool_msg *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -1;
	m->session = (void *)(uintptr_t)handle;
	m->octets.client = m->session->client;
	*msg_r = m;
	return 0;
}

static int
spool_append(struct spool_msg *m, const char *buf, size_t len)
{
	return server_octets_add(&m->octets, buf, len,
	    m->session->server->share);
}

static void
spool_abort(struct spool_msg *m)
{
	if (m == NULL)
		return;
	server_octets_free(&m->octets);
	free(m);
}

static int
spool_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	if (server_mail_commit(m->session, &m->octets, env) == -1)
		return -1;
	free(m);
	return 0;
}

const struct spool_ops server_spool = {
	.size = sizeof(struct spool_ops),
	.begin = spool_begin,
	.append = spool_append,
	.commit = spool_commit,
	.abort = spool_abort
};
