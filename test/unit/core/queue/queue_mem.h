/* A store in memory, for tests of the queue's logic.  Its contents stay when it
 * is closed, as if they were on a disk: rows at once, acknowledgements of new
 * messages as mem.is_kill says.  As that on disk does, it writes them at the end of
 * a pass, and flushes what was written every MEM_SYNC_MS. */

#ifndef TEST_UNIT_CORE_QUEUE_QUEUE_MEM_H
#define TEST_UNIT_CORE_QUEUE_QUEUE_MEM_H

#include "core/queue/queue_store.h"
#include "test/unit/core/queue/queue_fixture.h"

#define MEM_RCPTS	4	/* of a message */
#define MEM_SEGMENT	1	/* in which new messages are */
#define MEM_SYNC_MS	1000	/* between flushes of what was acknowledged */

/* How much of a message is done */
struct mem_done {
	uint32_t	 n;		/* recipients, of mem_message.done */
	bool		 is_all;
};

struct mem_message {
	char		 envelope[512];
	struct spool_envelope_view view;
	struct queue_file file;
	uint64_t	 id;
	uint32_t	 done[MEM_RCPTS], ndone;
	bool		 is_done;
	struct mem_done	 written;	/* a kill leaves so much */
	struct mem_done	 flushed;	/* and a crash of the machine so much */
	bool		 was_read;	/* an agent may have had it */
	bool		 is_held, is_kept;
	uint32_t	 attempts;
	int64_t		 again_ms;
	char		 error[64];
};

struct mem_row {
	struct deferred_row row;
	char		 texts[9][24];
};

struct mem_own {		/* a message that the queue has written */
	struct mem_own	*next;
	uint64_t	 id;
	char		 text[];
};

struct mem {
	const struct queue_store_user *user;
	struct queue	*q;
	int64_t		 now_ms, sync_ms;
	bool		 is_kill;	/* what ends the queue leaves the machine as it is: all that was written is there */
	struct mem_message **messages;
	size_t		 nmessages, messages_room;
	size_t		 first;		/* all before it are done */
	bool		 is_unwritten, is_unflushed;	/* something was acknowledged since */
	struct mem_row	*rows;
	size_t		 nrows, rows_room;
	bool		 is_full;	/* nothing can be deferred or changed */
	bool		 is_locked;	/* no row can be */
	bool		 is_unreadable;	/* has() fails */
	unsigned int	 nreleased;
	struct mem_own	*own;		/* that have no row yet */
	void		(*told)(const char *text);	/* one has it now */
	size_t		 nchanged;	/* rows, by all changes */
	size_t		 nmost;		/* by one of them */
	size_t		 nseen;		/* rows that were passed on */
};

extern struct mem mem;
extern const struct queue_store_ops mem_ops;

/* mem_arrive(id): Add a new message for the recipients of qf_three.
 * mem_arrive_for(id, rcpts, nrcpts): The same for others, MEM_RCPTS at most.
 * mem_arrive_from(id, sender, rcpts, nrcpts): The same of another sender.
 * mem_put_row(id, next_attempt): Add a message that has failed before.
 * mem_flush(&mem): Make the acknowledgements durable.
 * mem_free(): Forget everything.
 * mem_setup(f), mem_teardown(f): A queue that has this store; and its end, with
 * that of the store. */
void mem_setup(struct qf *f);
void mem_teardown(struct qf *f);
void mem_arrive(uint64_t id);
void mem_arrive_for(uint64_t id, const char *const *rcpts, size_t nrcpts);
void mem_arrive_from(uint64_t id, const char *sender,
    const char *const *rcpts, size_t nrcpts);
void mem_put_row(uint64_t id, int64_t next_attempt);
int mem_flush(void *store);
void mem_free(void);

#endif
