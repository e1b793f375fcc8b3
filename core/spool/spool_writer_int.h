/* Shared by the files of the spool writer alone: spool_writer.c and spool_ops.c
 * (the loop's side), spool_commit.c and spool_seal.c (the committer thread),
 * spool_maker.c (the maker thread), spool_handoff.c (what they hand each other).
 *
 * Who owns a message: the loop until commit() or abort(); then the maker if it
 * is large; then the committer; then the loop again, through the done list.
 * Blocks go with their message, or ahead of it to the maker.  Messages and
 * blocks are allocated and freed on the loop's thread alone, so the bound is
 * counted without locks. */

#ifndef CORE_SPOOL_SPOOL_WRITER_INT_H
#define CORE_SPOOL_SPOOL_WRITER_INT_H

#include <sys/queue.h>
#include <sys/tree.h>
#include <sys/uio.h>

#include <pthread.h>

#include "core/spool/spool_folder.h"
#include "core/spool/spool_envelope.h"
#include "core/spool/spool_format.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_segment.h"
#include "core/spool/spool_writer.h"

#define SPOOL_HEAD_ROOM		512	/* octets before the first body octet: record header and a usual envelope go there, so that a small message is one piece */
#define SPOOL_BLOCK_FIRST	8192	/* octets: a usual message in one allocation */
#define SPOOL_BLOCK_MAX		65536	/* octets: also what the maker writes at once */
#define SPOOL_CACHE_OCTETS	(2U << 20) /* of free blocks of each size, kept for the next messages */
#define SPOOL_IOV		1024	/* pieces per write; IOV_MAX of Linux */
#define SPOOL_BEGIN_LEFT	32768	/* octets left in the last segment there is: fewer, and begin() says that the disk is full */
#define SPOOL_RETRY_MS		1000	/* between attempts to make or wipe a segment */

/* Octets of a body; capacity excludes this header. */
struct spool_block {
	STAILQ_ENTRY(spool_block) link;
	struct spool_msg	*msg;	/* job: the message it belongs to */
	uint32_t		 cap;
	uint32_t		 start;	/* of the octets in data[] */
	uint32_t		 len;
	char			 data[];
};
STAILQ_HEAD(spool_blocks, spool_block);

/* Free blocks of one size */
struct spool_cache {
	struct spool_blocks	 blocks;
	size_t			 n;
};

/* A client with unfinished large messages */
struct spool_client {
	RB_ENTRY(spool_client)	 entry;
	unsigned char		 key[SPOOL_CLIENT_KEY];
	uint64_t		 octets;
	size_t			 nmsgs;
};
RB_HEAD(spool_clients, spool_client);

struct spool_msg {
	TAILQ_ENTRY(spool_msg)	 open_link;	/* while the loop has it */
	STAILQ_ENTRY(spool_msg)	 link;		/* then: staged, queue, done */
	struct spool_writer	*w;
	uint64_t		 handle;
	uint64_t		 ticket;	/* of its commit */
	uint64_t		 id;
	uint64_t		 octets;	/* of the body so far */
	uint64_t		 received_us;
	struct spool_blocks	 blocks;
	unsigned int		 nblocks;
	uint32_t		 envelope_octets;
	char			*head;		/* record header and envelope */
	bool			 is_head_owned;	/* allocated, not in the block */
	struct spool_client	*client;	/* while it is unfinished and large */
	uint64_t		 shared;	/* octets of it that client->octets has */
	bool			 is_large;
	bool			 is_aborted;	/* no done(): for the maker to throw away */
	int			 error;		/* atomic: the maker tells the loop */
	/* the maker's, of a large body */
	int			 body_fd;
	uint64_t		 body_written;
	uint64_t		 body_started;	/* writing out was started up to here */
	uint64_t		 body_sum;
	struct spool_sum	*sum;
	char			 id_text[SPOOL_ID_TEXT + 1];
};
STAILQ_HEAD(spool_msgs, spool_msg);
TAILQ_HEAD(spool_open_msgs, spool_msg);

