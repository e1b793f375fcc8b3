/* What the files of the store on disk share. */

#ifndef CORE_STORE_QUEUE_SPOOL_INT_H
#define CORE_STORE_QUEUE_SPOOL_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "core/deferred/acklog.h"
#include "core/deferred/deferred.h"
#include "core/queue/queue_store.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_reader.h"
#include "core/spool/spool_segment.h"
#include "core/util/log_bound.h"

#define QUEUE_SEGMENTS_OPEN	192	/* each is open here and at every agent; those being written to are not counted */
#define QUEUE_READ_QUANTUM	256	/* records of one segment before the next has its turn */
#define QUEUE_READ_PASS		2048	/* records in one pass */
#define QUEUE_PENDING_MAX	8	/* damages of which it is not known yet whether a whole record follows */
#define QUEUE_DAMAGE_LINES	16	/* lines in LOG_BOUND_MS about damage in the segments of one writer */
#define QUEUE_DAMAGE_OCTETS	8192	/* to search so many damaged octets counts as one record of work */
#define QUEUE_FREE_MAX		24	/* free segments kept, an equal part for each writer; more are removed */
#define QUEUE_SEQ_MAX		(1U << 24) /* records of one segment: bounds its bitmap */
#define QUEUE_GENERATION_MAX	(1ULL << 62) /* more than can be counted to: a header with more is forged */
#define QUEUE_GIVEN		64	/* segments of each writer of which the generation is remembered when they are used again; more than QUEUE_FREE_MAX */
#define QUEUE_SEGMENT_MAX	(2ULL << 30) /* octets; twice what segment_size may be: a worker could make one of holes, which would take hours to read */
#define QUEUE_SEARCH_RECORDS	512	/* looked at by one call of search() */

#define QUEUE_SYNC_MS		1000	/* between flushes of the log */
#define QUEUE_RECYCLE_MS	100	/* between looks for finished segments */
#define QUEUE_LOCK_MS		2000	/* between checks that the writers of segments live */
#define QUEUE_SCAN_MS		30000	/* between looks for segments that no worker has told of */
#define QUEUE_SWEEP_MS		600000	/* between sweeps: bodies that no record names */
#define QUEUE_SWEEP_STEP_MS	50	/* between the steps of a sweep */
#define QUEUE_SWEEP_GRACE_S	2	/* a sweep does not touch younger files; less than QUEUE_DEATH_MS */
#define QUEUE_CHECK_FILES	100	/* deferred messages of which the files are looked at in one step of the check after a start: some ms */
#define QUEUE_CHECK_STEP_MS	10	/* between its steps */
#define QUEUE_CHECK_BUSY_MS	30	/* the same while there is much mail: */
#define QUEUE_CHECK_BUSY	100	/* so many changes a second */
#define QUEUE_CHECK_AGAIN_MS	30000	/* the same after one that has failed */
#define QUEUE_DEATH_MS		3000	/* from a worker's death to a sweep */
#define QUEUE_RESERVE_MS	1000	/* between looks at the reserve of room */
#define QUEUE_RESERVE_MAX_MS	8000	/* the most, when it could not be made or was soon given up again */
#define QUEUE_RESERVE_LAST_MS	60000	/* a reserve that was not given up for so long has lasted */

/* The recipients that are done of a record that is not */
struct queue_partial {
	RB_ENTRY(queue_partial) entry;
	uint32_t	 seq;
	uint32_t	 n;
	size_t		 room;
	uint32_t	*rcpts;
};
RB_HEAD(queue_partials, queue_partial);

struct queue_ids {
	uint64_t	*v;
	size_t		 n, room;
	bool		 is_sorted;
};

enum segment_state {
	SEGMENT_ACTIVE,		/* its writer has it locked: read to ${limit} */
	SEGMENT_DEAD		/* its writer died, or is done with it: read to
				 * its end mark */
};

