/* Reports of TLS (RFC 8460): when one is due, its domain is asked whether it wants it,
 * and what was counted is posted, or becomes a message, or is dropped.
 * Owns: the questions to the resolver, of which QUESTIONS_MAX wait at a time, and what
 * their answers mean.
 * When reports are due: tlsrpt_walk.h; what is in them: tlsrpt_day.h and
 * tlsrpt_message.h; that each message is sent once: core/queue/queue_tls_report.h.
 *
 * Each URI of the record is to have the report (RFC 8460 3).  Those that have not
 * taken it get it at one of the next tries, for a day (RFC 8460 5.5), those that have
 * do not: the store remembers them until the counts are dropped.
 *
 * What is posted comes before the messages and the end of the counts.  It may be
 * posted twice, with the same id, if a process is killed between, and is not lost. */

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/queue/queue.h"
#include "cmd/mailmilld/queue/queue_post.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_day.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_message.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_walk.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/queue/queue_tls_report.h"
#include "core/util/fileio.h"

#define QUESTIONS_MAX	16
#define DAY_S		86400
#define PREFIX		"_smtp._tls."	/* RFC 8460 3 */

/* Does a domain want the report of a day? */
struct question {
	TAILQ_ENTRY(question)	 link;
	struct queue_tlsrpt	*t;
	struct lookup_ask	*ask;
	struct tlsrpt_record	 record;	/* the answer, without those that have had the report */
	size_t			 nhad;		/* those */
	struct queue_post	*post;		/* to URIs there, under way */
	uint64_t		 taken[LIM_TLSRPT_URIS]; /* that have taken it */
	size_t			 ntaken;
	bool			 is_kept;	/* others are tried again */
	bool			 is_posted;	/* but the store does not know that yet */
	int64_t			 day;
	bool			 is_last;
	char			 domain[LIM_DOMAIN + 1];
};

struct queue_tlsrpt {
	struct queue_role	*role;
	struct lookup		*lookup;
	struct sts		*sts;
	struct tlsrpt_walk	 walk;
	Event			*timer;
	TAILQ_HEAD(, question)	 questions;
	unsigned int		 nquestions;
};

/* What the messages of a report have in common */
struct composing {
	const struct settings	*settings;
	struct tlsrpt_message	 m;
	char			 id[LIM_DOMAIN + 64];	/* of the report */
	char			 from[SETTINGS_REPORT_ADDRESS];
	char			 contact[SETTINGS_REPORT_ADDRESS];
};

static void
question_free(struct question *q)
{
	TAILQ_REMOVE(&q->t->questions, q, link);
	q->t->nquestions--;
	free(q);
}

/* --- messages --------------------------------------------------------------- */

static int
compose(void *closure, const char *id, const char *to, char **text_r,
    size_t *len_r)
{
	struct composing *c = closure;

	c->m.id = id;
	c->m.to = to;
	*text_r = tlsrpt_message(&c->m, len_r);
	return *text_r == NULL ? -1 : 0;
}

/* The report as JSON, which is to be freed.  NULL with errno: ENOENT, there is
 * nothing to tell. */
static char *
make_json(struct queue_tlsrpt *t, const struct composing *c, int64_t day,
    const char *domain)
{
	const struct tlsrpt_report about = {
		.organization = settings_report_organization(c->settings),
		.contact = c->contact, .id = c->id };
	struct tlsrpt_day *rows = tlsrpt_day_new();
	char *json = NULL;
	int errnum;

	if (rows != NULL && queue_tls_report_rows(t->role->queue, day, domain,
	    tlsrpt_day_add, rows) != -1)
		json = tlsrpt_day_json(rows, &about);
	errnum = errno;
	tlsrpt_day_free(rows);
	errno = errnum;
	return json;
}

