/* How much a target may have at a time, and when.
 * Owns: the window, the rate and the rest of each target.
 * The rules: core/queue/queue_target.h. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"

#define TOKENS		60	/* of a message, in a bucket that gets max_rate a second: so that is a rate a minute */

/* Is it time for the probe? */
static bool
may_probe(const struct queue *q, const struct queue_target *t)
{
	return t->is_resting && t->rest_ms != 0 && t->rest_ms <= q->now_ms &&
	    !t->is_probing;
}

static uint32_t
sent(const struct queue_target *t)
{
	return t->nsent[QUEUE_NEW] + t->nsent[QUEUE_DUE];
}

/* How much of the window ${class} may have.  With a window of 1 both have it in
 * turn. */
static uint32_t
share(const struct queue_target *t, enum queue_class class)
{
	enum queue_class other = class == QUEUE_NEW ? QUEUE_DUE : QUEUE_NEW;

	if (t->nwaiting[other] == 0)
		return t->window;
	if (t->window == 1)
		return class != t->last_class;
	return class == QUEUE_DUE ? (t->window + 1) / 2 :
	    t->window - (t->window + 3) / 4;
}

/* May it have another message? */
static bool
may_have(const struct queue *q, const struct queue_target *t,
    enum queue_class class)
{
	if (queue_target_is_plain(t))
		return true;
	if (queue_target_begins_ms(t) > q->now_ms || t->later_ms > 0)
		return false;
	if (t->is_resting)
		return may_probe(q, t);
	return sent(t) < t->window && t->nsent[class] < share(t, class);
}

uint32_t
queue_target_together(const struct queue_target *t)
{
	return t->is_resting ? 1 : QUEUE_TOGETHER;
}

void
queue_target_see(struct queue *q, struct queue_target *t)
{
	struct queue_target_list *list;
	enum queue_class class;
	bool is;

	if (t->transport == QUEUE_NO_TRANSPORT)
		return;
	if (t->nwaiting[QUEUE_NEW] + t->nwaiting[QUEUE_DUE] == 0)
		t->is_full = false;
	else if (sent(t) >= t->window)
		t->is_full = true;
	for (class = 0; class < QUEUE_CLASSES; class++) {
		is = t->nwaiting[class] > 0 && may_have(q, t, class);
		if (t->stream != NULL) {
			queue_stream_see(q, t, class, is);
			continue;
		}
		if (is == t->has_turn[class])
			continue;
		list = &q->targets.turns[t->transport][class];
		if (is)
			TAILQ_INSERT_TAIL(list, t, turn[class]);
		else
			TAILQ_REMOVE(list, t, turn[class]);
		t->has_turn[class] = is;
	}
}

/* Recipients whose routes say different things may have the same target: the
 * strictest counts. */
int
queue_target_limit(struct queue *q, struct queue_target *t,
    const struct queue_route *route)
{
	uint32_t max = route->window_max != 0 ? route->window_max :
	    QUEUE_WINDOW_MAX;
	int64_t rest_s = route->times == 0 || route->times > q->config.ntimes ?
	    q->times.max_retry_s : q->config.times[route->times - 1].max_retry_s;

	if (t->max_rest_s == 0 || rest_s < t->max_rest_s)
		t->max_rest_s = rest_s;

	if (t->window_max == 0 && route->window_first != 0)
		t->window = route->window_first;
	if (t->window_max == 0 || max < t->window_max) {
		t->window_max = t->threshold = max;
		t->window = MIN(t->window, max);
	}
	if (route->stream != 0 && t->stream == NULL) {
		if (queue_stream_join(q, t, route) == -1)
			return -1;
		queue_target_see(q, t);
	}
	if (route->max_rate == 0 ||
	    (t->max_rate != 0 && t->max_rate <= route->max_rate))
		return 0;
	t->max_rate = route->max_rate;
	/* as many at once as in a second */
	bucket_init_room(&t->rate, t->max_rate,
	    TOKENS * MAX(t->max_rate / 60, 1), (uint64_t)q->now_ms);
	return 0;
}

