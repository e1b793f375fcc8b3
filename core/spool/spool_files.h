/* Where a spool writer gets its files from: one table of functions.
 * With core/spool/spool_folder.h this process opens the files in the folder.  A
 * worker, which can open no file, asks spoold for them.
 * All functions but drop() and cancel() may block, for a bounded time, and are
 * called on the writer's maker thread alone.  Functions that return int return
 * 0, or -1 with errno, unless they say otherwise.  ETIMEDOUT: spoold does not
 * answer; ECANCELED: see cancel(). */

#ifndef CORE_SPOOL_SPOOL_FILES_H
#define CORE_SPOOL_SPOOL_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spool/spool_segment.h"

struct spool_files_ops {
	/* number(files, is_waiting, number_r, lowest_us_r): The number of this
	 * writer, and the time after which its ids begin.  EAGAIN: not known
	 * yet.  With ${is_waiting} the function waits for it before it says so.
	 * spool_writer_open() also calls it, on its caller's thread. */
	int	 (*number)(void *files, bool is_waiting,
		    unsigned int *number_r, uint64_t *lowest_us_r);
	/* mark(files, us): Ids up to the time ${us} have been used.  The next
	 * writer with this number begins after it. */
	void	 (*mark)(void *files, uint64_t us);

	/* segment(files, octets, segment_r, is_recycled_r): A segment to write
	 * to: locked, empty, its name on disk.  After an error, EAGAIN too, the
	 * writer asks again later, as with a full disk.
	 * untake(files, segment): Take back a segment that the writer has not
	 * written to. */
	int	 (*segment)(void *files, uint64_t octets,
		    struct spool_segment *segment_r, bool *is_recycled_r);
	void	 (*untake)(void *files, struct spool_segment *segment);

	/* body(files, id): Make the file of a large body, empty and locked.
	 * Return a descriptor.
	 * drop(files, id, fd): No record will name this body: remove its file,
	 * and close ${fd}.  From any thread, without waiting.
	 * flush(files): Make the names of all bodies so far durable. */
	int	 (*body)(void *files, uint64_t id);
	void	 (*drop)(void *files, uint64_t id, int fd);
	int	 (*flush)(void *files);

	/* room(files, more, left_r): May ${more} octets be written?  ENOSPC,
	 * EDQUOT.  *left_r: how many are free after them; UINT64_MAX: not
	 * known.
	 * reserve(files): May anything more be written?  ENOSPC: the queue
	 * process uses its reserve of room now (spool_reserve.h).  Called for
	 * each block of a body. */
	int	 (*room)(void *files, uint64_t more, uint64_t *left_r);
	int	 (*reserve)(void *files);

	/* cancel(files): The writer is being closed: a function that waits for
	 * spoold, now or later, fails with ECANCELED.  From any thread, without
	 * waiting.  NULL: none of the functions waits for another process. */
	void	 (*cancel)(void *files);
};

#endif
