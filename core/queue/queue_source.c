/* Sources: the files that agents read messages from.
 * Owns: which agent has been told of which file. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <unistd.h>

void
queue_untell(struct queue *q, struct queue_file *file, unsigned int agent)
{
	uint64_t bit = 1ULL << agent;

	if ((file->told & bit) == 0)
		return;
	file->told &= ~bit;
	if (file->told == 0)
		TAILQ_REMOVE(&q->files, file, link);
}

void
queue_forget(struct queue *q, struct queue_file *file)
{
	unsigned int i;

	for (i = 0; file->told != 0 && i < QUEUE_AGENTS_MAX; i++)
		if ((file->told & 1ULL << i) != 0) {
			queue_untell(q, file, i);
			q->ops->forget(q->closure, i, file->source);
		}
}

/* Tell ${agent} of ${file}, open as ${fd}, which is closed. */
static int
tell(struct queue *q, struct queue_file *file, int fd, unsigned int agent,
    bool is_shared)
{
	int rc, saved;

	if (fd == -1)
		return -1;
	if (file->source == 0)
		file->source = q->next_source++;
	rc = q->ops->source(q->closure, agent, file->source, fd, is_shared);
	saved = errno;
	close(fd);
	if (rc == -1) {
		errno = saved == ENOMEM ? ENOMEM : EAGAIN;
		return -1;
	}
	if (file->told == 0)
		TAILQ_INSERT_TAIL(&q->files, file, link);
	file->told |= 1ULL << agent;
	return 0;
}

int
queue_tell(struct queue *q, struct queue_message *m, unsigned int agent)
{
	const struct queue_store_ops *ops = q->store_ops;
	struct queue_file *file = m->place.file;
	uint64_t bit = 1ULL << agent;
	int fd;

	if (file == NULL)
		return (m->own.told & bit) != 0 ? 0 : tell(q, &m->own,
		    ops->open_file(q->store, &m->place), agent, false);
	if ((file->told & bit) == 0) {
		fd = ops->open_file(q->store, &m->place);
		if (fd == -1) {
			/* its records were read, so it is there */
			errno = EAGAIN;
			return -1;
		}
		if (tell(q, file, fd, agent, true) == -1)
			return -1;
	}
	if (!m->place.has_body || (m->own.told & bit) != 0)
		return 0;
	return tell(q, &m->own, ops->open_body(q->store, &m->place), agent,
	    false);
}
