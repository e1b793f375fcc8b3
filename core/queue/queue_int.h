/* What the files of the queue share. */

#ifndef CORE_QUEUE_INT_H
#define CORE_QUEUE_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "core/queue/acklog.h"
#include "core/queue/deferred.h"
#include "core/queue/queue.h"
#include "core/spool/spool_reader.h"
#include "core/spool/spool_segment.h"

#define QUEUE_MESSAGES_MAX	8192	/* in memory: four agents' worth of jobs */
#define QUEUE_ENVELOPES_MAX	(32 << 20) /* octets of their envelopes */
#define QUEUE_FILES_MAX		128	/* large and deferred messages in memory: each is an open file at an agent */
#define QUEUE_SEGMENTS_OPEN	192	/* each is open here and at every agent; those being written to are not counted */
#define QUEUE_READ_QUANTUM	256	/* records of one segment before the next has its turn */
#define QUEUE_READ_PASS		2048	/* records in one pass */
#define QUEUE_SETTLE_MAX	512	/* messages in one transaction */
#define QUEUE_FREE_MAX		24	/* free segments kept; more are removed */
#define QUEUE_SEQ_MAX		(1U << 24) /* records of one segment: bounds its bitmap */
#define QUEUE_SEGMENT_MAX	(2ULL << 30) /* octets; twice what segment_size may be: a worker could make one of holes, which would take hours to read */
#define QUEUE_BUCKETS		4096

#define QUEUE_NO_TRANSPORT	QUEUE_TRANSPORTS_MAX

#define QUEUE_STALE_MAX		3	/* times an agent may have lost the source */

#define QUEUE_SYNC_MS		1000	/* the log is flushed that often */
#define QUEUE_RECYCLE_MS	100	/* finished segments wait for company */
#define QUEUE_LOCK_MS		2000	/* is the writer of a segment alive? */
#define QUEUE_SCAN_MS		30000	/* is there a segment nobody told of? */
#define QUEUE_SWEEP_MS		3600000	/* orphaned bodies */
#define QUEUE_SWEEP_SEGMENTS	16	/* with more of them it has to wait */
#define QUEUE_SWEEP_GRACE_S	2	/* less than the next: */
#define QUEUE_DEATH_MS		3000	/* after a worker's death, for the same */
#define QUEUE_TROUBLE_MS	5000	/* after a failure of the disk */

enum rcpt_state {
	RCPT_NEW,		/* in no list yet */
	RCPT_WAITING,		/* for an agent */
	RCPT_SENT,		/* an agent has it */
	RCPT_FAILED,		/* to go to the deferred store */
	RCPT_OK,		/* delivered; its row has to go */
	RCPT_DONE,		/* acknowledged */
	RCPT_STUCK		/* failed, and the deferred store, too */
};

struct queue_rcpt {
	const char	*rcpt;
	uint32_t	 index;		/* in the envelope */
	uint32_t	 attempts;	/* that failed before */
	enum rcpt_state	 state;
	bool		 is_repeated;
	unsigned char	 nstale;	/* an agent did not know the source */
	unsigned char	 transport;
	int		 errnum;
	char		*error;		/* owned */
};

/* A message that is being worked on */
struct queue_message {
	LIST_ENTRY(queue_message) hash;
	struct {
		TAILQ_ENTRY(queue_message) link;	/* while nwaiting > 0 */
		uint32_t	 nwaiting;
	} todo[QUEUE_TRANSPORTS_MAX];
	TAILQ_ENTRY(queue_message) settle;
	bool		 is_settling;
	uint64_t	 id;
	struct queue_segment *segment;	/* NULL: from the deferred store */
	uint32_t	 seq;
	uint32_t	 flags;		/* SPOOL_RECORD_* */
	uint64_t	 offset;
	uint64_t	 received_us;
	uint64_t	 octets;
	uint64_t	 source;	/* of a deferred message; else its segment's */
	uint64_t	 body_source;	/* of a large one */
	uint64_t	 told;		/* agents that know these two */
	size_t		 memory;
	const char	*sender;
	uint32_t	 nrcpts;
	uint32_t	 nopen;		/* waiting, sent, failed or ok */
	uint32_t	 nstuck;
	uint32_t	 ndone;		/* acknowledged one by one */
	struct queue_rcpt rcpts[];
};
TAILQ_HEAD(queue_messages, queue_message);

