/* Channels between the children: each worker has one to the queue, to the keyd
 * that signs for it and to authd; the queue has one to each deliver process.
 * The master makes the socketpairs and hands the
 * ends out; it never speaks on them.
 * Owns: who is connected with whom. */

#include "cmd/mailmilld/master/master.h"

#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"

/* Tell ${p} of ${other}; takes ${fd}. */
static int
send_peer(struct proc *p, const struct proc *other, int fd)
{
	struct msg_peer peer = { .role = other->role, .slot = other->slot,
		.instance = other->instance };

	if (chanev_send(p->ce, M_PEER, &peer, NULL, 0, fd) == 0)
		return 0;
	close(fd);
	return -1;
}

static void
connect_two(struct proc *a, struct proc *b)
{
	int fds[2], failed;

	if (a->ce == NULL || b->ce == NULL)
		return;
	if (channel_pair(fds) == -1) {
		failed = 1;
	} else {
		failed = send_peer(a, b, fds[0]) == -1;
		failed |= send_peer(b, a, fds[1]) == -1;
	}
	/* one that is about to die is connected again when it is back */
	if (failed)
		log_warn("process-connect", "role=%s slot=%u peer=%s",
		    role_name(a->role), a->slot, role_name(b->role));
}

void
links_adopt(struct master *m, struct proc *queue)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_WORKER &&
		    p->generation < queue->generation)
			connect_two(p, queue);
}

/* Who speaks with whom. */
static const struct {
	enum role_id	a, b;
} links[] = {
	{ ROLE_WORKER,	ROLE_QUEUE },
	{ ROLE_QUEUE,	ROLE_DELIVER },
	{ ROLE_WORKER,	ROLE_KEYD },	/* one of them: role_keyd_slot() */
	{ ROLE_WORKER,	ROLE_AUTHD },
};

static bool
speaks_first(const struct proc *a, const struct proc *b,
    const struct settings *s)
{
	size_t i;

	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].a == a->role && links[i].b == b->role)
			return b->role != ROLE_KEYD ||
			    role_keyd_slot(s, a->slot) == b->slot;
	return false;
}

void
links_connect(struct master *m, struct proc *p, const struct settings *s)
{
	struct proc *o;

	TAILQ_FOREACH(o, &m->procs, link) {
		if (o == p || o->generation != p->generation ||
		    (o->state == PROC_DRAINING && o->role != ROLE_WORKER))
			continue;
		if (speaks_first(o, p, s) || speaks_first(p, o, s))
			connect_two(o, p);
	}
	/* workers that drain belong to the queue in use; one that is not in
	 * use yet gets them when it is */
	if (p->role == ROLE_QUEUE && p->generation == m->config.generation)
		links_adopt(m, p);
}
