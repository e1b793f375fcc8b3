/* Removal of files that a crash has left in the spool's folder and that no
 * record needs, a little at a time.
 * Owns: the proof that no record needs a file.
 *
 * A sweep removes new.* files whose maker is dead, and body.* files that no
 * process writes, that the queue does not know, and that no record of any
 * segment names.  A record that names a body has the number of the body's
 * writer, and so has its segment.  So the sweep does one number after the
 * other, and damage in the segments of one worker does not keep the files of
 * another. */

#ifndef CORE_SPOOL_SPOOL_SWEEP_H
#define CORE_SPOOL_SPOOL_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_SWEEP_SEGMENTS	32	/* the bodies of a number that has more segments have to wait */

/* Why the bodies of a number stay for now */
enum spool_sweep_why {
	SPOOL_SWEEP_SET_ASIDE,	/* there is a damaged.*: a record lost in it may have named them */
	SPOOL_SWEEP_DAMAGE,	/* a segment could not be read to its end */
	SPOOL_SWEEP_MANY	/* the number has too many segments */
};

struct spool_sweep_ops {
	/* is_known(closure, id): Whether the queue needs body.${id}.
	 * kept(closure, number, n, why): ${n} bodies of ${number} that seem to
	 * be left over stay for the reason ${why}. */
	bool	(*is_known)(void *closure, uint64_t id);
	void	(*kept)(void *closure, unsigned int number, unsigned int n,
		    enum spool_sweep_why why);
};

struct spool_sweep;

/* spool_sweep_new(dirfd, grace_s, ops, closure): Files that were written to in
 * the last ${grace_s} seconds stay: their maker may be between creating and
 * locking.  NULL with errno.
 * spool_sweep_step(s): Look at some files, or at some 100 kB to 3 MB of a
 * segment.  Return 1: call again; 0: the sweep has ended; -1: it has ended with
 * errno, and there may be more to remove.
 * spool_sweep_removed(s): How many files it has removed so far. */
struct spool_sweep *spool_sweep_new(int dirfd, unsigned int grace_s,
    const struct spool_sweep_ops *ops, void *closure);
int spool_sweep_step(struct spool_sweep *s);
unsigned int spool_sweep_removed(const struct spool_sweep *s);
void spool_sweep_free(struct spool_sweep *s);	/* NULL does nothing */

#endif