static void
fill(struct composing *c, const struct settings *s, int64_t day,
    const char *domain)
{
	uint64_t h = XXH3_64bits(s->hostname, strlen(s->hostname));

	c->settings = s;
	/* what is sent again has the same */
	h = XXH3_64bits_withSeed(domain, strlen(domain), h);
	snprintf(c->id, sizeof(c->id), "%lld.%016llx@%s", (long long)day,
	    (unsigned long long)h, s->hostname);
	c->m = (struct tlsrpt_message){ .hostname = s->hostname,
		.now = scheduler_now()->tv_sec,
		.from = settings_report_sender(s, c->from),
		.contact = settings_report_contact(s, c->contact),
		.domain = domain, .report_id = c->id, .start = day,
		.end = day + DAY_S - 1 };
}

/* --- the end of the counts of a day ------------------------------------------ */

/* With errno, why the report is tried again */
static void
log_later(int64_t day, const char *domain)
{
	log_warn("tls-report-later", "domain=%s day=%lld", domain,
	    (long long)day);
}

/* Nobody has had the report, and nobody will. */
static void
log_dropped(int64_t day, const char *domain, const char *why)
{
	log_warnx("tls-report-dropped", "domain=%s day=%lld reason=%s", domain,
	    (long long)day, why);
}

/* Put a message to each of report->to into the queue, and drop the counts, unless they
 * are kept.  Return how many messages there are.  What fails is tried again: return
 * -1. */
static int
end(struct queue_tlsrpt *t, const struct queue_tls_report *report)
{
	int rc;

	if ((rc = queue_tls_report_end(t->role->queue, report,
	    scheduler_now())) == -1)
		log_later(report->day, report->domain);
	t->role->is_news = true;
	return rc;
}

static bool
drop(struct queue_tlsrpt *t, int64_t day, const char *domain)
{
	const struct queue_tls_report report = { .day = day, .domain = domain,
		.sender = "" };

	return end(t, &report) != -1;
}

/* It goes unreported, though its domain may want the report; but not if some URI has
 * had it before (RFC 8460 3: that is enough).  Return whether that was possible. */
static bool
give_up(struct queue_tlsrpt *t, int64_t day, const char *domain,
    const char *why)
{
	uint64_t taken[LIM_TLSRPT_URIS];
	bool is_reported = queue_tls_report_taken(t->role->queue, day, domain,
	    taken) > 0;

	if (!drop(t, day, domain))
		return false;
	if (!is_reported)
		log_dropped(day, domain, why);
	return true;
}

/* Its rows are of no type that is known here, or there are none: one of the two tables is
 * damaged. */
static bool
give_up_unreadable(struct queue_tlsrpt *t, int64_t day, const char *domain)
{
	return give_up(t, day, domain, "none of its counts can be read");
}

/* As end(); but 1 where there is nothing to tell, which is logged. */
static int
report_to(struct queue_tlsrpt *t, struct queue_tls_report *report)
{
	struct composing c;
	char *json;
	int rc;

	fill(&c, t->role->child->settings, report->day, report->domain);
	if ((json = make_json(t, &c, report->day, report->domain)) == NULL) {
		if (errno == ENOENT)
			return give_up_unreadable(t, report->day,
			    report->domain) ? 1 : -1;
		log_later(report->day, report->domain);
		return -1;
	}
	c.m.json = json;
	c.m.len = strlen(json);
	report->sender = c.from;
	report->compose = compose;
	report->closure = &c;
	rc = end(t, report);
	free(json);
	return rc;
}

/* What a URI is known by in the store.  Who makes two of them have one number harms the
 * reports of his own domain alone. */
static uint64_t
number_of(enum tlsrpt_scheme scheme, const char *to)
{
	return XXH3_64bits_withSeed(to, strlen(to), scheme);
}

static bool
wants(const struct question *q, enum tlsrpt_scheme scheme)
{
	size_t i;

	for (i = 0; i < q->record.n; i++)
		if (q->record.rua[i].scheme == scheme)
			return true;
	return false;
}

