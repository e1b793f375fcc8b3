/* The worker's spool: struct spool_ops over segments and group commit.
 * Owns: messages in progress, their buffers and the bound on them, back-
 * pressure, message ids; two threads: the committer (records: one write and
 * one flush per batch) and the maker (whatever takes longer: making segments
 * ahead of need, bodies of large messages), so that no small message waits for
 * a large one.
 * All functions are called on the loop's thread; none blocks but open, drain
 * and close.  Callbacks are called on that thread from spool_writer_dispatch()
 * and spool_writer_pass() alone, never from inside a spool_ops call. */

#ifndef CORE_SPOOL_SPOOL_WRITER_H
#define CORE_SPOOL_SPOOL_WRITER_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/spool.h"
#include "core/spool/spool_files.h"

struct spool_writer;

#define SPOOL_SEAL_MS		1000	/* one switch of segments a second costs too little to be measured */
#define SPOOL_SEAL_NEW_MS	60000	/* each costs a segment of zeros: at 16 MiB, 0.3 MiB a second */
#define SPOOL_CLIENT_KEY	16	/* octets, as many as an address has */

struct spool_writer_config {
	const struct spool_files_ops *files;	/* kept; NULL: a folder, see below */
	void		*files_closure;
	/* these three only where files is NULL */
	int		 dirfd;		/* spool/incoming; kept, not owned */
	unsigned int	 number;	/* of this writer */
	uint64_t	 quota_octets;	/* of all segments in use and bodies; 0: none */
	/* these always */
	uint64_t	 segment_octets;
	uint64_t	 buffer_octets;	/* bound on bodies in memory */
	uint64_t	 large_octets;	/* a body over this gets a file of its own */
	unsigned int	 nworkers;	/* how many workers write to this spool; 0: 1 */
	unsigned int	 seal_ms;	/* a segment is closed when its first record is so old, if the next one is recycled; 0: SPOOL_SEAL_MS */
	unsigned int	 seal_new_ms;	/* if the next one is new: once in this time; 0: SPOOL_SEAL_NEW_MS */
	bool		 is_synced;	/* false: for measuring only */
	const cpu_set_t	*maker_processors; /* where the maker may run, so that large bodies do not keep the loop's processor busy; NULL: where the caller may */
};

struct spool_position {
	uint64_t	 segment, generation;
	uint64_t	 end;		/* records up to here are durable */
	bool		 is_sealed;	/* nothing will follow in this segment */
};

struct spool_writer_callbacks {
	/* done(closure, handle, ticket, error): The commit ${ticket} of the
	 * session named ${handle} is over: ${error} 0: record, body and folder entries have
	 * been written and flushed; else an errno, and the message is gone. */
	void	(*done)(void *closure, uint64_t handle, uint64_t ticket,
		    int error);

	/* opened(closure, error): The number of this writer was not known when
	 * the writer was opened (spool_files.h), so begin() has failed with
	 * EAGAIN.  ${error} 0: from now on messages can begin; else they never
	 * can.  May be NULL. */
	void	(*opened)(void *closure, int error);

	/* room(closure, handle): spool->room() returned 0 before, and now
	 * there may be room.  Return whether there is such a session. */
	bool	(*room)(void *closure, uint64_t handle);

	/* client(closure, handle, key): Write to ${key} which client sends the
	 * message: the same octets for all that counts as one client.  NULL:
	 * there is no bound for each client. */
	void	(*client)(void *closure, uint64_t handle,
		    unsigned char key[SPOOL_CLIENT_KEY]);

	/* committed(closure, position): For Q_COMMITTED, after the done()
	 * calls of a batch, and when a segment is sealed.  May be NULL. */
	void	(*committed)(void *closure,
		    const struct spool_position *position);
};

extern const struct spool_ops spool_writer_ops;	/* closure: struct spool_writer * */

/* spool_writer_open(config, callbacks, closure): Start the threads; the first
 * segment is made meanwhile.  A full disk is no failure here: begin() says so
 * until there is space.  NULL with errno: EINVAL (sizes), EAGAIN (another process
 * has that number), EMFILE, ENOMEM, EACCES ... */
struct spool_writer *spool_writer_open(const struct spool_writer_config *config,
    const struct spool_writer_callbacks *callbacks, void *closure);

/* spool_writer_fd(w): An eventfd, readable when spool_writer_dispatch() has
 * something to do. */
int spool_writer_fd(const struct spool_writer *w);

/* spool_writer_dispatch(w): Make the callbacks for what has been committed. */
void spool_writer_dispatch(struct spool_writer *w);

/* spool_writer_pass(w): Call at the end of each pass of the loop: hands the
 * messages committed in this pass to the committer together, and wakes
 * sessions that wait for room. */
void spool_writer_pass(struct spool_writer *w);

/* spool_writer_is_open(w): Is the writer's number known?  If not, opened() is
 * called when it is. */
bool spool_writer_is_open(const struct spool_writer *w);

/* spool_writer_attach(w): Make the calling thread's scheduler call both, by an
 * Event on the eventfd and a recurrent function; ${w} must live until the
 * scheduler has stopped.  Return 0 or -1 with errno. */
int spool_writer_attach(struct spool_writer *w);

/* spool_writer_position(w, i, position_r): The i-th (from 0) segment that this
 * process holds locked: told to a queue process that (re)connects.  Return 1,
 * or 0: no more. */
int spool_writer_position(struct spool_writer *w, unsigned int i,
    struct spool_position *position_r);

/* spool_writer_drain(w, timeout_ms): Wait for the messages handed over with
 * commit() whose done() has not been called, making the callbacks.  Return 0,
 * or -1 with ETIMEDOUT. */
int spool_writer_drain(struct spool_writer *w, int timeout_ms);

/* spool_writer_close(w): Stop the threads, close the segments.  Messages still
 * open are dropped; those handed over by commit() are finished first, without
 * their callbacks, unless they need a file from spoold: this function does not
 * wait for spoold.  NULL does nothing. */
void spool_writer_close(struct spool_writer *w);

#endif
