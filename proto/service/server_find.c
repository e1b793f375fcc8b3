/* Whose a session is; see mailmill_server.h.
 * A module of policy is registered for all sessions: for those of other hosts,
 * and for those of servers in other threads, too. */

#include "proto/service/server_int.h"

struct server_session *
server_session_of(const accept_construct *ac)
{
	return ac->inst != NULL && ac->inst->def->servercode == server_step ?
	    (void *)(uintptr_t)ac->handle : NULL;
}
