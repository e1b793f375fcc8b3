/* Targets in memory: which there are, what waits for each, whose turn it is.
 * Owns: the table of targets, the lists of what waits, their order.
 * How much a target may have, and when: queue_window.c.  What is to be parked:
 * queue_park.c; what has been: queue_backlog.c. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a */
static uint32_t
hash_more(uint32_t hash, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)s[i]) * 16777619U;
	return hash;
}

/* Without what a mailing list makes different for each recipient (VERP): it is
 * behind one of these octets. */
unsigned char
queue_target_lane(const struct queue *q, const char *sender)
{
	const char *at = strrchr(sender, '@');
	size_t len = strcspn(sender, "+-=@");
	uint32_t hash = hash_more(2166136261U ^ q->targets.seed, sender, len);

	if (at != NULL)
		hash = hash_more(hash, at, strlen(at));
	return (unsigned char)((hash ^ hash >> 16) % QUEUE_LANES);
}

static size_t
bucket(const struct queue *q, const char *name)
{
	return hash_more(2166136261U ^ q->targets.seed, name, strlen(name)) %
	    QUEUE_TARGET_BUCKETS;
}

void
queue_targets_init(struct queue *q)
{
	struct queue_targets *ts = &q->targets;
	size_t i, class;

	for (i = 0; i < QUEUE_TRANSPORTS_MAX; i++) {
		for (class = 0; class < QUEUE_CLASSES; class++)
			TAILQ_INIT(&ts->turns[i][class]);
		TAILQ_INIT(&ts->news[i]);
	}
	TAILQ_INIT(&ts->timed);
	TAILQ_INIT(&ts->backlogs);
	TAILQ_INIT(&ts->idle);
	ts->streams_ms = INT64_MAX;
	ts->seed = arc4random();
	ts->wake_ms = INT64_MAX;
	ts->look_ms = q->now_ms + QUEUE_SLOW_MS;
	ts->scan_ms = q->now_ms;
}

static struct queue_target *
target_new(const char *name)
{
	size_t len = strlen(name), lane, band;
	struct queue_target *t = calloc(1, sizeof(*t) + len + 1);

	if (t == NULL)
		return NULL;
	memcpy(t->name, name, len + 1);
	t->text = strchr(t->name, ' ');
	t->text = t->text == NULL ? t->name + len : t->text + 1;
	for (band = 0; band < QUEUE_BANDS; band++) {
		for (lane = 0; lane < QUEUE_LANES; lane++)
			TAILQ_INIT(&t->lanes[lane][band]);
		TAILQ_INIT(&t->due[band]);
	}
	t->window = QUEUE_WINDOW_FIRST;
	return t;
}

/* takes ${t}, for which nothing is in memory. */
static void
target_free(struct queue *q, struct queue_target *t)
{
	if (t->is_timed)
		TAILQ_REMOVE(&q->targets.timed, t, timed);
	if (t->has_backlog) {
		TAILQ_REMOVE(&q->targets.backlogs, t, backlog);
		/* it is found again */
		q->targets.has_lost = true;
		q->targets.scan_ms = MIN(q->targets.scan_ms,
		    q->now_ms + QUEUE_SLOW_MS);
	}
	if (q->targets.last == t)
		q->targets.last = NULL;
	free(t->error);
	free(t);
}

/* Room for another one: without the one that has had nothing to do for the
 * longest time */
static int
make_room(struct queue *q)
{
	struct queue_target *t = TAILQ_FIRST(&q->targets.idle);

	if (q->targets.n < QUEUE_TARGETS_MAX)
		return 0;
	if (t == NULL) {
		errno = ENOSPC;
		return -1;
	}
	TAILQ_REMOVE(&q->targets.idle, t, idle);
	LIST_REMOVE(t, hash);
	q->targets.n--;
	target_free(q, t);
	return 0;
}

void
queue_target_name(const struct queue *q, const struct queue_route *route,
    char buf[QUEUE_TARGET_NAME])
{
	snprintf(buf, QUEUE_TARGET_NAME, "%s%s%s",
	    q->config.transports[route->transport].name,
	    route->target[0] != '\0' ? " " : "", route->target);
}

struct queue_target *
queue_target_find(const struct queue *q, const char *name)
{
	struct queue_target *t;

	LIST_FOREACH (t, &q->targets.buckets[bucket(q, name)], hash)
		if (strcmp(t->name, name) == 0)
			break;
	return t;
}