/* A segment that this process holds, or whose end is not yet reported. */
struct spool_held {
	TAILQ_ENTRY(spool_held)	 link;
	struct spool_segment	 segment;
	uint64_t		 end;		/* durable up to here */
	uint64_t		 wipe_end;	/* failed: up to here it may have records of the failed batch */
	uint32_t		 seq;		/* of the last record */
	uint64_t		 first_ms;	/* when the first record was committed; 0: there is none */
	bool			 is_recycled;
	bool			 is_sealed;
	bool			 is_failed;	/* the maker has to wipe it */
	struct spool_msgs	 failed;	/* answered when the batch has been wiped */
	int			 error;		/* errno with which they failed */
	bool			 is_dirty;	/* committed() is due */
};
TAILQ_HEAD(spool_helds, spool_held);

/* Errors of the threads, which the loop logs. */
enum spool_note { SPOOL_NOTE_MAKE, SPOOL_NOTE_WRITE, SPOOL_NOTE_WIPE,
	SPOOL_NOTE_BODY, SPOOL_NNOTES };

struct spool_counts {
	uint64_t	 commits, records, failures, created, recycled;
};

struct spool_batch {
	struct iovec	 iov[SPOOL_IOV];
	int		 niov;
	struct spool_msgs msgs;
	unsigned int	 nmsgs;
	uint64_t	 start, end;
	unsigned char	 mark[SPOOL_RECORD_HEADER];
};

struct spool_writer {
	struct spool_writer_config	 config;
	struct spool_writer_callbacks	 callbacks;
	void				*closure;
	const struct spool_files_ops	*files;
	void				*files_closure;
	struct spool_folder		 folder;	/* used where config.files is NULL */
	struct spool_id_source		 ids;	/* valid when open_error is 0 */
	int				 event_fd;

	/* the loop's */
	struct spool_open_msgs	 open;
	struct spool_msgs	 staged;	/* committed in this pass */
	unsigned int		 nstaged;
	size_t			 nbusy;
	struct spool_clients	 clients;
	uint64_t		 shared_octets;	/* of all clients */
	uint64_t		 held_octets;	/* of all blocks in use */
	uint64_t		 away_octets;	/* of these, handed to the threads */
	struct spool_cache	 free_first, free_max;	/* by their sizes */
	uint64_t		*waiters;	/* handles, the oldest first */
	size_t			 waiters_room, nwaiters;
	uint64_t		 probe_us;	/* last begin() let through after a failure */

	/* under the lock */
	pthread_mutex_t		 lock;
	pthread_cond_t		 commit_cond;	/* queue, next, make_error, is_stopping */
	pthread_cond_t		 maker_cond;	/* blocks, finish, want_*, is_stopping */
	struct spool_msgs	 queue;		/* to the committer */
	struct spool_msgs	 done;		/* to the loop, in order */
	struct spool_blocks	 returned;	/* to the loop */
	struct spool_blocks	 jobs;		/* to the maker: blocks of large bodies */
	struct spool_msgs	 finish;	/* to the maker: after their blocks */
	struct spool_helds	 helds;
	struct spool_held	*next;		/* made ahead */
	bool			 is_next_wanted;
	unsigned int		 nsealed;	/* segments sealed since a recycled one came */
	bool			 is_mark_wanted;
	bool			 is_wipe_wanted;
	bool			 is_commit_stopping;
	bool			 is_maker_stopping;
	bool			 is_maker_gone;
	bool			 is_commit_asleep;
	bool			 is_commit_gathering;	/* asleep for a moment, with messages in the queue */
	bool			 is_maker_asleep;
	bool			 is_posted;	/* the eventfd has been written */
	bool			 is_open_told;	/* opened() has been called */
	int			 notes[SPOOL_NNOTES];	/* errno, 0: none */
	struct spool_counts	 counts;