/* It waits for ${ms}. */
static void
wake_at(struct queue *q, struct queue_target *t, int64_t ms)
{
	q->targets.wake_ms = MIN(q->targets.wake_ms, ms);
	if (t->is_timed)
		return;
	TAILQ_INSERT_TAIL(&q->targets.timed, t, timed);
	t->is_timed = true;
}

/* A message is sent: when may the next one be? */
static void
take_rate(struct queue *q, struct queue_target *t)
{
	uint64_t need = TOKENS * 1000, have;

	(void)bucket_take_n(&t->rate, TOKENS, (uint64_t)q->now_ms);
	have = t->rate.level;
	if (have >= need)
		return;
	/* it gets so many thousandths in a millisecond */
	t->rate_ms = q->now_ms + (int64_t)((need - have + t->max_rate - 1) /
	    t->max_rate);
	wake_at(q, t, t->rate_ms);
}

struct queue_ticket
queue_target_sent(struct queue *q, struct queue_target *t,
    enum queue_class class, bool is_first)
{
	struct queue_ticket ticket = { .class = (unsigned char)class };

	if (queue_target_is_plain(t))
		return ticket;
	if (is_first) {
		ticket.is_counted = true;
		t->nsent[class]++;
		t->last_class = class;
		if (t->is_resting) {
			t->is_probing = true;
			t->epoch++;
		}
		if (t->max_rate != 0)
			take_rate(q, t);
		if (t->stream != NULL)
			queue_stream_sent(q, t, class);
		queue_target_see(q, t);
	}
	ticket.epoch = t->epoch;
	return ticket;
}

/* It was not sent after all: its part of the rate is the next one's. */
static void
give_rate_back(struct queue_target *t)
{
	uint64_t need = TOKENS * 1000;

	t->rate.level = MIN(t->rate.level + need, t->rate.room);
	if (t->rate.level >= need)
		t->rate_ms = 0;
}

void
queue_target_back(struct queue *q, struct queue_target *t,
    struct queue_ticket ticket, bool is_unsent)
{
	if (queue_target_is_plain(t))
		return;
	t->nsent[ticket.class] -= ticket.is_counted;
	if (t->stream != NULL && ticket.is_counted)
		queue_stream_over(q, t->stream, is_unsent);
	if (t->max_rate != 0 && ticket.is_counted && is_unsent)
		give_rate_back(t);
	if (ticket.epoch == t->epoch)
		t->is_probing = false;
	queue_target_see(q, t);
}

void
queue_target_later(struct queue *q, struct queue_target *t, uint32_t ms)
{
	/* what was sent together comes back together */
	if (t->later_ms == 0 && t->off_ms <= q->now_ms) {
		t->window = t->threshold = MAX(t->window / 2, 1);
		t->credit = 0;
	}
	t->later_ms = MAX(t->later_ms, MAX(MIN(ms, JOB_MS_MAX),
	    QUEUE_LATER_MS));
	wake_at(q, t, 0);
}

/* No longer than each message for itself would wait between two attempts */
int64_t
queue_target_rest_ms(const struct queue *q, const struct queue_target *t)
{
	int64_t max_s = t->max_rest_s != 0 ? t->max_rest_s :
	    q->config.max_retry_s;
	int64_t max = MIN(QUEUE_REST_MAX_MS, MAX(QUEUE_REST_MS,
	    max_s * (int64_t)1000));
	int64_t ms = QUEUE_REST_MS;
	uint32_t i;

	for (i = 1; i < t->nrests && ms < max; i++)
		ms *= 2;
	return MIN(ms, max);
}

/* What waits for it would wait for too long. */
bool
queue_target_is_long(const struct queue_target *t)
{
	return t->is_resting && t->nrests > QUEUE_RESTS_SHORT;
}

#define PARKED	"the destination does not answer, and is tried again at times"

