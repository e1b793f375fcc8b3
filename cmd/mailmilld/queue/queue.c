/* The role queue: the process that owns the spool.
 * Owns: the channels to workers and delivery agents, the pace of the passes.
 * Knows nothing of segments and messages: core/queue/queue.c does.  Connections of
 * mailmillctl: queue_ctl.c. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/queue/expand.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/settings/route.h"
#include "cmd/settings/route_alias.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/queue/queue_spool.h"
#include "core/spool/spool_id.h"
#include "core/util/monotonic.h"

#define PACE_MS		5	/* between passes while agents are at work, so that messages gather */
#define JITTER_PERCENT	10	/* of an interval between attempts */
#define PEERS_MAX	1024
#define WINDOW_EACH	5	/* messages at an agent, at most, for each connection that it may have */

static const enum role_id agent_roles[NTRANSPORTS] = {
#define TRANSPORT(id, name, role, max, file) [TRANSPORT_##id] = ROLE_##role,
#include "cmd/settings/transport.def"
#undef TRANSPORT
};

/* Programs with different accounts have different agents, which is what the queue
 * calls different transports: that of the first account has the number of its row,
 * those of the others follow the rows. */
#define NQUEUE_TRANSPORTS	(NTRANSPORTS + SETTINGS_PIPE_ACCOUNTS_MAX - 1)

_Static_assert(NQUEUE_TRANSPORTS <= QUEUE_TRANSPORTS_MAX, "a transport too many");
static struct queue_transport transports[NQUEUE_TRANSPORTS] = {
#define TRANSPORT(id, n, role, max, f) \
	[TRANSPORT_##id] = { .name = n, .max_jobs = max, .file = f },
#include "cmd/settings/transport.def"
#undef TRANSPORT
};

_Static_assert(MAILDIR_NAME_MAX <= QUEUE_FILE_MAX, "a file's name is longer");

static void set_timer(struct queue_role *r, uint64_t due_ms);

/* --- agents --------------------------------------------------------------- */

static struct queue_peer *
find_agent(struct queue_role *r, unsigned int agent)
{
	struct queue_peer *p;

	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_agent && p->agent == agent)
			return p;
	return NULL;
}

