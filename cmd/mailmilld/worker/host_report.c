/* What is logged and counted of a session.
 * Owns: a function for each kind of report, the form of its log line. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/addr.h"
#include "core/util/monotonic.h"
#include "tls/tlsctx.h"

/* NULL, in the log "-", in the clear. */
static const char *
tls_of(const accept_construct *ac)
{
	return ac->tls != NULL ? ac->tls->protocol : NULL;
}

/* NULL, in the log "-", for a text that there is not.  The sender alone may be
 * empty and there. */
static const char *
some(const char *text)
{
	return text != NULL && *text != '\0' ? text : NULL;
}

/* May one more line about the client of ${ac} be logged?  All but those about
 * what it has done with success are asked for here: of these it can cause no
 * more than there are messages and logins.  Clients that XCLIENT has not named
 * count for the one that has sent it. */
static bool
may_log(struct worker *w, const accept_construct *ac)
{
	const struct sockaddr *peer = &ac->remote_addr.sa;

	if (peer->sa_family == AF_UNSPEC)
		peer = esmtp_session_via(ac);
	return log_clients_may(&w->log_clients, peer, monotonic_ms());
}

/* At level debug: report_accepted() and report_end() say the same and more. */
static void
report_connect(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *)
{
	char buf[ADDR_TEXT];

	if (!log_enabled(LOG_LEVEL_DEBUG) || !may_log(w, ac))
		return;
	log_event(LOG_LEVEL_DEBUG, "connect",
	    "session=%s client=%s port=%u listener=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf), addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name);
}

/* NULL: nobody else has said whose session it is. */
static const char *
via_of(const accept_construct *ac, char buf[ADDR_TEXT])
{
	const struct sockaddr *via = esmtp_session_via(ac);

	return via != NULL ? addr_text(via, buf) : NULL;
}

/* Of ${n} reports of a kind, how many have not been logged? */
static unsigned int
left_out(unsigned int n)
{
	return n > LIM_LOG_REFUSALS ? n - LIM_LOG_REFUSALS : 0;
}

#define CLIENT_FORMAT \
	"session=%s client=%s port=%u name=%s helo=%s proto=%s dest=%s " \
	"destport=%s user=%s listener=%s verb=%s via=%s"

/* A client has named another one, which might not be true: so the line has the
 * addresses of both.  The number of lines left out belongs to the client
 * before; it begins anew for this one. */
static void
report_client(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	unsigned int left = left_out(r->nrejected) + left_out(r->nauth_failed);
	char buf[ADDR_TEXT], via[ADDR_TEXT];

	if (!may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "client", left == 0 ? CLIENT_FORMAT :
	    CLIENT_FORMAT " left_out=%u", ac->id,
	    addr_text(&ac->remote_addr.sa, buf),
	    addr_port(&ac->remote_addr.sa),
	    esmtp_session_attribute(ac, ESMTP_CLIENT_NAME),
	    esmtp_session_attribute(ac, ESMTP_CLIENT_HELO),
	    esmtp_session_attribute(ac, ESMTP_CLIENT_PROTO),
	    esmtp_session_attribute(ac, ESMTP_CLIENT_DESTADDR),
	    esmtp_session_attribute(ac, ESMTP_CLIENT_DESTPORT),
	    esmtp_session_login(ac),
	    w->child->settings->listens[ac->listener].name, r->verb,
	    via_of(ac, via), left);
}

/* Where the message was before, as XFORWARD has it. */
static void
log_forwarded(const accept_construct *ac, const struct esmtp_report *r)
{
	const char *v[ESMTP_NATTRIBUTES];
	bool is_any = false;
	unsigned int i;

	for (i = ESMTP_FORWARD_NAME; i <= ESMTP_FORWARD_SOURCE; i++) {
		v[i] = esmtp_session_attribute(ac, (enum esmtp_attribute)i);
		is_any |= v[i] != NULL;
	}
	if (is_any)
		log_event(LOG_LEVEL_INFO, "forwarded",
		    "session=%s id=%s client=%s port=%s name=%s helo=%s "
		    "proto=%s ident=%s source=%s", ac->id, r->id,
		    v[ESMTP_FORWARD_ADDR], v[ESMTP_FORWARD_PORT],
		    v[ESMTP_FORWARD_NAME], v[ESMTP_FORWARD_HELO],
		    v[ESMTP_FORWARD_PROTO], v[ESMTP_FORWARD_IDENT],
		    v[ESMTP_FORWARD_SOURCE]);
}

#define ACCEPTED_FORMAT \
	"session=%s id=%s client=%s port=%u listener=%s from=%s to=%s " \
	"nrcpts=%zu size=%llu seconds=%s tls=%s cipher=%s"

static void
report_accepted(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	const char *login = esmtp_session_login(ac);
	char buf[ADDR_TEXT], via_buf[ADDR_TEXT], seconds[LOG_SECONDS];
	const char *via = via_of(ac, via_buf);

	stats_inc(STATS_MESSAGES_ACCEPTED);
	stats_add(STATS_RECIPIENTS_ACCEPTED, r->nrcpts);
	stats_add(STATS_OCTETS_ACCEPTED, r->octets);
	log_event(LOG_LEVEL_INFO, "accepted", r->priority != 0 ?
	    ACCEPTED_FORMAT " user=%s via=%s priority=%d" : via != NULL ?
	    ACCEPTED_FORMAT " user=%s via=%s" : login == NULL ?
	    ACCEPTED_FORMAT : ACCEPTED_FORMAT " user=%s", ac->id, r->id,
	    addr_text(&ac->remote_addr.sa, buf), addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name, r->sender, r->rcpt,
	    r->nrcpts, (unsigned long long)r->octets,
	    log_seconds(&r->elapsed, seconds),
	    tls_of(ac), ac->tls != NULL ? ac->tls->cipher : NULL, login, via,
	    r->priority);
	log_forwarded(ac, r);
}

/* RFC2822_Lone_LF_In_Body, RFC2822_Lone_LF_In_Headers: note. */
static void
report_lone_lf(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT];

	if (!may_log(w, ac))
		return;
	log_event(LOG_LEVEL_NOTICE, "lone-lf",
	    "session=%s id=%s client=%s port=%u listener=%s from=%s", ac->id,
	    r->id, addr_text(&ac->remote_addr.sa, buf),
	    addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name, r->sender);
}

