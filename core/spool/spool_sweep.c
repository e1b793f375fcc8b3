/* The sweep of the spool's folder: see spool_sweep.h.
 * A worker keeps a body locked until the record that names it is committed.
 * So if the sweep can lock a body, its record is on disk or never will be.
 * After that the sweep lists all segments of the body's number, and searches
 * them for such a record up to their physical ends, since the queue process may
 * not know of the record yet.  A segment that disappears before it was searched
 * was done with, or was set aside; so the sweep looks for segments that were
 * set aside once more at the end. */

#include "core/spool/spool_sweep.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/spool/spool_reader.h"
#include "core/spool/spool_segment.h"
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define TORN_SLACK_S	3600	/* the clock may have been set back so far */
#define STEP_FILES	64	/* files opened in one step */
#define STEP_RECORDS	256	/* records read in one step, */
#define STEP_OCTETS	(1 << 20) /* or so many octets */

enum phase {
	PHASE_TEST,		/* which bodies can be locked? */
	PHASE_READ,		/* which does a record name? */
	PHASE_REMOVE,		/* the others */
	PHASES
};

struct ids {
	uint64_t	*v;
	size_t		 n, room;
};

struct spool_sweep {
	int		 dirfd;
	time_t		 grace_s;
	time_t		 now;		/* when it began */
	uint64_t	 now_ms;	/* the same, monotonic */
	const struct spool_sweep_ops *ops;
	void		*closure;
	struct spool_readbuf *buf;
	unsigned int	 nremoved;
	int		 errnum;	/* of the first failure */

	struct ids	 bodies;	/* in the order of their numbers */
	size_t		 next;		/* the first one of the next number */

	/* of the number that the sweep is at */
	unsigned int	 number;
	enum phase	 phase;
	size_t		 first, end;	/* of bodies: those of the number; later those that may be removed */
	size_t		 at;		/* in this phase */
	struct ids	 segments;
	struct spool_reader *reader;	/* of the segment being read, or NULL */
	int		 fd;		/* its file */
	bool		 is_set_aside;
	time_t		 torn;		/* a record of a torn segment may name bodies that are older */
};

static int
ids_add(struct ids *ids, uint64_t id)
{
	uint64_t *v = array_fit(ids->v, &ids->room, ids->n + 1, sizeof(*v));

	if (v == NULL)
		return (-1);
	ids->v = v;
	ids->v[ids->n++] = id;
	return (0);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	unsigned int nx = spool_number(x), ny = spool_number(y);

	if (nx != ny)
		return (nx < ny ? -1 : 1);
	return (x < y ? -1 : x > y);
}

/* Its maker may be about to lock it; or it has been written since the sweep
 * began, and the record that names it is in a segment that was searched before.
 * A file with a time in the future was written before the clock was set back. */
static bool
is_young(const struct spool_sweep *s, int fd)
{
	time_t end = s->now + (time_t)((monotonic_ms() - s->now_ms) / 1000);
	struct stat st;

	return (fstat(fd, &st) == -1 || (st.st_mtime > s->now - s->grace_s &&
	    st.st_mtime <= MAX(time(NULL), end) + s->grace_s));
}

