/* What the files of the queue share. */

#ifndef CORE_QUEUE_QUEUE_INT_H
#define CORE_QUEUE_QUEUE_INT_H

#include <sys/queue.h>

#include "core/queue/queue.h"
#include "core/queue/queue_store.h"
#include "core/queue/queue_target.h"
#include "core/spool/spool_id.h"

#define QUEUE_MESSAGES_MAX	32768	/* new ones in memory: ten for each of a thousand slow destinations do not fill half of it; QUEUE_ENVELOPES_MAX is their bound in octets */
#define QUEUE_ENVELOPES_MAX	(24 << 20) /* octets of envelopes of each class */
#define QUEUE_FILES_MAX		128	/* large and due messages, of each class: each is an open file at an agent */
#define QUEUE_SETTLE_MAX	512	/* messages in one transaction */
#define QUEUE_SETTLE_ROWS	1000	/* rows of it, about: some 20 ms.  A message may have a thousand of them */
#define QUEUE_LOAD_ROWS		1000	/* of deferred messages that are taken in one pass, about */
#define QUEUE_BUCKETS		4096
#define QUEUE_NO_TRANSPORT	QUEUE_TRANSPORTS_MAX

#define QUEUE_DUE_OCTETS	(32 << 20) /* an agent that has so much due mail to write gets no more */

#define QUEUE_BY_MAX_S		999999999 /* the greatest BY of RFC 2852 */
#define QUEUE_HOLD_MAX_S	(365 * 86400) /* the greatest Future_Release_Max: no worker may say more */
#define QUEUE_STALE_MAX		3	/* times an agent may have lost the source */

#define QUEUE_AGAIN_MS		100	/* until an agent that took no more is asked again */
#define QUEUE_HAND_MS		1000	/* between looks at the rows that are due: those of messages in hand are due, too */
#define QUEUE_HELD_MS		1000	/* between looks at how much each login has held */
#define QUEUE_HOLDERS_MAX	2048	/* logins with something held that are known, those with the most; less than CHANNEL_QUEUE_MAX, so that a worker can be told of all */
#define QUEUE_REPORT_PASS (4 << 20) /* octets of reports in one pass, about; the rest in the next */
#define QUEUE_REPORT_BATCH (1 << 20) /* and in one transaction */
#define QUEUE_REPORT_RCPTS	1000	/* recipients that one report tells of: each takes up to REPORT_RCPT octets, and the whole is in memory; the others are in further ones */
#define QUEUE_REPORT_HEADER 65536 /* of a message that are looked at for its header */
#define QUEUE_GATHER_S		1	/* what is to be reported of a new message waits for its other recipients */
#define QUEUE_GATHER_MAX_MS	900000	/* and of one that is in memory, so long at most */
#define QUEUE_LAST_PART		8	/* what waits for its turn when its time is over may wait for such a part of that time for its last attempt */
#define QUEUE_LAST_LEAST_S	60	/* at least, */
#define QUEUE_LAST_MOST_S	3600	/* and at most */
#define QUEUE_YOUNG_MS		60000	/* a process that has begun lately does not know yet that a target is dead */
#define QUEUE_START_ROWS	1000	/* looked at in one pass, for queue_start() */
#define QUEUE_SHIFT_ROWS	500	/* looked at in one pass, when the wall clock was set: some 10 ms if all are changed */
#define QUEUE_STEP_MS		1000	/* the wall clock has been set if it and the other differ by so much more than in the pass before */

enum rcpt_state {
	RCPT_NEW,		/* in no list yet */
	RCPT_WAITING,		/* for an agent */
	RCPT_SENT,		/* an agent has it */
	RCPT_FAILED,		/* to go to the deferred store, also if it is held */
	RCPT_OK,		/* delivered or given up; its row has to go, with a report if one is due */
	RCPT_DONE,		/* acknowledged */
	RCPT_STUCK		/* failed, and the deferred store, too */
};

/* What an agent has said of an attempt; one block of memory */
struct queue_reply {
	unsigned int	 code;		/* of the next hop's reply; 0: it is not one of a next hop */
	char		 enhanced[12];	/* RFC 3463; "": none */
	const char	*remote;	/* the next hop; "": none was asked */
	const char	*text;		/* its words, or ours: in one line, without controls, UTF-8 */
	const char	*with;		/* how the next hop was reached; "": it is not said */
	const char	*said;		/* all of this, for the log and the list of the queue */
	int64_t		 when;		/* unix seconds; 0: there was no attempt */
};

