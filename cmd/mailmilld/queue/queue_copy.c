/* What an agent can read of a segment, in which there is mail of others.
 * Owns: for each agent and segment a file in memory, as long as the segment, that
 * has its header and the records of this agent's jobs, where the segment has them;
 * all else in it is holes.
 *
 * An agent could keep the descriptor of a segment and read in it whatever all
 * clients of a worker send, also later, when the segment is used again.  Agents
 * that deliver to Maildirs get it all the same: nearly all of that mail is on its
 * way to where they can read it in any case, and they are the ones that have to
 * be fast.  Those that speak with other servers, or run other programs, get the
 * copy. */

#include "cmd/mailmilld/queue/queue.h"

#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_format.h"
#include "core/util/fileio.h"

struct queue_copy {
	LIST_ENTRY(queue_copy)	 link;
	uint64_t		 source;
	uint64_t		 nonce;		/* of the segment's generation */
	int			 from;		/* the segment */
	int			 to;		/* the file in memory, which the agent has, too */
};

/* A job whose record could not be read */
struct queue_unread {
	STAILQ_ENTRY(queue_unread) link;
	uint64_t		 job;
	int			 errnum;
};

#define PIECE_OCTETS	65536

static void
copy_free(struct queue_copy *c)
{
	LIST_REMOVE(c, link);
	fileio_close(c->from);
	fileio_close(c->to);
	free(c);
}

/* The one that was asked for last is the first. */
static struct queue_copy *
find(struct queue_peer *p, uint64_t source)
{
	struct queue_copy *c;

	LIST_FOREACH (c, &p->copies, link)
		if (c->source == source)
			break;
	if (c != NULL && c != LIST_FIRST(&p->copies)) {
		LIST_REMOVE(c, link);
		LIST_INSERT_HEAD(&p->copies, c, link);
	}
	return c;
}

/* The file in memory, with the header, and as long as the segment.  Return 0, or
 * -1 with errno. */
static int
begin(struct queue_copy *c)
{
	unsigned char page[SPOOL_PAGE];
	struct spool_header header;
	struct stat st;
	ssize_t n;

	if (fstat(c->from, &st) == -1 || ftruncate(c->to, st.st_size) == -1 ||
	    (n = fileio_pread(c->from, page, sizeof(page), 0)) == -1)
		return -1;
	/* its records have been read, so it has a header */
	if (spool_header_decode(page, (size_t)n, &header) == -1)
		return -1;
	c->nonce = header.nonce;
	return fileio_pwrite(c->to, page, (size_t)n, 0);
}

int
queue_copy_open(struct queue_peer *p, uint64_t source, int fd)
{
	struct queue_copy *c = calloc(1, sizeof(*c));
	int theirs, saved;

	if (c == NULL)
		return -1;
	queue_copy_close(p, source);	/* of an agent that has lost it */
	LIST_INSERT_HEAD(&p->copies, c, link);
	c->source = source;
	c->to = memfd_create("mailmill-records", MFD_CLOEXEC);
	c->from = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (c->to != -1 && c->from != -1 && begin(c) == 0 &&
	    (theirs = fcntl(c->to, F_DUPFD_CLOEXEC, 0)) != -1)
		return theirs;
	saved = errno;
	copy_free(c);
	errno = saved;
	return -1;
}

void
queue_copy_close(struct queue_peer *p, uint64_t source)
{
	struct queue_copy *c = find(p, source);

	if (c != NULL)
		copy_free(c);
}

void
queue_copy_close_all(struct queue_peer *p)
{
	struct queue_unread *u;

	while (!LIST_EMPTY(&p->copies))
		copy_free(LIST_FIRST(&p->copies));
	while ((u = STAILQ_FIRST(&p->unread)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->unread, link);
		free(u);
	}
}

/* --- records -------------------------------------------------------------- */

/* Copy ${octets} from ${offset} on, or what there is of them.  Return 0, or -1
 * with errno. */
static int
copy_range(const struct queue_copy *c, uint64_t offset, uint64_t octets)
{
	static char piece[PIECE_OCTETS];
	ssize_t n;

	for (; octets > 0; offset += (uint64_t)n, octets -= (uint64_t)n) {
		n = fileio_pread(c->from, piece, MIN(octets, sizeof(piece)),
		    (off_t)offset);
		if (n <= 0)
			return (int)n;
		if (fileio_pwrite(c->to, piece, (size_t)n, (off_t)offset) == -1)
			return -1;
	}
	return 0;
}

/* Copy the record at ${offset}.  What is no record is not copied: the agent says
 * that it is damaged, as it would of the segment. */
static int
copy_record(const struct queue_copy *c, uint64_t offset)
{
	unsigned char head[SPOOL_RECORD_HEADER];
	struct spool_record record;
	ssize_t n = fileio_pread(c->from, head, sizeof(head), (off_t)offset);

	if (n == -1)
		return -1;
	if ((size_t)n < sizeof(head) || spool_record_decode(head, offset,
	    c->nonce, &record) != SPOOL_SIGN_RECORD)
		return 0;
	return copy_range(c, offset, record.end - offset);
}

/* Say later that the job has failed: the queue hears of no results while it gives
 * out jobs.  Return 0, or -1: there is no memory for that. */
static int
put_off(struct queue_peer *p, uint64_t job, int errnum)
{
	struct queue_unread *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -1;
	u->job = job;
	u->errnum = errnum;
	STAILQ_INSERT_TAIL(&p->unread, u, link);
	return 0;
}

static bool
is_same_record(const struct job *a, const struct job *b)
{
	return a->source == b->source && a->offset == b->offset;
}

int
queue_copy_jobs(struct queue_peer *p, struct job *jobs, unsigned int *n)
{
	const struct queue_copy *c;
	unsigned int i, left = 0;

	for (i = 0; i < *n; i++) {
		/* one that is in the file already has other recipients, too */
		if ((left == 0 || !is_same_record(&jobs[i], &jobs[left - 1])) &&
		    (c = find(p, jobs[i].source)) != NULL &&
		    copy_record(c, jobs[i].offset) == -1) {
			/* no memory: not now */
			if (errno == ENOSPC || errno == ENOMEM ||
			    put_off(p, jobs[i].job, errno) == -1)
				return -1;
			continue;
		}
		jobs[left++] = jobs[i];
	}
	*n = left;
	return 0;
}

void
queue_copy_tell(struct queue_peer *p, const struct timeval *now)
{
	struct queue_unread *u;
	struct job_result result;
	struct job_error error;

	while ((u = STAILQ_FIRST(&p->unread)) != NULL) {
		result = (struct job_result){ .job = u->job,
			.errnum = u->errnum, .flags = JOB_UNASKED };
		error = (struct job_error){ .job = u->job };
		strlcpy(error.text, strerror(u->errnum), sizeof(error.text));
		STAILQ_REMOVE_HEAD(&p->unread, link);
		free(u);
		queue_error(p->role->queue, p->agent, &error);
		queue_done(p->role->queue, p->agent, &result, now);
	}
}