static void
report_tls(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	const struct esmtp_tls *t = ac->tls;
	char buf[ADDR_TEXT], seconds[LOG_SECONDS];

	stats_inc(t->is_resumed ? STATS_TLS_RESUMED : STATS_TLS_FULL);
	if (!log_enabled(LOG_LEVEL_DEBUG) || !may_log(w, ac))
		return;
	log_event(LOG_LEVEL_DEBUG, "tls",
	    "session=%s client=%s tls=%s cipher=%s bits=%d resumed=%s "
	    "verified=%s peer=%s host=%s seconds=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf), t->protocol, t->cipher, t->bits,
	    t->is_resumed ? "yes" : "no", t->is_verified ? "yes" : "no",
	    some(t->peer_name), some(t->server_name),
	    log_seconds(&r->elapsed, seconds));
}

static void
count_failure(const accept_construct *ac, const struct esmtp_report *r)
{
	static const int counters[] = {
		[TLS_FAILURE_PROTOCOL] = STATS_TLS_FAILED_PROTOCOL,
		[TLS_FAILURE_CLOSED] = STATS_TLS_FAILED_CLOSED,
		[TLS_FAILURE_VERIFY] = STATS_TLS_FAILED_VERIFY,
		[TLS_FAILURE_KEY] = STATS_TLS_FAILED_KEY,
		[TLS_FAILURE_OTHER] = -1
	};
	unsigned int kind = ac->host_tls;

	stats_inc(STATS_TLS_FAILED);
	if (kind == 0 && r->errnum == ETIMEDOUT)
		stats_inc(STATS_TLS_FAILED_TIMEOUT);
	else if (kind > 0 && counters[kind - 1] != -1)
		stats_inc((enum stats_id)counters[kind - 1]);
}

static void
report_tls_failed(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT];

	count_failure(ac, r);
	if (!may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "tls-failed",
	    "session=%s client=%s port=%u listener=%s reason=%s error=%s",
	    ac->id, addr_text(&ac->remote_addr.sa, buf), addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name, r->detail,
	    r->errnum == 0 ? "closed" : strerror(r->errnum));
}

#define AUTH_FORMAT \
	"session=%s client=%s user=%s mechanism=%s tls=%s"

static void
report_auth(struct worker *, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT], via_buf[ADDR_TEXT];
	const char *via = via_of(ac, via_buf);

	stats_inc(STATS_AUTH_OK);
	log_event(LOG_LEVEL_INFO, "auth", via == NULL ? AUTH_FORMAT :
	    AUTH_FORMAT " via=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf), esmtp_session_login(ac),
	    r->detail, tls_of(ac), via);
}

#define AUTH_FAILED_FORMAT \
	"session=%s client=%s port=%u listener=%s user=%s mechanism=%s " \
	"code=%d reason=%s"

