/* Reports of TLS; see queue_tls_report.h. */

#include "core/queue/queue_tls_report.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/queue/queue_int.h"

/* A message that is written, and is to get its row */
struct made {
	struct queue_place place;
	const char	*to;
	uint64_t	 uri;		/* with is_kept */
	size_t		 octets;
};

#define FLAGS	(SPOOL_ENV_TLS_OPTIONAL | SPOOL_ENV_TLS_REPORT)	/* of each */

int
queue_tls_report_next(struct queue *q, int64_t *day,
    char domain[LIM_DOMAIN + 1], int64_t before)
{
	return q->store_ops->tls_next(q->store, day, domain, before);
}

int
queue_tls_report_rows(struct queue *q, int64_t day, const char *domain,
    deferred_tls_func each, void *closure)
{
	return q->store_ops->tls_rows(q->store, day, domain, each, closure);
}

int64_t
queue_tls_report_tried(struct queue *q, int64_t day, const char *domain,
    int64_t now_s)
{
	int64_t since = now_s;

	if (queue_tls_report_is_ready(q) && q->store_ops->tls_tried(q->store,
	    day, domain, now_s, &since) == -1)
		q->tls_ms = q->now_ms + QUEUE_TROUBLE_MS;
	return since;
}

int
queue_tls_report_taken(struct queue *q, int64_t day, const char *domain,
    uint64_t uris_r[LIM_TLSRPT_URIS])
{
	return q->store_ops->tls_taken(q->store, day, domain, uris_r);
}

bool
queue_tls_report_is_ready(const struct queue *q)
{
	/* a row that is written while all are moved would be moved, too */
	return q->store_ms <= q->now_ms && q->tls_ms <= q->now_ms &&
	    !queue_is_shifting(q);
}

/* --- its messages ----------------------------------------------------------- */

static void
log_none(const struct queue_tls_report *report, const char *to,
    const char *why)
{
	log_warnx("tls-report-none", "domain=%s to=%s reason=%s",
	    report->domain, to, why);
}

/* Is there a way to ${to}?  1; 0: none, which is logged; -1 with errno: not now. */
static int
has_way(struct queue *q, const struct queue_tls_report *report,
    const char *to)
{
	const struct queue_addressee addressee = { .rcpt = to,
		.sender = report->sender };
	struct queue_route route = { .target = "" };
	char why[JOB_TEXT];

	if (q->ops->route(q->closure, &addressee, &route, why) == 0)
		return 1;
	if (errno == ENOMEM)
		return -1;
	log_none(report, to, why);
	return 0;
}

/* RFC 5321 4.5.5 leaves the null sender to the messages that have to have it: a
 * report has a sender.  With NOTIFY=NEVER (RFC 3461 4.1) nobody who knows it sends
 * a report that this report has failed. */
static int
write_message(struct queue *q, const struct queue_tls_report *report,
    struct made *made, const char *text)
{
	static const uint8_t never = SPOOL_NOTIFY_NEVER;
	const struct spool_envelope env = { .sender = report->sender,
		.rcpts = &made->to, .nrcpts = 1, .notify = &never,
		.flags = FLAGS };

	return q->store_ops->own_write(q->store, &made->place, &env,
	    (uint64_t)q->wall_ms * 1000, text, made->octets);
}

/* Write the message to ${to}.  Return 1; 0: there is none to this one; -1 with
 * errno. */
static int
make(struct queue *q, const struct queue_tls_report *report, const char *to,
    struct made *made)
{
	char id[SPOOL_ID_TEXT + 1], *text = NULL;
	int rc = has_way(q, report, to);

	if (rc != 1)
		return rc;
	made->to = to;
	if (q->store_ops->own_place(q->store, &made->place) == -1)
		return -1;
	made->place.is_spare = true;
	spool_id_text(made->place.id, id);
	if (report->compose(report->closure, id, to, &text,
	    &made->octets) == -1) {
		if (errno != EINVAL)
			return -1;
		log_none(report, to, "no such address can be in a header");
		return 0;
	}
	rc = write_message(q, report, made, text);
	free(text);
	return rc == -1 ? -1 : 1;
}