struct queue_target *
queue_target_named(struct queue *q, unsigned int transport, const char *name)
{
	struct queue_target *t = queue_target_find(q, name);

	if (t != NULL)
		return t;
	if (make_room(q) == -1 || (t = target_new(name)) == NULL)
		return NULL;
	t->transport = (unsigned char)transport;
	LIST_INSERT_HEAD(&q->targets.buckets[bucket(q, name)], t, hash);
	TAILQ_INSERT_TAIL(&q->targets.idle, t, idle);
	q->targets.n++;
	return t;
}

static struct queue_target *
get_plain(struct queue *q, unsigned int transport)
{
	struct queue_target **t = &q->targets.plain[transport];

	if (*t == NULL && (*t = target_new(
	    q->config.transports[transport].name)) != NULL)
		(*t)->transport = (unsigned char)transport;
	return *t;
}

struct queue_target *
queue_target_get(struct queue *q, const struct queue_route *route)
{
	struct queue_target *t = q->targets.last;
	char name[QUEUE_TARGET_NAME];

	if (route->target[0] == '\0')
		return get_plain(q, route->transport);
	if (t == NULL || t->transport != route->transport ||
	    strcmp(t->text, route->target) != 0) {
		queue_target_name(q, route, name);
		t = queue_target_named(q, route->transport, name);
	}
	if (t == NULL)
		return NULL;
	q->targets.last = t;
	return queue_target_limit(q, t, route) == -1 ? NULL : t;
}

void
queue_target_use(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, struct queue_target *t)
{
	r->target = t;
	if (t->nusers++ == 0 && !queue_target_is_plain(t))
		TAILQ_REMOVE(&q->targets.idle, t, idle);
	if (!queue_message_has_place(m) || t->counted == q->targets.walks)
		return;
	t->counted = q->targets.walks;
	if (t->nplaces[queue_class(m)]++ == 0)
		q->targets.nholding[queue_class(m)]++;
	if (t->stream != NULL)
		queue_stream_placed(t->stream, queue_class(m), true);
}

void
queue_target_unuse(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r)
{
	struct queue_target *t = r->target;

	if (t == NULL)
		return;
	r->target = NULL;
	if (--t->nusers == 0 && !queue_target_is_plain(t))
		TAILQ_INSERT_TAIL(&q->targets.idle, t, idle);
	if (!queue_message_has_place(m) || t->counted == q->targets.walks)
		return;
	t->counted = q->targets.walks;
	if (--t->nplaces[queue_class(m)] == 0)
		q->targets.nholding[queue_class(m)]--;
	if (t->stream != NULL)
		queue_stream_placed(t->stream, queue_class(m), false);
}

/* Where ${m} waits */
static struct queue_waiting *
list_of(struct queue_target *t, const struct queue_message *m)
{
	return queue_class(m) == QUEUE_DUE ? &t->due[m->band] :
	    &t->lanes[m->lane][m->band];
}

/* ${lane} has something to send in ${band} again. */
static void
lane_begins(struct queue_target *t, unsigned int band, unsigned char lane,
    bool is_first)
{
	unsigned char *order = t->order[band];
	unsigned int n = t->norder[band]++;

	if (is_first || n == 0) {
		memmove(order + 1, order, n);
		order[0] = lane;
		t->left[band] = QUEUE_QUANTUM;
	} else
		order[n] = lane;
}

/* It has nothing more. */
static void
lane_ends(struct queue_target *t, unsigned int band, unsigned char lane)
{
	unsigned char *order = t->order[band];
	unsigned int i = 0;

	while (order[i] != lane)
		i++;
	memmove(order + i, order + i + 1, --t->norder[band] - i);
	if (i == 0)
		t->left[band] = QUEUE_QUANTUM;
}

/* Its turn is over. */
static void
lane_turned(struct queue_target *t, unsigned int band, unsigned char lane)
{
	unsigned char *order = t->order[band];
	unsigned int n = t->norder[band];

	memmove(order, order + 1, n - 1);
	order[n - 1] = lane;
	t->left[band] = QUEUE_QUANTUM;
}

