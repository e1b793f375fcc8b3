/* Messages in memory: from the record that was read to the last recipient.
 * Owns: struct queue_message and its recipients, the transport of each, their
 * acknowledgement.
 * Knows nothing of agents and of the rows of deferred messages. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"

static size_t
bucket(uint64_t id)
{
	/* the low bits are the instance, the same for all of a worker's */
	return (size_t)((id >> 12) ^ (id << 3)) % QUEUE_BUCKETS;
}

struct queue_message *
queue_message_deferred(struct queue *q, uint64_t id)
{
	struct queue_message *m;

	LIST_FOREACH (m, &q->buckets[bucket(id)], hash)
		if (m->place.id == id && m->place.file == NULL)
			return m;
	return NULL;
}

struct queue_message *
queue_message_at(struct queue *q, const struct queue_place *place)
{
	struct queue_message *m;

	LIST_FOREACH (m, &q->buckets[bucket(place->id)], hash)
		if (m->place.id == place->id && m->place.file == place->file &&
		    m->place.offset == place->offset)
			return m;
	return NULL;
}

char *
queue_message_strings(struct queue_message *m)
{
	return (char *)&m->rcpts[m->nrcpts];
}

struct queue_message *
queue_message_new(uint32_t nrcpts, size_t strings)
{
	struct queue_message *m;
	size_t head = sizeof(*m) + nrcpts * sizeof(m->rcpts[0]);
	uint32_t i;

	if ((m = malloc(head + strings)) == NULL)
		return NULL;
	memset(m, 0, head);
	m->memory = head + strings;
	m->nrcpts = nrcpts;
	m->sender = queue_message_strings(m);
	for (i = 0; i < nrcpts; i++)
		m->rcpts[i].at = i;
	return m;
}

void
queue_message_terms(const struct queue *q, struct queue_message *m,
    const struct queue_terms *terms)
{
	int64_t now = q->wall_ms / 1000;

	m->hold_until = MIN(terms->hold_until, now + QUEUE_HOLD_MAX_S);
	m->deliver_by = MIN(terms->deliver_by, now + QUEUE_BY_MAX_S);
	m->since = MIN(terms->since, now);
	m->priority = terms->priority;
	m->env_flags = terms->flags;
}

static enum queue_band
band_of(const struct queue *q, const struct queue_message *m)
{
	if (!q->config.has_priorities || m->priority == 0)
		return QUEUE_NORMAL;
	return m->priority > 0 ? QUEUE_URGENT : QUEUE_PATIENT;
}

void
queue_message_insert(struct queue *q, struct queue_message *m)
{
	m->taken_ms = q->now_ms;
	m->band = band_of(q, m);
	m->lane = queue_target_lane(q, m->sender);
	LIST_INSERT_HEAD(&q->buckets[bucket(m->place.id)], m, hash);
	q->held[queue_class(m)].nmessages++;
	q->held[queue_class(m)].memory += m->memory;
	q->held[queue_class(m)].nfiles += queue_message_has_place(m);
}

void
queue_rcpt_wait(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	r->state = RCPT_WAITING;
	queue_target_add(q, m, r, false);
}

void
queue_rcpt_again(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r)
{
	r->state = RCPT_WAITING;
	queue_target_add(q, m, r, true);
}

void
queue_rcpt_leave(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, enum rcpt_state state)
{
	if (r->state == RCPT_WAITING)
		queue_target_remove(q, m, r);
	r->state = state;
}

void
queue_rcpt_fail(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, int errnum, const char *text)
{
	queue_rcpt_leave(q, m, r, RCPT_FAILED);
	r->errnum = errnum;
	if (text != NULL) {
		free(r->reply);
		r->reply = queue_reply_text(text);
	}
	queue_message_settle(q, m);
}

void
queue_rcpt_hold(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	queue_rcpt_leave(q, m, r, RCPT_FAILED);
	r->is_held = true;
	r->is_on_hold = true;
	queue_message_settle(q, m);
}