struct queue_segment {
	struct queue_file file;	/* first: a place's file is its segment */
	RB_ENTRY(queue_segment) entry;
	TAILQ_ENTRY(queue_segment) ready;
	bool		 is_ready;	/* in the list of those to be read */
	uint64_t	 id;
	uint64_t	 generation;	/* its records': see queue_generation_see() */
	uint64_t	 least_generation; /* the last one that the log had of it */
	uint64_t	 header_generation; /* as the header had it first; its writer speaks of this one */
	uint64_t	 told_generation; /* while the header is not known: that of ${limit} */
	struct spool_header header;
	bool		 is_present;	/* the file is there */
	bool		 is_known;	/* the header has been read */
	bool		 may_have_rows;	/* records of this generation may be deferred already, though none was read */
	bool		 is_early;	/* written by an earlier version: its number does not tell the writer */
	bool		 is_sealed;	/* its writer has said that it was done */
	bool		 is_old;	/* from before this process */
	uint64_t	 old_end;	/* records before it may have been in flight then */
	bool		 is_read;	/* to the end mark, with the state DEAD */
	uint64_t	 read_end;	/* where that was */
	bool		 is_reading_on;	/* reads on after that, since its writer said that there is more */
	bool		 is_at_end;	/* there was no more: its writer is not believed again */
	bool		 has_skipped;	/* damage was skipped while its writer had it locked */
	bool		 is_damaged;	/* octets that were committed are damaged */
	bool		 is_doubtful;	/* its last batch is torn, or was committed and is damaged */
	bool		 is_unusable;	/* header damaged */
	enum segment_state state;
	uint64_t	 limit;
	uint64_t	 durable;	/* what its writer has told of so far */
	uint64_t	 told_damage;	/* damage up to here has been logged */
	struct spool_damage pending[QUEUE_PENDING_MAX];	/* not logged yet */
	unsigned int	 npending;
	int		 fd;		/* -1: not open */
	struct spool_reader *reader;
	uint64_t	 resume;	/* offset, when there is no reader */
	unsigned char	*done;		/* one bit per seq */
	size_t		 done_octets;
	struct queue_partials partials;
	uint64_t	 nflushes;	/* the queue's, when one of its records was acknowledged last; 0: none was */
	size_t		 nheld;		/* messages that the queue works on */
	size_t		 nback;		/* records put back, to be read again */
	struct queue_ids back;	/* the bodies that these records name */
	struct queue_ids back_before;	/* the same, before the last rewind, until it is read to the end again */
	bool		 has_back_unknown;	/* there was no memory to note some of them */
	unsigned int	 nrewinds;
	int64_t		 rewind_ms;	/* when to read them again; 0: not */
	int64_t		 trouble_ms;	/* not before that */
	char		*last_error;	/* of what was put back */
};
RB_HEAD(queue_segments, queue_segment);

/* A segment that has been given to its writer to be used again */
struct queue_generation {
	uint64_t	 segment, generation;
};

/* A writer, by its number */
struct queue_writer {
	unsigned int	 nchannels;	/* open channels to it; 0: it has ended */
	unsigned int	 nfree;		/* its free segments, for queue_recycle() */
	struct queue_generation *given;	/* QUEUE_GIVEN of them, or NULL; segment 0: unused */
	unsigned int	 ngiven;	/* written there so far */
	bool		 has_unread;	/* a segment, for queue_bodies_remove() */
	struct log_burst damage_burst;	/* of lines about damage in its segments */
	struct log_burst kept_burst;	/* of lines about those that are set aside */
	struct log_bound end_bound;	/* of lines about wrong ends */
};

struct queue_spool {
	struct queue_config config;
	const struct queue_store_user *user;
	struct queue	*queue;		/* its first argument */
	int64_t		 now_ms;	/* at the start of the pass */

	struct acklog	*acklog;
	uint64_t	 nflushes;	/* of the log, counted from 1 */
	struct deferred	*deferred;
	struct spool_id_source ids;	/* for messages whose id is taken; .fd -1: none needed yet */
	struct spool_readbuf *readbuf;

