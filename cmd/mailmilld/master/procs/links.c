/* Channels between the children, as role_asks() says.  The master makes the
 * socketpairs and hands the ends out; it sends and reads nothing on them.
 * Owns: which process is connected with which. */

#include "cmd/mailmilld/master/procs/procs.h"

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/util/fileio.h"

/* Tell ${p} of ${other}, and authd of the sessions of a worker.  takes ${fd}. */
static int
send_peer(struct proc *p, const struct proc *other, int fd)
{
	struct msg_peer peer = { .role = other->role, .slot = other->slot,
		.instance = other->instance };

	/* it is there when the worker asks the first time */
	if (p->role == ROLE_AUTHD && other->book != NULL &&
	    proc_send_fd(p, M_VOUCH, &peer, book_vouch_fd(other->book)) == -1) {
		fileio_close(fd);
		return -1;
	}
	return proc_send_fd(p, M_PEER, &peer, fd);
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
	/* a process that is about to die has a successor, which is connected
	 * when it starts */
	if (failed)
		log_warn("process-connect", "role=%s slot=%u peer=%s",
		    role_name(a->role), a->slot, role_name(b->role));
}

static bool
asks(const struct proc *a, const struct proc *b, const struct settings *s)
{
	return role_asks(s, a->role, a->slot, b->role, b->slot);
}

static void
adopt(struct master *m, struct proc *p)
{
	struct proc *o;

	TAILQ_FOREACH(o, &m->procs, link)
		if (o->generation < p->generation &&
		    asks(o, p, m->config.settings))
			connect_two(o, p);
}

void
links_adopt(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (role_of(p->role)->is_replaced &&
		    p->generation == m->config.generation)
			adopt(m, p);
}

void
links_connect(struct master *m, struct proc *p, const struct settings *s)
{
	struct proc *o;

	TAILQ_FOREACH(o, &m->procs, link) {
		if (o == p || o->generation != p->generation ||
		    (o->state == PROC_DRAINING &&
		    !role_of(o->role)->has_clients))
			continue;
		if (asks(o, p, s) || asks(p, o, s))
			connect_two(o, p);
	}
	/* workers that drain belong to the queue in use; a queue that is not
	 * in use yet gets them when it is */
	if (role_of(p->role)->is_replaced &&
	    p->generation == m->config.generation)
		adopt(m, p);
}
