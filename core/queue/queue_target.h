/* Targets: where mail goes next, such as a next hop or the domain whose MX it is
 * sent to.
 * Owns: what waits in memory for each, in which order it goes to agents, how much
 * of it an agent may have at a time, and how long a target that does not answer
 * is left alone.
 * Knows nothing of agents, jobs and the store.
 *
 * A target without a text is all of its transport, such as that of Maildirs: its
 * bound is that of the agents.  One with a text has rules of its own.
 *
 * The window, messages that agents may have for it at a time: it begins with what
 * the route says, or QUEUE_WINDOW_FIRST, and has at least 1 and at most what the
 * route allows.  Recipients of one message that are sent together, at most
 * QUEUE_TOGETHER, count as one message, and until the first of them has its
 * result.  While more is waiting, each success makes the window larger by 1, so
 * that it doubles in each round; a failure of the target makes it half of what it
 * was, and from there on it takes a window of successes to make it larger by 1.
 * If the target has never answered, its failure says nothing of how much it takes:
 * when it answers, the window doubles as that of a new one does.
 * As long as mail waits that is due again, new mail leaves a quarter of it.
 *
 * The rest: a failure of the target (JOB_TARGET) ends all attempts for
 * QUEUE_REST_MS; then one recipient is tried, the probe.  If that fails in the
 * same way, the next rest is twice as long, up to QUEUE_REST_MAX_MS and the
 * longest interval between attempts of the routes that lead there.  Any other answer ends the rest.  Failures
 * of jobs that were sent before the rest began count for nothing, and so do those
 * of this machine (JOB_UNASKED): another recipient is the probe then.  That nothing
 * was answered in time (JOB_SILENT) is no failure of the target, unless the probe was
 * not answered: it may be the fault of one message.
 *
 * An agent may say that a target gets nothing for some time, as it does where servers
 * have a rate that targets have together: the window becomes half of what it was, and
 * grows as after a failure, so that little is sent out and comes back.
 *
 * Places: a message that is due, and a new one with a large body, is an open file
 * at an agent, and of each class QUEUE_FILES_MAX can be in memory.  A target that
 * does not answer keeps its places until its attempts time out, so it gets few: see
 * QUEUE_PLACES_*.  Whether it answers is seen from the last QUEUE_SLOW_MS; that an
 * attempt has timed out is no answer.
 *
 * Memory: what waits for a target that has a long rest, or is so slow that it
 * would fill the memory, is parked: it goes to the deferred store without an
 * attempt, and its row names the target.  When the target takes mail again, it
 * comes from there as there is room, the longest waiting first.
 *
 * Streams: targets that are reached from one address may have a rate together, and
 * so many messages at agents: see queue_stream.c.
 *
 * Order: targets have turns of QUEUE_TURN recipients, or one message.  The senders
 * at each target have turns of QUEUE_QUANTUM: those of new messages are in
 * QUEUE_LANES lanes, by a hash. */

#ifndef CORE_QUEUE_QUEUE_TARGET_H
#define CORE_QUEUE_QUEUE_TARGET_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/queue/queue.h"
#include "core/util/bucket.h"

/* New mail and mail that is due again share nothing that one of them could use
 * up: each class has its own room in memory, and its own window at an agent. */
enum queue_class { QUEUE_NEW, QUEUE_DUE, QUEUE_CLASSES };

/* Of what waits in memory, urgent messages go first (RFC 6710), but the others
 * have a part of the turns, too. */
enum queue_band { QUEUE_URGENT, QUEUE_NORMAL, QUEUE_PATIENT, QUEUE_BANDS };