void
queue_rcpt_give_up(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, struct queue_reply *reply)
{
	queue_rcpt_leave(q, m, r, RCPT_FAILED);
	r->outcome = QUEUE_FAILED;
	free(r->reply);
	r->reply = reply;
	queue_message_settle(q, m);
}

void
queue_rcpt_park(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	queue_rcpt_leave(q, m, r, RCPT_FAILED);
	r->is_parked = true;
	queue_message_settle(q, m);
}

bool
queue_rcpt_is_held(const struct queue_rcpt *r)
{
	return r->state == RCPT_FAILED && r->is_held;
}

const char *
queue_rcpt_error(const struct queue_rcpt *r)
{
	if (r->is_parked && (r->outcome == QUEUE_WAITS || r->reply == NULL))
		return r->target != NULL && r->target->error != NULL ?
		    r->target->error :
		    "waits until its destination takes more mail";
	if (r->reply != NULL && r->reply->said[0] != '\0')
		return r->reply->said;
	if (r->is_held)
		return r->is_on_hold ? "put on hold by an administrator" :
		    "held until the time that the sender has said";
	return strerror(r->errnum);
}

const char queue_late_text[] = "not delivered by the time that the sender has "
    "said, after which it wants the message back";

/* RFC 2852 4: in mode R it must not be delivered late. */
bool
queue_message_is_late(const struct queue *q, const struct queue_message *m)
{
	return (m->env_flags & SPOOL_ENV_BY_RETURN) != 0 &&
	    m->deliver_by != 0 && m->deliver_by <= q->wall_ms / 1000;
}

/* Is it to be held for some time yet?  RFC 4865.  One that was tried was
 * released, whatever the clock says since.  (The attempts of a new message are
 * those of the store.) */
static bool
is_to_hold(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	return m->hold_until > q->wall_ms / 1000 &&
	    (queue_class(m) == QUEUE_NEW || r->attempts == 0);
}

/* It waits in the deferred store, and no agent hears of it before. */
static void
hold(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	r->transport = QUEUE_NO_TRANSPORT;
	r->state = RCPT_FAILED;
	r->is_held = true;
	queue_message_settle(q, m);
}

/* It waits for an agent; or in the deferred store, where its target cannot take
 * it soon. */
static void
wait_for(struct queue *q, struct queue_message *m, struct queue_rcpt *r,
    const struct queue_route *route)
{
	struct queue_target *t = queue_target_get(q, route);
	bool is_admitted = t != NULL && queue_target_admits(q, m, t);

	r->transport = (unsigned char)route->transport;
	r->section = route->section;
	r->times = route->times <= q->config.ntimes ?
	    (uint16_t)route->times : 0;
	if (t != NULL)
		queue_target_use(q, m, r, t);
	if (!is_admitted)
		queue_rcpt_park(q, m, r);
	else
		queue_rcpt_wait(q, m, r);
}

/* Is ${r} an alias, so that others are to get the message?  1 or 0; -1: there is no
 * memory to find out. */
static int
is_alias(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	if ((m->env_flags & SPOOL_ENV_EXPANDED) != 0 ||
	    q->ops->is_alias == NULL)
		return 0;
	return q->ops->is_alias(q->closure, r->rcpt);
}

/* It is an alias, and expanded in the next transaction; of a new message in the one
 * after that, when it is deferred. */
static void
take_alias(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	r->transport = QUEUE_NO_TRANSPORT;
	r->is_alias = true;
	r->errnum = EAGAIN;
	r->state = m->place.file != NULL ? RCPT_FAILED : RCPT_OK;
	queue_message_settle(q, m);
}

/* An administrator has let it go by settings that are not there any more. */
static void
log_route_lost(const struct queue_message *m, const struct queue_rcpt *r,
    const char *section)
{
	char id[SPOOL_ID_TEXT + 1];

	spool_id_text(m->place.id, id);
	log_warnx("route-lost", "id=%s rcpt=%s route=%s effect=%s", id, r->rcpt,
	    section, "there is no such Domain section any more: it goes where "
	    "the configuration says");
}

