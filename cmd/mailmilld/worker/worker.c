/* The role worker: a loop of ESMTP sessions.
 * Owns: its start (chroot), draining.
 * Knows nothing of ESMTP: session.c does. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/worker/affinity.h"
#include "cmd/mailmilld/worker/host_files.h"
#include "core/process/log.h"
#include "tls/tlsmem.h"

#define DRAIN_SPOOL_MS	10000	/* at the end: for what is being committed */

/* --- peers ---------------------------------------------------------------- */

static void
worker_peer(void *closure, const struct msg_peer *peer, int fd)
{
	switch (peer->role) {
	case ROLE_QUEUE:
		tell_connect(closure, fd);
		break;
	case ROLE_KEYD:
		host_tls_connect(closure, fd);
		break;
	case ROLE_SPOOLD:
		host_files_connect(((struct worker *)closure)->files, fd);
		break;
	case ROLE_AUTHD:
		host_auth_connect(closure, fd);
		break;
	}
}

/* --- the master ----------------------------------------------------------- */

static void
on_session(void *closure, struct channel_msg *msg)
{
	struct msg_session ms;

	memcpy(&ms, msg->base, sizeof(ms));
	session_start(closure, &ms, NULL, msg->fd);
	msg->fd = -1;
}

static void
on_move(void *closure, struct channel_msg *msg)
{
	struct msg_move move;

	memcpy(&move, msg->base, sizeof(move));
	session_start(closure, &move.session, &move.moved, msg->fd);
	msg->fd = -1;
}

static void
on_certs(void *closure, struct channel_msg *msg)
{
	struct msg_certs certs;

	memcpy(&certs, msg->base, sizeof(certs));
	host_tls_certs(closure, &certs, msg->fd);
}

static void
on_tickets(void *closure, struct channel_msg *msg)
{
	const struct worker *w = closure;
	struct msg_tickets tickets;

	memcpy(&tickets, msg->base, sizeof(tickets));
	if (w->tls != NULL)
		host_tls_tickets(&tickets);
	explicit_bzero(&tickets, sizeof(tickets));
}

static void
on_hold(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct msg_hold hold;

	memcpy(&hold, msg->base, sizeof(hold));
	(void)esmtp_host_set(w->host, ESMTP_HOST_HELD, hold.is_held != 0);
}

static void
worker_drain(void *closure)
{
	struct worker *w = closure;

	w->drained = w->sessions.n;
	session_drain_all(w, w->child->is_reconfig);
}

/* In the pass in which the worker was told to drain, every session has been
 * moved or told, or goes on for a while.  Say how many, for the master's line
 * of this reload. */
static void
tell_drained(struct worker *w)
{
	struct msg_drained md = { .nsessions = (uint32_t)w->drained,
		.nmoved = w->nmoved, .ntold = w->ntold };

	if (!w->child->is_reconfig || w->is_drain_told)
		return;
	w->is_drain_told = true;
	(void)chanev_send(w->child->master, M_DRAINED, &md, NULL, 0, -1);
}

static int
end_of_pass(void *closure, struct timeval *)
{
	struct worker *w = closure;

	tell_end_of_pass(w);
	tell_drained(w);
	sessions_flush(w);
	return 0;
}

static const struct child_ops worker_ops = {
	.on = {
		[M_SESSION] = on_session,
		[M_MOVE] = on_move,
		[M_HOLD] = on_hold,
		[M_ENDED] = sessions_on_ended,
		[M_VERDICT] = session_on_verdict,
		[M_CERTS] = on_certs,
		[M_TICKETS] = on_tickets
	},
	.peer = worker_peer,
	.drain = worker_drain
};

/* --- start ---------------------------------------------------------------- */