	struct queue_writer writers[1 << SPOOL_NUMBER_BITS];
	unsigned int	 nwriters;	/* with a channel */
	struct log_bound foreign_bound;	/* of lines about foreign segments */
	struct log_bound open_bound;	/* of lines about segments that cannot be opened */
	struct log_bound read_bound;	/* or read */
	struct log_bound id_bound;	/* of lines about ids that two messages have */
	struct queue_segments segments;
	TAILQ_HEAD(queue_ready, queue_segment) ready;
	size_t		 nopen;		/* segments with a descriptor, but for those in the state ACTIVE */
	size_t		 nheld;
	bool		 is_first_scan;
	bool		 has_removed;	/* names of segments were removed, perhaps not yet on disk */

	bool		 has_unread_early; /* the same, of segments of an earlier version */
	uint64_t	*bodies;	/* whose records are done, to be removed when the log is on disk */
	size_t		 nbodies, bodies_room;

	bool		 is_short;	/* there is no room: the reserve is given up */
	uint64_t	 told_octets;	/* of the deferred store, as spoold has been told last */
	unsigned int	 nroom;		/* free segments just removed */
	struct spool_sweep *sweep;	/* in progress, or NULL */
	int64_t		 sweep_began_ms;
	int64_t		 sweep_again_ms; /* from its end to the next one */
	int64_t		 sweep_wanted_ms; /* a sweep must begin at that time or later */
	int64_t		 check_ms;	/* of the files of deferred messages; INT64_MAX: it is over */
	uint64_t	 nchanges;	/* made to the log and to the database, for mail */
	uint64_t	 check_nchanges; /* nchanges at the last step of the check */
	int64_t		 check_step_ms;	/* when that step was */
	bool		 is_damaged;	/* the database is: it has to be made again */
	int64_t		 sync_ms, lock_ms, scan_ms, sweep_ms, recycle_ms;
	int64_t		 reserve_ms;	/* next look */
	int64_t		 reserve_wait_ms; /* to the look after it was given up */
	int64_t		 room_ms;	/* when the reserve was last made again */
	int		 reserve_errnum; /* last logged */
	int		 replay_errnum;	/* an entry of the log could not be kept */
	int		 recycle_errnum;	/* last logged */
	int		 acklog_errnum;
};

/* core/store/queue_segment.c */
int queue_segments_open(struct queue_spool *sp); /* replay, first scan */
void queue_segments_close(struct queue_spool *sp);
int queue_segment_open_file(struct queue_spool *sp,
    struct queue_segment *seg);
void queue_segment_close_file(struct queue_spool *sp,
    struct queue_segment *seg);
void queue_segment_free(struct queue_spool *sp, struct queue_segment *seg);
/* queue_segment_scan(sp): Find segments that no worker has told this process
 * of: at the start, and when a worker has died before it could do so.  Return
 * 0, or -1 having logged why. */
int queue_segment_scan(struct queue_spool *sp);
/* queue_segment_check_writers(sp, is_any): Find the segments whose writer is
 * dead or done with them; unless ${is_any}, look only at those that the writer
 * has called done. */
void queue_segment_check_writers(struct queue_spool *sp, bool is_any);
void queue_segment_committed(void *store, unsigned int writer,
    uint64_t segment, uint64_t generation, uint64_t end, bool is_sealed);
/* queue_segment_owns(seg, id): May a message ${id} be in ${seg}? */
bool queue_segment_owns(const struct queue_segment *seg, uint64_t id);
bool queue_segment_is_done(const struct queue_segment *seg, uint32_t seq);
int queue_segment_set_done(struct queue_segment *seg, uint32_t seq,
    uint32_t last);
struct queue_partial *queue_partial_find(struct queue_segment *seg,
    uint32_t seq);
int queue_partial_add(struct queue_segment *seg, uint32_t seq, uint32_t rcpt);
void queue_partial_drop(struct queue_segment *seg, uint32_t seq);
void queue_segment_ready(struct queue_spool *sp, struct queue_segment *seg);