/* A message to each address of the record, so that each is delivered whatever becomes
 * of the others.  The counts are dropped; or, with is_kept, the store learns who has
 * the report.  Return whether that was possible. */
static bool
settle(struct question *q)
{
	const char *to[LIM_TLSRPT_URIS];
	uint64_t uris[LIM_TLSRPT_URIS];
	struct queue_tls_report report = { .day = q->day, .domain = q->domain,
		.sender = "", .to = to, .to_uris = uris, .taken = q->taken,
		.ntaken = q->ntaken, .is_kept = q->is_kept };
	const struct tlsrpt_rua *rua;
	size_t i;
	int n;

	for (i = 0; i < q->record.n; i++) {
		rua = &q->record.rua[i];
		if (rua->scheme != TLSRPT_MAILTO)
			continue;
		uris[report.nto] = number_of(rua->scheme, rua->to);
		to[report.nto++] = rua->to;
	}
	n = report.nto > 0 ? report_to(q->t, &report) : end(q->t, &report);
	/* why is in the log, of each address */
	if (n == 0 && !q->is_kept && q->ntaken == 0 && q->nhad == 0)
		log_dropped(q->day, q->domain, wants(q, TLSRPT_HTTPS) ?
		    "no URI of its TXT record has taken it, and no message "
		    "to its addresses can be made" :
		    "no message to the addresses of its TXT record can be "
		    "made");
	return n != -1;
}

/* Leave those URIs in the record that have not had the report yet.  LIM_TLSRPT_URIS get
 * it in all: a domain that named others at each try could have us send mail to many who
 * have not asked for it.  Return false: who has had it is not known. */
static bool
leave_open(struct question *q)
{
	uint64_t had[LIM_TLSRPT_URIS];
	struct tlsrpt_record *r = &q->record;
	int k, n = queue_tls_report_taken(q->t->role->queue, q->day,
	    q->domain, had);
	size_t i, nopen = 0;

	if (n == -1) {
		log_later(q->day, q->domain);
		return false;
	}
	for (i = 0; i < r->n; i++) {
		for (k = 0; k < n; k++)
			if (had[k] == number_of(r->rua[i].scheme,
			    r->rua[i].to))
				break;
		if (k == n)
			r->rua[nopen++] = r->rua[i];
	}
	r->n = MIN(nopen, LIM_TLSRPT_URIS - (size_t)n);
	q->nhad = (size_t)n;
	return true;
}

/* The last try has failed: since a queue process has tried it the first time, which need
 * not be this one. */
static bool
is_over(const struct question *q)
{
	int64_t now = scheduler_now()->tv_sec;

	return now - queue_tls_report_tried(q->t->role->queue, q->day,
	    q->domain, now) >= TLSRPT_TRY_S || q->is_last;
}

static void
on_taken(void *closure, const char *uri)
{
	struct question *q = closure;

	q->taken[q->ntaken++] = number_of(TLSRPT_HTTPS, uri);
}

/* All URIs have been tried.  A message that is in the queue counts as taken.  RFC 8460
 * 3: a report that nobody has taken is not delivered.  What this server could not ask is
 * no reason to drop it, but for its age. */
static void
on_posted(void *closure, size_t nfailed, bool is_unknown, const char *why)
{
	struct question *q = closure;
	bool is_last = nfailed > 0 && is_over(q);
	bool is_news = q->ntaken > 0 || wants(q, TLSRPT_MAILTO);
	bool is_reported = is_news || q->nhad > 0;

	q->post = NULL;
	q->is_kept = nfailed > 0 && !is_last;
	if (is_unknown && (q->is_kept || !is_reported))
		log_warnx("tls-report-later", "domain=%s day=%lld reason=%s",
		    q->domain, (long long)q->day, why);
	if (is_news || (is_reported && !q->is_kept))
		/* it is not to be posted again because the store fails */
		q->is_posted = !settle(q) && q->ntaken > 0;
	else if (is_last && !is_unknown)
		(void)give_up(q->t, q->day, q->domain, why);
	if (!q->is_posted)
		question_free(q);
}