/* --- the transaction -------------------------------------------------------- */

static void
take(const struct queue_tls_report *report, uint64_t uri,
    struct queue_change *change)
{
	*change = (struct queue_change){ .kind = CHANGE_TLS_TAKE,
		.tls_day = report->day, .tls_domain = report->domain,
		.tls_uri = uri };
}

/* What becomes of the counts.  Return how many ${changes} that are. */
static size_t
end_counts(const struct queue_tls_report *report, const struct made *made,
    size_t nmade, struct queue_change *changes)
{
	size_t i, n = 0;

	if (!report->is_kept) {
		*changes = (struct queue_change){ .kind = CHANGE_TLS_DROP,
			.tls_day = report->day, .tls_domain = report->domain };
		return 1;
	}
	for (i = 0; i < nmade; i++)
		take(report, made[i].uri, &changes[n++]);
	for (i = 0; i < report->ntaken; i++)
		take(report, report->taken[i], &changes[n++]);
	return n;
}

static int
store(struct queue *q, const struct queue_tls_report *report,
    const struct made *made, size_t n)
{
	struct queue_change changes[3 * LIM_TLSRPT_URIS];
	int64_t now_s = q->wall_ms / 1000;
	size_t i;

	for (i = 0; i < n; i++) {
		changes[i] = (struct queue_change){ .kind = CHANGE_PUT,
			.place = &made[i].place };
		changes[i].row = (struct deferred_row){
			.id = made[i].place.id, .sender = report->sender,
			.rcpt = made[i].to, .transport = "",
			.received_us = (uint64_t)q->wall_ms * 1000,
			.octets = made[i].octets, .next_attempt = now_s,
			.since = now_s, .flags = FLAGS,
			.notify = SPOOL_NOTIFY_NEVER };
	}
	n += end_counts(report, made, n, changes + n);
	/* no message could be made, and nobody else is served */
	return n == 0 ? 0 : q->store_ops->change(q->store, changes, n);
}

/* They are in the queue, or are not to be. */
static void
end(struct queue *q, const struct queue_tls_report *report,
    const struct made *made, size_t n, bool is_stored)
{
	char id[SPOOL_ID_TEXT + 1];
	size_t i;

	for (i = 0; i < n; i++) {
		if (!is_stored) {
			q->store_ops->own_drop(q->store, &made[i].place);
			continue;
		}
		stats_inc(STATS_TLS_REPORTS);
		spool_id_text(made[i].place.id, id);
		log_event(LOG_LEVEL_INFO, "tls-report",
		    "id=%s domain=%s day=%lld to=%s size=%zu", id,
		    report->domain, (long long)report->day, made[i].to,
		    made[i].octets);
	}
}

/* Has the ${i}th one had a message already? */
static bool
is_twice(const struct queue_tls_report *report, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (strcmp(report->to[k], report->to[i]) == 0)
			return true;
	return false;
}

int
queue_tls_report_end(struct queue *q, const struct queue_tls_report *report,
    const struct timeval *now)
{
	struct made made[LIM_TLSRPT_URIS];
	size_t i, n = 0;
	int rc = 0, errnum;

	assert(report->nto <= LIM_TLSRPT_URIS &&
	    report->ntaken <= LIM_TLSRPT_URIS);
	if (!queue_tls_report_is_ready(q)) {
		errno = EAGAIN;
		return -1;
	}
	queue_wall_see(q, now);
	for (i = 0; i < report->nto && rc != -1; i++)
		if (!is_twice(report, i) && (rc = make(q, report,
		    report->to[i], &made[n])) == 1)
			made[n++].uri = report->is_kept ?
			    report->to_uris[i] : 0;
	if (rc != -1)
		rc = store(q, report, made, n);
	errnum = errno;
	end(q, report, made, n, rc != -1);
	if (rc == -1) {
		/* of mail, the store may still be able to do more: it needs less
		 * room, and other tables */
		if (errnum != ENOMEM)
			q->tls_ms = q->now_ms + QUEUE_TROUBLE_MS;
		errno = errnum;
		return -1;
	}
	if (n > 0)
		q->due_ms = 0;
	return (int)n;
}