/* Open and lock a file; -1 if another process has it locked, or may soon. */
static int
open_locked(const struct spool_sweep *s, const char *name)
{
	int fd;

	if ((fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (-1);
	if (!is_young(s, fd) && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return (fd);
	(void)close(fd);
	return (-1);
}

/* Note a body.  Remove a new.* segment that is not locked: its maker, which
 * keeps it locked, is dead. */
static int
list_one(void *closure, enum spool_entry kind, uint64_t id, const char *name)
{
	struct spool_sweep *s = closure;
	int fd;

	if (kind == SPOOL_ENTRY_BODY && !s->ops->is_known(s->closure, id))
		return (ids_add(&s->bodies, id));
	if (kind != SPOOL_ENTRY_NEW || (fd = open_locked(s, name)) == -1)
		return (0);
	if (unlinkat(s->dirfd, name, 0) == 0)
		s->nremoved++;
	(void)close(fd);
	return (0);
}

struct spool_sweep *
spool_sweep_new(int dirfd, unsigned int grace_s,
    const struct spool_sweep_ops *ops, void *closure)
{
	struct spool_sweep *s;
	int save;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->dirfd = dirfd;
	s->grace_s = (time_t)grace_s;
	s->now = time(NULL);
	s->now_ms = monotonic_ms();
	s->ops = ops;
	s->closure = closure;
	s->fd = -1;
	if ((s->buf = spool_readbuf_new()) == NULL ||
	    spool_scan(dirfd, list_one, s) != 0) {
		save = errno;
		spool_sweep_free(s);
		errno = save;
		return (NULL);
	}
	if (s->bodies.n > 0)
		qsort(s->bodies.v, s->bodies.n, sizeof(s->bodies.v[0]),
		    compare);
	return (s);
}

static void
close_segment(struct spool_sweep *s)
{
	spool_reader_free(s->reader);
	s->reader = NULL;
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
}

void
spool_sweep_free(struct spool_sweep *s)
{
	if (s == NULL)
		return;
	close_segment(s);
	spool_readbuf_free(s->buf);
	free(s->bodies.v);
	free(s->segments.v);
	free(s);
}

unsigned int
spool_sweep_removed(const struct spool_sweep *s)
{
	return (s->nremoved);
}

/* The bodies of this number stay, and the caller's kept() is told.  Return
 * 1. */
static int
keep(struct spool_sweep *s, enum spool_sweep_why why)
{
	if (s->end > s->first)
		s->ops->kept(s->closure, s->number,
		    (unsigned int)(s->end - s->first), why);
	s->end = s->first;
	close_segment(s);
	return (1);
}

/* May the segment ${id} have records with the number that the sweep is at?  The
 * segments of an earlier version, which a group may write, can have records of
 * any number. */
static bool
is_of_number(const struct spool_sweep *s, uint64_t id, const struct stat *st)
{
	return (spool_number(id) == s->number || (st->st_mode & S_IWGRP) != 0);
}

/* Look for segments that the queue process has set aside.  A record that is
 * lost in a damaged.* may have named any of the bodies.  The last records of a
 * torn.* were written before it was renamed, so they name no body that is
 * younger. */
static int
find_kept(void *closure, enum spool_entry kind, uint64_t id, const char *name)
{
	struct spool_sweep *s = closure;
	struct stat st;

	if (kind != SPOOL_ENTRY_TORN && kind != SPOOL_ENTRY_DAMAGED)
		return (0);
	if (fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !is_of_number(s, id, &st))
		return (0);
	if (kind == SPOOL_ENTRY_TORN)
		s->torn = MAX(s->torn, st.st_mtime + TORN_SLACK_S);
	else
		s->is_set_aside = true;
	return (0);
}

/* Go on with the next number.  Return 1, or 0: there is none; -1. */
static int
next_number(struct spool_sweep *s)
{
	if (s->next == s->bodies.n) {
		errno = s->errnum;
		return (s->errnum == 0 ? 0 : -1);
	}
	close_segment(s);
	s->first = s->at = s->next;
	s->number = spool_number(s->bodies.v[s->first]);
	while (s->next < s->bodies.n &&
	    spool_number(s->bodies.v[s->next]) == s->number)
		s->next++;
	s->end = s->first;		/* none may be removed yet */
	s->phase = PHASE_TEST;
	s->is_set_aside = false;
	s->torn = 0;
	return (spool_scan(s->dirfd, find_kept, s) == 0 ? 1 : -1);
}

/* Open and lock body.${id}, or return -1: a process has it locked, or a record
 * of a torn segment may name it. */
static int
open_body(const struct spool_sweep *s, uint64_t id)
{
	char name[SPOOL_NAME];
	struct stat st;
	int fd;

	spool_body_name(id, name);
	if ((fd = open_locked(s, name)) == -1)
		return (-1);
	if (fstat(fd, &st) == 0 && st.st_mtime > s->torn)
		return (fd);
	(void)close(fd);
	return (-1);
}

static int
list_segment(void *closure, enum spool_entry kind, uint64_t id,
    const char *name)
{
	struct spool_sweep *s = closure;
	struct stat st;

	if (kind != SPOOL_ENTRY_SEGMENT ||
	    fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !is_of_number(s, id, &st))
		return (0);
	return (ids_add(&s->segments, id));
}

static int
test_some(struct spool_sweep *s)
{
	unsigned int i;
	int fd;

	for (i = 0; i < STEP_FILES && s->at < s->next; i++, s->at++) {
		if ((fd = open_body(s, s->bodies.v[s->at])) == -1)
			continue;
		(void)close(fd);
		s->bodies.v[s->end++] = s->bodies.v[s->at];
	}
	if (s->at < s->next)
		return (1);
	if (s->is_set_aside)
		return (keep(s, SPOOL_SWEEP_SET_ASIDE));
	/* only now, since no more records can name these bodies */
	s->segments.n = 0;
	if (s->end > s->first && spool_scan(s->dirfd, list_segment, s) != 0)
		return (-1);
	if (s->segments.n > SPOOL_SWEEP_SEGMENTS)
		return (keep(s, SPOOL_SWEEP_MANY));
	s->at = 0;
	s->phase = PHASE_READ;
	return (1);
}

/* Return 1: it is open; 0: it is not there any more; -1: it cannot be read. */
static int
open_segment(struct spool_sweep *s, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_segment_name("seg", id, name);
	/* an earlier version let workers write to the folder: do not wait for
	 * a FIFO */
	if ((s->fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC |
	    O_NOFOLLOW | O_NONBLOCK)) == -1)
		return (errno == ENOENT ? 0 : -1);
	s->reader = spool_reader_new(s->fd, s->buf, SPOOL_READ_TRUST_BODY);
	return (s->reader == NULL || spool_reader_header(s->reader)->
	    size_octets > SPOOL_SEGMENT_OPEN_MAX ? -1 : 1);
}

/* A record names body.${id}: it stays. */
static void
clear_body(struct spool_sweep *s, uint64_t id)
{
	uint64_t *v = s->bodies.v + s->first;
	size_t n = s->end - s->first;
	uint64_t *hit = n == 0 ? NULL :
	    bsearch(&id, v, n, sizeof(*v), compare);

	if (hit == NULL)
		return;
	memmove(hit, hit + 1, (size_t)(v + n - (hit + 1)) * sizeof(*v));
	s->end--;
}

static int
read_some(struct spool_sweep *s)
{
	struct spool_damage damage;
	struct spool_view view;
	uint64_t start;
	unsigned int i;
	int rv = 1;

	if (s->at == s->segments.n || s->end == s->first) {
		s->at = s->first;
		s->phase = PHASE_REMOVE;
		return (1);
	}
	if (s->reader == NULL &&
	    (rv = open_segment(s, s->segments.v[s->at])) == -1)
		return (keep(s, SPOOL_SWEEP_DAMAGE));
	start = rv == 1 ? spool_reader_tell(s->reader) : 0;
	for (i = 0; rv == 1 && i < STEP_RECORDS &&
	    spool_reader_tell(s->reader) < start + STEP_OCTETS; i++) {
		rv = spool_reader_next(s->reader, SPOOL_TO_END, &view,
		    &damage);
		if (rv == 1 && (view.record.flags & SPOOL_RECORD_LARGE) != 0)
			clear_body(s, view.record.id);
	}
	/* a record that is lost may have named any body */
	if (rv == -1)
		return (keep(s, SPOOL_SWEEP_DAMAGE));
	if (rv == 0) {
		close_segment(s);
		s->at++;
	}
	return (1);
}

static int
remove_some(struct spool_sweep *s)
{
	unsigned int i;
	uint64_t id;
	int fd;

	if (s->at == s->first) {
		if (spool_scan(s->dirfd, find_kept, s) != 0)
			return (-1);
		if (s->is_set_aside)
			return (keep(s, SPOOL_SWEEP_SET_ASIDE));
	}
	for (i = 0; i < STEP_FILES && s->at < s->end; i++, s->at++) {
		id = s->bodies.v[s->at];
		if (s->ops->is_known(s->closure, id) ||
		    (fd = open_body(s, id)) == -1)
			continue;
		if (spool_body_remove(s->dirfd, id) == 0)
			s->nremoved++;
		(void)close(fd);
	}
	if (s->at == s->end)
		s->end = s->first;
	return (1);
}

int
spool_sweep_step(struct spool_sweep *s)
{
	static int (*const steps[PHASES])(struct spool_sweep *) = {
		[PHASE_TEST] = test_some,
		[PHASE_READ] = read_some,
		[PHASE_REMOVE] = remove_some
	};
	bool is_through = s->end == s->first &&
	    (s->phase != PHASE_TEST || s->at == s->next);
	int rv = is_through ? next_number(s) : steps[s->phase](s);

	if (rv != -1 || s->next == s->bodies.n)
		return (rv);
	/* go on with the next number, which may succeed */
	if (s->errnum == 0)
		s->errnum = errno;
	s->end = s->first;
	s->at = s->next;
	s->phase = PHASE_TEST;
	return (1);
}