static int
op_source(void *closure, unsigned int agent, uint64_t source, int fd,
    bool is_shared)
{
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_source ms = { .source = source };

	if (p == NULL)
		return -1;
	is_shared = is_shared && p->has_copies;
	if ((fd = is_shared ? queue_copy_open(p, source, fd) :
	    fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	if (chanev_send(p->ce, D_SOURCE, &ms, NULL, 0, fd) == 0)
		return 0;
	close(fd);
	if (is_shared)
		queue_copy_close(p, source);
	return -1;
}

static void
op_forget(void *closure, unsigned int agent, uint64_t source)
{
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_source ms = { .source = source };

	if (p == NULL)
		return;
	queue_copy_close(p, source);
	(void)chanev_send(p->ce, D_FORGET, &ms, NULL, 0, -1);
}

static int
op_jobs(void *closure, unsigned int agent, const struct job *jobs,
    unsigned int n)
{
	static struct job v[JOBS_AT_ONCE];
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_empty empty = { 0 };

	if (p == NULL)
		return -1;
	if (!p->has_copies)
		return chanev_send(p->ce, D_JOBS, &empty, jobs, n, -1);
	memcpy(v, jobs, n * sizeof(*jobs));
	if (queue_copy_jobs(p, v, &n) == -1)
		return -1;
	/* to be told in the next pass */
	p->role->is_news |= !STAILQ_EMPTY(&p->unread);
	return n == 0 ? 0 : chanev_send(p->ce, D_JOBS, &empty, v, n, -1);
}

/* ${account}: an index of pipe_accounts, for TRANSPORT_PIPE alone */
static unsigned int
queue_transport_of(enum transport transport, unsigned int account)
{
	return transport != TRANSPORT_PIPE || account == 0 ?
	    (unsigned int)transport : NTRANSPORTS + account - 1;
}

static int
op_route(void *closure, const char *rcpt, struct queue_route *route_r,
    char *text_r)
{
	struct queue_role *r = closure;
	struct route route;

	if (route_deliver(r->child->settings, rcpt, &route, text_r) == -1)
		return -1;
	route_r->transport = queue_transport_of(route.transport,
	    route.domain->pipe_account);
	/* Maildirs are on one disk, or on a few: one that fails says nothing
	 * about the others */
	if (route.transport == TRANSPORT_MAILDIR)
		return 0;
	if (route.transport == TRANSPORT_PIPE) {
		/* a program that is slow, or missing, is so for its section */
		strlcpy(route_r->target, route.domain->name,
		    sizeof(route_r->target));
		route_r->window_first =
		    (unsigned int)route.domain->pipe_processes;
		route_r->window_max = WINDOW_EACH * route_r->window_first;
		return 0;
	}
	strlcpy(route_r->target, route.target, sizeof(route_r->target));
	route_r->window_first = (unsigned int)route.domain->initial_concurrency;
	/* a connection has its next message at hand */
	route_r->window_max = WINDOW_EACH *
	    (unsigned int)route.domain->max_connections;
	route_r->max_rate = (unsigned int)route.domain->max_rate;
	return 0;
}

static int
op_is_alias(void *closure, const char *rcpt)
{
	struct queue_role *r = closure;
	struct route_alias_found found;

	switch (route_alias(r->child->settings, rcpt,
	    scheduler_now()->tv_sec, &found)) {
	case ROUTE_ALIAS_NONE:
		return 0;
	case ROUTE_ALIAS_LATER:
		return -1;
	default:
		return 1;	/* also what is to be refused: expand() says why */
	}
}

static int
op_expand(void *closure, struct queue_expansion *x)
{
	struct queue_role *r = closure;

	return expand(r->child->settings, x);
}

static const struct queue_ops queue_ops = {
	.route = op_route,
	.is_alias = op_is_alias,
	.expand = op_expand,
	.expand_free = expand_free,
	.source = op_source,
	.forget = op_forget,
	.jobs = op_jobs,
	.held = queue_held_tell,
	.report = queue_dsn
};

/* --- what the peers say --------------------------------------------------- */

static void
peer_free(void *closure)
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
	for (i = 0; i < msg->nentries; i++)
		queue_done(p->role->queue, p->agent, &done[i],
		    scheduler_now());
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
	.gone = peer_free
};

static const struct chanev_ops agent_ops = {
	.on = { [D_DONE] = on_done, [D_ERROR] = on_error },
	.gone = peer_free
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

/* Begin to read from ${p}.  Only when the queue is open: until then messages
 * wait in the channel. */
static void
peer_open(struct queue_peer *p)
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
	peer_free(p);
}

static void
on_peer(void *closure, const struct msg_peer *who, int fd)
{
	struct queue_role *r = closure;
	struct queue_peer *p, *next;

	TAILQ_FOREACH_SAFE (p, &r->peers, link, next)
		if (p->who.role == who->role &&
		    p->who.instance == who->instance)
			peer_free(p);
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
		peer_open(p);
}

/* --- the spool ------------------------------------------------------------ */

/* Lock and open.  Return 0; 1: try again later; or -1 having logged why. */
static int
try_open(struct queue_role *r)
{
	const struct settings *s = r->child->settings;
	struct queue_config config = {
		.store = &queue_spool_ops,
		.folder = r->folder,
		.queue_dirfd = r->folder_fd,
		.incoming_dirfd = r->incoming_fd,
		.retry_s = s->retry_interval,
		.max_retry_s = s->max_retry_interval,
		.jitter_percent = JITTER_PERCENT,
		.lifetime_s = s->queue_lifetime,
		.bounce_lifetime_s = s->bounce_lifetime,
		.warning_s = s->delay_warning,
		.return_octets = (uint64_t)s->bounce_size_limit,
		.double_bounce = s->double_bounce_recipient,
		.held_octets = (uint64_t)s->held_quota,
		.held_share = settings_held_share(s),
		.has_priorities = settings_is_named(s, "MT-PRIORITY"),
		.is_synced = s->spool_sync != SPOOL_SYNC_NONE,
		.transports = transports,
		.ntransports = NQUEUE_TRANSPORTS,
	};
	unsigned int t;
	int rc;

	for (t = NTRANSPORTS; t < NQUEUE_TRANSPORTS; t++)
		transports[t] = transports[TRANSPORT_PIPE];

	if ((rc = queue_lock_take(r)) != 0)
		return rc;
	r->queue = queue_open(&config, &queue_ops, r, scheduler_now(),
	    (int64_t)monotonic_ms());
	if (r->queue != NULL)
		return 0;
	log_err("queue-open", "folder=%s", r->folder);
	return -1;
}

/* Open the spool, or see to it that this is tried again.  Return 0, or -1 having
 * logged why. */
static int
open_queue(struct queue_role *r)
{
	struct queue_peer *p, *next;
	int rc = try_open(r);

	if (rc == 1)
		set_timer(r, monotonic_ms() + QUEUE_LOCK_MS);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	log_event(LOG_LEVEL_INFO, "queue-open", "folder=%s", r->folder);
	TAILQ_FOREACH_SAFE (p, &r->peers, link, next)
		peer_open(p);
	r->is_news = true;
	if (r->waited_ms > 0) {
		child_trouble(r->child, "");
		child_ready(r->child);
	}
	return 0;
}

/* --- pace ----------------------------------------------------------------- */

static void
exit_if_done(struct queue_role *r)
{
	if (!r->child->is_draining)
		return;
	if (r->queue == NULL || queue_in_flight(r->queue) == 0 ||
	    monotonic_ms() >= r->drain_ms)
		child_exit(r->child);
}

static void
pass(struct queue_role *r)
{
	struct queue_peer *p;
	uint64_t now;
	int due;

	r->is_news = false;
	TAILQ_FOREACH (p, &r->peers, link)
		queue_copy_tell(p, scheduler_now());
	due = queue_pass(r->queue, scheduler_now(),
	    (int64_t)monotonic_ms());
	now = monotonic_ms();
	r->passed_ms = now;
	exit_if_done(r);
	if (r->child->is_draining && due > QUEUE_LOCK_MS)
		due = QUEUE_LOCK_MS;
	set_timer(r, now + (uint64_t)due);
}

/* The master starts another, which tries again. */
static void
fail(struct queue_role *r)
{
	char text[LOG_ERROR_MAX];

	child_trouble(r->child, log_last_error(text, sizeof(text)));
	r->has_failed = true;
	child_exit(r->child);
}

static void
on_timer(void *closure)
{
	struct queue_role *r = closure;

	r->timer = NULL;
	r->due_ms = 0;
	if (r->queue != NULL)
		pass(r);
	else if (!r->child->is_draining && open_queue(r) == -1)
		fail(r);
}

static void
set_timer(struct queue_role *r, uint64_t due_ms)
{
	uint64_t now;

	if (r->due_ms == due_ms)
		return;
	after_cancel(&r->timer);
	now = monotonic_ms();
	r->due_ms = due_ms;
	r->timer = after_ms(due_ms > now ? (unsigned int)(due_ms - now) : 0,
	    on_timer, r);
	if (r->timer == NULL) {
		log_err("queue-timer", "effect=%s",
		    "ending, to be started again");
		child_exit(r->child);
	}
}

/* If something has changed, begin a pass of the queue, at once when the agents
 * have nothing to do, else PACE_MS after the last one. */
static void
pass_if_news(struct queue_role *r)
{
	uint64_t ms;

	if (!r->is_news)
		return;
	ms = monotonic_ms();
	if (queue_in_flight(r->queue) == 0 || ms >= r->passed_ms + PACE_MS ||
	    r->child->is_draining)
		pass(r);
	else if (r->due_ms == 0 || r->due_ms > r->passed_ms + PACE_MS)
		set_timer(r, r->passed_ms + PACE_MS);
}

/* At the end of each pass of the loop. */
static int
end_of_pass(void *closure, struct timeval *)
{
	struct queue_role *r = closure;

	queue_held_tell_again(r);
	if (r->queue == NULL)
		return 0;
	pass_if_news(r);
	queue_etrn_tell(r);
	return 0;
}

/* --- the master ----------------------------------------------------------- */

static void
on_control(void *closure, struct channel_msg *msg)
{
	queue_ctl_begin(closure, msg->fd, msg->entries, msg->nentries);
	msg->fd = -1;
}

static void
on_drain(void *closure)
{
	struct queue_role *r = closure;
	struct msg_empty empty = { 0 };
	struct queue_peer *p;

	r->drain_ms = monotonic_ms() + r->child->drain_ms;
	if (r->queue != NULL)
		queue_stop(r->queue);
	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_agent)
			(void)chanev_send(p->ce, D_STOP, &empty, NULL, 0, -1);
	r->is_news = true;
	exit_if_done(r);
}