struct queue_rcpt {
	TAILQ_ENTRY(queue_rcpt) link;	/* while it waits */
	struct queue_target *target;	/* once it has a route */
	const char	*rcpt;
	uint32_t	 at;		/* in the message's array */
	uint32_t	 index;		/* in the envelope */
	uint32_t	 attempts;	/* that failed before */
	uint32_t	 section;	/* of its route */
	enum rcpt_state	 state : 8;
	bool		 is_repeated : 1;
	bool		 is_held : 1;	/* until the message's time, or on hold: not failed */
	bool		 is_on_hold : 1; /* by an administrator: its row gets this, if it gets one */
	bool		 is_parked : 1;	/* until the target takes it: not failed */
	bool		 is_alias : 1;	/* to be expanded, of a deferred message; a new one is deferred first.  Not failed */
	bool		 is_refused : 1; /* it is no use to try again */
	bool		 is_logged : 1;	/* it has failed, and its row could not be written since */
	bool		 is_gathered : 1; /* its outcome is that of an attempt before: no report waits for others */
	unsigned char	 nstale;	/* an agent did not know the source */
	unsigned char	 transport;
	unsigned char	 notify;	/* as in struct deferred_row */
	unsigned char	 warned;	/* the same */
	unsigned char	 telling;	/* what of it the transaction has that is being written */
	unsigned char	 outcome;	/* enum queue_outcome */
	uint16_t	 times;		/* of its route, as queue_route.times */
	int		 errnum;
	struct queue_reply *reply;	/* of its last attempt; owned, NULL: none */
};

/* A message that is being worked on */
struct queue_message {
	LIST_ENTRY(queue_message) hash;
	TAILQ_ENTRY(queue_message) settle;
	bool		 is_settling;	/* in queue.settle */
	bool		 is_unstored;	/* in queue.unstored */
	struct queue_place place;
	struct queue_file own;		/* of a deferred message, or of a body */
	uint64_t	 received_us;
	uint64_t	 octets;
	int64_t		 hold_until;	/* of the envelope, as in struct deferred_row */
	int64_t		 deliver_by;
	int64_t		 since;		/* when it was accepted, by the wall clock as it is set now */
	int64_t		 taken_ms;	/* when it came to memory, by queue.now_ms */
	int64_t		 untold_ms;	/* since when there is a row whose report waits for what is in memory; 0: there is none */
	int		 priority;
	enum queue_band	 band;		/* while it is in the queue */
	unsigned char	 lane;		/* the same, of its sender */
	bool		 is_slow;	/* it has a place, and some recipient's target does not answer */
	bool		 is_trial;	/* so it was already when it got the place */
	unsigned int	 env_flags;	/* SPOOL_ENV_* */
	size_t		 memory;
	const char	*sender;
	const char	*holder;	/* of a new one: the login that has it held; "": nobody */
	uint32_t	 nrcpts;
	uint32_t	 nopen;		/* waiting, sent, failed or ok */
	uint32_t	 nstuck;
	uint32_t	 ndone;		/* acknowledged one by one */
	struct queue_rcpt rcpts[];
};
TAILQ_HEAD(queue_messages, queue_message);

struct queue_agent {
	bool		 is_used;
	bool		 is_blocked;	/* takes no more in this pass */
	unsigned int	 transport;
	size_t		 njobs[QUEUE_CLASSES];
	uint64_t	 octets[QUEUE_CLASSES];	/* of their bodies */
};

struct queue_job {
	struct queue_message *message;	/* NULL: free */
	uint32_t	 rcpt;		/* index in message->rcpts */
	uint32_t	 generation;
	struct queue_ticket ticket;	/* of the target */
	unsigned int	 agent;
	uint32_t	 next_free;
};

struct queue {
	struct queue_config config;
	struct queue_times times;	/* of what has none of its route */
	int64_t		 longest_retry_s; /* the longest of all longest intervals */
	const struct queue_ops *ops;
	void		*closure;
	const struct queue_store_ops *store_ops;
	void		*store;
	int64_t		 now_ms;	/* of this pass, by the clock that is never set */
	int64_t		 start_ms;	/* of the first one */
	int64_t		 wall_ms;	/* of the call being made, by the wall clock; while shift.has_next by that of before */
	int64_t		 ahead_ms;	/* by which the wall clock was ahead of the other */
	struct queue_shift {
		struct deferred_shift at;
		bool		 is_running;
		bool		 is_resting;	/* one has just ended: the next begins in another pass */
		bool		 has_next;	/* the clock was set again, and that waits */
		unsigned int	 nrcpts;	/* changed */
	} shift;