void
queue_message_route(struct queue *q, struct queue_message *m,
    const char *const *sections)
{
	struct queue_addressee to = { .sender = m->sender };
	struct queue_route route;
	char text[JOB_TEXT] = "there is no memory to look for its aliases";
	struct queue_rcpt *r;
	uint32_t i;
	int rc;

	q->targets.walks++;
	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_NEW)
			continue;
		if (r->outcome != QUEUE_WAITS) {
			/* of an attempt before: its report is due */
			r->transport = QUEUE_NO_TRANSPORT;
			r->state = RCPT_OK;
			queue_message_settle(q, m);
			continue;
		}
		if (is_to_hold(q, m, r)) {
			hold(q, m, r);
			continue;
		}
		if (queue_message_is_late(q, m)) {
			r->transport = QUEUE_NO_TRANSPORT;
			queue_rcpt_fail(q, m, r, ETIMEDOUT, queue_late_text);
			continue;
		}
		if ((rc = is_alias(q, m, r)) == 1) {
			take_alias(q, m, r);
			continue;
		}
		route.target[0] = '\0';
		route.window_first = route.window_max = route.max_rate = 0;
		route.section = route.times = route.stream = 0;
		route.is_other = false;
		to.rcpt = r->rcpt;
		to.section = sections != NULL ? sections[i] : NULL;
		if (rc == -1 ||
		    q->ops->route(q->closure, &to, &route, text) == -1) {
			r->transport = QUEUE_NO_TRANSPORT;
			queue_rcpt_fail(q, m, r, rc == -1 ? ENOMEM : errno, text);
			continue;
		}
		if (route.is_other)
			log_route_lost(m, r, to.section);
		wait_for(q, m, r, &route);
	}
}

void
queue_message_settle(struct queue *q, struct queue_message *m)
{
	if (m->is_settling)
		return;
	if (m->is_unstored)
		TAILQ_REMOVE(&q->unstored, m, settle);
	m->is_unstored = false;
	TAILQ_INSERT_TAIL(&q->settle, m, settle);
	m->is_settling = true;
}

void
queue_message_free(struct queue *q, struct queue_message *m)
{
	uint32_t i;

	queue_forget(q, &m->own);
	LIST_REMOVE(m, hash);
	q->targets.walks++;
	for (i = 0; i < m->nrcpts; i++) {
		queue_rcpt_leave(q, m, &m->rcpts[i], RCPT_DONE);
		queue_target_unuse(q, m, &m->rcpts[i]);
		free(m->rcpts[i].reply);
	}
	if (m->is_settling)
		TAILQ_REMOVE(&q->settle, m, settle);
	if (m->is_unstored)
		TAILQ_REMOVE(&q->unstored, m, settle);
	q->held[queue_class(m)].nmessages--;
	q->held[queue_class(m)].memory -= m->memory;
	q->held[queue_class(m)].nfiles -= queue_message_has_place(m);
	q->targets.nslow[queue_class(m)] -= m->is_slow;
	q->targets.ntrials[queue_class(m)] -= m->is_trial;
	if (m->place.file != NULL)
		q->store_ops->release(q->store, &m->place);
	free(m);
}

void
queue_rcpt_done(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	queue_rcpt_leave(q, m, r, RCPT_DONE);
	m->nopen--;
	m->ndone++;
	/* The last one is acknowledged with its record. */
	if (m->place.file != NULL && m->ndone < m->nrcpts)
		q->store_ops->acknowledge(q->store, &m->place, r->index);
}

void
queue_message_check(struct queue *q, struct queue_message *m)
{
	const char *error = "";
	uint32_t i;

	if (m->nopen > 0)
		return;
	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_STUCK)
			error = queue_rcpt_error(&m->rcpts[i]);
	if (m->place.file != NULL && m->nstuck > 0)
		q->store_ops->put_back(q->store, &m->place, error);
	else if (m->place.file != NULL)
		q->store_ops->acknowledge(q->store, &m->place, QUEUE_RCPT_ALL);
	queue_message_free(q, m);
}

