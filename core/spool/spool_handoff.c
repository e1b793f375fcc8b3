/* What the three threads of the spool writer hand each other, and how.
 *
 * A message goes from the loop to the committer (queue), or first to the maker
 * (jobs, finish) if it is large, and back to the loop (done); blocks of large
 * bodies go to the maker (jobs) and back (returned).  All of these lists, the
 * segments and what the loop has to log are under one lock, which nobody keeps
 * while it reads, writes or flushes a file, or calls back.  Functions named
 * *_locked are called with it.  What only one thread touches, and what is
 * atomic, says so in spool_writer_int.h.
 *
 * Whoever puts something into a list wakes the thread at its other end: the
 * committer and the maker only if they sleep, the loop through its eventfd,
 * once until it has looked. */

#include <errno.h>
#include <unistd.h>

#include "core/spool/spool_writer_int.h"

void
spool_post_locked(struct spool_writer *w)
{
	uint64_t one = 1;

	if (w->is_posted)
		return;
	w->is_posted = true;
	while (write(w->event_fd, &one, sizeof(one)) == -1 && errno == EINTR)
		;
}

void
spool_wake_commit_locked(struct spool_writer *w)
{
	if (w->is_commit_asleep || (w->is_commit_gathering &&
	    __atomic_load_n(&w->nopen, __ATOMIC_RELAXED) == 0))
		(void)pthread_cond_signal(&w->commit_cond);
}

void
spool_wake_maker_locked(struct spool_writer *w)
{
	if (w->is_maker_asleep)
		(void)pthread_cond_signal(&w->maker_cond);
}

void
spool_note_locked(struct spool_writer *w, enum spool_note note, int error)
{
	w->notes[note] = error;
	spool_post_locked(w);
}

void
spool_body_close(struct spool_msg *msg, bool is_kept)
{
	if (msg->body_fd == -1)
		return;
	if (!is_kept)
		(void)spool_body_remove(msg->w->config.dirfd, msg->id);
	(void)close(msg->body_fd);
	msg->body_fd = -1;
}