/* The time that ${t} rests for begins with the next pass, which has the time. */
static void
begin_rest(struct queue *q, struct queue_target *t, const char *why)
{
	char text[JOB_TEXT];

	/* of one that has answered nothing yet it is not known what it takes */
	if (!t->is_resting && t->heard_ms != 0)
		t->threshold = MAX(t->window / 2, 1);
	t->window = MAX(t->window / 2, 1);
	t->credit = 0;
	t->epoch++;
	t->is_resting = true;
	t->is_probing = false;
	t->rest_ms = 0;
	t->nrests++;
	free(t->error);
	snprintf(text, sizeof(text), PARKED ": %s", why);
	t->error = strdup(text);
	wake_at(q, t, 0);
	if (t->nrests == QUEUE_RESTS_SHORT + 1)
		log_event(LOG_LEVEL_NOTICE, "target-rests",
		    "transport=%s target=%s effect=%s error=%s",
		    q->config.transports[t->transport].name, t->text,
		    "what is for it waits, and one recipient at a time is "
		    "tried", why);
}

static void
end_rest(struct queue *q, struct queue_target *t)
{
	if (queue_target_is_long(t))
		log_event(LOG_LEVEL_NOTICE, "target-answers",
		    "transport=%s target=%s",
		    q->config.transports[t->transport].name, t->text);
	t->is_resting = t->is_probing = false;
	t->nrests = 0;
	free(t->error);
	t->error = NULL;
}

/* One more success */
static void
grow(struct queue_target *t)
{
	if (!t->is_full || t->window >= t->window_max)
		return;
	if (t->window >= t->threshold && ++t->credit < t->window)
		return;
	t->window++;
	t->credit = 0;
}

void
queue_target_result(struct queue *q, struct queue_target *t,
    struct queue_ticket ticket, enum queue_result result, const char *why)
{
	if (queue_target_is_plain(t))
		return;
	if (result == TARGET_UNASKED) {
		queue_target_back(q, t, ticket, true);
		return;
	}
	t->nsent[ticket.class] -= ticket.is_counted;
	if (t->stream != NULL && ticket.is_counted)
		queue_stream_over(q, t->stream, false);
	t->nresults++;
	if (result == TARGET_TOOK || result == TARGET_ANSWERED) {
		t->heard_ms = q->now_ms;
		if (t->is_resting)
			end_rest(q, t);
		if (result == TARGET_TOOK && ticket.is_counted)
			grow(t);
	} else if (ticket.epoch == t->epoch && (result == TARGET_FAILED ||
	    t->is_resting))
		begin_rest(q, t, why);
	queue_target_see(q, t);
}

/* So many recipients of new messages may wait for ${t} when memory is short. */
uint32_t
queue_target_bound(const struct queue *q, const struct queue_target *t)
{
	size_t part = QUEUE_SLOW_ALL / MAX(q->targets.nnew, 1);

	return t->nlooks < 2 ? UINT32_MAX :
	    MAX(MAX(t->nlast, 1), (uint32_t)MIN(part, QUEUE_SLOW_LEAST));
}

/* Is so much of the memory for new messages used that a slow target might keep
 * others from being read? */
bool
queue_memory_is_short(const struct queue *q)
{
	return q->held[QUEUE_NEW].nmessages >= q->config.max_messages / 2 ||
	    q->held[QUEUE_NEW].memory >= QUEUE_ENVELOPES_MAX / 2;
}

bool
queue_places_are_short(const struct queue *q, enum queue_class class)
{
	return q->held[class].nfiles >= QUEUE_FILES_MAX / 2;
}

/* May a message wait for ${t}, which rests, to be the probe? */
static bool
may_wait_for_probe(const struct queue *q, const struct queue_target *t)
{
	return may_probe(q, t) && t->nwaiting[QUEUE_NEW] == 0 &&
	    t->nwaiting[QUEUE_DUE] == 0;
}

/* How many places a target may have that does not answer, or of which that is not
 * known: its attempts may take minutes. */
static size_t
slow_places(const struct queue *q, const struct queue_target *t,
    enum queue_class class, size_t free)
{
	size_t nslow = q->targets.nslow[class];