	TAILQ_HEAD(, queue_file) files;	/* that some agent knows */
	uint64_t	 next_source;

	LIST_HEAD(, queue_message) buckets[QUEUE_BUCKETS];
	struct queue_targets targets;
	struct queue_messages settle;
	struct queue_messages unstored;	/* deferred ones of which the store could not note what has become of an attempt: they stay, or that would be made again */
	struct {
		size_t	 nmessages, nfiles, memory;
	} held[QUEUE_CLASSES];

	struct queue_agent agents[QUEUE_AGENTS_MAX];
	struct queue_job *jobs;
	size_t		 njobs, jobs_room;
	uint32_t	 free_job;	/* 1 + slot; 0: none */
	size_t		 in_flight;
	bool		 is_stopped;
	bool		 is_blocked;	/* there are jobs that an agent did not take */

	bool		 is_held_news;	/* rows that are held have come or gone */
	int64_t		 held_ms;	/* not looked at before */
	/* of workers, by the numbers of their processes; 0: not known */
	uint16_t	 held_slots[1 << SPOOL_NUMBER_BITS];
	struct queue_holders {
		struct queue_holder {
			char		*login;	/* owned */
			unsigned int	 writer;
			uint64_t	 octets;
			uint64_t	 came;	/* as deferred_holders() says */
		}	*v;		/* sorted by login and writer */
		size_t	 n, room;
	} holders;			/* what logins have held, by the writer that has said so */

	TAILQ_HEAD(, queue_start) starts;	/* queue_start(): wanted, or begun lately */
	uint16_t	 nstarts[QUEUE_SLOTS + 1];	/* by slot; 0: of a worker that has none */

	uint64_t	 report_octets;	/* of the reports of this pass */
	unsigned int	 nloaded;	/* rows of deferred messages, taken in this pass */
	int64_t		 due_ms;	/* a deferred message may be due */
	struct queue_seen {
		int64_t		 next_attempt;
		uint64_t	 id;	/* 0: none */
		uint32_t	 rcpt_index;
	} due_seen;			/* the row that was looked at last of those that are due: behind it are others */
	int64_t		 store_ms;	/* the store failed: no change of rows before */
	bool		 is_failing;	/* the last transaction did */
	int64_t		 tls_ms;	/* the same of reports of TLS and their counts alone */
};

static inline enum queue_class
queue_class(const struct queue_message *m)
{
	return m->place.file == NULL ? QUEUE_DUE : QUEUE_NEW;
}

/* Is there a file that agents know for this message alone? */
static inline bool
queue_message_has_place(const struct queue_message *m)
{
	return m->place.file == NULL || m->place.has_body;
}

/* Was ${r} given up? */
static inline bool
queue_has_failed(const struct queue_rcpt *r)
{
	return r->outcome == QUEUE_FAILED || r->outcome == QUEUE_EXPIRED ||
	    r->outcome == QUEUE_LATE;
}

/* Was it delivered, and is that to be reported? */
static inline bool
queue_has_succeeded(const struct queue_rcpt *r)
{
	return r->outcome == QUEUE_DELIVERED || r->outcome == QUEUE_RELAYED ||
	    r->outcome == QUEUE_EXPANDED;
}

/* Has ${t} not answered lately?  One that is all of its transport always has. */
static inline bool
queue_target_is_slow(const struct queue *q, const struct queue_target *t)
{
	return !queue_target_is_plain(t) && (t->is_resting ||
	    t->heard_ms == 0 || t->heard_ms + QUEUE_SLOW_MS <= q->now_ms);
}

/* Is it not for QUEUE_SLOW_MS that it may have something?  Until then it needs no
 * places. */
static inline bool
queue_target_is_far(const struct queue *q, const struct queue_target *t)
{
	return queue_target_begins_ms(t) > q->now_ms + QUEUE_SLOW_MS;
}

static inline int64_t
queue_ms(const struct timeval *now)
{
	return (int64_t)now->tv_sec * 1000 + now->tv_usec / 1000;
}

