/* How the three threads of the spool writer hand messages to each other.
 *
 * A message goes from the loop to the committer (queue), or first to the maker
 * (jobs, finish) if it is large, and back to the loop (done); blocks of large
 * bodies go to the maker (jobs) and back (returned).  All of these lists, the
 * segments and what the loop has to log are under one lock, which no thread
 * keeps while it reads, writes or flushes a file, or makes a callback.
 * Functions named *_locked are called with it.  spool_writer_int.h says which
 * members one thread alone uses, and which are atomic.
 *
 * A thread that puts something into a list wakes the thread that takes from it:
 * the committer and the maker only if they sleep, the loop through its eventfd,
 * which is written once until the loop has read it. */

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
spool_fail_locked(struct spool_writer *w, struct spool_msgs *msgs, int error)
{
	struct spool_msg *msg;

	STAILQ_FOREACH(msg, msgs, link) {
		msg->error = error;
		spool_body_close(msg, false);
	}
	STAILQ_CONCAT(&w->done, msgs);
	spool_post_locked(w);
}

void
spool_body_close(struct spool_msg *msg, bool is_kept)
{
	if (msg->body_fd == -1)
		return;
	if (is_kept)
		(void)close(msg->body_fd);
	else
		msg->w->files->drop(msg->w->files_closure, msg->id,
		    msg->body_fd);
	msg->body_fd = -1;
}
