/* Removal of files that a crash has left in the spool's folder and that no
 * record needs.
 * Owns: the proof that no record needs a file.
 * A worker keeps a body locked until the record that names it is committed.
 * So if a body can be locked, its record is on disk or never will be.  All
 * segments are searched for it, to their physical ends, since the queue may not
 * know of it yet. */

#include "core/spool/spool_segment.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/spool/spool_reader.h"

#define TORN_SLACK_S	3600	/* by which clocks are set back */
#define SUSPECTS_MAX	256	/* descriptors held at once; the next sweep does the rest */

struct suspect {
	uint64_t	 id;
	int		 fd;	/* locked; -1: a record names it */
};

struct sweep {
	int		 dirfd;
	time_t		 grace_s;
	time_t		 now;
	bool		(*is_known)(void *closure, uint64_t id);
	void		*closure;
	struct spool_readbuf *buf;
	struct suspect	 suspects[SUSPECTS_MAX];
	unsigned int	 nsuspects;
	int		 nremoved;
	bool		 is_damaged;
	time_t		 torn;		/* older bodies may be of a torn segment */
};

/* Its maker may be about to lock it.  A file with a time in the future was
 * written before the clock was set back. */
static bool
is_young(const struct sweep *s, int fd)
{
	struct stat st;

	return (fstat(fd, &st) == -1 || (st.st_mtime > s->now - s->grace_s &&
	    st.st_mtime <= s->now + s->grace_s));
}

/* Open and lock a file; -1 if another process has it locked, or may soon. */
static int
open_locked(const struct sweep *s, const char *name)
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

/* A damaged segment, renamed by the queue: a record that is lost in it may have
 * named any of the bodies.  The last records of a torn one were written before
 * it was renamed, and name no younger body. */
static int
find_kept(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	struct sweep *s = closure;
	struct stat st;

	if (kind == SPOOL_ENTRY_OTHER && strncmp(name, "damaged.", 8) == 0 &&
	    strncmp(name + 8, "body.", 5) != 0)
		s->is_damaged = true;
	if (kind == SPOOL_ENTRY_TORN &&
	    fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		s->torn = MAX(s->torn, st.st_mtime + TORN_SLACK_S);
	return (0);
}

static bool
may_be_torn(const struct sweep *s, int fd)
{
	struct stat st;

	return (fstat(fd, &st) == -1 || st.st_mtime <= s->torn);
}

static int
find_suspect(void *closure, enum spool_entry kind, uint64_t id,
    const char *name)
{
	struct sweep *s = closure;
	int fd;

	if (kind != SPOOL_ENTRY_NEW && kind != SPOOL_ENTRY_BODY)
		return (0);
	if (kind == SPOOL_ENTRY_BODY && (s->nsuspects == SUSPECTS_MAX ||
	    s->is_known(s->closure, id)))
		return (0);
	if ((fd = open_locked(s, name)) == -1)
		return (0);
	if (kind == SPOOL_ENTRY_BODY && may_be_torn(s, fd)) {
		(void)close(fd);
		return (0);
	}
	if (kind == SPOOL_ENTRY_BODY) {
		s->suspects[s->nsuspects++] = (struct suspect){ id, fd };
		return (0);
	}
	/* An unfinished segment, which its maker keeps locked while it lives. */
	if (unlinkat(s->dirfd, name, 0) == 0)
		s->nremoved++;
	(void)close(fd);
	return (0);
}

static void
clear_suspect(struct sweep *s, uint64_t id)
{
	unsigned int i;

	for (i = 0; i < s->nsuspects; i++) {
		if (s->suspects[i].id == id && s->suspects[i].fd != -1) {
			(void)close(s->suspects[i].fd);
			s->suspects[i].fd = -1;
		}
	}
}

static int
read_segment(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	struct sweep *s = closure;
	struct spool_reader *r;
	struct spool_view view;
	struct spool_damage damage;
	int fd, rv;

	/* after damage nothing is proven: do not read the rest */
	if (kind != SPOOL_ENTRY_SEGMENT || s->is_damaged)
		return (0);
	/* Workers may write to the folder: a hostile one may make a FIFO. */
	if ((fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if ((r = spool_reader_new(fd, s->buf, SPOOL_READ_TRUST_BODY)) == NULL ||
	    spool_reader_header(r)->size_octets > SPOOL_SEGMENT_OPEN_MAX) {
		spool_reader_free(r);
		(void)close(fd);
		s->is_damaged = true;
		return (0);
	}
	while ((rv = spool_reader_next(r, SPOOL_TO_END, &view, &damage)) == 1)
		if (view.record.flags & SPOOL_RECORD_LARGE)
			clear_suspect(s, view.record.id);
	if (rv == -1)
		s->is_damaged = true;
	spool_reader_free(r);
	(void)close(fd);
	return (0);
}

static void
unlink_suspects(struct sweep *s)
{
	unsigned int i;

	for (i = 0; i < s->nsuspects; i++) {
		if (s->suspects[i].fd == -1)
			continue;
		if (!s->is_damaged &&
		    spool_body_remove(s->dirfd, s->suspects[i].id) == 0)
			s->nremoved++;
		(void)close(s->suspects[i].fd);
	}
}

int
spool_sweep(int dirfd, unsigned int grace_s,
    bool (*is_known)(void *closure, uint64_t id), void *closure)
{
	struct sweep *s;
	int rv, save;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (-1);
	s->dirfd = dirfd;
	s->grace_s = (time_t)grace_s;
	s->now = time(NULL);
	s->is_known = is_known;
	s->closure = closure;
	if ((rv = spool_scan(dirfd, find_kept, s)) == 0)
		rv = spool_scan(dirfd, find_suspect, s);
	if (rv == 0 && s->nsuspects > 0) {
		s->buf = spool_readbuf_new();
		rv = s->buf == NULL ? -1 : spool_scan(dirfd, read_segment, s);
		spool_readbuf_free(s->buf);
	}
	if (rv != 0)
		s->is_damaged = true;	/* not proven: keep them */
	save = errno;
	unlink_suspects(s);
	if (rv == 0)
		rv = s->nremoved;
	free(s);
	errno = save;
	return (rv);
}
