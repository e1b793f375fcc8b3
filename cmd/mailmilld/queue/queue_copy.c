/* What an agent can read of a segment, in which there is mail of others.
 * Owns: for each agent and segment a file in memory, as long as the segment, that
 * has its header and the records of this agent's jobs, where the segment has them;
 * all else in it is holes.  A record is in it until all of its jobs have results.
 *
 * An agent could keep the descriptor of a segment and read in it whatever all
 * clients of a worker send, also later, when the segment is used again.  Agents
 * that deliver to Maildirs get it all the same: nearly all of that mail is on its
 * way to where they can read it in any case, and they are the ones that have to
 * be fast.  Those that speak with other servers, or run other programs, get the
 * copy.
 *
 * The memory that all of this takes has a bound, of which an agent may have as much
 * as it leaves to the others.  While there is none, its jobs wait; when none of them
 * could go for QUEUE_COPY_WAIT_MS, they fail. */

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
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

struct queue_copy {
	LIST_ENTRY(queue_copy)	 link;
	struct queue_peer	*peer;
	uint64_t		 source;
	uint64_t		 nonce;		/* of the segment's generation */
	int			 from;		/* the segment */
	int			 to;		/* the file in memory, which the agent has, too */
	LIST_HEAD(, queue_piece) pieces;
	off_t			 size;		/* of both */
	size_t			 npages;
	uint16_t		 pages[];	/* pieces that have octets in each */
};

/* The record of some jobs, which came one after the other */
struct queue_piece {
	LIST_ENTRY(queue_piece)	 link;
	struct queue_copy	*copy;		/* NULL: it has been closed */
	uint64_t		 offset, end;
	unsigned int		 njobs;		/* that have no results yet */
};

/* A job that an agent has, by the lower half of its number */
struct queue_copied {
	uint64_t		 job;
	struct queue_piece	*piece;		/* NULL: none */
};

/* A job that has failed before its agent got it */
struct queue_unread {
	STAILQ_ENTRY(queue_unread) link;
	uint64_t		 job;
	int			 errnum;
};

#define PIECE_OCTETS	65536
#define LOG_MS		60000	/* between two lines about the same agent */

static const char no_memory[] = "there is no memory for what the agent would "
    "have to read of it: make room";

/* --- pages ---------------------------------------------------------------- */

static void
count_pages(struct queue_copy *c, size_t n, bool is_more)
{
	uint64_t octets = (uint64_t)n * SPOOL_PAGE;

	if (is_more) {
		c->peer->copy_octets += octets;
		c->peer->role->copy_octets += octets;
	} else {
		c->peer->copy_octets -= octets;
		c->peer->role->copy_octets -= octets;
	}
}

/* The pages with octets from ${offset} to ${end} */
static void
pages_of(uint64_t offset, uint64_t end, size_t *first_r, size_t *end_r)
{
	*first_r = (size_t)(offset / SPOOL_PAGE);
	*end_r = (size_t)((end + SPOOL_PAGE - 1) / SPOOL_PAGE);
}

static void
hold_pages(struct queue_copy *c, uint64_t offset, uint64_t end)
{
	size_t i, last;

	pages_of(offset, end, &i, &last);
	for (; i < last; i++)
		if (c->pages[i]++ == 0)
			count_pages(c, 1, true);
}

/* Give back ${n} pages from the page ${first} on. */
static void
punch(struct queue_copy *c, size_t first, size_t n)
{
	if (n == 0)
		return;
	count_pages(c, n, false);
	(void)fallocate(c->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	    (off_t)(first * SPOOL_PAGE), (off_t)(n * SPOOL_PAGE));
}

/* Give back those that no other piece has. */
static void
release_pages(struct queue_copy *c, uint64_t offset, uint64_t end)
{
	size_t i, last, n = 0;

	pages_of(offset, end, &i, &last);
	for (; i < last; i++)
		if (--c->pages[i] == 0) {
			n++;
		} else {
			punch(c, i - n, n);
			n = 0;
		}
	punch(c, i - n, n);
}

/* How many octets more the copy would take */
static uint64_t
missing_octets(const struct queue_copy *c, uint64_t offset, uint64_t end)
{
	size_t i, last, n = 0;

	pages_of(offset, end, &i, &last);
	for (; i < last; i++)
		n += c->pages[i] == 0;
	return (uint64_t)n * SPOOL_PAGE;
}

/* Each agent leaves to the others as much as it has itself; one that has nothing in
 * hand may have any record. */
static bool
may_have(const struct queue_peer *p, uint64_t octets)
{
	uint64_t used = p->role->copy_octets + octets;

	return p->npieces == 0 || (used <= QUEUE_COPY_MAX &&
	    p->copy_octets + octets <= QUEUE_COPY_MAX - used);
}

/* --- files in memory ------------------------------------------------------ */