#define QUEUE_LANES		16
#define QUEUE_QUANTUM		50	/* recipients */
#define QUEUE_TURN		1	/* recipient, with those of its message: where more targets have mail than an agent takes, each gets its next message while the connection of the last one is still there */
#define QUEUE_TOGETHER		100	/* recipients of a message, in one transaction: each server takes so many, RFC 5321 4.5.3.1.8 */
#define QUEUE_WINDOW_FIRST	5
#define QUEUE_WINDOW_MAX	100	/* when the route does not say */
#define QUEUE_REST_MS		1000
#define QUEUE_REST_MAX_MS	900000
#define QUEUE_LATER_MS		10	/* at least, when an agent says so */
#define QUEUE_RESTS_SHORT	2	/* so many: what waits stays in memory */
#define QUEUE_SLOW_MS		8000	/* what a target takes in that time may wait in memory */
#define QUEUE_SLOW_LEAST	256	/* and so many recipients in any case, or its part of QUEUE_SLOW_ALL */
#define QUEUE_SLOW_ALL		2048	/* of all targets that mail waits for: with as many at an agent, half of the memory is left */
#define QUEUE_TARGETS_MAX	4096	/* in memory: 1.5 KiB each */
#define QUEUE_TARGET_BUCKETS	1024
#define QUEUE_TARGET_NAME	(QUEUE_TARGET_MAX + 32) /* octets of transport, blank and text, with NUL */
#define QUEUE_TARGETS_LOOK	16	/* backlogs looked at in a pass */
#define QUEUE_PLACES_LEAST	4	/* places of one target that answers, however many targets have some */
#define QUEUE_PLACES_TRIALS	(QUEUE_FILES_MAX * 3 / 4) /* that were given to targets which did not answer */
#define QUEUE_PLACES_FEW	(QUEUE_FILES_MAX / 4) /* as long as these have so few, each may have several; then one, and one that rests has no probe of its own */
#define QUEUE_PLACES_KEPT	(QUEUE_FILES_MAX / 8) /* for targets that are all of their transport */
#define QUEUE_PARK_PASS		512	/* recipients parked in a pass: each is a file and a row */

struct queue_message;
struct queue_rcpt;
struct queue_stream;
TAILQ_HEAD(queue_waiting, queue_rcpt);

struct queue_target {
	LIST_ENTRY(queue_target) hash;
	TAILQ_ENTRY(queue_target) turn[QUEUE_CLASSES];	/* while it may send, and has what: of those that have a turn, or are in line for one */
	TAILQ_ENTRY(queue_target) timed;	/* while it waits for a time */
	TAILQ_ENTRY(queue_target) backlog;	/* while it may have rows that are parked */
	TAILQ_ENTRY(queue_target) idle;		/* while nusers is 0 */
	bool		 has_turn[QUEUE_CLASSES];
	bool		 is_lined[QUEUE_CLASSES]; /* of its stream */
	bool		 is_timed;
	bool		 has_backlog;
	bool		 is_full;	/* more could be sent if its window were larger */
	bool		 is_resting;
	bool		 is_probing;	/* the probe is at an agent */
	unsigned char	 nlooks;	/* ends of QUEUE_SLOW_MS since something waits, 2: or more */
	unsigned char	 transport;	/* QUEUE_NO_TRANSPORT: a backlog of one that is not there any more */
	uint16_t	 epoch;		/* of jobs: changes with each rest and probe */
	uint32_t	 nusers;	/* recipients of messages in memory */
	uint32_t	 nwaiting[QUEUE_CLASSES];
	uint32_t	 nplaces[QUEUE_CLASSES]; /* messages in memory that have a place */
	uint64_t	 counted;	/* the walk that has counted its message in nplaces */
	uint32_t	 nsent[QUEUE_CLASSES]; /* messages that agents have */
	enum queue_class last_class;	/* of which one was sent last */
	uint32_t	 window, window_max, threshold;
	uint32_t	 credit;	/* successes since it was made larger */
	uint32_t	 nrests;	/* since it last answered */
	uint32_t	 nresults, nlast; /* in this and the last QUEUE_SLOW_MS */
	int64_t		 heard_ms;	/* when it answered last; 0: never */
	int64_t		 rest_ms;	/* it rests until then; 0: from the next pass on */
	int64_t		 rate_ms;	/* it may have nothing before, by its own rate; 0: it may */
	int64_t		 off_ms;	/* the same, since an agent has said so */
	uint32_t	 later_ms;	/* nor for so long from the next pass on */
	int64_t		 max_rest_s;	/* the least of its routes' longest intervals; 0: not known */
	unsigned int	 max_rate;	/* messages a minute; 0: no bound */
	struct bucket	 rate;
	struct queue_stream *stream;	/* what others have with it; NULL: nothing */
	uint64_t	 admitted;	/* the walk in which it has taken some of a message */
	char		*error;		/* why it rests, for what is parked; owned */
	unsigned int	 turns[QUEUE_CLASSES];	/* of bands */
	/* the lanes that are not empty, whose turn it is first */
	unsigned char	 order[QUEUE_BANDS][QUEUE_LANES];
	unsigned char	 norder[QUEUE_BANDS];
	unsigned char	 left[QUEUE_BANDS];	/* recipients of that turn */
	uint32_t	 nlane[QUEUE_LANES];
	struct queue_waiting lanes[QUEUE_LANES][QUEUE_BANDS]; /* of new messages */
	struct queue_waiting due[QUEUE_BANDS];
	const char	*text;		/* in name; "": all of the transport */
	char		 name[];	/* transport, blank and text: in rows that are parked */
};
TAILQ_HEAD(queue_target_list, queue_target);

