/* Jobs: recipients at the agents.
 * Owns: the agents, the numbers of jobs, what happens when an agent dies.
 * Knows nothing of how results are kept. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"
#include "core/util/array.h"

int
queue_agent_add(struct queue *q, unsigned int transport, unsigned int *agent_r)
{
	unsigned int i;

	for (i = 0; i < QUEUE_AGENTS_MAX; i++)
		if (!q->agents[i].is_used) {
			q->agents[i] = (struct queue_agent){ .is_used = true,
				.transport = transport };
			*agent_r = i;
			return 0;
		}
	errno = ENOSPC;
	return -1;
}

void
queue_unblock(struct queue *q)
{
	unsigned int i;

	for (i = 0; i < QUEUE_AGENTS_MAX; i++)
		q->agents[i].is_blocked = false;
	q->is_blocked = false;
}

static struct queue_job *
job_new(struct queue *q, uint64_t *number_r)
{
	uint32_t slot = q->free_job - 1;
	struct queue_job *jobs;

	if (q->free_job != 0) {
		q->free_job = q->jobs[slot].next_free;
	} else {
		jobs = array_fit(q->jobs, &q->jobs_room, q->njobs + 1,
		    sizeof(jobs[0]));
		if (jobs == NULL)
			return NULL;
		q->jobs = jobs;
		slot = (uint32_t)q->njobs++;
	}
	q->jobs[slot].generation++;
	*number_r = (uint64_t)q->jobs[slot].generation << 32 | slot;
	return &q->jobs[slot];
}

static void
job_free(struct queue *q, struct queue_job *job)
{
	job->message = NULL;
	job->next_free = q->free_job;
	q->free_job = (uint32_t)(job - q->jobs) + 1;
}

/* The job numbered ${number}, if ${agent} has it */
static struct queue_job *
job_find(struct queue *q, unsigned int agent, uint64_t number)
{
	uint32_t slot = (uint32_t)number;
	struct queue_job *job;

	if (slot >= q->njobs || agent >= QUEUE_AGENTS_MAX)
		return NULL;
	job = &q->jobs[slot];
	if (job->message == NULL || job->generation != number >> 32 ||
	    job->agent != agent)
		return NULL;
	return job;
}

/* Take ${job} from its agent.  The target is told by the caller. */
static void
job_end(struct queue *q, struct queue_job *job)
{
	struct queue_agent *a = &q->agents[job->agent];

	a->njobs[queue_class(job->message)]--;
	a->octets[queue_class(job->message)] -= job->message->octets;
	a->is_blocked = false;
	q->in_flight--;
	job_free(q, job);
}

/* How many more jobs of ${class} agent ${a} may have.  A new message waits at
 * most behind as many due ones as half of an agent's jobs are; and as long as
 * there are due ones, new ones leave a quarter to them. */
static size_t
room_at(const struct queue *q, const struct queue_agent *a,
    enum queue_class class)
{
	size_t max = q->config.transports[a->transport].max_jobs;
	size_t window = max, n = a->njobs[QUEUE_NEW] + a->njobs[QUEUE_DUE];

	if (class == QUEUE_DUE)
		window = (max + 1) / 2;
	else if (queue_target_has_turn(q, a->transport, QUEUE_DUE))
		window = max - (max + 3) / 4;
	if (n >= max || a->njobs[class] >= window || (class == QUEUE_DUE &&
	    a->octets[class] >= QUEUE_DUE_OCTETS))
		return 0;
	return MIN(window - a->njobs[class], max - n);
}

/* The agent with the least to do that takes more; -1: none */
static int
choose_agent(const struct queue *q, unsigned int transport,
    enum queue_class class)
{
	const struct queue_agent *a;
	int best = -1;
	unsigned int i;

	for (i = 0; i < QUEUE_AGENTS_MAX; i++) {
		a = &q->agents[i];
		if (!a->is_used || a->is_blocked ||
		    a->transport != transport || room_at(q, a, class) == 0)
			continue;
		if (best == -1 ||
		    a->njobs[class] < q->agents[best].njobs[class])
			best = (int)i;
	}
	return best;
}

/* Has one of them room for another job, if it takes any? */
static bool
has_agent(const struct queue *q, unsigned int transport, enum queue_class class)
{
	const struct queue_agent *a;
	unsigned int i;

	for (i = 0; i < QUEUE_AGENTS_MAX; i++) {
		a = &q->agents[i];
		if (a->is_used && a->transport == transport &&
		    room_at(q, a, class) > 0)
			return true;
	}
	return false;
}

