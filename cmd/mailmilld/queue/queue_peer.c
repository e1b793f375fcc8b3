/* Workers and delivery agents that connect to the queue process.
 * Owns: their channels, what their messages mean to the queue. */

#include "cmd/mailmilld/queue/queue.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"

#define PEERS_MAX	1024

/* Whose processes are the agents of a transport */
static const enum role_id agent_roles[NTRANSPORTS] = {
#define TRANSPORT(id, name, role, max, file) [TRANSPORT_##id] = ROLE_##role,
#define OWN_TRANSPORT(id, name, max) [TRANSPORT_##id] = NROLES,
#include "cmd/settings/transport.def"
#undef TRANSPORT
};

void
queue_peer_free(void *closure)
{
	struct queue_peer *p = closure;
	struct queue_role *r = p->role;

	TAILQ_REMOVE(&r->peers, p, link);
	r->npeers--;
	if (p->is_agent && r->queue != NULL)
		queue_agent_gone(r->queue, p->agent);
	else if (r->queue != NULL && p->is_writer)
		queue_writer_gone(r->queue, p->number);
	queue_copy_close_all(p);
	chanev_free(p->ce);
	if (p->fd != -1)
		close(p->fd);
	free(p);
	r->is_news = true;
}

static void
on_done(void *closure, struct channel_msg *msg)
{
	struct queue_peer *p = closure;
	const struct job_result *done = msg->entries;
	unsigned int i;

	p->role->is_news = true;
	for (i = 0; i < msg->nentries; i++) {
		queue_copy_done(p, done[i].job);
		queue_done(p->role->queue, p->agent, &done[i],
		    scheduler_now());
	}
}

static void
on_error(void *closure, struct channel_msg *msg)
{
	struct queue_peer *p = closure;
	struct job_error je;

	memcpy(&je, msg->base, sizeof(je));
	queue_error(p->role->queue, p->agent, &je);
}

static void
on_committed(void *closure, struct channel_msg *msg)
{
	struct queue_peer *p = closure;
	struct msg_committed mc;

	memcpy(&mc, msg->base, sizeof(mc));
	queue_committed(p->role->queue, p->number, mc.segment,
	    mc.generation, mc.end, mc.is_sealed != 0);
	p->role->is_news = true;
}

static const struct chanev_ops worker_ops = {
	.on = { [Q_COMMITTED] = on_committed, [Q_START] = queue_etrn_on_asked },
	.gone = queue_peer_free
};

static const struct chanev_ops agent_ops = {
	.on = { [D_DONE] = on_done, [D_ERROR] = on_error,
		[Q_TLS] = queue_tls_on_told },
	.gone = queue_peer_free
};

/* The transport that processes of ${role} are agents of; NTRANSPORTS: none */
static unsigned int
transport_of(enum role_id role)
{
	unsigned int t;

	for (t = 0; t < NTRANSPORTS && agent_roles[t] != role; t++)
		continue;
	return t;
}

void
queue_peer_open(struct queue_peer *p)
{
	struct queue_role *r = p->role;
	unsigned int transport = transport_of(p->who.role);
	int fd = p->fd;

	if (transport < NTRANSPORTS) {
		if (queue_agent_add(r->queue, queue_transport_of(transport,
		    p->who.slot - 1), &p->agent) == -1)
			goto err1;
		p->is_agent = true;
		p->has_copies = transport != TRANSPORT_MAILDIR;
		queue_tls_open(p);
	} else {
		p->number = spool_number(p->who.instance);
		queue_writer_add(r->queue, p->number);
		queue_held_slot(r->queue, p->number, p->who.slot);
		p->is_writer = true;
		queue_etrn_open(p);
	}
	p->fd = -1;
	p->ce = chanev_open(fd, ROLE_QUEUE, p->who.role,
	    p->is_agent ? &agent_ops : &worker_ops, p);
	chanev_name(p->ce, p->who.slot, p->who.instance);
	if (p->ce != NULL) {
		if (p->is_writer)
			queue_held_tell_all(p);
		r->is_news = true;
		return;
	}
err1:
	log_err("queue-connect", "peer=%s slot=%u",
	    role_name(p->who.role), p->who.slot);
	queue_peer_free(p);
}

void
queue_peer_add(void *closure, const struct msg_peer *who, int fd)
{
	struct queue_role *r = closure;
	struct queue_peer *p, *next;

	TAILQ_FOREACH_SAFE (p, &r->peers, link, next)
		if (p->who.role == who->role &&
		    p->who.instance == who->instance)
			queue_peer_free(p);
	if (r->npeers == PEERS_MAX || (p = calloc(1, sizeof(*p))) == NULL) {
		log_errx("queue-connect", "slot=%u", who->slot);
		close(fd);
		return;
	}
	p->role = r;
	p->who = *who;
	p->fd = fd;
	LIST_INIT(&p->copies);
	STAILQ_INIT(&p->unread);
	TAILQ_INSERT_TAIL(&r->peers, p, link);
	r->npeers++;
	if (r->queue != NULL)
		queue_peer_open(p);
}