static void
copy_free(struct queue_copy *c)
{
	struct queue_piece *piece;
	size_t i, n = 0;

	while ((piece = LIST_FIRST(&c->pieces)) != NULL) {
		LIST_REMOVE(piece, link);
		piece->copy = NULL;
	}
	for (i = 0; i < c->npages; i++)
		n += c->pages[i] > 0;
	count_pages(c, n, false);
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

/* Read the header of the segment ${fd}.  Return its octets, or -1 with errno. */
static ssize_t
read_header(int fd, unsigned char page[SPOOL_PAGE],
    struct spool_header *header_r)
{
	ssize_t n = fileio_pread(fd, page, SPOOL_PAGE, 0);

	/* its records have been read, so it has one */
	if (n == -1 || spool_header_decode(page, (size_t)n, header_r) == -1)
		return -1;
	return n;
}

/* The file in memory, with the header, and as long as the segment.  Return 0, or
 * -1 with errno. */
static int
begin(struct queue_copy *c)
{
	unsigned char page[SPOOL_PAGE];
	struct spool_header header;
	ssize_t n = read_header(c->from, page, &header);

	if (n == -1 || ftruncate(c->to, c->size) == -1)
		return -1;
	c->nonce = header.nonce;
	hold_pages(c, 0, (uint64_t)n);
	return fileio_pwrite(c->to, page, (size_t)n, 0);
}

/* Is ${c} of the same generation of the segment ${fd}? */
static bool
is_of(const struct queue_copy *c, int fd)
{
	unsigned char page[SPOOL_PAGE];
	struct spool_header header;
	struct stat a, b;

	return fstat(c->from, &a) == 0 && fstat(fd, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
	    read_header(fd, page, &header) != -1 && header.nonce == c->nonce;
}

static struct queue_copy *
copy_new(struct queue_peer *p, uint64_t source, int fd)
{
	struct queue_copy *c;
	struct stat st;
	size_t npages;
	int saved;

	if (fstat(fd, &st) == -1)
		return NULL;
	npages = (size_t)(st.st_size + SPOOL_PAGE - 1) / SPOOL_PAGE;
	c = calloc(1, sizeof(*c) + npages * sizeof(c->pages[0]));
	if (c == NULL)
		return NULL;
	c->peer = p;
	c->source = source;
	c->size = st.st_size;
	c->npages = npages;
	LIST_INIT(&c->pieces);
	LIST_INSERT_HEAD(&p->copies, c, link);
	c->to = memfd_create("mailmill-records", MFD_CLOEXEC);
	c->from = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (c->to != -1 && c->from != -1 && begin(c) == 0)
		return c;
	saved = errno;
	copy_free(c);
	errno = saved;
	return NULL;
}

int
queue_copy_open(struct queue_peer *p, uint64_t source, int fd)
{
	struct queue_copy *c = find(p, source);
	bool is_new;
	int theirs, saved;

	/* an agent that has lost it may have other jobs in it */
	if (c != NULL && !is_of(c, fd)) {
		copy_free(c);
		c = NULL;
	}
	is_new = c == NULL;
	if (c == NULL && (c = copy_new(p, source, fd)) == NULL)
		return -1;
	theirs = fcntl(c->to, F_DUPFD_CLOEXEC, 0);
	if (theirs == -1 && is_new) {
		saved = errno;
		copy_free(c);
		errno = saved;
	}
	return theirs;
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
	size_t i;

	for (i = 0; i < p->ncopied; i++)
		queue_copy_done(p, p->copied[i].job);
	free(p->copied);
	p->copied = NULL;
	p->ncopied = 0;
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

/* Find where the record at ${offset} ends: *${end_r}, which is ${offset} where there
 * is none: the agent says that it is damaged, as it would of the segment.  Return 0,
 * or -1 with errno. */
static int
find_end(const struct queue_copy *c, uint64_t offset, uint64_t *end_r)
{
	unsigned char head[SPOOL_RECORD_HEADER];
	struct spool_record record;
	ssize_t n = fileio_pread(c->from, head, sizeof(head), (off_t)offset);

	*end_r = offset;
	if (n == -1)
		return -1;
	if ((size_t)n == sizeof(head) && spool_record_decode(head, offset,
	    c->nonce, &record) == SPOOL_SIGN_RECORD &&
	    record.end <= (uint64_t)c->size)
		*end_r = record.end;
	return 0;
}

static void
piece_free(struct queue_peer *p, struct queue_piece *piece)
{
	if (piece->copy != NULL) {
		LIST_REMOVE(piece, link);
		if (piece->end > piece->offset)
			release_pages(piece->copy, piece->offset, piece->end);
	}
	p->npieces--;
	free(piece);
}

/* Copy the record at ${offset}.  NULL with errno: ENOSPC or ENOMEM, there is no
 * memory. */
static struct queue_piece *
piece_new(struct queue_peer *p, struct queue_copy *c, uint64_t offset)
{
	struct queue_piece *piece;
	uint64_t end;
	int saved;

	if (find_end(c, offset, &end) == -1)
		return NULL;
	if (end > offset && !may_have(p, missing_octets(c, offset, end))) {
		errno = ENOSPC;
		return NULL;
	}
	if ((piece = calloc(1, sizeof(*piece))) == NULL)
		return NULL;
	*piece = (struct queue_piece){ .copy = c, .offset = offset, .end = end };
	LIST_INSERT_HEAD(&c->pieces, piece, link);
	p->npieces++;
	if (end > offset)
		hold_pages(c, offset, end);
	if (copy_range(c, offset, end - offset) == 0)
		return piece;
	saved = errno;
	piece_free(p, piece);
	errno = saved;
	return NULL;
}

/* --- jobs ----------------------------------------------------------------- */

/* ${job} is one of those of ${piece}.  Return 0, or -1: no memory. */
static int
note(struct queue_peer *p, uint64_t job, struct queue_piece *piece)
{
	size_t slot = (uint32_t)job;
	struct queue_copied *v;

	if (slot >= p->ncopied) {
		v = array_fit(p->copied, &p->ncopied, slot + 1, sizeof(*v));
		if (v == NULL)
			return -1;
		p->copied = v;
	}
	/* of a job that had no result */
	if (p->copied[slot].piece != NULL)
		queue_copy_done(p, p->copied[slot].job);
	p->copied[slot] = (struct queue_copied){ job, piece };
	piece->njobs++;
	return 0;
}

void
queue_copy_done(struct queue_peer *p, uint64_t job)
{
	size_t slot = (uint32_t)job;
	struct queue_piece *piece;

	if (slot >= p->ncopied || p->copied[slot].job != job)
		return;
	piece = p->copied[slot].piece;
	p->copied[slot].piece = NULL;
	if (piece != NULL && --piece->njobs == 0)
		piece_free(p, piece);
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

bool
queue_copy_is_short(struct queue_peer *p, int errnum)
{
	uint64_t now = monotonic_ms();

	if (p->short_ms == 0)
		p->short_ms = now;
	if (p->logged_ms == 0 || now - p->logged_ms >= LOG_MS) {
		p->logged_ms = now;
		log_warnx("agent-memory", "peer=%s slot=%u octets=%llu "
		    "all_octets=%llu max_octets=%llu error=%s effect=%s",
		    role_name(p->who.role), p->who.slot,
		    (unsigned long long)p->copy_octets,
		    (unsigned long long)p->role->copy_octets,
		    (unsigned long long)QUEUE_COPY_MAX, strerror(errnum),
		    "mail for it waits, and is deferred if that lasts");
	}
	return now - p->short_ms >= QUEUE_COPY_WAIT_MS;
}

static bool
is_same_record(const struct job *a, const struct job *b)
{
	return a->source == b->source && a->offset == b->offset;
}

/* See to it that the agent can read the record of ${job}; *${piece}: that of the job
 * before, ${last}.  Return 0, or -1 with errno. */
static int
take_job(struct queue_peer *p, const struct job *job, const struct job *last,
    struct queue_piece **piece)
{
	struct queue_copy *c;

	/* one that is in the file already has other recipients, too */
	if (last == NULL || !is_same_record(job, last)) {
		*piece = NULL;
		if ((c = find(p, job->source)) == NULL)
			return 0;	/* a file of its own */
		if ((*piece = piece_new(p, c, job->offset)) == NULL)
			return -1;
	}
	if (*piece == NULL)
		return 0;
	if (note(p, job->job, *piece) == 0) {
		p->short_ms = 0;
		return 0;
	}
	if ((*piece)->njobs == 0)
		piece_free(p, *piece);
	errno = ENOMEM;
	return -1;
}

unsigned int
queue_copy_jobs(struct queue_peer *p, struct job *jobs, unsigned int n,
    unsigned int *left_r)
{
	struct queue_piece *piece = NULL;
	const struct job *last = NULL;
	bool is_over = false;
	unsigned int i;

	*left_r = 0;
	for (i = 0; i < n; i++) {
		if (take_job(p, &jobs[i], last, &piece) == 0) {
			jobs[*left_r] = jobs[i];
			last = &jobs[(*left_r)++];
			continue;
		}
		last = NULL;
		if (errno == ENOSPC || errno == ENOMEM) {
			/* the others may go later, if any of them go */
			if (i == 0)
				is_over = queue_copy_is_short(p, errno);
			if (!is_over)
				break;
			errno = ENOMEM;
		}
		if (put_off(p, jobs[i].job, errno) == -1)
			break;
	}
	return i;
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
		strlcpy(error.text, u->errnum == ENOMEM ? no_memory :
		    strerror(u->errnum), sizeof(error.text));
		STAILQ_REMOVE_HEAD(&p->unread, link);
		free(u);
		queue_error(p->role->queue, p->agent, &error);
		queue_done(p->role->queue, p->agent, &result, now);
	}
}
