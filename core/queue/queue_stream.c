/* Streams: what targets have together that are reached from one address.
 * Owns: how much of a stream may be sent, and which of its targets is the next.
 *
 * A target that has something to send stands in the line of its stream, one line for
 * new mail and one for mail that is due again, and as many get a turn as messages
 * may be sent: the first of the lines, from both alternately.  With each message the
 * target goes to the end of its line.  So those that wait are not looked at before it
 * is their turn.
 *
 * Of what agents may have of a stream, a target that does not answer would keep all
 * that it has got.  So one that has not answered lately gets little more than one
 * message, the last quarter is for those that have, and no target gets all. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>

#define MESSAGE		60	/* tokens of a message, in a bucket that gets max_rate a second: so that is a rate a minute */

struct queue_stream {
	LIST_ENTRY(queue_stream) link;
	TAILQ_ENTRY(queue_stream) news;	/* while is_news */
	bool		 is_news;	/* another target may get a turn */
	uint32_t	 number;	/* of its routes */
	unsigned int	 transport;
	unsigned int	 max_rate;	/* messages a minute; 0: no bound */
	struct bucket	 rate;
	uint32_t	 window;	/* messages that agents may have; 0: no bound */
	uint32_t	 nsent;		/* that they have */
	struct queue_target_list lines[QUEUE_CLASSES];
	uint32_t	 nturns[QUEUE_CLASSES]; /* targets that have one */
	enum queue_class last;		/* of which one has got it last */
	size_t		 nplaces[QUEUE_CLASSES]; /* of its targets */
};

/* --- how much ------------------------------------------------------------- */

static uint32_t
tokens(const struct queue *q, struct queue_stream *s)
{
	if (s->max_rate == 0)
		return UINT32_MAX;
	(void)bucket_take_n(&s->rate, 0, (uint64_t)q->now_ms);
	return (uint32_t)(s->rate.level / (MESSAGE * 1000));
}

int64_t
queue_stream_rate_ms(const struct queue_stream *s, int64_t now_ms)
{
	struct bucket rate = s->rate;
	uint64_t need = MESSAGE * 1000;

	if (s->max_rate == 0)
		return 0;
	(void)bucket_take_n(&rate, 0, (uint64_t)now_ms);
	/* it gets so many thousandths in a millisecond */
	return rate.level >= need ? 0 : (int64_t)((need - rate.level +
	    s->max_rate - 1) / s->max_rate);
}

static uint32_t
window_left(const struct queue_stream *s)
{
	if (s->window == 0)
		return UINT32_MAX;
	return s->window - MIN(s->nsent, s->window);
}

/* So many messages may be sent now. */
static uint32_t
room(const struct queue *q, struct queue_stream *s)
{
	return MIN(tokens(q, s), window_left(s));
}

/* May ${t} have one more message of the ${left} of the window? */
static bool
has_part(const struct queue *q, const struct queue_stream *s,
    const struct queue_target *t, uint32_t left)
{
	uint32_t has = t->nsent[QUEUE_NEW] + t->nsent[QUEUE_DUE];

	if (s->window == 0)
		return true;
	if (queue_target_is_slow(q, t))
		return left > s->window / 4 && has < MAX(left / 4, 1);
	return has < ((left + has) * 3 + 3) / 4;
}

bool
queue_stream_is_full(const struct queue *q, const struct queue_target *t)
{
	uint32_t left = window_left(t->stream);

	/* what has a turn has its part: an agent is about to take it */
	return left == 0 || (!t->has_turn[QUEUE_NEW] &&
	    !t->has_turn[QUEUE_DUE] && !has_part(q, t->stream, t, left));
}

size_t
queue_stream_places(const struct queue_stream *s, enum queue_class class)
{
	size_t max = QUEUE_FILES_MAX;

	/* no more than it takes soon */
	if (s->window != 0)
		max = MIN(max, 2 * (size_t)s->window);
	if (s->max_rate != 0)
		max = MIN(max, MAX(QUEUE_PLACES_LEAST, (size_t)s->max_rate *
		    QUEUE_SLOW_MS / 60000));
	return max - MIN(max, s->nplaces[class]);
}

void
queue_stream_placed(struct queue_stream *s, enum queue_class class, bool is_more)
{
	if (is_more)
		s->nplaces[class]++;
	else
		s->nplaces[class]--;
}

/* --- whose turn it is ------------------------------------------------------ */

