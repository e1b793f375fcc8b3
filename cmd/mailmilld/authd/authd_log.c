/* The lines auth-failed of authd, which a log watcher such as fail2ban acts on.
 * Owns: their form; how many of them the sessions of one worker may cause.  The
 * lines auth-proxy and authd-worker, for the administrator.
 *
 * Who has connected is in the master's words (vouch.h).  The session's id in the
 * log, and a client behind a proxy, are in those of the worker. */

#include "cmd/mailmilld/authd/authd_int.h"

#include "core/process/log.h"
#include "core/util/monotonic.h"

#define COMPLAIN_MS	60000	/* between two complaints about one worker */
#define FAILED_CODE	535		/* RFC 4954 6 */
#define FAILED_FORMAT \
	"session=%s client=%s port=%u listener=%s user=%s mechanism=%s " \
	"code=%d reason=%s"

/* Of the lines that authd may log, half are for failures.  Each worker has the
 * same share of them, so that an attacker who controls one cannot use up those of
 * the others. */
static unsigned int
lines_max(const struct settings *s)
{
	int64_t n = s->log_rate * (LOG_BOUND_MS / 1000) / 2 / s->workers;

	return n < 1 ? 1 : (unsigned int)n;
}

bool
authd_log_failed(struct authd *a, unsigned int slot,
    const struct auth_request *r, const struct vouched *who,
    const char *login, enum esmtp_auth_why why)
{
	const struct settings *s = a->child->settings;
	const struct sockaddr *via = vouched_via(who),
	    *client = vouched_client(who);
	char buf[ADDR_TEXT], via_buf[ADDR_TEXT];

	if (slot > (unsigned int)s->workers || log_burst_count(
	    &a->failures[slot], monotonic_ms(), lines_max(s)) == 0)
		return false;
	log_event(LOG_LEVEL_INFO, "auth-failed", via == NULL ? FAILED_FORMAT :
	    FAILED_FORMAT " via=%s", r->log_id, addr_text(client, buf),
	    addr_port(client), s->listens[who->listener].name,
	    *login != '\0' ? login : NULL, r->mech, FAILED_CODE,
	    esmtp_auth_why_text(why),
	    via == NULL ? NULL : addr_text(via, via_buf));
	return true;
}

void
authd_log_proxy(struct authd *a, unsigned int slot, const struct vouched *who)
{
	char buf[ADDR_TEXT];
	uint64_t n;

	if (slot > (unsigned int)a->child->settings->workers || (n =
	    log_bound_count(&a->proxies[slot], monotonic_ms())) == 0)
		return;
	log_warnx("auth-proxy", "via=%s slot=%u setting=%s refused=%llu "
	    "effect=%s advice=%s", addr_text(vouched_via(who), buf), slot,
	    "auth_proxy_failures", (unsigned long long)n,
	    "no client that it names can log in in this worker, but those that "
	    "have done so before", "see in auth-failed which of them fail; if "
	    "they are honest, raise the setting");
}

void
authd_complain(struct authd_worker *w, const char *what)
{
	uint64_t now_ms = monotonic_ms();

	if (w->complained_ms != 0 && now_ms - w->complained_ms < COMPLAIN_MS)
		return;
	w->complained_ms = now_ms;
	log_warnx("authd-worker", "slot=%u instance=%u reason=%s",
	    w->who.slot, w->who.instance, what);
}
