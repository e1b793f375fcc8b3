/* Where the protocol, the spool and the process meet.
 * Owns: struct esmtp_host of a worker, what is logged and counted of a session,
 * whether a recipient is ours. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cmd/mailmilld/worker/host_tls.h"
#include "core/process/log.h"
#include "core/maildir/maildir.h"
#include "core/process/stats.h"

/* --- starting ------------------------------------------------------------- */

static bool
is_valid(const struct worker *w, const struct msg_session *ms)
{
	return ms->listener < w->child->settings->nlistens &&
	    (ms->peer.in.sin_family == AF_INET ||
	    ms->peer.in.sin_family == AF_INET6);
}

/* When, which process, which session: unique among all the lines of a log. */
static void
session_id(struct worker *w, char *buf, size_t len)
{
	snprintf(buf, len, "%08lx%06x%05x",
	    (unsigned long)scheduler_now()->tv_sec & 0xffffffffu,
	    (unsigned int)w->pid & 0xffffff, w->counter++ & 0xfffff);
}

/* The session of an accepted socket; takes ${fd} unless it fails. */
static accept_construct *
session_new(struct worker *w, const struct msg_session *ms, int fd)
{
	accept_construct *ac;

	if ((ac = calloc(1, sizeof(*ac))) == NULL)
		return NULL;
	ac->host = &w->host;
	ac->handle = ms->handle;
	ac->listener = (int)ms->listener;
	memcpy(&ac->peer, &ms->peer, sizeof(ms->peer));
	ac->options = settings_options_for(w->child->settings, ms->listener,
	    &ac->peer.sa);
	session_id(w, ac->id, sizeof(ac->id));
	ac->event = build_fd_event(fd, E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    esmtp_message_factory, ac);
	if (ac->event == NULL || sessions_add(w, ac) == -1) {
		event_free(ac->event);
		free(ac);
		return NULL;
	}
	stats_inc(STATS_SESSIONS);
	return ac;
}

/* ${ac} has ended; a draining worker ends with the last one. */
static void
session_free(struct worker *w, accept_construct *ac)
{
	sessions_remove(w, ac);
	wire_tls_end(ac);
	free(ac);
	if (w->child->is_draining && w->sessions.n == 0)
		child_exit(w->child);
}

/* End ${ac} without a word to its client. */
static void
session_discard(struct worker *w, accept_construct *ac)
{
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(ac));
	event_unschedule(ac->event);
	event_close(ac->event);
	event_free(ac->event);
	session_free(w, ac);
}

/* The session's first step, without a turn through poll(2): the banner leaves
 * now. */