static struct job_origin
origin_of(const struct queue_message *m, const struct queue_rcpt *r)
{
	const struct spool_origin *o = &m->place.origin;

	return (struct job_origin){ .segment = o->segment,
		.generation = o->generation, .seq = o->seq, .rcpt = r->index };
}

struct batch {
	unsigned int		 n, max;
	struct job	 jobs[JOBS_AT_ONCE];
};

/* Put ${r}, and those of the same message that wait behind it and may go with it,
 * into ${b} for ${agent}.  Return how many. */
static uint32_t
fill(struct queue *q, struct queue_rcpt *r, unsigned int agent,
    struct batch *b)
{
	uint32_t n, max = queue_target_together(r->target);
	struct queue_message *m = queue_rcpt_message(r);
	struct queue_agent *a = &q->agents[agent];
	struct queue_rcpt *next;
	struct queue_job *job;
	struct job *d;

	for (n = 0; r != NULL && n < max && b->n < b->max &&
	    room_at(q, a, queue_class(m)) > 0; n++, r = next) {
		d = &b->jobs[b->n];
		if ((job = job_new(q, &d->job)) == NULL)
			break;
		next = queue_target_next(r);
		job->message = m;
		job->rcpt = r->at;
		job->agent = agent;
		d->source = m->place.file != NULL ? m->place.file->source :
		    m->own.source;
		d->body_source = m->place.file != NULL ? m->own.source : 0;
		d->offset = m->place.offset;
		d->origin = origin_of(m, r);
		d->is_repeated = r->is_repeated;
		d->is_tls_report = (m->env_flags & SPOOL_ENV_TLS_REPORT) != 0;
		d->section = r->section;
		queue_rcpt_leave(q, m, r, RCPT_SENT);
		job->ticket = queue_target_sent(q, r->target,
		    queue_class(m), n == 0);
		a->njobs[queue_class(m)]++;
		a->octets[queue_class(m)] += m->octets;
		q->in_flight++;
		b->n++;
	}
	return n;
}

/* An administrator has put ${r} on hold while an agent had it; the row of a deferred
 * message says so already. */
static void
hold(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	if (queue_class(m) == QUEUE_NEW) {
		queue_rcpt_hold(q, m, r);
		return;
	}
	queue_rcpt_done(q, m, r);
	queue_message_check(q, m);
}

/* Back to where they were; ${is_repeated}: the agent may have begun. */
static void
take_back(struct queue *q, struct queue_job *job, bool is_repeated)
{
	struct queue_message *m = job->message;
	struct queue_rcpt *r = &m->rcpts[job->rcpt];
	bool is_overdue;

	queue_target_back(q, r->target, job->ticket, !is_repeated);
	job_end(q, job);
	if (r->is_on_hold) {
		hold(q, m, r);
		return;
	}
	r->is_repeated = r->is_repeated || is_repeated;
	/* it was said of no attempt, or of none that has ended */
	free(r->reply);
	r->reply = NULL;
	is_overdue = !q->is_stopped && queue_is_overdue(q, m, r);
	if (is_overdue && is_repeated &&
	    q->wall_ms / 1000 >= queue_expires_s(q, m, r))
		queue_rcpt_fail(q, m, r, EINTR, "the process that delivers it "
		    "has ended before it had said what has become of it");
	else if (is_overdue && !queue_target_is_plain(r->target))
		queue_rcpt_park(q, m, r);
	else if (is_repeated)
		queue_rcpt_wait(q, m, r);
	else
		queue_rcpt_again(q, m, r);
}

/* All recipients of ${m} that wait have failed. */
static void
fail_all(struct queue *q, struct queue_message *m, int errnum,
    const char *text)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_WAITING)
			queue_rcpt_fail(q, m, &m->rcpts[i], errnum, text);
}

/* The file of ${m} cannot be opened. */
static void
fail_unopened(struct queue *q, struct queue_message *m, int errnum)
{
	const char *text = m->place.file == NULL ?
	    "the message's file in the folder deferred/ cannot be opened: "
	    "restore it, or remove the message from the queue" :
	    "the message's body file in the folder incoming/ cannot be opened";

	if (errnum == ENOMEM)
		text = "there is no memory for what the agent would have to "
		    "read of it: make room";
	/* a body that is gone does not come back */
	if (m->place.file != NULL && errnum == ENOENT)
		errnum = EBADMSG;
	fail_all(q, m, errnum, text);
}

/* One turn of the target ${t}, into ${b} for ${agent}.  Return 0, or -1: nothing
 * more for this agent. */