/* core/store/queue_generation.c
 * queue_generation_see(sp, seg): Return the generation of ${seg}, whose header has
 * been read for the first time: that of the header, unless a later one is known
 * to have been.  Also set header_generation and may_have_rows.
 * queue_generation_note(sp, segment, generation): It has this one now, or a later
 * one.  Return 0, or -1: ENOMEM.
 * queue_generation_next(sp, seg): ${seg} is going to be recycled: let its header
 * have the last generation that has been, and remember the next one.  Return 0,
 * or -1: it cannot be used again.
 * queue_generations_free(sp): Forget all. */
uint64_t queue_generation_see(struct queue_spool *sp, struct queue_segment *seg);
int queue_generation_note(struct queue_spool *sp, uint64_t segment,
    uint64_t generation);
int queue_generation_next(struct queue_spool *sp, struct queue_segment *seg);
void queue_generations_free(struct queue_spool *sp);

/* core/store/queue_segment_log.c
 * queue_segment_damage(sp, seg, damage, is_torn): Log the damage.  ${is_torn}:
 * it is the rest of a batch that was not acknowledged.
 * queue_segment_trouble(sp, seg, is_open): ${seg} cannot be opened now, or,
 * with ${is_open}, cannot be read; log errno and what to do about it.
 * queue_segment_foreign(sp, writer, segment): Log that a worker has named a
 * segment that is not its own.
 * queue_segment_wrong_end(sp, seg, end): Log that the writer of ${seg} has
 * named an end that is not possible. */
void queue_segment_damage(struct queue_spool *sp, struct queue_segment *seg,
    const struct spool_damage *damage, bool is_torn);
void queue_segment_trouble(struct queue_spool *sp,
    const struct queue_segment *seg, bool is_open);
void queue_segment_foreign(struct queue_spool *sp, unsigned int writer,
    uint64_t segment);
void queue_segment_wrong_end(struct queue_spool *sp,
    const struct queue_segment *seg, uint64_t end);

/* core/store/queue_read.c */

/* queue_read(store): See struct queue_store_ops. */
bool queue_read(void *store);

/* queue_read_search(store, cursor, each, closure): See search() there. */
int queue_read_search(void *store, struct queue_cursor *cursor,
    queue_record_func each, void *closure);

/* queue_read_body(store, body, offset, buf, len): See read_body() there. */
ssize_t queue_read_body(void *store, const struct queue_body *body,
    uint64_t offset, char *buf, size_t len);

/* queue_rewind(sp): Segments with records that were put back are read again
 * when their time has come. */
void queue_rewind(struct queue_spool *sp);
int queue_segment_open_reader(struct queue_spool *sp,
    struct queue_segment *seg);

/* core/store/queue_origin.c, for new messages
 * queue_find_rows(sp, place): If the message has rows in the deferred store,
 * set place->kept_id.  Return 1: it has; 0: it has none; -1 with errno.
 * queue_find_id(sp, place): Set place->kept_id, whether it has rows or not.
 * Return 0, or -1 with errno. */
int queue_find_rows(struct queue_spool *sp, struct queue_place *place);
int queue_find_id(struct queue_spool *sp, struct queue_place *place);
/* queue_mint_id(sp, id_r): Make an id that no deferred message has.  Return 0, or -1
 * with errno. */
int queue_mint_id(struct queue_spool *sp, uint64_t *id_r);

/* core/store/queue_acknowledge.c, for the table: see struct queue_store_ops. */
void queue_acknowledge(void *store, const struct queue_place *place,
    uint32_t rcpt);
bool queue_acknowledge_row(void *store, const struct deferred_row *row);
const uint32_t *queue_acknowledged(void *store,
    const struct queue_place *place, uint32_t *n_r);
int queue_flush(void *store);
void queue_put_back(void *store, const struct queue_place *place,
    const char *error);

/* core/store/queue_store_import.c: see import_file() and import() there. */
int queue_import_file(void *store, uint64_t octets);
int queue_import_store(void *store, const struct spool_view *view, int fd,
    const struct deferred_row *rows, size_t n, uint64_t *id_r);