/* Return false: there is nothing to post, or it cannot be posted now. */
static bool
post(struct question *q)
{
	struct queue_post_spec spec = { .day = q->day, .domain = q->domain,
		.record = &q->record, .taken = on_taken, .done = on_posted,
		.closure = q };
	struct composing c;
	char *json;

	fill(&c, q->t->role->child->settings, q->day, q->domain);
	if ((json = make_json(q->t, &c, q->day, q->domain)) != NULL) {
		spec.json = json;
		spec.len = strlen(json);
		q->post = queue_post_begin(q->t->sts, &spec);
	} else if (errno == ENOENT) {
		(void)give_up_unreadable(q->t, q->day, q->domain);
		return false;
	}
	if (q->post == NULL)
		log_later(q->day, q->domain);
	free(json);
	return q->post != NULL;
}

/* The domain wants reports.  Return false: this one is over for now. */
static bool
report(struct question *q)
{
	if (!leave_open(q))
		return false;
	if (wants(q, TLSRPT_HTTPS))
		return post(q);
	if (wants(q, TLSRPT_MAILTO) || q->nhad > 0)
		(void)settle(q);
	else
		(void)give_up(q->t, q->day, q->domain,
		    "no URI of its TXT record can be reported to");
	return false;
}

/* --- questions -------------------------------------------------------------- */

static void
on_answer(void *closure, const struct lookup_answer *a)
{
	struct question *q = closure;

	q->ask = NULL;
	if (a->status == LOOKUP_TEMPORARY) {
		if (is_over(q))
			(void)give_up(q->t, q->day, q->domain,
			    "its TXT record could not be looked up for a day");
	} else if (a->status == LOOKUP_FOUND &&
	    tlsrpt_record_find(a, &q->record) == 1) {
		if (report(q))
			return;
	} else
		(void)drop(q->t, q->day, q->domain);
	question_free(q);
}

static struct question *
find(const struct queue_tlsrpt *t, int64_t day, const char *domain)
{
	struct question *q;

	TAILQ_FOREACH (q, &t->questions, link)
		if (q->day == day && strcmp(q->domain, domain) == 0)
			return q;
	return NULL;
}

/* What cannot be asked now is due again. */
static void
ask(struct queue_tlsrpt *t, int64_t day, const char *domain, bool is_last)
{
	struct question *q = calloc(1, sizeof(*q));
	char name[sizeof(PREFIX) + LIM_DOMAIN];
	bool is_name;

	if (q == NULL)
		return;
	q->t = t;
	q->day = day;
	q->is_last = is_last;
	strlcpy(q->domain, domain, sizeof(q->domain));
	TAILQ_INSERT_TAIL(&t->questions, q, link);
	t->nquestions++;
	snprintf(name, sizeof(name), PREFIX "%s", domain);
	if ((q->ask = lookup_ask(t->lookup, LOOKUP_TXT, name, on_answer,
	    q)) != NULL)
		return;
	is_name = errno != EINVAL;
	question_free(q);
	/* where no record can be, nobody wants a report */
	if (!is_name)
		(void)drop(t, day, domain);
}

/* --- time ------------------------------------------------------------------- */

static int
walk_next(void *closure, int64_t *day, char domain[LIM_DOMAIN + 1],
    int64_t before)
{
	struct queue_tlsrpt *t = closure;

	return queue_tls_report_next(t->role->queue, day, domain, before);
}

static bool
walk_due(void *closure, int64_t day, const char *domain,
    enum tlsrpt_verdict verdict)
{
	struct queue_tlsrpt *t = closure;