/* Only a wrong password is counted here.  A login that was blocked, or that got
 * no answer, was counted by host_auth.c.
 * Where it was authd that found the login wrong, authd has logged it: a worker
 * that an attacker controls could write any address into such a line
 * (authd_log.c). */
static void
report_auth_failed(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT], via_buf[ADDR_TEXT];
	const char *via = via_of(ac, via_buf);

	if (r->code == 535)
		stats_inc(STATS_AUTH_FAILED);
	if (r->is_verdict || r->nauth_failed > LIM_LOG_REFUSALS ||
	    !may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "auth-failed", via == NULL ?
	    AUTH_FAILED_FORMAT : AUTH_FAILED_FORMAT " via=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf),
	    addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name, some(r->arg),
	    some(r->detail), r->code, r->reason, via);
}

#define REJECTED_FORMAT \
	"session=%s client=%s verb=%s arg=%s code=%d status=%s from=%s detail=%s"

/* The 421 of a reload is no fault of a client, nor an error: the master's line
 * "drain" says how many were told. */
static void
report_rejected(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT], via_buf[ADDR_TEXT];
	const char *via = via_of(ac, via_buf);

	/* a commit that could not begin; one that has begun is not answered
	 * before spool_done() */
	host_held_end(w, ac->handle, false);
	if (w->child->is_reconfig && r->is_drain) {
		w->ntold++;
		return;
	}
	if (r->code >= 500)
		stats_inc(STATS_REPLIES_5XX);
	else if (r->code >= 400)
		stats_inc(STATS_REPLIES_4XX);
	if (r->nrejected > LIM_LOG_REFUSALS || !may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "rejected", via == NULL ? REJECTED_FORMAT :
	    REJECTED_FORMAT " via=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf), some(r->verb), some(r->arg),
	    r->code, some(r->enhanced), r->sender, some(r->detail), via);
}

static void
report_timeout(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT];

	stats_inc(STATS_SESSIONS_TIMEOUT);
	if (!may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "timeout", "session=%s client=%s timer=%s",
	    ac->id, addr_text(&ac->remote_addr.sa, buf), r->detail);
}

static void
report_abort(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	char buf[ADDR_TEXT];

	stats_inc(STATS_SESSIONS_ABORTED);
	if (!may_log(w, ac))
		return;
	log_event(LOG_LEVEL_INFO, "vanished",
	    "session=%s client=%s state=%s error=%s", ac->id,
	    addr_text(&ac->remote_addr.sa, buf), r->detail, r->errnum == 0 ? "closed" :
	    strerror(r->errnum));
}

#define END_FORMAT \
	"session=%s client=%s port=%u listener=%s messages=%u seconds=%s"

/* At level info only when lines were left out, or for a session without a
 * message that was not refused: the others have been logged with their
 * messages, or by the master. */
static void
report_end(struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r)
{
	unsigned int left = left_out(r->nrejected) + left_out(r->nauth_failed);
	enum log_level level = left > 0 || (r->nmessages == 0 &&
	    !ac->is_refused && !w->child->is_reconfig) ?
	    LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	char buf[ADDR_TEXT], seconds[LOG_SECONDS];

	stats_inc(STATS_SESSIONS_ENDED);
	if (!log_enabled(level) || !may_log(w, ac))
		return;
	log_event(level, "disconnect", left == 0 ? END_FORMAT :
	    END_FORMAT " left_out=%u",
	    ac->id, addr_text(&ac->remote_addr.sa, buf), addr_port(&ac->remote_addr.sa),
	    w->child->settings->listens[ac->listener].name, r->nmessages,
	    log_seconds(&r->elapsed, seconds), left);
}

static void (*const reporters[])(struct worker *,
    const accept_construct *, const struct esmtp_report *) = {
	[ESMTP_REPORT_CONNECT] = report_connect,
	[ESMTP_REPORT_ACCEPTED] = report_accepted,
	[ESMTP_REPORT_REJECTED] = report_rejected,
	[ESMTP_REPORT_TLS] = report_tls,
	[ESMTP_REPORT_TLS_FAILED] = report_tls_failed,
	[ESMTP_REPORT_AUTH] = report_auth,
	[ESMTP_REPORT_AUTH_FAILED] = report_auth_failed,
	[ESMTP_REPORT_TIMEOUT] = report_timeout,
	[ESMTP_REPORT_ABORT] = report_abort,
	[ESMTP_REPORT_END] = report_end,
	[ESMTP_REPORT_LONE_LF] = report_lone_lf,
	[ESMTP_REPORT_CLIENT] = report_client,
};

void
host_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if ((size_t)r->kind < sizeof(reporters) / sizeof(reporters[0]) &&
	    reporters[r->kind] != NULL)
		reporters[r->kind](host, ac, r);
}
