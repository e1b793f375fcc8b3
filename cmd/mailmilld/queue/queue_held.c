/* Telling workers which logins have more held than they may.
 * Knows nothing of how much that is: core/queue/queue_held.c does. */

#include "cmd/mailmilld/queue/queue.h"

#include <string.h>

#include "core/lim.h"

static void
tell(const struct queue_peer *p, const char *login, bool is_full)
{
	const struct msg_full mf = { .is_full = is_full };

	(void)chanev_send(p->ce, Q_FULL, &mf, login,
	    (unsigned int)strnlen(login, LIM_LOGIN), -1);
}

void
queue_held_tell(void *closure, const char *login, bool is_full)
{
	const struct queue_role *r = closure;
	const struct queue_peer *p;

	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_writer && p->ce != NULL)
			tell(p, login, is_full);
}

void
queue_held_tell_all(const struct queue_peer *p)
{
	const char *login;
	size_t i;

	tell(p, "", false);
	for (i = 0; (login = queue_full(p->role->queue, i)) != NULL; i++)
		tell(p, login, true);
}
