/* The role queue: the process that owns the spool.
 * Owns: when the spool is opened, the pace of the passes, the end.
 * Knows nothing of segments and messages: core/queue/queue.c does. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/stat.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/store/queue_spool.h"
#include "core/util/monotonic.h"

#define PACE_MS		5	/* between passes while agents are at work, so that messages gather */
#define JITTER_PERCENT	10	/* of an interval between attempts */

static void set_timer(struct queue_role *r, uint64_t due_ms);

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
		.retry_s = s->times.retry_interval,
		.max_retry_s = s->times.max_retry_interval,
		.jitter_percent = JITTER_PERCENT,
		.lifetime_s = s->times.queue_lifetime,
		.bounce_lifetime_s = s->times.bounce_lifetime,
		.warning_s = s->times.delay_warning,
		.return_octets = (uint64_t)s->bounce_size_limit,
		.double_bounce = s->double_bounce_recipient,
		.held_octets = (uint64_t)s->held_quota,
		.held_share = settings_held_share(s),
		.has_priorities = settings_is_named(s, "MT-PRIORITY"),
		.is_synced = s->spool_sync != SPOOL_SYNC_NONE,
	};
	int rc;

	config.transports = queue_transports(&config.ntransports);
	if ((rc = queue_lock_take(r)) != 0)
		return rc;
	if (queue_times_open(r) == -1) {
		log_err("queue-open", "folder=%s", r->folder);
		return -1;
	}
	config.times = r->times;
	config.ntimes = r->ntimes;
	r->queue = queue_open(&config, &queue_role_ops, r, scheduler_now(),
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
	if (queue_discard_open(r) == -1)
		log_err("queue-connect", "peer=%s slot=%u", "discard", 1);
	TAILQ_FOREACH_SAFE (p, &r->peers, link, next)
		queue_peer_open(p);
	queue_tlsrpt_open(r);
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
pass(struct queue_role *r)
{
	struct queue_peer *p;
	uint64_t now;
	int due;

	r->is_news = false;
	TAILQ_FOREACH (p, &r->peers, link)
		queue_copy_tell(p, scheduler_now());
	queue_discard_tell(r, scheduler_now());
	due = queue_pass(r->queue, scheduler_now(),
	    (int64_t)monotonic_ms());
	now = monotonic_ms();
	r->passed_ms = now;
	if (due == -1) {
		fail(r);
		return;
	}
	exit_if_done(r);
	if (r->child->is_draining && due > QUEUE_LOCK_MS)
		due = QUEUE_LOCK_MS;
	set_timer(r, now + (uint64_t)due);
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

static void
on_peer(void *closure, const struct msg_peer *who, int fd)
{
	if (who->role == ROLE_RESOLVER || who->role == ROLE_STS)
		queue_tlsrpt_peer(closure, who, fd);
	else
		queue_peer_add(closure, who, fd);
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
	queue_discard_tell(r, scheduler_now());
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
	queue_tlsrpt_free(r);
	after_cancel(&r->timer);
	finish_agents(r);
	queue_close(r->queue);
	r->queue = NULL;
	queue_times_close(r);
	queue_discard_close(r);
	while ((p = TAILQ_FIRST(&r->peers)) != NULL)
		queue_peer_free(p);
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

	if (settings_load_aliases(c->settings_owned, err, sizeof(err)) == -1)
		log_errx("aliases", "reason=%s", err);
	else if (settings_load_transports(c->settings_owned, err,
	    sizeof(err)) == -1)
		log_errx("transports", "reason=%s", err);
	else
		return 0;
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
	if (scheduler_recurrent_func_add(end_of_pass, &r) == -1 ||
	    queue_tlsrpt_new(&r) == -1) {
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

/* The names that it has the resolver ask for tell name servers of others something, and
 * what it has posted tells others more: without reports it can have none of it done. */
static bool
queue_asks(const struct settings *s, enum role_id id)
{
	return (id != ROLE_RESOLVER && id != ROLE_STS) || s->tls_reports;
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
	.peers = ROLES_DELIVERING | ROLE_BIT(ROLE_RESOLVER) |
	    ROLE_BIT(ROLE_STS),
	.asks = queue_asks,
	.is_replaced = true,		/* the spool can have only one */
	.folders = { { "queue", 0700, false },
	    { "queue/deferred", 0700, true } },
	.profile = {
		.calls = /* the spool, and the lock of another server's */
		    "fadvise64 fallocate fcntl:locks fdatasync flock fstatfs "
		    "fsync ftruncate getdents64 getppid kill:0 openat pread64 "
		    "pwrite64 pwritev renameat renameat2 syncfs unlinkat "
		    "utimensat "
		    /* what agents get of segments */
		    "memfd_create fallocate:hole "
		    /* connections of mailmillctl */
		    "fcntl:nonblock "
		    /* SQLite */
		    "access faccessat faccessat2 fchmod fchown getcwd geteuid "
		    "lstat mkdirat readlink readlinkat rename stat unlink",
		.path = queue_path
	}
};