/* Recipients that are done of a record that is not, when it is not in memory */
struct queue_partial {
	RB_ENTRY(queue_partial) entry;
	uint32_t	 seq;
	uint32_t	 n, room;
	uint32_t	*rcpts;
};
RB_HEAD(queue_partials, queue_partial);

enum segment_state {
	SEGMENT_ACTIVE,		/* its writer lives: read to ${limit} */
	SEGMENT_SEALED,		/* nothing will follow ${limit} */
	SEGMENT_DEAD		/* its writer died: read what is there */
};

struct queue_segment {
	RB_ENTRY(queue_segment) entry;
	TAILQ_ENTRY(queue_segment) ready;
	bool		 is_ready;	/* in the list of those to be read */
	uint64_t	 id;
	uint64_t	 generation;
	struct spool_header header;
	bool		 is_present;	/* the file is there */
	bool		 is_old;	/* from before this process */
	uint64_t	 old_end;	/* records before it may have been in flight then */
	bool		 is_read;	/* to the end */
	bool		 is_damaged;	/* what was committed is not there any more */
	bool		 is_unusable;	/* header damaged */
	enum segment_state state;
	uint64_t	 limit;
	uint64_t	 told_damage;	/* damage up to here has been logged */
	int		 fd;		/* -1: not open */
	struct spool_reader *reader;
	uint64_t	 resume;	/* offset, when there is no reader */
	uint64_t	 source;	/* as the agents know it */
	uint64_t	 told;		/* agents that know it */
	unsigned char	*done;		/* one bit per seq */
	uint32_t	 done_octets;
	struct queue_partials partials;
	size_t		 nmessages;	/* in memory */
	size_t		 nstuck;	/* records left to be tried again */
	unsigned int	 nrewinds;
	int64_t		 rewind_ms;	/* when to try again; 0: not */
	int64_t		 trouble_ms;	/* not before that */
	char		*last_error;	/* of what is stuck */
};
RB_HEAD(queue_segments, queue_segment);

struct queue_agent {
	bool		 is_used;
	bool		 is_blocked;	/* takes no more in this pass */
	unsigned int	 transport;
	size_t		 njobs;
};

struct queue_job {
	struct queue_message *message;	/* NULL: free */
	uint32_t	 rcpt;		/* index in message->rcpts */
	uint32_t	 generation;
	unsigned int	 agent;
	uint32_t	 next_free;
};

struct queue {
	struct queue_config config;
	const struct queue_ops *ops;
	void		*closure;
	int64_t		 now_ms;	/* wall clock of the call being made */
	int64_t		 passed_ms;	/* and of the last pass */

	struct acklog	*acklog;
	struct deferred	*deferred;
	struct spool_readbuf *readbuf;

	struct queue_segments segments;
	TAILQ_HEAD(queue_ready, queue_segment) ready;
	size_t		 nopen;		/* segments with a descriptor */
	size_t		 nopen_active;	/* of these, in the state ACTIVE */
	uint64_t	 next_source;
	bool		 is_first_scan;

	LIST_HEAD(, queue_message) buckets[QUEUE_BUCKETS];
	struct queue_messages todo[QUEUE_TRANSPORTS_MAX], settle;
	size_t		 nmessages, nfiles, memory;

	struct queue_agent agents[QUEUE_AGENTS_MAX];
	struct queue_job *jobs;
	uint32_t	 njobs, free_job;	/* 1 + slot; 0: none */
	size_t		 in_flight;
	bool		 is_stopped;
	bool		 is_blocked;	/* there are jobs that an agent did not take */

	uint64_t	*bodies;	/* to be removed when the log is on disk */
	size_t		 nbodies, bodies_room;

	int64_t		 due_ms;	/* a deferred message may be due */
	int64_t		 sync_ms, lock_ms, scan_ms, sweep_ms, recycle_ms;
	int64_t		 store_ms;	/* the deferred store failed: not before */
	int		 recycle_errnum;	/* last logged */
	int		 acklog_errnum;
};

static inline int64_t
queue_ms(const struct timeval *now)
{
	return (int64_t)now->tv_sec * 1000 + now->tv_usec / 1000;
}

/* core/queue/queue_source.c
 * queue_tell(q, m, agent): Make ${agent} know what ${m} is read from.  Return
 * 0, or -1: EAGAIN, not now; another errno, the file is not to be had.
 * queue_forget(q, told, source): Tell the agents of *${told} that ${source} is
 * used no more. */