static const struct child_ops child_ops = {
	.on = { [M_CONTROL] = on_control },
	.peer = on_peer,
	.drain = on_drain
};

/* What agents have said by now counts, read or not: a message whose result is
 * lost is given out again, and another server gets it twice. */
static void
finish_agents(struct queue_role *r)
{
	struct queue_peer *p;

	if (r->queue == NULL)
		return;
	queue_stop(r->queue);
	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_agent) {
			chanev_finish(p->ce);
			p->ce = NULL;
		}
	if (r->is_news)
		(void)queue_pass(r->queue, scheduler_now(),
		    (int64_t)monotonic_ms());
}

static void
role_clear(struct queue_role *r)
{
	struct queue_peer *p;

	queue_ctl_end_all(r);
	after_cancel(&r->timer);
	finish_agents(r);
	queue_close(r->queue);
	r->queue = NULL;
	while ((p = TAILQ_FIRST(&r->peers)) != NULL)
		peer_free(p);
	/* last, since another queue process may open the spool now */
	if (r->lock_fd != -1)
		close(r->lock_fd);
	if (r->folder_fd != -1)
		close(r->folder_fd);
	if (r->incoming_fd != -1)
		close(r->incoming_fd);
}

/* Before the role has only what it needs. */
static int
read_tables(struct child *c)
{
	char err[SETTINGS_ERROR_MAX];

	if (settings_load_aliases(c->settings_owned, err, sizeof(err)) == 0)
		return 0;
	log_errx("aliases", "reason=%s", err);
	return -1;
}