/* Find the recipients that were acknowledged or deferred before.  Return 0, or
 * -1 with errno: the store cannot tell. */
static int
skip_known(struct queue *q, struct queue_message *m, bool has_rows)
{
	const uint32_t *known;
	uint32_t i, n;
	int rc;

	known = q->store_ops->acknowledged(q->store, &m->place, &n);
	for (i = 0; i < n; i++)
		if (known[i] < m->nrcpts &&
		    m->rcpts[known[i]].state == RCPT_NEW) {
			m->rcpts[known[i]].state = RCPT_DONE;
			m->ndone++;
			m->nopen--;
		}
	for (i = 0; has_rows && i < m->nrcpts; i++) {
		if (m->rcpts[i].state != RCPT_NEW)
			continue;
		rc = q->store_ops->has(q->store, m->place.kept_id, i);
		if (rc == -1)
			return -1;
		if (rc == 1)
			queue_rcpt_done(q, m, &m->rcpts[i]);
	}
	return 0;
}

bool
queue_has_room_for(const struct queue *q, enum queue_class class)
{
	return q->held[class].nmessages < q->config.max_messages &&
	    q->held[class].memory < QUEUE_ENVELOPES_MAX &&
	    q->held[class].nfiles < QUEUE_FILES_MAX;
}

bool
queue_has_room(struct queue *q)
{
	return queue_has_room_for(q, QUEUE_NEW);
}

unsigned int
queue_holds(struct queue *q, uint64_t id)
{
	const struct queue_message *m;
	unsigned int n = 0;

	LIST_FOREACH (m, &q->buckets[bucket(id)], hash)
		n += m->place.id == id && m->place.file != NULL;
	return n;
}

int
queue_take(struct queue *q, const struct queue_record *record)
{
	const struct spool_envelope_view *env = record->envelope;
	const char *cursor = NULL, *items = NULL, *rcpt;
	struct spool_envelope_rcpt said;
	struct queue_message *m;
	size_t octets = (size_t)(env->rcpts_end - env->rcpts);
	size_t len = strlen(env->sender) + 1;
	const char *holder = env->holder != NULL ? env->holder : "";
	size_t holder_len = strlen(holder) + 1;
	char *p;
	uint32_t i;

	if ((m = queue_message_new(env->nrcpts,
	    len + octets + holder_len)) == NULL)
		return -1;
	m->place = record->place;
	m->received_us = record->received_us;
	m->octets = record->octets;
	queue_message_terms(q, m, &(struct queue_terms){
	    .hold_until = env->hold_until, .deliver_by = env->deliver_by,
	    .since = (int64_t)(record->received_us / 1000000),
	    .priority = env->priority, .flags = env->flags });
	p = queue_message_strings(m);
	memcpy(p, env->sender, len);
	p += len;
	memcpy(p, env->rcpts, octets);
	m->holder = memcpy(p + octets, holder, holder_len);
	for (i = 0; i < env->nrcpts; i++) {
		rcpt = spool_envelope_rcpt_next(env, &cursor);
		m->rcpts[i].rcpt = p + (rcpt - env->rcpts);
		m->rcpts[i].index = i;
		m->rcpts[i].attempts = record->attempts;
		m->rcpts[i].is_repeated = record->is_repeated;
		spool_envelope_said(env, i, &items, &said);
		m->rcpts[i].notify = (unsigned char)said.notify;
	}
	m->nopen = m->nrcpts;
	if (skip_known(q, m, record->has_rows) == -1) {
		free(m);
		return -1;
	}
	queue_message_insert(q, m);
	stats_inc(STATS_QUEUE_TAKEN);
	if (m->nopen > 0)
		queue_message_route(q, m, NULL);
	else
		queue_message_check(q, m);
	return 0;
}