/* Is it all of its transport? */
static inline bool
queue_target_is_plain(const struct queue_target *t)
{
	return t->text[0] == '\0';
}

/* By when it may have something again, by its rate and what agents say; 0: it may */
static inline int64_t
queue_target_begins_ms(const struct queue_target *t)
{
	return t->rate_ms > t->off_ms ? t->rate_ms : t->off_ms;
}

/* Of all targets */
struct queue_targets {
	LIST_HEAD(, queue_target) buckets[QUEUE_TARGET_BUCKETS];
	struct queue_target_list turns[QUEUE_TRANSPORTS_MAX][QUEUE_CLASSES];
	struct queue_target_list timed, backlogs, idle;
	struct queue_target *plain[QUEUE_TRANSPORTS_MAX]; /* those without a text */
	struct queue_target *last;	/* found last */
	LIST_HEAD(, queue_stream) streams; /* for good: they come from the settings */
	bool		 takes[QUEUE_TRANSPORTS_MAX][QUEUE_CLASSES]; /* for streams: an agent had room when a turn was last given */
	TAILQ_HEAD(, queue_stream) news[QUEUE_TRANSPORTS_MAX]; /* those of which another target may get a turn */
	size_t		 nlined, nturned; /* targets that have a stream, and are in line or have a turn; by class */
	int64_t		 streams_ms;	/* when to see those for which some wait */
	size_t		 n;
	size_t		 nholding[QUEUE_CLASSES]; /* that have places */
	size_t		 nslow[QUEUE_CLASSES];	/* places of messages with is_slow */
	size_t		 ntrials[QUEUE_CLASSES]; /* and with is_trial */
	size_t		 nleaving;	/* places of due messages that were loaded in this pass, and parked again */
	size_t		 nnew;		/* with a text, for which new messages wait */
	uint64_t	 walks;		/* over all recipients of a message */
	uint32_t	 seed;		/* of hashes */
	unsigned int	 nparked;	/* in this pass */
	bool		 is_behind;	/* there is more that is overdue */
	int64_t		 wake_ms;	/* when the first of the timed is to be seen */
	int64_t		 look_ms;	/* when to look for slow ones */
	int64_t		 scan_ms;	/* when to look for backlogs of targets that are not in memory */
	bool		 has_lost;	/* one has left the memory since that began */
	char		 behind[QUEUE_TARGET_NAME]; /* where to go on */
};

/* queue_targets_init(q), queue_targets_free(q). */
void queue_targets_init(struct queue *q);
void queue_targets_free(struct queue *q);

/* queue_targets_run(q): At the start of a pass: see which rests are over, park
 * what waits for too long.
 * queue_targets_due(q): When to have a pass for that; INT64_MAX: not before
 * something has changed. */
void queue_targets_run(struct queue *q);
int64_t queue_targets_due(const struct queue *q);

/* queue_target_get(q, route): The target of ${route}, which is made if it is not
 * known.  NULL: there are too many, or no memory. */
struct queue_target *queue_target_get(struct queue *q,
    const struct queue_route *route);

/* queue_target_name(q, route, buf): The name of the target of ${route}. */
void queue_target_name(const struct queue *q, const struct queue_route *route,
    char buf[QUEUE_TARGET_NAME]);

/* queue_target_find(q, name): The one with that name, such as "relay
 * mx.example.test:25"; NULL: nothing is known of it, or it has no text. */
struct queue_target *queue_target_find(const struct queue *q,
    const char *name);