	/* the last ones are for those that answer */
	if (q->targets.ntrials[class] >= QUEUE_PLACES_TRIALS ||
	    free <= QUEUE_PLACES_LEAST)
		return 0;
	/* it has to wait with what it has already */
	if (queue_target_begins_ms(t) > q->now_ms && t->nplaces[class] > 0)
		return 0;
	return nslow >= QUEUE_PLACES_FEW ? 1 :
	    1 + (QUEUE_PLACES_FEW - nslow) / 4;
}

static size_t
free_places(const struct queue *q, enum queue_class class)
{
	size_t held = q->held[class].nfiles;

	if (class == QUEUE_DUE)
		held -= q->targets.nleaving;
	return held < QUEUE_FILES_MAX ? QUEUE_FILES_MAX - held : 0;
}

/* So many places more may ${t} have of ${class}, of which ${free} are free. */
static size_t
place_room(const struct queue *q, const struct queue_target *t,
    enum queue_class class, size_t free)
{
	size_t has = t->nplaces[class], bound;
	size_t others = q->targets.nholding[class] - (has > 0);

	if (queue_target_is_far(q, t))
		return 0;
	free -= MIN(free, QUEUE_PLACES_KEPT);
	if (t->is_resting)
		return may_wait_for_probe(q, t) && free > 0 &&
		    q->targets.nslow[class] < QUEUE_PLACES_FEW;
	if (queue_target_is_slow(q, t))
		bound = slow_places(q, t, class, free);
	else {
		bound = MAX(QUEUE_FILES_MAX * 3 / 4 / (1 + others),
		    QUEUE_PLACES_LEAST);
		/* it may stop to answer, and some are left for the next one */
		bound = MIN(bound, ((free + has) * 3 + 3) / 4);
	}
	/* no more than it takes soon */
	bound = MIN(bound, 2 * t->window);
	if (t->stream != NULL)
		free = MIN(free, queue_stream_places(t->stream, class));
	return bound > has ? MIN(bound - has, free) : 0;
}

unsigned int
queue_target_backlog_room(const struct queue *q, const struct queue_target *t)
{
	return (unsigned int)place_room(q, t, QUEUE_DUE,
	    free_places(q, QUEUE_DUE));
}

/* The same for ${m}, which is in memory, and has its place. */
static bool
has_place_for(const struct queue *q, const struct queue_message *m,
    const struct queue_target *t)
{
	enum queue_class class = queue_class(m);

	return place_room(q, t, class, free_places(q, class) + 1) > 0;
}

static bool
may_wait(const struct queue *q, const struct queue_message *m,
    const struct queue_target *t)
{
	uint32_t bound;

	if (queue_class(m) == QUEUE_DUE)
		return has_place_for(q, m, t);
	if (queue_target_is_long(t) && !may_wait_for_probe(q, t))
		return false;
	if (queue_message_has_place(m) &&
	    queue_places_are_short(q, QUEUE_NEW) && !has_place_for(q, m, t))
		return false;
	if (!queue_memory_is_short(q))
		return true;
	bound = queue_target_bound(q, t);
	return t->nwaiting[QUEUE_NEW] < bound ||
	    t->nlane[m->lane] < bound / QUEUE_LANES;
}

bool
queue_target_admits(struct queue *q, struct queue_message *m,
    struct queue_target *t)
{
	if (queue_target_is_plain(t) || t->admitted == q->targets.walks)
		return true;
	if (!may_wait(q, m, t))
		return false;
	t->admitted = q->targets.walks;
	if (queue_message_has_place(m) && !m->is_slow &&
	    queue_target_is_slow(q, t)) {
		m->is_slow = m->is_trial = true;
		q->targets.nslow[queue_class(m)]++;
		q->targets.ntrials[queue_class(m)]++;
	}
	return true;
}

void
queue_target_hurry(struct queue *q, struct queue_target *t)
{
	if (!t->is_resting)
		return;
	t->rest_ms = MIN(q->now_ms, MAX(t->rest_ms, 1));
	q->targets.wake_ms = 0;
}
