/* The servers of the process, and whose a session is; see mailmill_server.h.
 * A module of policy is registered for all sessions, of other hosts, too. */

#include "proto/service/server_int.h"

static LIST_HEAD(, mailmill_server) servers = LIST_HEAD_INITIALIZER(servers);

void
server_add(struct mailmill_server *server)
{
	LIST_INSERT_HEAD(&servers, server, link);
}

void
server_remove(struct mailmill_server *server)
{
	LIST_REMOVE(server, link);
}

struct server_session *
server_session_of(const accept_construct *ac)
{
	const struct mailmill_server *server;

	LIST_FOREACH(server, &servers, link)
		if (server->host == ac->host)
			return (void *)(uintptr_t)ac->handle;
	return NULL;
}