void
queue_target_add(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, bool is_first)
{
	struct queue_target *t = r->target;
	struct queue_waiting *list = list_of(t, m);

	if (queue_class(m) == QUEUE_NEW && TAILQ_EMPTY(list))
		lane_begins(t, m->band, m->lane, is_first);
	if (is_first)
		TAILQ_INSERT_HEAD(list, r, link);
	else
		TAILQ_INSERT_TAIL(list, r, link);
	if (queue_class(m) == QUEUE_NEW)
		t->nlane[m->lane]++;
	if (t->nwaiting[queue_class(m)]++ > 0)
		return;
	/* how fast it is shows only while something waits */
	if (queue_class(m) == QUEUE_NEW) {
		t->nlooks = 0;
		t->nresults = 0;
		q->targets.nnew += !queue_target_is_plain(t);
	}
	queue_target_see(q, t);
}

void
queue_target_remove(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r)
{
	struct queue_target *t = r->target;
	struct queue_waiting *list = list_of(t, m);

	TAILQ_REMOVE(list, r, link);
	if (queue_class(m) == QUEUE_NEW) {
		t->nlane[m->lane]--;
		if (TAILQ_EMPTY(list))
			lane_ends(t, m->band, m->lane);
		else if (t->order[m->band][0] == m->lane &&
		    --t->left[m->band] == 0)
			lane_turned(t, m->band, m->lane);
	}
	if (--t->nwaiting[queue_class(m)] > 0)
		return;
	q->targets.nnew -= queue_class(m) == QUEUE_NEW &&
	    !queue_target_is_plain(t);
	queue_target_see(q, t);
}

bool
queue_target_has_turn(const struct queue *q, unsigned int transport,
    enum queue_class class)
{
	return !TAILQ_EMPTY(&q->targets.turns[transport][class]);
}

struct queue_target *
queue_target_turn(struct queue *q, unsigned int transport,
    enum queue_class class)
{
	struct queue_target *t;

	queue_streams_offer(q, transport);
	/* what the other class has sent may have been the last for now */
	while ((t = TAILQ_FIRST(&q->targets.turns[transport][class])) != NULL &&
	    t->stream != NULL && !queue_stream_may_send(q, t->stream))
		queue_stream_withdraw(q, t->stream, class);
	return t;
}

void
queue_target_turned(struct queue *q, struct queue_target *t,
    enum queue_class class)
{
	struct queue_target_list *list =
	    &q->targets.turns[t->transport][class];

	if (!t->has_turn[class])
		return;
	TAILQ_REMOVE(list, t, turn[class]);
	TAILQ_INSERT_TAIL(list, t, turn[class]);
}

/* The first of one band */
static struct queue_rcpt *
first_of(struct queue_target *t, enum queue_class class, unsigned int band)
{
	if (class == QUEUE_DUE)
		return TAILQ_FIRST(&t->due[band]);
	return t->norder[band] == 0 ? NULL :
	    TAILQ_FIRST(&t->lanes[t->order[band][0]][band]);
}

/* Of eight turns five are for the urgent first, two for the normal and one for
 * the patient; a turn that the first cannot use goes to the most urgent there
 * is. */
struct queue_rcpt *
queue_target_first(struct queue_target *t, enum queue_class class)
{
	static const unsigned char first[8] = { QUEUE_URGENT, QUEUE_URGENT,
		QUEUE_NORMAL, QUEUE_URGENT, QUEUE_URGENT, QUEUE_NORMAL,
		QUEUE_URGENT, QUEUE_PATIENT };
	struct queue_rcpt *r;
	unsigned int band;

	r = first_of(t, class, first[t->turns[class]++ % 8]);
	for (band = 0; r == NULL && band < QUEUE_BANDS; band++)
		r = first_of(t, class, band);
	return r;
}

struct queue_rcpt *
queue_target_next(struct queue_rcpt *r)
{
	struct queue_rcpt *next = TAILQ_NEXT(r, link);

	return next != NULL &&
	    queue_rcpt_message(next) == queue_rcpt_message(r) ? next : NULL;
}

void
queue_targets_free(struct queue *q)
{
	struct queue_target *t;
	size_t i;

	for (i = 0; i < QUEUE_TARGET_BUCKETS; i++)
		while ((t = LIST_FIRST(&q->targets.buckets[i])) != NULL) {
			LIST_REMOVE(t, hash);
			target_free(q, t);
		}
	for (i = 0; i < QUEUE_TRANSPORTS_MAX; i++)
		free(q->targets.plain[i]);
}