/* queue_target_lane(q, sender): The lane of what ${sender} sends.
 * queue_target_use(q, m, r, t): ${r} of ${m} goes to ${t}.
 * queue_target_unuse(q, m, r): ${m} leaves the memory. */
unsigned char queue_target_lane(const struct queue *q, const char *sender);
void queue_target_use(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, struct queue_target *t);
void queue_target_unuse(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);

/* queue_target_admits(q, m, t): May ${m}, which is being routed, wait in memory for
 * ${t}?  Else its recipients are to be parked.  Asked before queue_target_use(). */
bool queue_target_admits(struct queue *q, struct queue_message *m,
    struct queue_target *t);

/* queue_target_add(q, m, r, is_first): ${r} of ${m} begins to wait, in front of
 * the others or behind them.
 * queue_target_remove(q, m, r): It waits no more. */
void queue_target_add(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, bool is_first);
void queue_target_remove(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);

/* queue_target_has_turn(q, transport, class): Is there a target that may have
 * jobs?
 * queue_target_turn(q, transport, class): The one whose turn it is, or NULL.
 * queue_target_first(t, class): Whose turn it is there.
 * queue_target_next(r): The one behind it, of the same message, or NULL.
 * queue_target_together(t): How many recipients of one message may go at a time.
 * queue_target_turned(q, t, class): Its turn is over. */
bool queue_target_has_turn(const struct queue *q, unsigned int transport,
    enum queue_class class);
struct queue_target *queue_target_turn(struct queue *q,
    unsigned int transport, enum queue_class class);
struct queue_rcpt *queue_target_first(struct queue_target *t,
    enum queue_class class);
struct queue_rcpt *queue_target_next(struct queue_rcpt *r);
uint32_t queue_target_together(const struct queue_target *t);
void queue_target_turned(struct queue *q, struct queue_target *t,
    enum queue_class class);

/* Of a job, while an agent has it */
struct queue_ticket {
	uint16_t	 epoch;		/* of the target, when it was sent */
	unsigned char	 class;		/* enum queue_class */
	bool		 is_counted;	/* in nsent: it is the first of those that were sent together */
};

/* queue_target_sent(q, t, class, is_first): An agent has one more job for it, the
 * first of a message or one more of the same.  Return the ticket, for the end of
 * that job.
 * queue_target_back(q, t, ticket, is_unsent): The agent has not done it, which waits
 * again; ${is_unsent}: nor has it sent anything, which is the rule if this machine has
 * failed.
 * queue_target_later(q, t, ms): It has said that ${t} gets nothing for ${ms}; to be
 * called before queue_target_back().
 * queue_target_result(q, t, ticket, result, why): It has done it, or tried;
 * ${why} is the text of a failure. */
enum queue_result {
	TARGET_TOOK,		/* it has taken the message, or refused it */
	TARGET_ANSWERED,	/* it may take the message later */
	TARGET_FAILED,		/* it would have failed with each message */
	TARGET_SILENT,		/* it has not answered in time, perhaps because of this message */
	TARGET_UNASKED		/* this machine has failed: nothing is known of the target */
};
struct queue_ticket queue_target_sent(struct queue *q,
    struct queue_target *t, enum queue_class class, bool is_first);
void queue_target_back(struct queue *q, struct queue_target *t,
    struct queue_ticket ticket, bool is_unsent);
void queue_target_later(struct queue *q, struct queue_target *t, uint32_t ms);
void queue_target_result(struct queue *q, struct queue_target *t,
    struct queue_ticket ticket, enum queue_result result, const char *why);

/* core/queue/queue_stream.c: what targets have together
 * queue_stream_join(q, t, route): ${t}, which has no stream, has that of ${route}.
 * Return 0, or -1 (ENOMEM).
 * queue_stream_see(q, t, class, has_mail): Has ${t} something to send, but for its
 * stream?
 * queue_stream_may_send(q, s): May another message be sent?
 * queue_stream_withdraw(q, s, class): None may: those that have a turn wait for
 * another one.
 * queue_stream_sent(q, t, class): An agent has a message.
 * queue_stream_over(q, s, is_unsent): It has it no more; ${is_unsent}: it was not
 * sent.
 * queue_stream_places(s, class): So many places more may its targets have.
 * queue_stream_placed(s, class, is_more): One has one more, or one less.
 * queue_stream_is_full(q, t): Have agents as many messages of the stream of ${t} as
 * they may have, or as many as they may have for ${t}?
 * queue_stream_rate_ms(s, now_ms): In how many milliseconds from ${now_ms}, which is
 * no earlier than the last pass, its rate lets another message be sent.
 * queue_streams_offer(q, transport): Give those their turns who may send now.
 * queue_streams_run(q), queue_streams_due(q): As queue_targets_run(). */
