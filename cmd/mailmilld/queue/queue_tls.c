/* What relays tell of connections to MX hosts is counted, for reports of TLS.
 * Owns: how much of it is looked at, and what is said of the rest.
 * Knows nothing of where it is kept: core/queue/queue_tls.h does. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_said.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/queue/queue_tls.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

/* An honest relay tells once a second; each is one transaction on the disk. */
#define RATE	2		/* a second */
#define ROOM	10		/* at once */
#define SESSIONS	100000	/* connections that are alike, or for which a relay had no room: it makes 4096 at once */
#define SAY_MS	60000		/* between lines in the log about what is not counted */

void
queue_tls_open(struct queue_peer *p)
{
	bucket_init_room(&p->told_tls, RATE, ROOM, monotonic_ms());
}

static void
say_lost(struct queue_peer *p, const char *why)
{
	uint64_t now = monotonic_ms();

	if (p->tls_lost_ms != 0 && now - p->tls_lost_ms < SAY_MS)
		return;
	p->tls_lost_ms = now;
	log_warnx("tls-report-lost", "relay=%u reason=%s effect=%s",
	    p->who.slot, why, "reports of TLS do not tell of these connections");
}

/* The entries of ${msg}, or -1: it has something else in it. */
static ssize_t
count_said(const struct channel_msg *msg)
{
	struct tlsrpt_said said;
	ssize_t n = 0;
	size_t at = 0;
	int rc;

	while ((rc = tlsrpt_said_next(msg->entries, msg->nentries, &at,
	    &said)) == 1)
		n++;
	return rc == -1 ? -1 : n;
}

/* No relay makes more in the time between two messages: one that says so would
 * spoil the sums. */
static uint64_t
clamp(uint64_t sessions)
{
	return MIN(sessions, SESSIONS);
}

/* The texts of ${rows} stay in ${msg}.  Return the connections. */
static uint64_t
take_said(const struct channel_msg *msg, struct deferred_tls *rows,
    int64_t now_s)
{
	uint64_t sessions = 0;
	struct tlsrpt_said said;
	size_t at = 0;

	for (; tlsrpt_said_next(msg->entries, msg->nentries, &at, &said) == 1;
	    rows++) {
		*rows = (struct deferred_tls){
			.day = deferred_tls_day(now_s),
			.domain = said.domain,
			.policy_type = tlsrpt_type_name(said.type),
			.policy_domain = said.policy_domain,
			.policy = said.policy,
			.result = said.result == TLSRPT_RESULT_GOOD ? "" :
			    tlsrpt_result_name(said.result),
			.mx_host = said.mx_host,
			.sending_ip = said.sending_ip,
			.receiving_ip = said.receiving_ip,
			.reason = said.reason,
			.sessions = clamp(said.sessions) };
		sessions += rows->sessions;
	}
	return sessions;
}

static void
lose(struct queue_peer *p, uint64_t sessions, const char *why)
{
	if (sessions == 0)
		return;
	stats_add(STATS_TLSRPT_LOST, sessions);
	say_lost(p, why);
}

static void
count(struct queue_peer *p, const struct channel_msg *msg, size_t n)
{
	struct deferred_tls *rows = calloc(n, sizeof(*rows));
	uint64_t sessions, nlost;

	if (rows == NULL) {
		lose(p, n, "out of memory");
		return;
	}
	sessions = take_said(msg, rows, scheduler_now()->tv_sec);
	if (queue_tls_add(p->role->queue, rows, n, &nlost) == -1)
		lose(p, sessions, strerror(errno));
	else {
		stats_add(STATS_TLSRPT_COUNTED, sessions - nlost);
		lose(p, nlost, "there are too many domains");
	}
	free(rows);
}

/* A relay of the configuration before this one tells what that wants. */
void
queue_tls_on_told(void *closure, struct channel_msg *msg)
{
	struct queue_peer *p = closure;
	struct msg_tls mt;
	ssize_t n;

	if (!p->role->child->settings->tls_reports)
		return;
	memcpy(&mt, msg->base, sizeof(mt));
	if (!bucket_take_n(&p->told_tls, 1, monotonic_ms()))
		say_lost(p, "this relay tells too often");
	else if ((n = count_said(msg)) == -1)
		say_lost(p, "what this relay tells is malformed");
	else {
		lose(p, clamp(mt.nlost), "there were too many at once");
		if (n > 0)
			count(p, msg, (size_t)n);
	}
}
