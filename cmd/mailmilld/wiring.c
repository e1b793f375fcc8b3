/* Channels between the children: each worker has one to the queue, the queue
 * one to each deliver process.  The master makes the socketpairs and hands the
 * ends out; it never speaks on them.
 * Owns: who is connected with whom. */

#include "cmd/mailmilld/master.h"

#include <unistd.h>

#include "cmd/mailmilld/spawn.h"

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
wiring_adopt(struct master *m, struct proc *queue)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_WORKER &&
		    p->generation < queue->generation)
			connect_two(p, queue);
}

static void
connect_queue(struct master *m, struct proc *queue)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p != queue && p->generation == queue->generation &&
		    (p->role == ROLE_WORKER || p->role == ROLE_DELIVER))
			connect_two(p, queue);
	/* workers that drain belong to the queue in use; one that is not in
	 * use yet gets them when it is */
	if (queue->generation == m->config.generation)
		wiring_adopt(m, queue);
}

void
wiring_connect(struct master *m, struct proc *p)
{
	struct proc *queue;

	switch (p->role) {
	case ROLE_QUEUE:
		connect_queue(m, p);
		break;
	case ROLE_WORKER:
	case ROLE_DELIVER:
		queue = proc_find(m, ROLE_QUEUE, p->generation);
		if (queue != NULL)
			connect_two(p, queue);
		break;
	default:
		break;
	}
}