static int
queue_main(struct child *c)
{
	struct queue_role r = { .child = c, .incoming_fd = -1,
		.folder_fd = -1, .lock_fd = -1 };
	int status = 1;

	TAILQ_INIT(&r.peers);
	TAILQ_INIT(&r.ctls);
	privs_raise_nofile();
	umask(077);
	if (read_tables(c) == -1 || child_drop(c) == -1 ||
	    queue_lock_open(&r) == -1)
		goto out;
	if (scheduler_recurrent_func_add(end_of_pass, &r) == -1) {
		log_err("start", "role=%s", "queue");
		goto out;
	}
	if (open_queue(&r) == -1)
		goto out;
	status = child_run(c, &child_ops, &r);
	if (r.has_failed)
		status = 1;
out:
	role_clear(&r);
	return status;
}

static bool
queue_path(const struct settings *s, size_t i, struct role_path *path_r)
{
	static const char *const folders[] = { "incoming", "queue" };

	path_r->can_write = i < 2;
	if (i < 2)
		snprintf(path_r->path, sizeof(path_r->path), "%s/%s", s->spool,
		    folders[i]);
	else
		/* SQLite's random numbers */
		strlcpy(path_r->path, "/dev/urandom", sizeof(path_r->path));
	return i < 3;
}

const struct role role_queue = {
	.id = ROLE_QUEUE,
	.is_single = true,
	ROLE_ACCOUNT(queue_user),
	.main = queue_main,
	.peers = ROLES_DELIVERING,
	.is_replaced = true,		/* the spool can have only one */
	.folders = { { "queue", 0700 }, { "queue/deferred", 0700 } },
	.profile = {
		.calls = /* the spool, and the lock of another server's */
		    "fallocate fcntl:locks fdatasync flock fstatfs fsync "
		    "ftruncate getdents64 getppid kill:0 openat pread64 "
		    "pwrite64 pwritev renameat renameat2 syncfs unlinkat "
		    "utimensat "
		    /* what agents get of segments */
		    "memfd_create "
		    /* connections of mailmillctl */
		    "fcntl:nonblock "
		    /* SQLite */
		    "access faccessat faccessat2 fchmod fchown getcwd geteuid "
		    "lstat mkdirat readlink readlinkat rename stat unlink",
		.path = queue_path
	}
};
