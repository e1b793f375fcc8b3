/* Reports to senders: what has become of their messages.
 * Owns: that each report is a message of the deferred store, whose row comes in the
 * transaction in which that what it tells of goes from the rows, or is noted there.
 * So it is there once.
 * A message with very many recipients has several, since each is made in memory.
 * Knows nothing of how it looks: queue_ops.report() does. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"

#define REPORT_WORDS	4096	/* octets of a usual report beside the message */
#define REPORT_RCPT	1024	/* and those of each recipient, in both of its forms */

/* Is ${r} to be in the report? */
static bool
is_told(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	if (r->state == RCPT_OK && r->outcome != QUEUE_WAITS)
		return queue_is_reported(q, m, r);
	return queue_warning(q, m, r) != 0;
}

/* How many recipients of ${m} its report tells of */
static size_t
count_told(const struct queue *q, const struct queue_message *m)
{
	size_t n = 0;
	uint32_t i;

	if (m->place.file != NULL)
		return 0;		/* not before it is deferred */
	for (i = 0; i < m->nrcpts; i++)
		n += is_told(q, m, &m->rcpts[i]);
	return n;
}

/* --- what it says ----------------------------------------------------------- */

struct writing {
	struct queue	*q;
	struct queue_message *m;
	struct queue_report_made *made;
	struct queue_report_rcpt *rcpts;	/* room for QUEUE_REPORT_RCPTS */
	bool		 is_whole;		/* may be returned */
	bool		 is_written;
	int		 errnum;
};

/* The recipient ${r}, of which the envelope has said ${said} */
static void
fill_rcpt(struct writing *w, const struct queue_rcpt *r,
    const struct spool_envelope_rcpt *said, struct queue_report_rcpt *rr)
{
	*rr = (struct queue_report_rcpt){ .rcpt = r->rcpt,
		.orcpt = said->orcpt, .outcome = r->outcome,
		.enhanced = "", .remote = "", .text = "",
		.last_attempt = r->is_parked ? 0 : w->q->wall_ms / 1000 };
	if (r->outcome == QUEUE_WAITS) {
		rr->retry_until = queue_expires_s(w->q, w->m, r);
		rr->is_late = (queue_warning(w->q, w->m, r) &
		    DEFERRED_WARNED_BY) != 0;
	}
	if (r->reply != NULL) {
		rr->code = r->reply->code;
		rr->enhanced = r->reply->enhanced;
		rr->remote = r->reply->remote;
		rr->last_attempt = r->reply->when;
	}
	if (r->reply != NULL)
		rr->text = r->reply->text;
	else if (!queue_has_succeeded(r))
		rr->text = queue_rcpt_error(r);
}

/* Those that are told of, from w->made->first on; ${env} is NULL if the envelope
 * cannot be read. */
static size_t
fill_rcpts(struct writing *w, const struct spool_envelope_view *env)
{
	struct spool_envelope_rcpt said = { .orcpt = NULL };
	const char *cursor = NULL;
	struct queue_rcpt *r;
	size_t n = 0;
	uint32_t i;

	/* in the order of the envelope, as spool_envelope_said() wants them */
	for (i = w->made->first; i < w->m->nrcpts && n < QUEUE_REPORT_RCPTS;
	    i++) {
		r = &w->m->rcpts[i];
		if (env != NULL)
			spool_envelope_said(env, r->index, &cursor, &said);
		if (r->notify == DEFERRED_NOTIFY_UNKNOWN && env != NULL)
			r->notify = (unsigned char)said.notify;
		if (is_told(w->q, w->m, r))
			fill_rcpt(w, r, &said, &w->rcpts[n++]);
	}
	w->made->end = i;
	return n;
}

static void
write_report(struct writing *w, const struct queue_report *report)
{
	static const uint8_t never = SPOOL_NOTIFY_NEVER;	/* RFC 3461 6.1 */
	struct queue_report_made *made = w->made;
	struct spool_envelope env = { .sender = "", .rcpts = &made->to,
		.nrcpts = 1, .notify = &never, .priority = w->m->priority };
	struct queue *q = w->q;
	char *text;

	if (q->ops->report(q->closure, report, &text, &made->octets,
	    &made->flags) == -1) {
		w->errnum = errno;
		return;
	}
	/* RFC 8689 5: a report tells of the message, and is protected like it */
	made->flags |= w->m->env_flags & SPOOL_ENV_REQUIRETLS;
	env.flags = made->flags;
	w->is_written = q->store_ops->own_write(q->store, &made->place, &env,
	    (uint64_t)q->wall_ms * 1000, text, made->octets) == 0;
	if (!w->is_written)
		w->errnum = errno;
	free(text);
}