	if (find(t, day, domain) != NULL)
		return true;
	/* it keeps its turn, and so do those behind it: see on_timer() */
	if (!queue_tls_report_is_ready(t->role->queue))
		return false;
	if (verdict == TLSRPT_OLD) {
		(void)give_up(t, day, domain, "it is too old");
		return true;
	}
	if (t->nquestions == QUESTIONS_MAX)
		return false;
	ask(t, day, domain, verdict == TLSRPT_LAST);
	return true;
}

static const struct tlsrpt_walk_ops walk_ops = {
	.next = walk_next,
	.due = walk_due
};

static void set_timer(struct queue_tlsrpt *t, unsigned int ms);

/* The counts of some of what was posted while the store failed.  They wait for no walk:
 * QUESTIONS_MAX of them would leave no question to a domain at which the walk stands,
 * before it came to them.  Return whether the store works. */
static bool
end_posted(struct queue_tlsrpt *t)
{
	struct question *q, *next;
	unsigned int n = 0;

	TAILQ_FOREACH_SAFE (q, &t->questions, link, next) {
		if (!q->is_posted)
			continue;
		if (n++ == TLSRPT_STEP_DUE)
			break;
		if (!settle(q))
			return false;
		question_free(q);
	}
	return true;
}

/* While the disk is full, or the store fails otherwise, the walk stands still for a
 * minute after each failure. */
static void
on_timer(void *closure)
{
	struct queue_tlsrpt *t = closure;
	unsigned int ms = TLSRPT_WALK_MS;

	t->timer = NULL;
	if (t->role->child->is_draining)
		return;
	if (queue_tls_report_is_ready(t->role->queue) && end_posted(t))
		ms = tlsrpt_walk_step(&t->walk, scheduler_now()->tv_sec);
	set_timer(t, ms);
}

static void
set_timer(struct queue_tlsrpt *t, unsigned int ms)
{
	if ((t->timer = after_ms(ms, on_timer, t)) == NULL)
		log_err("tls-report-timer", "effect=%s",
		    "no report of TLS is sent until the server is restarted");
}

/* --- its life --------------------------------------------------------------- */

int
queue_tlsrpt_new(struct queue_role *r)
{
	struct queue_tlsrpt *t;

	if (!r->child->settings->tls_reports)
		return 0;
	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (t->lookup = lookup_new(ROLE_QUEUE)) == NULL ||
	    (t->sts = sts_new(ROLE_QUEUE)) == NULL) {
		if (t != NULL)
			lookup_free(t->lookup);
		free(t);
		return -1;
	}
	t->role = r;
	t->walk.ops = &walk_ops;
	t->walk.closure = t;
	t->walk.hostname = r->child->settings->hostname;
	TAILQ_INIT(&t->questions);
	r->tlsrpt = t;
	return 0;
}

void
queue_tlsrpt_open(struct queue_role *r)
{
	if (r->tlsrpt != NULL)
		set_timer(r->tlsrpt, TLSRPT_STEP_MS);
}

void
queue_tlsrpt_peer(struct queue_role *r, const struct msg_peer *who, int fd)
{
	struct queue_tlsrpt *t = r->tlsrpt;
	int rc = 0;

	if (t == NULL)
		fileio_close(fd);
	else
		rc = who->role == ROLE_STS ? sts_peer(t->sts, who, fd) :
		    lookup_peer(t->lookup, who, fd);
	if (rc == -1)
		log_err("queue-connect", "peer=%s slot=%u",
		    role_name(who->role), who->slot);
}

void
queue_tlsrpt_free(struct queue_role *r)
{
	struct queue_tlsrpt *t = r->tlsrpt;
	struct question *q;

	if (t == NULL)
		return;
	after_cancel(&t->timer);
	while ((q = TAILQ_FIRST(&t->questions)) != NULL) {
		lookup_cancel(&q->ask);
		queue_post_cancel(&q->post);
		question_free(q);
	}
	lookup_free(t->lookup);
	sts_free(t->sts);
	free(t);
	r->tlsrpt = NULL;
}