	/* atomic: written by the loop */
	unsigned int		 nopen;		/* messages in progress */

	/* atomic: written by threads, read by begin() */
	int			 open_error;	/* EAGAIN: the writer's number is not known yet; 0: it is */
	int			 make_error;	/* why there is no next segment */
	int			 commit_error;	/* of the last batch; 0: fine */
	uint64_t		 cur_left;	/* octets in the current segment */
	uint64_t		 free_octets;	/* on the disk, and of the quota; UINT64_MAX: not known */

	/* the committer's */
	pthread_t		 committer;
	struct spool_held	*cur;
	uint64_t		 seal_new_ms;	/* when a segment was last sealed early with a new one after it; 0: never */
	struct spool_batch	 batch;
	struct spool_sum	*sum;
	int64_t			 flush_ns;	/* what a write and flush takes, smoothed */
	unsigned int		 gather_skip;	/* batches not to gather for */
	unsigned int		 gather_vain;	/* times in a row that it brought nothing */

	pthread_t		 maker;
};

/* spool_commit_main(w), spool_maker_main(w): The threads. */
void *spool_commit_main(void *w);
void *spool_maker_main(void *w);

/* spool_handoff.c.
 * spool_post_locked(w): Wake the loop: a list has something for it.
 * spool_wake_commit_locked, spool_wake_maker_locked: the same for a thread. */
void spool_post_locked(struct spool_writer *w);
void spool_wake_commit_locked(struct spool_writer *w);
void spool_wake_maker_locked(struct spool_writer *w);

/* spool_seal.c, for the committer.
 * spool_seal_due(w): With the lock.  When to seal the current segment, by
 * monotonic_ms(); UINT64_MAX: not before it is full.
 * spool_seal(w): Seal the current segment.
 * spool_seal_locked(w): The same, with the lock, and the descriptor stays open.
 * spool_seal_early(w): Seal it because spool_seal_due() has come. */
uint64_t spool_seal_due(const struct spool_writer *w);
void spool_seal(struct spool_writer *w);
void spool_seal_locked(struct spool_writer *w);
void spool_seal_early(struct spool_writer *w);

/* spool_note_locked(w, note, error): Something for the log. */
void spool_note_locked(struct spool_writer *w, enum spool_note note, int error);

/* spool_fail_locked(w, msgs, error): With the lock.  Tell the loop that ${msgs}
 * have failed. */
void spool_fail_locked(struct spool_writer *w, struct spool_msgs *msgs,
    int error);

/* spool_wipe_all(w): Called by the maker, and when the writer is closed.  Wipe
 * the failed batches, then tell the loop that their messages have failed.
 * is_wipe_wanted stays true if a batch cannot be wiped. */
void spool_wipe_all(struct spool_writer *w);

/* spool_body_close(msg, is_kept): Close the body file of a large message, if
 * there is one; unlink it first if it is not kept. */
void spool_body_close(struct spool_msg *msg, bool is_kept);

/* Blocks and messages: core/spool/spool_ops.c. */
size_t spool_block_octets(const struct spool_block *b);
void spool_block_free(struct spool_writer *w, struct spool_block *b);
void spool_msg_free(struct spool_msg *msg);

/* core/spool/spool_share.c, for the loop.
 * spool_share_begin(msg): ${msg} has become large.
 * spool_share_grow(msg): It has got more octets.
 * Both return 0, or -1 with errno: ENOMEM; ENOSPC, the unfinished messages of
 * its client, or of all clients, use too much of the disk.
 * spool_share_end(msg): It is finished or aborted. */
int spool_share_begin(struct spool_msg *msg);
int spool_share_grow(struct spool_msg *msg);
void spool_share_end(struct spool_msg *msg);

/* spool_waiters_wake(w): Tell sessions that there is room, as far as there is; or
 * make some. */
void spool_waiters_wake(struct spool_writer *w);

#endif