static inline struct queue_message *
queue_rcpt_message(struct queue_rcpt *r)
{
	return (struct queue_message *)(void *)((char *)(r - r->at) -
	    offsetof(struct queue_message, rcpts));
}

/* core/queue/queue_source.c
 * queue_tell(q, m, agent): Make ${agent} know what ${m} is read from.  Return
 * 0, or -1: EAGAIN, not now; another errno, the file is not to be had.
 * queue_forget(q, file): Tell the agents that know it that no job will name
 * it.  queue_untell(q, file, agent): ${agent} does not know it any more. */
int queue_tell(struct queue *q, struct queue_message *m, unsigned int agent);
void queue_forget(struct queue *q, struct queue_file *file);
void queue_untell(struct queue *q, struct queue_file *file,
    unsigned int agent);

/* core/queue/queue_reply.c
 * queue_reply_new(error): What ${error} says, as far as it can be believed: its
 * texts may lack a NUL, and hold anything.  NULL: ENOMEM.
 * queue_reply_text(text): The same for a text of ours.
 * queue_reply_row(row): What a row has of it.
 * queue_reply_copy(reply): Another, the same. */
struct queue_reply *queue_reply_row(const struct deferred_row *row);
struct queue_reply *queue_reply_new(const struct job_error *error);
struct queue_reply *queue_reply_text(const char *text);
struct queue_reply *queue_reply_copy(const struct queue_reply *reply);

/* core/queue/queue_message.c
 * queue_message_deferred(q, id): The deferred message ${id} in memory, or NULL.
 * queue_message_at(q, place): The new one of the record at ${place}, or NULL: the
 * id is not enough, since its writer may have given it to other records, too. */
struct queue_message *queue_message_deferred(struct queue *q, uint64_t id);
struct queue_message *queue_message_at(struct queue *q,
    const struct queue_place *place);
/* queue_message_new(nrcpts, strings): One allocation: the struct, ${nrcpts}
 * recipients, ${strings} octets, to which sender and queue_message_strings()
 * point. */
struct queue_message *queue_message_new(uint32_t nrcpts, size_t strings);
char *queue_message_strings(struct queue_message *m);
/* queue_message_terms(q, m, terms): What the envelope or a row, ${terms}, says
 * of it beside its recipients, as far as it is believed. */
struct queue_terms {
	int64_t		 hold_until;	/* as in struct deferred_row */
	int64_t		 deliver_by;
	int64_t		 since;
	int		 priority;
	unsigned int	 flags;
};
void queue_message_terms(const struct queue *q, struct queue_message *m,
    const struct queue_terms *terms);
void queue_message_insert(struct queue *q, struct queue_message *m);
/* queue_rcpt_wait(q, m, r): ${r} waits for an agent from now on.
 * queue_rcpt_again(q, m, r): The same, in front of the others.
 * queue_rcpt_leave(q, m, r, state): It waits no more, and is in ${state}. */