/* core/store/queue_own.c, for the table: see struct queue_store_ops. */
int queue_own_place(void *store, struct queue_place *place_r);
int queue_own_write(void *store, const struct queue_place *place,
    const struct spool_envelope *env, uint64_t received_us, const char *text,
    size_t len);
int queue_own_copy(void *store, const struct queue_place *place,
    const struct spool_envelope *env, const struct queue_record *of);
void queue_own_drop(void *store, const struct queue_place *place);
int queue_read_message(void *store, uint64_t id, size_t max,
    queue_record_func each, void *closure);

/* core/store/queue_room.c
 * queue_room_open(sp): Find out whether the process before this one has given
 * up the reserve.
 * queue_room_make(sp): After a failure with errno: if the file system is full,
 * give up room.  Return whether that was done, so that the caller tries again.
 * queue_room_for_copy(sp, octets): May a message of that size be copied now?
 * queue_room_tell(sp): The deferred store has changed: tell spoold how much it
 * takes now, before the room of what was deferred is given back.  Otherwise new
 * mail could take that room, be deferred, and so on, far beyond spool_quota.
 * queue_room_check(sp): Make the reserve again, if there is room. */
void queue_room_open(struct queue_spool *sp);
bool queue_room_make(struct queue_spool *sp);
bool queue_room_for_copy(const struct queue_spool *sp, uint64_t octets);
void queue_room_tell(struct queue_spool *sp);
void queue_room_check(struct queue_spool *sp);

/* core/store/queue_recycle.c: finished segments, bodies, the log
 * queue_log_failed(sp, event): Log errno, once for each errno until something
 * works again. */
void queue_log_failed(struct queue_spool *sp, const char *event);
void queue_recycle(struct queue_spool *sp);
void queue_maintain_log(struct queue_spool *sp);

/* core/store/queue_body.c
 * queue_body_done(sp, id): A record that names body.${id} is done.
 * queue_bodies_remove(sp): The log is on disk: remove the bodies that are done
 * with.
 * queue_body_put_back(seg, id): A record of ${seg} that names body.${id} was
 * put back, to be read again.
 * queue_body_rewind(seg): All of ${seg} is going to be read again.
 * queue_body_all_read(seg): All of it has been read.
 * queue_body_keep(sp, id): body.${id} does not match its record, and the
 * message is given up.  Rename the body to damaged.body.ID, unless another
 * record may name it. */
void queue_body_done(struct queue_spool *sp, uint64_t id);
void queue_bodies_remove(struct queue_spool *sp);
void queue_body_put_back(struct queue_segment *seg, uint64_t id);
void queue_body_rewind(struct queue_segment *seg);
void queue_body_all_read(struct queue_segment *seg);
void queue_body_keep(struct queue_spool *sp, uint64_t id);

/* core/store/queue_check.c
 * queue_check(sp): When check_ms has come: go on with the check of the files of
 * deferred messages, deferred_check(); set check_ms.
 * queue_is_damaged(sp): Has something found that the database is damaged?  Then set
 * is_damaged: the queue ends. */
void queue_check(struct queue_spool *sp);
bool queue_is_damaged(struct queue_spool *sp);

/* core/store/queue_sweep.c
 * queue_sweep(sp): When sweep_ms has come: begin a sweep, or do the next step
 * of it; set sweep_ms.
 * queue_sweep_soon(sp): There may be more to remove: sweep soon.
 * queue_sweep_stop(sp): End the sweep that is in progress. */
void queue_sweep(struct queue_spool *sp);
void queue_sweep_soon(struct queue_spool *sp);
void queue_sweep_stop(struct queue_spool *sp);

RB_PROTOTYPE(queue_segments, queue_segment, entry, queue_segment_compare)
RB_PROTOTYPE(queue_partials, queue_partial, entry, queue_partial_compare)
int queue_segment_compare(const struct queue_segment *a,
    const struct queue_segment *b);
int queue_partial_compare(const struct queue_partial *a,
    const struct queue_partial *b);

#endif