static void
session_begin(struct worker *w, accept_construct *ac)
{
	Event *e = ac->event;
	struct timeval now = *scheduler_now();
	int mask;

	mask = esmtp_message_factory(e, E_WRITE, ac, &now);
	if (mask == 0) {
		/* over already: host_session_end() was called */
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
wire_session(struct worker *w, const struct msg_session *ms, int fd)
{
	const char *reason = "not understood";
	accept_construct *ac;

	if (fd != -1 && is_valid(w, ms)) {
		if ((ac = session_new(w, ms, fd)) != NULL) {
			session_begin(w, ac);
			return;
		}
		reason = "out of memory or descriptors";
	}
	log_errx("session", "handle=%llx reason=%s",
	    (unsigned long long)ms->handle, reason);
	sessions_ended(w, ms->handle);
	if (fd != -1)
		close(fd);
}

/* --- ending --------------------------------------------------------------- */

static void
host_session_end(void *host, accept_construct *ac)
{
	session_free(host, ac);
}

void
wire_free(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->sessions.size; i++)
		if (w->sessions.v[i] != NULL)
			session_discard(w, w->sessions.v[i]);
}

static void
wake(accept_construct *ac)
{
	ac->is_woken = 1;
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

void
wire_drain(struct worker *w, bool is_reconfig)
{
	size_t i;

	w->host.is_draining = 1;
	w->host.is_reconfigured = is_reconfig;
	if (w->sessions.n == 0)
		child_exit(w->child);
	for (i = 0; i < w->sessions.size; i++)
		if (w->sessions.v[i] != NULL)
			wake(w->sessions.v[i]);
}

/* --- the spool ------------------------------------------------------------ */

static void
spool_done(void *closure, uint64_t handle, int error)
{
	accept_construct *ac = sessions_find(closure, handle);

	if (ac == NULL)
		return;
	esmtp_commit_done(ac, error);
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

static bool
spool_room(void *closure, uint64_t handle)
{
	accept_construct *ac = sessions_find(closure, handle);

	if (ac == NULL)
		return false;
	wake(ac);
	return true;
}

static void
spool_committed(void *closure, const struct spool_position *position)
{
	tell_committed(closure, position);
}

const struct spool_writer_callbacks wire_spool_callbacks = {
	.done = spool_done,
	.room = spool_room,
	.committed = spool_committed
};

/* --- recipients ----------------------------------------------------------- */

/* Is ${address}, local@domain as the spool will have it, listed?  RFC 5321
 * 4.5.1: postmaster is there, listed or not. */
static bool
is_listed(const struct recipients *r, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t len;

	if (r == NULL)
		return true;
	if (at == NULL)
		return false;
	len = (size_t)(at - address);
	if (len == strlen("postmaster") &&
	    strncasecmp(address, "postmaster", len) == 0)
		return true;
	return recipients_has(r, address, len, at + 1, strlen(at + 1));
}

static enum esmtp_rcpt_status
host_lookup_rcpt(void *host, accept_construct *ac, const struct mailaddr *addr)
{
	const struct worker *w = host;
	const struct settings *s = w->child->settings;
	const struct settings_domain *d;
	char address[LIM_PATH + 2], path[MAILDIR_PATH_MAX];
	const char *why;
	size_t fixed;

	(void)ac;
	if (addr->domain_len == 0)	/* RFC 5321 4.1.1.3: <postmaster> */
		return s->default_domain != NULL ? ESMTP_RCPT_OK :
		    ESMTP_RCPT_UNKNOWN;
	d = settings_domain_find(s, addr->domain, addr->domain_len);
	if (d == NULL)
		return ESMTP_RCPT_FOREIGN;
	/* a local part that can be no folder is no mailbox */
	if (mailaddr_format(addr, address, sizeof(address)) == -1 ||
	    maildir_expand(d->maildir, address, path, &fixed, &why) == -1 ||
	    !is_listed(d->recipients_table, address))
		return ESMTP_RCPT_UNKNOWN;
	return ESMTP_RCPT_OK;
}

/* --- PROXY ---------------------------------------------------------------- */

static void
host_peer_changed(void *host, accept_construct *ac)
{
	const struct worker *w = host;

	ac->options = settings_options_for(w->child->settings,
	    (size_t)ac->listener, &ac->peer.sa);
}

/* --- reports -------------------------------------------------------------- */

const char *
wire_peer_text(const accept_construct *ac, char buf[INET6_ADDRSTRLEN])
{
	const void *addr = ac->peer.sa.sa_family == AF_INET6 ?
	    (const void *)&ac->peer.in6.sin6_addr :
	    (const void *)&ac->peer.in.sin_addr;

	if (inet_ntop(ac->peer.sa.sa_family, addr, buf, INET6_ADDRSTRLEN)
	    == NULL)
		return "?";
	return buf;
}

/* What follows says the same and more, see report_end(). */
static void
report_connect(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	(void)r;
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_event(LOG_LEVEL_DEBUG, "connect",
	    "session=%s client=%s port=%d listener=%s", ac->id,
	    wire_peer_text(ac, buf), ntohs(ac->peer.in.sin_port),
	    w->child->settings->listens[ac->listener].name);
}

#define ACCEPTED_FORMAT \
	"session=%s id=%s client=%s port=%d listener=%s from=%s to=%s " \
	"nrcpts=%zu size=%llu seconds=%T tls=%s cipher=%s"

static void
report_accepted(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	const char *login = esmtp_session_login(ac);
	char buf[INET6_ADDRSTRLEN];

	stats_inc(STATS_MESSAGES_ACCEPTED);
	stats_add(STATS_RECIPIENTS_ACCEPTED, r->nrcpts);
	stats_add(STATS_OCTETS_ACCEPTED, r->octets);
	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	log_event(LOG_LEVEL_INFO, "accepted", login == NULL ? ACCEPTED_FORMAT :
	    ACCEPTED_FORMAT " user=%s", ac->id, r->id,
	    wire_peer_text(ac, buf), ntohs(ac->peer.in.sin_port),
	    w->child->settings->listens[ac->listener].name, r->sender, r->rcpt,
	    r->nrcpts, (unsigned long long)r->octets, &r->elapsed,
	    ac->tls != NULL ? ac->tls->protocol : "",
	    ac->tls != NULL ? ac->tls->cipher : "", login);
}

static void
report_auth(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	(void)w;
	stats_inc(STATS_AUTH_OK);
	log_event(LOG_LEVEL_INFO, "auth",
	    "session=%s client=%s user=%s mechanism=%s tls=%s", ac->id,
	    wire_peer_text(ac, buf), esmtp_session_login(ac), r->detail,
	    ac->tls != NULL ? ac->tls->protocol : "none");
}

/* One that came to no verdict, or was not looked at, was counted when that was
 * known: host_auth.c.  The form of the line is read by fail2ban: see
 * init/fail2ban.conf. */
static void
report_auth_failed(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	if (r->code == 535)
		stats_inc(STATS_AUTH_FAILED);
	log_event(LOG_LEVEL_INFO, "auth-failed",
	    "session=%s client=%s port=%d listener=%s user=%s mechanism=%s "
	    "code=%d", ac->id, wire_peer_text(ac, buf),
	    ntohs(ac->peer.in.sin_port),
	    w->child->settings->listens[ac->listener].name, r->arg, r->detail,
	    r->code);
}

static void
report_rejected(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	(void)w;
	if (r->code >= 500)
		stats_inc(STATS_REPLIES_5XX);
	else if (r->code >= 400)
		stats_inc(STATS_REPLIES_4XX);
	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	log_event(LOG_LEVEL_INFO, "rejected",
	    "session=%s client=%s verb=%s arg=%s code=%d status=%s from=%s "
	    "detail=%s", ac->id, wire_peer_text(ac, buf), r->verb, r->arg, r->code,
	    r->enhanced, r->sender, r->detail);
}

static void
report_timeout(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	(void)w;
	stats_inc(STATS_SESSIONS_TIMEOUT);
	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	log_event(LOG_LEVEL_INFO, "timeout", "session=%s client=%s timer=%s",
	    ac->id, wire_peer_text(ac, buf), r->detail);
}

static void
report_abort(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[INET6_ADDRSTRLEN];

	(void)w;
	stats_inc(STATS_SESSIONS_ABORTED);
	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	log_event(LOG_LEVEL_INFO, "vanished",
	    "session=%s client=%s state=%s error=%s", ac->id,
	    wire_peer_text(ac, buf), r->detail, r->errnum == 0 ? "closed" :
	    strerror(r->errnum));
}

/* At info only when nothing else tells who was here: a mail server's log is
 * about messages, and each line costs who reads it. */
static void
report_end(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	enum log_level level = r->nmessages == 0 ? LOG_LEVEL_INFO :
	    LOG_LEVEL_DEBUG;
	char buf[INET6_ADDRSTRLEN];

	stats_inc(STATS_SESSIONS_ENDED);
	if (!log_enabled(level))
		return;
	log_event(level, "disconnect",
	    "session=%s client=%s port=%d listener=%s messages=%u seconds=%T",
	    ac->id, wire_peer_text(ac, buf), ntohs(ac->peer.in.sin_port),
	    w->child->settings->listens[ac->listener].name, r->nmessages,
	    &r->elapsed);
}

static void (*const reporters[])(const struct worker *,
    const accept_construct *, const struct esmtp_report *) = {
	[ESMTP_REPORT_CONNECT] = report_connect,
	[ESMTP_REPORT_ACCEPTED] = report_accepted,
	[ESMTP_REPORT_REJECTED] = report_rejected,
	[ESMTP_REPORT_TLS] = wire_tls_report,
	[ESMTP_REPORT_TLS_FAILED] = wire_tls_report_failed,
	[ESMTP_REPORT_AUTH] = report_auth,
	[ESMTP_REPORT_AUTH_FAILED] = report_auth_failed,
	[ESMTP_REPORT_TIMEOUT] = report_timeout,
	[ESMTP_REPORT_ABORT] = report_abort,
	[ESMTP_REPORT_END] = report_end,
};

static void
host_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if ((size_t)r->kind < sizeof(reporters) / sizeof(reporters[0]) &&
	    reporters[r->kind] != NULL)
		reporters[r->kind](host, ac, r);
}

/* -------------------------------------------------------------------------- */

static const struct esmtp_host_ops host_ops = {
	.report = host_report,
	.lookup_rcpt = host_lookup_rcpt,
	.tls_start = wire_tls_start,
	.tls_handshake = wire_tls_handshake,
	.auth_start = wire_auth_start,
	.auth_step = wire_auth_step,
	.auth_cancel = wire_auth_cancel,
	.auth_mechanisms = wire_auth_mechanisms,
	.may_send_as = wire_may_send_as,
	.peer_changed = host_peer_changed,
	.session_end = host_session_end
};

void
wire_open(struct worker *w)
{
	w->pid = getpid();
	RB_INIT(&w->exchanges);
	w->host.ops = &host_ops;
	w->host.closure = w;
	w->host.spool = &spool_writer_ops;
	w->host.scratch = w->scratch;
	w->host.scratch_octets = sizeof(w->scratch);
	w->host.output = w->output;
	w->host.output_octets = sizeof(w->output);
}
