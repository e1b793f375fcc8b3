/* Telling workers how much logins may still have held.
 * Owns: that each worker hears of every change: one whose channel was full is
 * told of all again, as soon as it has read what was sent before.
 * Knows nothing of how much that is: core/queue/queue_held.c does. */

#include "cmd/mailmilld/queue/queue.h"

#include <errno.h>
#include <string.h>

#include "core/lim.h"

static void
tell(struct queue_peer *p, const char *login, const struct msg_held *mh)
{
	/* EPIPE: it is gone */
	if (chanev_send(p->ce, Q_HELD, mh, login,
	    (unsigned int)strnlen(login, LIM_LOGIN), -1) == 0 || errno == EPIPE)
		return;
	p->is_held_lost = p->role->is_held_lost = true;
}

static void
tell_of(struct queue_peer *p, const char *login)
{
	const struct queue *q = p->role->queue;
	struct msg_held mh = { .left = queue_held_left(q, login, p->number) };

	mh.came = queue_held_came(q, login, p->number, &mh.held);
	tell(p, login, &mh);
}

void
queue_held_tell(void *closure, const char *login)
{
	struct queue_role *r = closure;
	struct queue_peer *p;

	/* not yet, when the queue is being opened: each is told of all then */
	if (r->queue == NULL)
		return;
	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_writer && p->ce != NULL && !p->is_held_lost)
			tell_of(p, login);
}

void
queue_held_tell_all(struct queue_peer *p)
{
	const struct msg_held none = { .left = 0 };
	const char *login = NULL;

	p->is_held_lost = false;
	tell(p, "", &none);
	while (!p->is_held_lost &&
	    (login = queue_held_login(p->role->queue, login)) != NULL)
		tell_of(p, login);
}

void
queue_held_tell_again(struct queue_role *r)
{
	struct queue_peer *p;

	if (!r->is_held_lost)
		return;
	r->is_held_lost = false;
	TAILQ_FOREACH (p, &r->peers, link) {
		if (!p->is_held_lost)
			continue;
		if (chanev_is_behind(p->ce))
			r->is_held_lost = true;
		else
			queue_held_tell_all(p);
	}
}