int queue_stream_join(struct queue *q, struct queue_target *t,
    const struct queue_route *route);
void queue_stream_see(struct queue *q, struct queue_target *t,
    enum queue_class class, bool has_mail);
bool queue_stream_may_send(const struct queue *q, struct queue_stream *s);
void queue_stream_withdraw(struct queue *q, struct queue_stream *s,
    enum queue_class class);
void queue_stream_sent(struct queue *q, struct queue_target *t,
    enum queue_class class);
void queue_stream_over(struct queue *q, struct queue_stream *s,
    bool is_unsent);
size_t queue_stream_places(const struct queue_stream *s,
    enum queue_class class);
void queue_stream_placed(struct queue_stream *s, enum queue_class class,
    bool is_more);
bool queue_stream_is_full(const struct queue *q, const struct queue_target *t);
int64_t queue_stream_rate_ms(const struct queue_stream *s, int64_t now_ms);
void queue_streams_offer(struct queue *q, unsigned int transport);
void queue_streams_run(struct queue *q);
int64_t queue_streams_due(const struct queue *q);
void queue_streams_free(struct queue *q);

/* Backlogs: rows of recipients that are parked.
 * queue_target_parked(q, t): ${t} has one more.
 * queue_target_backlog(q): One that may be loaded now, or NULL; each once in a
 * pass.  queue_target_backlog_room(q, t): So many messages of it.
 * queue_target_backlog_over(q, t): It has no more.
 * queue_target_hurry(q, t): It rests no more: there is a probe now. */
void queue_target_parked(struct queue *q, struct queue_target *t);
struct queue_target *queue_target_backlog(struct queue *q);
unsigned int queue_target_backlog_room(const struct queue *q,
    const struct queue_target *t);
void queue_target_backlog_over(struct queue *q, struct queue_target *t);
void queue_target_hurry(struct queue *q, struct queue_target *t);

/* core/queue/queue_backlog.c
 * queue_backlogs_scan(q): See which targets have rows that are parked: those that
 * are not in memory.
 * queue_backlogs_due(q): When to go on with that; INT64_MAX: all are known.
 * queue_target_hurry_to(q, to): The target of ${to} rests no more, if there is one. */
void queue_backlogs_scan(struct queue *q);
int64_t queue_backlogs_due(const struct queue *q);
void queue_target_hurry_to(struct queue *q, const struct queue_addressee *to);

/* Of these files alone
 * queue_target_rest_ms(q, t): How long it rests now.
 * queue_target_is_long(t): Has it rested so often that what waits for it would
 * wait for too long?
 * queue_target_bound(q, t): So many recipients of new messages may wait for it
 * when memory is short.
 * queue_memory_is_short(q): Is so much of the memory for new messages used that a
 * slow target might keep others from being read?
 * queue_places_are_short(q, class): The same of the places.
 * queue_target_limit(q, t, route): Take the limits of ${route}.  Return 0, or -1
 * (ENOMEM).
 * queue_target_see(q, t): Give ${t} its turn, or take it away.
 * queue_target_named(q, transport, name): The one with that name, made if it is
 * not known. */
void queue_target_see(struct queue *q, struct queue_target *t);
int queue_target_limit(struct queue *q, struct queue_target *t,
    const struct queue_route *route);
int64_t queue_target_rest_ms(const struct queue *q,
    const struct queue_target *t);
bool queue_target_is_long(const struct queue_target *t);
uint32_t queue_target_bound(const struct queue *q,
    const struct queue_target *t);
bool queue_memory_is_short(const struct queue *q);
bool queue_places_are_short(const struct queue *q, enum queue_class class);
struct queue_target *queue_target_named(struct queue *q,
    unsigned int transport, const char *name);

#endif