static bool
is_waited_for(const struct queue_stream *s)
{
	return !TAILQ_EMPTY(&s->lines[QUEUE_NEW]) ||
	    !TAILQ_EMPTY(&s->lines[QUEUE_DUE]);
}

static void
note(struct queue *q, struct queue_stream *s)
{
	if (s->is_news || !is_waited_for(s))
		return;
	TAILQ_INSERT_TAIL(&q->targets.news[s->transport], s, news);
	s->is_news = true;
}

static void
line_up(struct queue *q, struct queue_target *t, enum queue_class class,
    bool is_first)
{
	struct queue_target_list *line = &t->stream->lines[class];

	if (is_first)
		TAILQ_INSERT_HEAD(line, t, turn[class]);
	else
		TAILQ_INSERT_TAIL(line, t, turn[class]);
	t->is_lined[class] = true;
	q->targets.nlined++;
}

static void
leave_line(struct queue *q, struct queue_target *t, enum queue_class class)
{
	TAILQ_REMOVE(&t->stream->lines[class], t, turn[class]);
	t->is_lined[class] = false;
	q->targets.nlined--;
}

static void
give_turn(struct queue *q, struct queue_target *t, enum queue_class class)
{
	TAILQ_INSERT_TAIL(&q->targets.turns[t->transport][class], t,
	    turn[class]);
	t->has_turn[class] = true;
	t->stream->nturns[class]++;
	t->stream->last = class;
	q->targets.nturned++;
}

static void
take_turn(struct queue *q, struct queue_target *t, enum queue_class class)
{
	TAILQ_REMOVE(&q->targets.turns[t->transport][class], t, turn[class]);
	t->has_turn[class] = false;
	t->stream->nturns[class]--;
	q->targets.nturned--;
}

/* The first in line that may have one of the ${left} of the window; those before it go
 * to the end.  NULL: none of the first few may. */
static struct queue_target *
next_of(const struct queue *q, struct queue_stream *s, enum queue_class class,
    uint32_t left)
{
	struct queue_target_list *line = &s->lines[class];
	struct queue_target *t, *first = NULL;
	unsigned int i;

	for (i = 0; i < QUEUE_TARGETS_LOOK &&
	    (t = TAILQ_FIRST(line)) != NULL && t != first; i++) {
		if (has_part(q, s, t, left))
			return t;
		first = first == NULL ? t : first;
		TAILQ_REMOVE(line, t, turn[class]);
		TAILQ_INSERT_TAIL(line, t, turn[class]);
	}
	return NULL;
}

/* Give one more target its turn, if there is room for a message beside those of the
 * others that have one.  But one that no agent takes in the meantime keeps nobody
 * of the other class waiting.  Return whether there was one. */
static bool
offer_one(struct queue *q, struct queue_stream *s)
{
	uint32_t n = room(q, s), turns = 0;
	bool takes[QUEUE_CLASSES];
	enum queue_class class, other;
	struct queue_target *t;
	unsigned int i;

	for (class = 0; class < QUEUE_CLASSES; class++) {
		takes[class] = q->targets.takes[s->transport][class];
		turns += takes[class] ? s->nturns[class] : 0;
	}
	for (i = 0; i < QUEUE_CLASSES && turns < n; i++) {
		other = i == 0 ? s->last : QUEUE_CLASSES - 1 - s->last;
		class = QUEUE_CLASSES - 1 - other;
		if (s->nturns[class] >= n ||
		    (!takes[class] && !TAILQ_EMPTY(&s->lines[other])))
			continue;
		t = next_of(q, s, class, window_left(s) -
		    MIN(turns, window_left(s)));
		if (t == NULL)
			continue;
		leave_line(q, t, class);
		give_turn(q, t, class);
		return true;
	}
	return false;
}

/* No target gets a turn now: when to see again, if no result comes before */
static void
wake_later(struct queue *q, struct queue_stream *s)
{
	int64_t ms = q->now_ms + QUEUE_AGAIN_MS;

	if (!is_waited_for(s) || window_left(s) == 0)
		return;
	if (tokens(q, s) == 0)
		ms = q->now_ms + queue_stream_rate_ms(s, q->now_ms);
	else if (s->nturns[QUEUE_NEW] + s->nturns[QUEUE_DUE] > 0)
		return;		/* queue_streams_due() */
	q->targets.streams_ms = MIN(q->targets.streams_ms, ms);
}

void
queue_streams_offer(struct queue *q, unsigned int transport)
{
	struct queue_stream *s;

	while ((s = TAILQ_FIRST(&q->targets.news[transport])) != NULL) {
		TAILQ_REMOVE(&q->targets.news[transport], s, news);
		s->is_news = false;
		while (offer_one(q, s))
			continue;
		wake_later(q, s);
	}
}