void queue_rcpt_wait(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
void queue_rcpt_again(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
void queue_rcpt_leave(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, enum rcpt_state state);
/* queue_rcpt_fail(q, m, r, errnum, text): It goes to the deferred store. */
void queue_rcpt_fail(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, int errnum, const char *text);
/* queue_rcpt_park(q, m, r): So does one that waits for too long for its target,
 * without an attempt. */
void queue_rcpt_park(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
/* queue_rcpt_hold(q, m, r): It was waiting, and goes on hold without an attempt.
 * queue_rcpt_give_up(q, m, r, reply): It was waiting, and has failed for good, for the
 * reason in ${reply}, which it takes.
 * queue_rcpt_is_held(r): Has it not failed, but is to wait for its time?
 * queue_rcpt_error(r): Why it has failed. */
void queue_rcpt_hold(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
void queue_rcpt_give_up(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, struct queue_reply *reply);
bool queue_rcpt_is_held(const struct queue_rcpt *r);
const char *queue_rcpt_error(const struct queue_rcpt *r);
/* queue_message_route(q, m, sections): A new message's recipients begin to wait, each
 * for an agent of its transport, or fail.  ${sections}: struct queue_addressee.section
 * of each; NULL: there are none. */
void queue_message_route(struct queue *q, struct queue_message *m,
    const char *const *sections);
/* queue_message_is_late(q, m): Is it too late to deliver it?  Why, for the
 * queue's list: queue_late_text. */
extern const char queue_late_text[];
bool queue_message_is_late(const struct queue *q,
    const struct queue_message *m);
/* queue_message_settle(q, m): It has recipients for the deferred store. */
void queue_message_settle(struct queue *q, struct queue_message *m);
/* queue_rcpt_done(q, m, r): Acknowledge one recipient. */
void queue_rcpt_done(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
/* queue_message_check(q, m): Free it if nothing is open. */
void queue_message_check(struct queue *q, struct queue_message *m);
void queue_message_free(struct queue *q, struct queue_message *m);
/* queue_has_room_for(q, class): Whether another message of ${class} may be
 * held.  queue_has_room(q), queue_take(q, record), queue_holds(q, id): See
 * struct queue_store_user. */
bool queue_has_room_for(const struct queue *q, enum queue_class class);
bool queue_has_room(struct queue *q);
int queue_take(struct queue *q, const struct queue_record *record);
unsigned int queue_holds(struct queue *q, uint64_t id);

/* core/queue/queue_outcome.c: what becomes of recipients that were tried
 * queue_outcome_name(outcome), queue_outcome_parse(name): As in the rows.
 * queue_outcome_of(m, r, flags): What is to be reported of ${r}, which was
 * delivered with JOB_* ${flags}; QUEUE_WAITS: nothing.
 * queue_judge(q, m): Of all of its recipients whose attempt has failed: find those
 * that have failed for good, and whether their rows go or are to be written.
 * queue_is_reported(q, m, r): Is there to be a report of its outcome?
 * queue_warning(q, m, r): DEFERRED_WARNED_*: what is to be told of its delay.
 * queue_warning_passed(q, m, r): The same whoever wants to be told.
 * queue_rcpt_times(q, r): How long it waits.
 * queue_is_overdue(q, m, r): Is something to be done about ${r}, which waits in
 * memory, that is done in the deferred store: to tell its sender, or to give it up?
 * queue_expires_s(q, m, r): When it is given up, unix seconds.
 * queue_next_s(q, m, r): When it is tried again after one more failure.
 * queue_log_bounced(m, r, report): Log that ${r} has failed for good; ${report}: the
 * id of the report, 0: nobody is told. */
const char *queue_outcome_name(enum queue_outcome outcome);
enum queue_outcome queue_outcome_parse(const char *name);
enum queue_outcome queue_outcome_of(const struct queue_message *m,
    const struct queue_rcpt *r, unsigned int flags);
void queue_judge(struct queue *q, struct queue_message *m);
bool queue_is_reported(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r);
unsigned int queue_warning(const struct queue *q,
    const struct queue_message *m, const struct queue_rcpt *r);
unsigned int queue_warning_passed(const struct queue *q,
    const struct queue_message *m, const struct queue_rcpt *r);
bool queue_is_overdue(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r);
const struct queue_times *queue_rcpt_times(const struct queue *q,
    const struct queue_rcpt *r);
int64_t queue_expires_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r);
int64_t queue_next_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r);
void queue_log_bounced(const struct queue_message *m,
    const struct queue_rcpt *r, uint64_t report);

/* core/queue/queue_report.c: the reports of one transaction
 * queue_reports_make(q, batch, reports): Write those that are due of the messages
 * in ${batch}.  Return 0, or -1 with errno: some cannot be written now, and whom
 * they tell of keeps his row.
 * queue_reports_change(q, reports, changes): Their rows, one each.
 * queue_reports_find(reports, m, i): The id of the report about ${m} that tells of
 * its recipient ${i}; 0: none.
 * queue_reports_end(q, reports, is_stored): They are on disk: log them; or they
 * are not to be.
 * queue_report_octets(q, m): About how long the reports about ${m} are going to be,
 * which has been judged; 0: there is to be none. */
struct queue_reports {
	struct queue_report_made {
		const struct queue_message *m;
		uint32_t	 first, end;	/* in m->rcpts: of those it tells of which is to be told */
		struct queue_place place;
		const char	*to;
		size_t		 octets;
		unsigned int	 flags;		/* SPOOL_ENV_* */
		unsigned int	 nrcpts;
	}	*v;
	size_t	 n;
};
int queue_reports_make(struct queue *q, const struct queue_messages *batch,
    struct queue_reports *reports);
void queue_reports_change(const struct queue *q,
    const struct queue_reports *reports, struct queue_change *changes);
uint64_t queue_reports_find(const struct queue_reports *reports,
    const struct queue_message *m, uint32_t i);
void queue_reports_end(struct queue *q, struct queue_reports *reports,
    bool is_stored);
size_t queue_report_octets(const struct queue *q,
    const struct queue_message *m);

/* core/queue/queue_expand.c: the messages that aliases become in one transaction
 * queue_children_make(q, batch, made): Write those of the aliases in ${batch} that
 * are RCPT_OK.  Aliases that cannot be expanded now keep their rows.
 * queue_children_change(q, made, changes): Their rows, made->nrcpts of them.
 * queue_children_end(q, made, is_stored): They are on disk: log them; or they are
 * not to be. */
struct queue_children {
	struct queue_child {
		const struct queue_message *m;	/* of which it is made */
		struct queue_place place;
		char		*sender;
		char		**rcpts;
		uint8_t		*notify;
		size_t		 nrcpts;
		unsigned int	 flags;		/* SPOOL_ENV_* */
		int64_t		 deliver_by;
		bool		 is_written;
	}	*v;
	size_t	 n, room;
	size_t	 nrcpts;	/* of all */
	uint64_t octets;	/* of their bodies */
};
void queue_children_make(struct queue *q, const struct queue_messages *batch,
    struct queue_children *made);
void queue_children_change(const struct queue *q,
    const struct queue_children *made, struct queue_change *changes);
void queue_children_end(struct queue *q, struct queue_children *made,
    bool is_stored);

/* core/queue/queue_job.c
 * queue_dispatch(q): Give agents jobs.
 * queue_unblock(q): Ask all agents again.
 * queue_jobs_look(q): Find the messages that agents have for targets which do not
 * answer any more, and note in them that they are slow. */
void queue_dispatch(struct queue *q);
void queue_unblock(struct queue *q);
void queue_jobs_look(struct queue *q);

/* core/queue/queue_held.c
 * queue_held_look(q): Find out how much each login has held, if that may have
 * changed.
 * queue_held_due(q): When to look again, INT64_MAX: not before a change.
 * queue_held_free(q). */
void queue_held_look(struct queue *q);
int64_t queue_held_due(const struct queue *q);
void queue_held_free(struct queue *q);

/* core/queue/queue_start.c
 * queue_starts_run(q): Go on with those that are wanted, by QUEUE_START_ROWS.
 * queue_starts_due(q): When to go on, or to forget one; INT64_MAX: there is
 * none.
 * queue_starts_free(q). */
void queue_starts_run(struct queue *q);
int64_t queue_starts_due(const struct queue *q);
void queue_starts_free(struct queue *q);

/* core/queue/queue_defer.c
 * queue_settle(q): Store what has gathered, in one transaction; the rest in the next
 * pass, or when the queue is being stopped in others.
 * queue_settle_all(q): All of it now, whatever else goes on. */
void queue_settle(struct queue *q);
void queue_settle_all(struct queue *q);

/* core/queue/queue_due.c */
bool queue_may_load(const struct queue *q);	/* in this pass */
void queue_load_due(struct queue *q);
void queue_load_backlogs(struct queue *q);	/* what targets take again */
void queue_due_again(struct queue *q);

/* core/queue/queue_clock.c
 * queue_clock_see(q, now): In each pass: see if the wall clock was set; go on with what
 * follows from that.  Set wall_ms.
 * queue_wall_see(q, now): Set wall_ms between passes.
 * queue_shift_begin(q, step_ms): It was set by ${step_ms}; 0: it may have been.
 * queue_shift_run(q): Change some rows.
 * queue_shift_may_run(q): Are there others to be changed now?
 * queue_is_shifting(q): Are all rows being moved, now or when the store can be
 * written again?  Then nothing is to go by their times, and what changes rows has to
 * wait, or to have queue_shift_await() change them as they will be moved.
 * queue_shift_await(q, changes, n): Of these the rows that are still to be moved get
 * the times that lead to those that they say. */
void queue_clock_see(struct queue *q, const struct timeval *now);
void queue_wall_see(struct queue *q, const struct timeval *now);
void queue_shift_await(const struct queue *q, struct queue_change *changes,
    size_t n);
void queue_shift_begin(struct queue *q, int64_t step_ms);
void queue_shift_run(struct queue *q);
bool queue_shift_may_run(const struct queue *q);
bool queue_is_shifting(const struct queue *q);

#endif
