/* Sources: the files that agents read messages from.
 * Owns: which agent has been told of which file. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void
queue_forget(struct queue *q, uint64_t *told, uint64_t source)
{
	unsigned int i;

	if (source == 0)
		return;
	for (i = 0; *told != 0 && i < QUEUE_AGENTS_MAX; i++)
		if ((*told & 1ULL << i) != 0) {
			*told &= ~(1ULL << i);
			q->ops->forget(q->closure, i, source);
		}
}

/* A file that only this message has: its body, or its deferred copy */
static int
tell_file(struct queue *q, struct queue_message *m, unsigned int agent)
{
	uint64_t source;
	int fd, rc;

	if (m->segment == NULL) {
		fd = deferred_file_open(q->deferred, m->id);
		if (m->source == 0)
			m->source = q->next_source++;
		source = m->source;
	} else {
		fd = spool_body_open(q->config.incoming_dirfd, m->id);
		if (m->body_source == 0)
			m->body_source = q->next_source++;
		source = m->body_source;
	}
	if (fd == -1)
		return -1;
	rc = q->ops->source(q->closure, agent, source, fd);
	close(fd);
	if (rc == -1)
		errno = EAGAIN;
	else
		m->told |= 1ULL << agent;
	return rc;
}

/* The agents only read, and they run under another account: their descriptor
 * allows no more, and shares no lock with ours. */
static int
tell_segment(struct queue *q, struct queue_segment *seg, unsigned int agent)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", seg->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* without /proc: better than no delivery */
	rc = q->ops->source(q->closure, agent, seg->source,
	    fd == -1 ? seg->fd : fd);
	if (fd != -1)
		close(fd);
	if (rc == 0)
		seg->told |= 1ULL << agent;
	return rc;
}

int
queue_tell(struct queue *q, struct queue_message *m, unsigned int agent)
{
	uint64_t bit = 1ULL << agent;
	struct queue_segment *seg = m->segment;

	if (seg != NULL && (seg->told & bit) == 0 &&
	    tell_segment(q, seg, agent) == -1) {
		errno = EAGAIN;
		return -1;
	}
	if (seg != NULL && (m->flags & SPOOL_RECORD_LARGE) == 0)
		return 0;
	return (m->told & bit) != 0 ? 0 : tell_file(q, m, agent);
}