int queue_tell(struct queue *q, struct queue_message *m, unsigned int agent);
void queue_forget(struct queue *q, uint64_t *told, uint64_t source);

/* core/queue/queue_segment.c */
int queue_segments_open(struct queue *q);	/* replay, first scan */
void queue_segments_close(struct queue *q);
struct queue_segment *queue_segment_find(struct queue *q, uint64_t id);
int queue_segment_open_file(struct queue *q, struct queue_segment *seg);
void queue_segment_close_file(struct queue *q, struct queue_segment *seg);
void queue_segment_free(struct queue *q, struct queue_segment *seg);
void queue_segment_scan(struct queue *q);
void queue_segment_check_writers(struct queue *q);
bool queue_segment_is_done(const struct queue_segment *seg, uint32_t seq);
int queue_segment_set_done(struct queue_segment *seg, uint32_t seq,
    uint32_t last);
struct queue_partial *queue_partial_find(struct queue_segment *seg,
    uint32_t seq);
int queue_partial_add(struct queue_segment *seg, uint32_t seq, uint32_t rcpt);
void queue_partial_drop(struct queue_segment *seg, uint32_t seq);
void queue_segment_ready(struct queue *q, struct queue_segment *seg);
void queue_segment_damage(struct queue_segment *seg, uint64_t offset,
    uint64_t octets, uint64_t id, const char *what);

/* core/queue/queue_read.c */

/* queue_read(q): Read records while there is room.  Return whether more could
 * be read at once. */
bool queue_read(struct queue *q);

/* queue_rewind(q): Segments with records that were left behind are read again
 * when their time has come. */
void queue_rewind(struct queue *q);
int queue_segment_open_reader(struct queue *q, struct queue_segment *seg);

/* core/queue/queue_recycle.c: finished segments, bodies, the log */
void queue_recycle(struct queue *q);
void queue_maintain_log(struct queue *q);

/* core/queue/queue_message.c */
struct queue_message *queue_message_find(struct queue *q, uint64_t id,
    bool is_deferred);
struct queue_message *queue_message_new(struct queue *q, uint32_t nrcpts,
    size_t strings);
void queue_message_insert(struct queue *q, struct queue_message *m);
/* queue_rcpt_wait(q, m, r): ${r} waits for an agent from now on.
 * queue_rcpt_leave(q, m, r, state): It waits no more, and is in ${state}. */
void queue_rcpt_wait(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
void queue_rcpt_leave(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, enum rcpt_state state);
/* queue_rcpt_fail(q, m, r, errnum, text): It goes to the deferred store. */
void queue_rcpt_fail(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, int errnum, const char *text);
/* queue_message_route(q, m): A new message's recipients begin to wait, each for
 * an agent of its transport, or fail. */
void queue_message_route(struct queue *q, struct queue_message *m);
/* queue_message_settle(q, m): It has recipients for the deferred store. */
void queue_message_settle(struct queue *q, struct queue_message *m);
/* queue_rcpt_done(q, m, r): Acknowledge one recipient. */
void queue_rcpt_done(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r);
/* queue_message_check(q, m): Free it if nothing is open. */
void queue_message_check(struct queue *q, struct queue_message *m);
void queue_message_free(struct queue *q, struct queue_message *m);
void queue_ack(struct queue *q, const struct queue_segment *seg, uint32_t seq,
    uint32_t last, uint32_t rcpt);
int64_t queue_retry_ms(const struct queue *q, uint32_t attempts);
/* queue_take(q, seg, view): A record that was read becomes a message. */
int queue_take(struct queue *q, struct queue_segment *seg,
    const struct spool_view *view);

/* core/queue/queue_job.c */
void queue_dispatch(struct queue *q);
void queue_unblock(struct queue *q);	/* ask all agents again */

/* core/queue/queue_defer.c */
void queue_settle(struct queue *q);
void queue_load_due(struct queue *q);
void queue_due_again(struct queue *q);

RB_PROTOTYPE(queue_segments, queue_segment, entry, queue_segment_compare)
RB_PROTOTYPE(queue_partials, queue_partial, entry, queue_partial_compare)
int queue_segment_compare(const struct queue_segment *a,
    const struct queue_segment *b);
int queue_partial_compare(const struct queue_partial *a,
    const struct queue_partial *b);

#endif
