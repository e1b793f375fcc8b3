/* The beginning and the end of a session in this process.
 * Owns: the accept_construct, from the accepted socket to its free.
 * Knows nothing of what is said in between: proto/ does. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/fileio.h"

#define SESSION_ID_MAX	20	/* octets: 19 digits and a NUL */

/* --- starting ------------------------------------------------------------- */

static bool
is_valid(const struct worker *w, const struct msg_session *ms)
{
	/* a handle of 0: session_move() has given the session away */
	return ms->handle != 0 &&
	    ms->listener < w->child->settings->nlistens &&
	    addr_is_known(&ms->peer.sa);
}

static void
set_options(const struct worker *w, accept_construct *ac)
{
	esmtp_session_set_options(ac, settings_options_for(w->child->settings,
	    (size_t)ac->listener, esmtp_session_peer(ac)));
}

/* Time, process and number: no two sessions of a log have the same id. */
static void
session_id(struct worker *w, char *buf, size_t len)
{
	snprintf(buf, len, "%08lx%06x%05x",
	    (unsigned long)scheduler_now()->tv_sec & 0xffffffffu,
	    (unsigned int)w->pid & 0xffffff, w->counter++ & 0xfffff);
}

/* The session of an accepted socket; takes *${fd}. */
static accept_construct *
session_new(struct worker *w, const struct msg_session *ms, int *fd)
{
	accept_construct *ac;
	char id[SESSION_ID_MAX];

	ac = esmtp_session_new(w->host, settings_options_for(
	    w->child->settings, ms->listener, &ms->peer.sa), *fd, &ms->peer.sa,
	    NULL);
	if (ac == NULL)
		return NULL;
	*fd = -1;
	/* esmtp_session_new() takes no account of anybody */
	addr_copy(&ac->remote_addr.sa, &ms->peer.sa);
	ac->handle = ms->handle;
	ac->listener = (uint16_t)ms->listener;
	ec_generate_connection_id(&ac->conn_id, scheduler_now()->tv_sec);
	session_id(w, id, sizeof(id));
	(void)esmtp_session_set_id(ac, id);
	if (sessions_add(w, ac) == -1) {
		esmtp_session_free(ac);
		return NULL;
	}
	return ac;
}

void
session_end(void *host, accept_construct *ac)
{
	struct worker *w = host;

	/* the master itself has taken one that was moved off its books */
	if (ac->handle != 0)
		sessions_remove(w, ac);
	esmtp_session_free(ac);
	if (w->child->is_draining && w->sessions.n == 0)
		child_exit(w->child);
}

/* Give the connection to the master, for a new worker. */
int
session_move(void *host, accept_construct *ac, const struct esmtp_moved *moved)
{
	struct worker *w = host;
	struct msg_move move = { .session = { .handle = ac->handle },
		.moved = *moved };
	int fd = fcntl(ac->event->fd, F_DUPFD_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	if (chanev_send(w->child->master, M_MOVE, &move, NULL, 0, fd) == -1) {
		close(fd);
		return -1;
	}
	sessions_drop(w, ac);
	ac->handle = 0;
	w->nmoved++;
	return 0;
}

/* End ${ac} without a word to its client. */
static void
session_discard(struct worker *w, accept_construct *ac)
{
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(ac));
	session_end(w, ac);
}

/* Take the session's first step now, which sends the banner, instead of in the
 * next pass of the loop. */
static void
session_begin(struct worker *w, accept_construct *ac)
{
	Event *e = ac->event;
	struct timeval now = *scheduler_now();
	int mask;

	mask = esmtp_message_factory(e, E_WRITE, ac, &now);
	if (mask == 0) {
		/* over already: session_end() was called */
		event_free(e);
		return;
	}
	e->mask = mask;
	if (schedule_event(e) == 0)
		return;
	log_err("session", "session=%s step=%s", ac->id, "schedule");
	session_discard(w, ac);
}

void
session_start(struct worker *w, const struct msg_session *ms,
    const struct esmtp_moved *moved, int fd)
{
	const char *reason = "not understood";
	accept_construct *ac;

	sessions_take(w);
	if (fd != -1 && is_valid(w, ms)) {
		if ((ac = session_new(w, ms, &fd)) != NULL) {
			if (moved != NULL && esmtp_session_resume(ac, moved,
			    scheduler_now()) == -1) {
				log_err("session", "session=%s step=%s",
				    ac->id, "resume");
				session_discard(w, ac);
				return;
			}
			if (moved == NULL)
				stats_inc(STATS_SESSIONS);
			session_begin(w, ac);
			return;
		}
		reason = "out of memory or descriptors";
	}
	log_errx("session", "handle=%llx reason=%s",
	    (unsigned long long)ms->handle, reason);
	sessions_ended(w, ms->handle);
	(void)fileio_close_passed(fd);
}

/* --- behind a proxy -------------------------------------------------------- */

/* The master counts the sessions of each client, and vouches for it at authd.
 * XCLIENT: where the address is not known, that is AF_UNSPEC.  When the master
 * cannot be asked, the session stays the proxy's. */
int
session_peer_changed(void *host, accept_construct *ac)
{
	struct worker *w = host;
	struct msg_proxied mp = { .handle = ac->handle };

	set_options(w, ac);
	addr_copy(&mp.peer.sa, &ac->remote_addr.sa);
	if (chanev_send(w->child->master, M_PROXIED, &mp, NULL, 0, -1) == -1)
		return 1;
	w->sessions.nasked++;
	return 0;
}

void
session_on_verdict(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct msg_verdict verdict;
	accept_construct *ac;

	if (w->sessions.nasked > 0)
		w->sessions.nasked--;
	memcpy(&verdict, msg->base, sizeof(verdict));
	if ((ac = sessions_find(w, verdict.handle)) == NULL)
		return;
	esmtp_peer_done(ac, !verdict.is_refused);
	session_wake(ac);
}

/* --- all of them ---------------------------------------------------------- */

void
session_discard_all(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->sessions.size; i++)
		if (w->sessions.v[i] != NULL)
			session_discard(w, w->sessions.v[i]);
}

void
session_wake(accept_construct *ac)
{
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

void
session_drain_all(struct worker *w, bool is_reconfig)
{
	size_t i;

	(void)esmtp_host_set(w->host, ESMTP_HOST_DRAINING, 1);
	(void)esmtp_host_set(w->host, ESMTP_HOST_RECONFIGURED, is_reconfig);
	if (w->sessions.n == 0)
		child_exit(w->child);
	for (i = 0; i < w->sessions.size; i++)
		if (w->sessions.v[i] != NULL)
			session_wake(w->sessions.v[i]);
}