/* ${record} is the message that is told of, or NULL: it cannot be read. */
static int
compose(void *closure, const struct queue_record *record)
{
	struct writing *w = closure;
	const struct spool_envelope_view *env = record == NULL ? NULL :
	    record->envelope;
	char id[SPOOL_ID_TEXT + 1], of[SPOOL_ID_TEXT + 1];
	struct queue_report report = { .id = id, .of = of, .to = w->made->to,
		.sender = w->m->sender,
		.now = w->q->wall_ms / 1000,
		.arrival = (int64_t)(w->m->received_us / 1000000),
		.env_flags = w->m->env_flags, .rcpts = w->rcpts };

	spool_id_text(w->made->place.id, id);
	spool_id_text(w->m->place.id, of);
	if (record != NULL) {
		report.envid = env->envid;
		report.text = record->text;
		report.len = record->text_len;
		report.is_whole = w->is_whole && record->is_whole;
	}
	report.nrcpts = fill_rcpts(w, env);
	w->made->nrcpts = (unsigned int)report.nrcpts;
	if (report.nrcpts > 0)
		write_report(w, &report);
	return 0;
}

/* --- to whom ---------------------------------------------------------------- */

static void
log_none(const struct queue_message *m, const char *to, const char *why)
{
	char id[SPOOL_ID_TEXT + 1];

	spool_id_text(m->place.id, id);
	log_errx("report-none", "id=%s to=%s reason=%s", id, to, why);
}

/* Is the report to tell of one that has failed? */
static bool
has_failure(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_OK &&
		    queue_has_failed(&m->rcpts[i]))
			return true;
	return false;
}

/* Find whom to tell: the sender, or the postmaster of double_bounce of a failure
 * if the sender cannot be.  Return 1 with *to_r; 0: nobody; -1 with errno: not now. */
static int
find_whom(struct queue *q, const struct queue_message *m, const char **to_r)
{
	const char *whom[] = { m->sender, has_failure(m) ?
	    q->config.double_bounce : NULL };
	char why[JOB_TEXT];
	struct queue_route route = { .target = "" };
	struct queue_addressee to = { .sender = "" };
	size_t i;

	for (i = 0; i < 2; i++) {
		*to_r = whom[i];
		if (whom[i] == NULL || whom[i][0] == '\0')
			continue;
		to.rcpt = whom[i];
		if (q->ops->route(q->closure, &to, &route, why) == 0)
			return 1;
		if (errno == ENOMEM)
			return -1;
		log_none(m, whom[i], why);
	}
	return 0;
}

/* May the whole message be returned?  RFC 3461 6.2: of a failure alone.
 * RFC 8689 5: with REQUIRETLS, RET=FULL does not count. */
static bool
is_returned(const struct queue *q, const struct queue_message *m)
{
	if ((m->env_flags & SPOOL_ENV_RET_FULL) == 0 ||
	    (m->env_flags & (SPOOL_ENV_BINARYMIME |
	    SPOOL_ENV_REQUIRETLS)) != 0 ||
	    m->octets > q->config.return_octets)
		return false;
	return has_failure(m);
}

/* How much of ${m} is looked at for its report */
static size_t
octets_of(const struct queue *q, const struct queue_message *m)
{
	return is_returned(q, m) ? (size_t)m->octets :
	    (size_t)MIN(m->octets, QUEUE_REPORT_HEADER);
}

/* How many reports there are at most about ${m} */
static size_t
count_reports(const struct queue *q, const struct queue_message *m)
{
	return (count_told(q, m) + QUEUE_REPORT_RCPTS - 1) / QUEUE_REPORT_RCPTS;
}

size_t
queue_report_octets(const struct queue *q, const struct queue_message *m)
{
	return count_reports(q, m) * (REPORT_WORDS + octets_of(q, m)) +
	    count_told(q, m) * REPORT_RCPT;
}

/* Write a report about ${m} to made->to that begins with the recipient
 * made->first.  Return 1; 0: there is to be none; -1 with errno. */
static int
make(struct queue *q, struct queue_message *m, struct queue_report_made *made)
{
	struct writing w = { .q = q, .m = m, .made = made,
		.is_whole = is_returned(q, m) };

	made->m = m;
	made->end = made->first;
	if (q->store_ops->own_place(q->store, &made->place) == -1)
		return -1;
	if ((w.rcpts = calloc(MIN(m->nrcpts, QUEUE_REPORT_RCPTS),
	    sizeof(w.rcpts[0]))) == NULL)
		return -1;
	if (q->store_ops->read_message(q->store, m->place.id,
	    octets_of(q, m), compose, &w) == -1)
		compose(&w, NULL);
	free(w.rcpts);
	q->report_octets += made->octets;
	errno = w.errnum;
	return w.is_written ? 1 : w.errnum != 0 ? -1 : 0;
}