static int
turn(struct queue *q, struct queue_target *t, enum queue_class class,
    unsigned int agent, struct batch *b)
{
	uint32_t left = QUEUE_TURN, n;
	struct queue_message *m;
	struct queue_rcpt *r;

	for (; left > 0 && b->n < b->max && t->has_turn[class];
	    left -= MIN(n, left)) {
		r = queue_target_first(t, class);
		m = queue_rcpt_message(r);
		n = 0;
		if (queue_message_is_late(q, m)) {
			fail_all(q, m, ETIMEDOUT, queue_late_text);
			continue;
		}
		if (queue_tell(q, m, agent) == -1) {
			if (errno == EAGAIN)
				return -1;
			fail_unopened(q, m, errno);
			continue;
		}
		n = fill(q, r, agent, b);
		if (n == 0)
			return -1;	/* no memory */
	}
	queue_target_turned(q, t, class);
	return 0;
}

/* One batch for ${agent}.  Return whether all of it was sent. */
static bool
dispatch_to(struct queue *q, unsigned int agent, enum queue_class class)
{
	struct queue_agent *a = &q->agents[agent];
	struct batch b = { .n = 0 };
	struct queue_target *t;
	unsigned int i, taken;

	b.max = (unsigned int)MIN(room_at(q, a, class), JOBS_AT_ONCE);
	while (b.n < b.max && (t = queue_target_turn(q, a->transport,
	    class)) != NULL && turn(q, t, class, agent, &b) == 0)
		;
	if (b.n == 0)
		return false;
	taken = q->ops->jobs(q->closure, agent, b.jobs, b.n);
	/* the last first: each goes in front of the others */
	for (i = b.n; i > taken; i--)
		take_back(q, job_find(q, agent, b.jobs[i - 1].job), false);
	return taken == b.n;
}

/* May a target have jobs, with those of streams that get a turn now? */
static bool
has_turn(struct queue *q, unsigned int transport, enum queue_class class)
{
	enum queue_class each;

	if (!TAILQ_EMPTY(&q->targets.news[transport])) {
		for (each = 0; each < QUEUE_CLASSES; each++)
			q->targets.takes[transport][each] =
			    has_agent(q, transport, each);
		queue_streams_offer(q, transport);
	}
	return queue_target_has_turn(q, transport, class);
}

static void
dispatch_class(struct queue *q, unsigned int transport, enum queue_class class)
{
	int agent;

	while (has_turn(q, transport, class) &&
	    (agent = choose_agent(q, transport, class)) != -1)
		/* those of streams are in line again */
		if (!dispatch_to(q, (unsigned int)agent, class) &&
		    has_turn(q, transport, class)) {
			q->agents[agent].is_blocked = true;
			q->is_blocked = true;
		}
}

void
queue_dispatch(struct queue *q)
{
	unsigned int t;

	for (t = 0; t < q->config.ntransports && !q->is_stopped; t++)
		do {
			dispatch_class(q, t, QUEUE_NEW);
			dispatch_class(q, t, QUEUE_DUE);
			/* of streams, what of one class was sent may have been
			 * before the other in line */
		} while (queue_target_has_turn(q, t, QUEUE_NEW) &&
		    choose_agent(q, t, QUEUE_NEW) != -1);
}

void
queue_jobs_look(struct queue *q)
{
	struct queue_message *m;
	uint32_t i;

	for (i = 0; i < q->njobs; i++) {
		m = q->jobs[i].message;
		if (m == NULL || m->is_slow || !queue_message_has_place(m) ||
		    !queue_target_is_slow(q, m->rcpts[q->jobs[i].rcpt].target))
			continue;
		m->is_slow = true;
		q->targets.nslow[queue_class(m)]++;
	}
}

void
queue_agent_gone(struct queue *q, unsigned int agent)
{
	struct queue_file *file, *next;
	uint32_t i;

	if (agent >= QUEUE_AGENTS_MAX || !q->agents[agent].is_used)
		return;
	for (i = 0; i < q->njobs; i++)
		if (q->jobs[i].message != NULL && q->jobs[i].agent == agent)
			take_back(q, &q->jobs[i], true);
	TAILQ_FOREACH_SAFE (file, &q->files, link, next)
		queue_untell(q, file, agent);
	q->agents[agent].is_used = false;
}

void
queue_error(struct queue *q, unsigned int agent, const struct job_error *error)
{
	struct queue_job *job = job_find(q, agent, error->job);
	struct queue_rcpt *r;

	if (job == NULL)
		return;
	r = &job->message->rcpts[job->rcpt];
	free(r->reply);
	r->reply = queue_reply_new(error);
}

#define DELIVERED_FORMAT \
	"id=%s rcpt=%s transport=%s file=%s size=%llu delay=%s"
#define RELAYED_FORMAT \
	"id=%s rcpt=%s transport=%s reply=%s size=%llu delay=%s with=%s"