void
queue_streams_run(struct queue *q)
{
	struct queue_targets *ts = &q->targets;
	struct queue_stream *s;

	if (ts->streams_ms > q->now_ms && (ts->nturned == 0 || ts->nlined == 0))
		return;
	ts->streams_ms = INT64_MAX;
	LIST_FOREACH (s, &ts->streams, link)
		note(q, s);
}

int64_t
queue_streams_due(const struct queue *q)
{
	const struct queue_targets *ts = &q->targets;
	unsigned int i;

	for (i = 0; i < q->config.ntransports; i++)
		if (!TAILQ_EMPTY(&ts->news[i]))
			return q->now_ms;
	/* no agent takes what has a turn */
	return ts->nturned > 0 && ts->nlined > 0 ?
	    MIN(ts->streams_ms, q->now_ms + QUEUE_AGAIN_MS) : ts->streams_ms;
}

void
queue_stream_see(struct queue *q, struct queue_target *t,
    enum queue_class class, bool has_mail)
{
	if (has_mail == (t->is_lined[class] || t->has_turn[class]))
		return;
	if (has_mail)
		line_up(q, t, class, false);
	else if (t->is_lined[class])
		leave_line(q, t, class);
	else
		take_turn(q, t, class);
	note(q, t->stream);
}

bool
queue_stream_may_send(const struct queue *q, struct queue_stream *s)
{
	return room(q, s) > 0;
}

void
queue_stream_withdraw(struct queue *q, struct queue_stream *s,
    enum queue_class class)
{
	struct queue_target *t, *next;

	TAILQ_FOREACH_REVERSE_SAFE (t, &q->targets.turns[s->transport][class],
	    queue_target_list, turn[class], next)
		if (t->stream == s) {
			take_turn(q, t, class);
			line_up(q, t, class, true);
		}
	wake_later(q, s);
}

/* --- what is sent ----------------------------------------------------------- */

void
queue_stream_sent(struct queue *q, struct queue_target *t,
    enum queue_class class)
{
	struct queue_stream *s = t->stream;

	s->nsent++;
	if (s->max_rate != 0)
		(void)bucket_take_n(&s->rate, MESSAGE, (uint64_t)q->now_ms);
	/* the next one is another target's */
	if (t->has_turn[class])
		take_turn(q, t, class);
	note(q, s);
}

void
queue_stream_over(struct queue *q, struct queue_stream *s, bool is_unsent)
{
	s->nsent--;
	if (is_unsent && s->max_rate != 0)
		s->rate.level = MIN(s->rate.level + MESSAGE * 1000,
		    s->rate.room);
	note(q, s);
}

/* --- which there are --------------------------------------------------------- */

static struct queue_stream *
stream_get(struct queue *q, const struct queue_route *route)
{
	struct queue_stream *s;
	enum queue_class class;

	LIST_FOREACH (s, &q->targets.streams, link)
		if (s->number == route->stream &&
		    s->transport == route->transport)
			return s;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->number = route->stream;
	s->transport = route->transport;
	s->window = route->stream_window;
	s->last = QUEUE_DUE;
	for (class = 0; class < QUEUE_CLASSES; class++)
		TAILQ_INIT(&s->lines[class]);
	/* as many at once as in a second */
	if ((s->max_rate = route->stream_rate) != 0)
		bucket_init_room(&s->rate, s->max_rate,
		    MESSAGE * MAX(s->max_rate / 60, 1), (uint64_t)q->now_ms);
	LIST_INSERT_HEAD(&q->targets.streams, s, link);
	return s;
}

int
queue_stream_join(struct queue *q, struct queue_target *t,
    const struct queue_route *route)
{
	struct queue_stream *s = stream_get(q, route);
	enum queue_class class;

	if (s == NULL)
		return -1;
	for (class = 0; class < QUEUE_CLASSES; class++) {
		if (t->has_turn[class])
			TAILQ_REMOVE(&q->targets.turns[t->transport][class], t,
			    turn[class]);
		t->has_turn[class] = false;
		s->nsent += t->nsent[class];
		s->nplaces[class] += t->nplaces[class];
	}
	t->stream = s;
	return 0;
}

void
queue_streams_free(struct queue *q)
{
	struct queue_stream *s;

	while ((s = LIST_FIRST(&q->targets.streams)) != NULL) {
		LIST_REMOVE(s, link);
		free(s);
	}
}