/* --- all of a transaction --------------------------------------------------- */

/* No report can be written now about the recipients of ${m} from ${i} on.  Those
 * that are to be told of keep their rows, which note what has become of them: no
 * agent gets them again. */
static void
put_off(const struct queue *q, struct queue_message *m, uint32_t i)
{
	for (; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_OK && is_told(q, m, &m->rcpts[i]))
			m->rcpts[i].state = RCPT_FAILED;
}

/* What is to be told of delays is told in this transaction, or to nobody, also of
 * those whose envelope has just said that nobody wants to know.
 * ${end}: the first recipient that is not told of. */
static void
note_warnings(const struct queue *q, struct queue_message *m, uint32_t end)
{
	uint32_t i;

	for (i = 0; i < end; i++)
		if (m->rcpts[i].state == RCPT_FAILED)
			m->rcpts[i].telling = (unsigned char)
			    queue_warning_passed(q, m, &m->rcpts[i]);
}

/* All reports about ${m}.  Return 0, or -1 with errno: those it has not told of are
 * put off. */
static int
make_all(struct queue *q, struct queue_message *m,
    struct queue_reports *reports)
{
	struct queue_report_made made = { .m = m };
	int rc = find_whom(q, m, &made.to), errnum;

	if (rc == 0)
		made.end = m->nrcpts;
	while (rc == 1 && made.end < m->nrcpts) {
		made = (struct queue_report_made){ .to = made.to,
			.first = made.end };
		rc = make(q, m, &made);
		if (rc == 1)
			reports->v[reports->n++] = made;
		else if (rc == 0)
			break;
	}
	errnum = errno;
	if (rc == -1) {
		made.end = made.first;
		put_off(q, m, made.end);
	} else
		made.end = m->nrcpts;
	note_warnings(q, m, made.end);
	errno = errnum;
	return rc == -1 ? -1 : 0;
}

int
queue_reports_make(struct queue *q, const struct queue_messages *batch,
    struct queue_reports *reports)
{
	struct queue_message *m;
	int rc = 0, errnum = 0;
	size_t n = 0;

	TAILQ_FOREACH (m, batch, settle)
		n += count_reports(q, m);
	if (n == 0)
		return 0;
	if ((reports->v = calloc(n, sizeof(reports->v[0]))) == NULL) {
		rc = -1;
		errnum = errno;
	}
	TAILQ_FOREACH (m, batch, settle) {
		if (count_told(q, m) == 0)
			continue;
		/* after one that failed the next would, too */
		if (rc == -1)
			put_off(q, m, 0);
		else if ((rc = make_all(q, m, reports)) == -1)
			errnum = errno;
	}
	errno = errnum;
	return rc;
}

void
queue_reports_change(const struct queue *q,
    const struct queue_reports *reports, struct queue_change *changes)
{
	const struct queue_report_made *made;
	size_t i;

	for (i = 0; i < reports->n; i++) {
		made = &reports->v[i];
		changes[i] = (struct queue_change){ .kind = CHANGE_PUT,
			.place = &made->place };
		changes[i].row = (struct deferred_row){ .id = made->place.id,
			.sender = "", .rcpt = made->to, .transport = "",
			.received_us = (uint64_t)q->wall_ms * 1000,
			.octets = made->octets,
			.next_attempt = q->wall_ms / 1000,
			.since = q->wall_ms / 1000, .flags = made->flags,
			.priority = made->m->priority,
			.notify = SPOOL_NOTIFY_NEVER };
	}
}

uint64_t
queue_reports_find(const struct queue_reports *reports,
    const struct queue_message *m, uint32_t i)
{
	const struct queue_report_made *made;
	size_t at;

	for (at = 0; at < reports->n; at++) {
		made = &reports->v[at];
		if (made->m == m && i >= made->first && i < made->end)
			return made->place.id;
	}
	return 0;
}

void
queue_reports_end(struct queue *q, struct queue_reports *reports,
    bool is_stored)
{
	char id[SPOOL_ID_TEXT + 1], of[SPOOL_ID_TEXT + 1];
	const struct queue_report_made *made;
	size_t i;

	for (i = 0; i < reports->n; i++) {
		made = &reports->v[i];
		if (!is_stored) {
			q->store_ops->own_drop(q->store, &made->place);
			continue;
		}
		stats_inc(STATS_REPORTS);
		spool_id_text(made->place.id, id);
		spool_id_text(made->m->place.id, of);
		log_event(LOG_LEVEL_INFO, "report",
		    "id=%s of=%s to=%s nrcpts=%u size=%zu", id, of,
		    made->to, made->nrcpts, made->octets);
	}
	free(reports->v);
	*reports = (struct queue_reports){ .n = 0 };
}