static void
log_delivered(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r, const struct timeval *now)
{
	const struct queue_transport *tr = &q->config.transports[r->transport];
	const struct job_origin origin = origin_of(m, r);
	char id[SPOOL_ID_TEXT + 1], file[QUEUE_FILE_MAX];
	char seconds[LOG_SECONDS];
	int64_t delay_us = (int64_t)now->tv_sec * 1000000 + now->tv_usec -
	    (int64_t)m->received_us;
	struct timeval delay = { .tv_sec = 0, .tv_usec = 0 };

	if (delay_us > 0) {
		delay.tv_sec = (time_t)(delay_us / 1000000);
		delay.tv_usec = (suseconds_t)(delay_us % 1000000);
	}
	spool_id_text(m->place.id, id);
	if (tr->file == NULL) {
		log_event(LOG_LEVEL_INFO, "delivered", m->priority != 0 ?
		    RELAYED_FORMAT " priority=%d" : RELAYED_FORMAT, id,
		    r->rcpt, tr->name, r->reply != NULL ? r->reply->said : "",
		    (unsigned long long)m->octets, log_seconds(&delay, seconds),
		    r->reply != NULL ? r->reply->with : "", m->priority);
		return;
	}
	tr->file(file, m->received_us / 1000000, id, &origin);
	log_event(LOG_LEVEL_INFO, "delivered", m->priority != 0 ?
	    DELIVERED_FORMAT " priority=%d" : DELIVERED_FORMAT, id, r->rcpt,
	    tr->name, file, (unsigned long long)m->octets,
	    log_seconds(&delay, seconds), m->priority);
}

static void
delivered(struct queue *q, struct queue_message *m, struct queue_rcpt *r,
    unsigned int flags, const struct timeval *now)
{
	stats_inc(STATS_DELIVERED);
	if (log_enabled(LOG_LEVEL_INFO))
		log_delivered(q, m, r, now);
	r->outcome = (unsigned char)queue_outcome_of(m, r, flags);
	if (m->place.file != NULL && r->outcome == QUEUE_WAITS) {
		queue_rcpt_done(q, m, r);
		return;
	}
	/* what is reported of a new one is written down first */
	r->state = m->place.file != NULL ? RCPT_FAILED : RCPT_OK;
	queue_message_settle(q, m);
}

/* What the result of ${job} says of its target */
static void
tell_target(struct queue *q, const struct queue_job *job, int errnum,
    uint32_t flags)
{
	struct queue_rcpt *r = &job->message->rcpts[job->rcpt];
	enum queue_result result = TARGET_ANSWERED;

	if (errnum == 0 || (flags & JOB_REFUSED) != 0)
		result = TARGET_TOOK;
	else if ((flags & JOB_TARGET) != 0)
		result = TARGET_FAILED;
	else if ((flags & JOB_UNASKED) != 0)
		result = TARGET_UNASKED;
	else if ((flags & JOB_SILENT) != 0)
		result = TARGET_SILENT;
	queue_target_result(q, r->target, job->ticket, result,
	    queue_rcpt_error(r));
}

void
queue_done(struct queue *q, unsigned int agent,
    const struct job_result *result, const struct timeval *now)
{
	struct queue_job *job = job_find(q, agent, result->job);
	int errnum = result->errnum < 0 ? EIO : result->errnum;
	struct queue_message *m;
	struct queue_rcpt *r;

	if (job == NULL)
		return;
	queue_wall_see(q, now);
	m = job->message;
	r = &m->rcpts[job->rcpt];
	if (errnum != 0 && (result->flags & JOB_LATER) != 0 &&
	    !queue_target_is_plain(r->target)) {
		queue_target_later(q, r->target, JOB_MS(result->flags));
		take_back(q, job, false);
		return;
	}
	if (errnum == ESTALE && r->nstale++ < QUEUE_STALE_MAX) {
		/* it had lost the source: tell it again */
		queue_untell(q, &m->own, agent);
		if (m->place.file != NULL)
			queue_untell(q, m->place.file, agent);
		take_back(q, job, false);
		return;
	}
	if (errnum != 0 && r->reply == NULL)
		r->reply = queue_reply_text(strerror(errnum));
	if (r->reply != NULL)
		r->reply->when = now->tv_sec;
	tell_target(q, job, errnum, result->flags);
	job_end(q, job);
	if (errnum == 0)
		delivered(q, m, r, result->flags & JOB_FLAGS, now);
	else {
		r->is_refused = (result->flags & JOB_REFUSED) != 0;
		queue_rcpt_fail(q, m, r, errnum, NULL);
	}
	queue_message_check(q, m);
}