static int
read_tables(struct child *c)
{
	char err[SETTINGS_ERROR_MAX];

	if (settings_load_recipients(c->settings_owned, err, sizeof(err))
	    == -1)
		log_errx("recipients", "reason=%s", err);
	else if (settings_load_sender_logins(c->settings_owned, err,
	    sizeof(err)) == -1)
		log_errx("sender-login", "reason=%s", err);
	else if (settings_load_aliases(c->settings_owned, err, sizeof(err))
	    == -1)
		log_errx("aliases", "reason=%s", err);
	else
		return 0;
	return -1;
}

static int
worker_main(struct child *c)
{
	struct worker *w;
	int status = 1;

	/* without it a session in TLS only costs more memory */
	(void)tlsmem_open();
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		log_err("start", "role=%s", "worker");
		return 1;
	}
	w->child = c;
	w->pid = getpid();
	log_clients_init(&w->log_clients, c->settings->client_log_rate,
	    c->settings->log_rate);
	/* before there are threads: they inherit it */
	if (c->settings->worker_affinity == WORKER_AFFINITY_AUTO)
		w->is_bound = affinity_bind((unsigned int)c->settings->workers,
		    c->init.slot, &w->processors);
	if (read_tables(c) == -1 || host_tls_open(w) == -1 ||
	    worker_modules_load(w) == -1 || child_drop(c) == -1)
		goto out;
	if (host_held_open(w) == -1 || host_spool_open(w) == -1 ||
	    host_open(w) == -1 || worker_modules_init(w) == -1)
		goto out;
	if (scheduler_recurrent_func_add(end_of_pass, w) == -1) {
		log_err("start", "role=%s", "worker");
		goto out;
	}
	/* messages may not be able to begin yet */
	c->is_late = !spool_writer_is_open(w->spool);
	status = child_run(c, &worker_ops, w);
	if (w->has_failed)
		status = 1;
	session_discard_all(w);
	(void)spool_writer_drain(w->spool, DRAIN_SPOOL_MS);
	sessions_flush(w);
	tell_close(w);
	host_auth_disconnect(w);
out:
	modules_fini(&w->modules);
	log_clients_free(&w->log_clients);
	host_held_free(w);
	host_tls_close(w);
	spool_writer_close(w->spool);
	host_files_free(w->files);
	sessions_free(w);
	esmtp_host_free(w->host);
	free(w);
	return status;
}

static unsigned int
worker_count(const struct settings *s)
{
	return (unsigned int)s->workers;
}

/* Bodies grow when lone LFs are made CRLF, and our own fields come in front. */
#define BODY_EXTRA	(1024 * 1024)

static uint64_t
worker_file_max(const struct settings *s)
{
	uint64_t max = (uint64_t)s->segment_size;
	const struct esmtp_options *o;
	size_t listen, i;

	for (listen = 0; listen < s->nlistens; listen++)
		for (i = 0; (o = settings_options_at(s, listen, i)) != NULL;
		    i++) {
			if (o->max_message_size == 0)
				return PROFILE_FILE_ANY;
			max = MAX(max, 2 * (uint64_t)o->max_message_size +
			    BODY_EXTRA);
		}
	return max;
}

const struct role role_worker = {
	.id = ROLE_WORKER,
	ROLE_ACCOUNT(user),
	.has_range = true,
	.count = worker_count,
	.main = worker_main,
	.peers = ROLE_BIT(ROLE_QUEUE) | ROLE_BIT(ROLE_KEYD) |
	    ROLE_BIT(ROLE_AUTHD) | ROLE_BIT(ROLE_SPOOLD),
	.has_clients = true,
	.root = SPOOL_EMPTY,
	.profile = {
		.calls = /* clients */
		    "getpeername getsockname setsockopt:nodelay "
		    /* certificates come as sealed memory */
		    "fcntl:seals pread64 "
		    /* segments and bodies, whose descriptors it is given */
		    "fallocate:hole fdatasync fstatfs fsync pwrite64 "
		    "pwritev sync_file_range",
		.file_max = worker_file_max
	}
};
