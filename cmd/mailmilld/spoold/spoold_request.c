/* The requests of the workers for files.
 * Owns: the checks of a request, the files that it makes or removes.
 * A worker may name only files with its own number. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_reserve.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define LOOK_AT		2	/* bodies looked at for each new one: the worker may have closed some */
#define CLAIM_US	60000000ULL	/* how far ids may be ahead of the clock */

/* Can segment_size have this value?  The worker's value may differ from the one
 * of this process: it may run with the settings from before or after a
 * reload. */
static bool
is_size(uint64_t octets)
{
	return octets >= SPOOLD_SEGMENT_MIN &&
	    octets <= SPOOL_SEGMENT_OPEN_MAX && octets % SPOOL_PAGE == 0;
}

/* Take a free segment, which is on the disk already, or else make a new one, if
 * the worker's share of the disk allows it. */
static int
take_or_make(struct spoold_worker *w, uint64_t octets,
    struct spool_segment *segment_r)
{
	int rc = spool_folder_take(&w->folder, octets, segment_r);

	if (rc == -1 && errno == ENOENT &&
	    (rc = spoold_share_check(w, octets)) == 0)
		rc = spool_folder_make(&w->folder, octets, segment_r);
	/* without memory the file is not counted until the next scan */
	if (rc == 0)
		(void)spoold_share_add(&w->share, segment_r->header.segment,
		    false, octets);
	return rc;
}

/* The answer is the file ${name} with the descriptor ${fd}; but not if it could not
 * be watched. */
static void
give(struct spoold_worker *w, int fd, bool is_body, uint64_t id,
    const char *name, uint64_t octets)
{
	int error;

	spoold_answer_file(w, fd);
	if (spoold_given_add(w, is_body, id, name, octets) == 0)
		return;
	error = errno;
	spoold_take_back(w);
	w->wants_flush = false;
	spoold_answer_done(w, error);
}

void
spoold_on_segment(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct spool_segment segment = { .fd = -1 };
	struct spoold_given *g = &w->segments;
	char name[SPOOL_NAME];
	struct msg_ask ask;

	if (!spoold_take(w, msg, &ask))
		return;
	if (!is_size(ask.value)) {
		spoold_refused(w, S_SEGMENT, ask.value);
		spoold_answer_done(w, EINVAL);
		return;
	}
	spoold_given_look(w, false, g->n);
	if (spoold_given_room(w->sp, g, SPOOLD_SEGMENTS_MAX) == -1) {
		if (g->n >= SPOOLD_SEGMENTS_MAX)
			spoold_refused(w, S_SEGMENT, g->n);
		spoold_answer_done(w, errno);
		return;
	}
	if (take_or_make(w, ask.value, &segment) == -1) {
		spoold_answer_done(w, errno);
		return;
	}
	w->file.id = segment.header.segment;
	w->file.generation = segment.header.generation;
	w->file.nonce = segment.header.nonce;
	w->file.octets = segment.header.size_octets;
	w->made = 0;
	/* a free one has been renamed; a new one will be when it is written */
	w->wants_flush = w->file.generation != 0;
	spool_segment_name(w->file.generation == 0 ? "new" : "seg", w->file.id,
	    name);
	give(w, segment.fd, false, w->file.id, name,
	    MAX(ask.value, w->file.octets));
}

/* Is new.${id} complete, and locked by its writer?  Return 0, or -1 with
 * errno. */
static int
check_new(int dirfd, uint64_t id)
{
	struct spool_header header;
	char name[SPOOL_NAME];
	struct stat st;
	int fd, rv = -1;

	spool_segment_name("new", id, name);
	if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return -1;
	if (fstat(fd, &st) == -1 || spool_segment_header(fd, &header) == -1)
		goto out;
	errno = EBADMSG;
	if (header.segment == id && header.generation == 1 &&
	    header.size_octets == (uint64_t)st.st_size &&
	    is_size(header.size_octets) && flock(fd, LOCK_SH | LOCK_NB) == -1)
		rv = 0;
out:
	fileio_close(fd);
	return rv;
}

void
spoold_on_made(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	char name[SPOOL_NAME];
	struct msg_ask ask;
	struct stat st;
	int rc;

	if (!spoold_take(w, msg, &ask))
		return;
	if (!spoold_owns(w, S_MADE, ask.value)) {
		spoold_answer_done(w, EPERM);
		return;
	}
	rc = check_new(w->sp->dirfd, ask.value);
	if (rc == 0)
		rc = spool_segment_made(w->sp->dirfd, ask.value);
	else if (errno == EBADMSG)
		spoold_refused(w, S_MADE, ask.value);
	else if (errno == ENOENT) {
		/* has a spoold that died renamed it, and not answered? */
		spool_segment_name("seg", ask.value, name);
		rc = fstatat(w->sp->dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
	}
	w->wants_flush = rc == 0;
	spoold_answer_done(w, rc == 0 ? 0 : errno);
}

/* Make the file of a body.  If it exists, a spoold that died has made it for
 * the same request and has not answered: then it is empty and not locked, and
 * is used.  Any other file there is EEXIST. */
static int
make_body(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];
	struct stat st;
	int fd;

	spool_body_name(id, name);
	if ((fd = spool_create_locked(dirfd, name)) != -1 || errno != EEXIST)
		return fd;
	if ((fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1)
		return fd;
	(void)close(fd);
	errno = EEXIST;
	return -1;
}

/* Has the worker a body of that id open, without a name?  No honest one makes
 * another; its list has only one file of an id. */
static bool
is_open_still(struct spoold_worker *w, uint64_t id)
{
	if (!spoold_given_has(&w->bodies, id))
		return false;
	spoold_given_look(w, true, SIZE_MAX);
	errno = EEXIST;
	return spoold_given_has(&w->bodies, id);
}

void
spoold_on_body(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct spoold_given *g = &w->bodies;
	char name[SPOOL_NAME];
	struct msg_ask ask;
	int fd;

	if (!spoold_take(w, msg, &ask))
		return;
	if (!spoold_owns(w, S_BODY, ask.value)) {
		spoold_answer_done(w, EPERM);
		return;
	}
	spoold_given_look(w, true, LOOK_AT);
	if (spool_reserve_is_given_up(w->sp->dirfd)) {
		spoold_answer_done(w, ENOSPC);
		return;
	}
	if (spoold_share_check(w, 0) == -1 ||
	    spoold_given_room(w->sp, g, SPOOLD_BODIES_MAX) == -1 ||
	    is_open_still(w, ask.value) ||
	    spoold_share_add(&w->share, ask.value, true, 0) == -1 ||
	    (fd = make_body(w->sp->dirfd, ask.value)) == -1) {
		spoold_answer_done(w, errno);
		return;
	}
	w->made = ask.value;
	spool_body_name(ask.value, name);
	give(w, fd, true, ask.value, name, 0);
}

void
spoold_on_flush(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_ask ask;

	if (!spoold_take(w, msg, &ask))
		return;
	w->wants_flush = true;
	spoold_answer_done(w, 0);
}

void
spoold_on_room(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_ask ask;
	int errnum = 0;

	if (!spoold_take(w, msg, &ask))
		return;
	w->done.left = UINT64_MAX;
	w->done.is_short = spool_reserve_is_given_up(w->sp->dirfd) ||
	    spoold_share_is_over(w);
	if (ask.value > SPOOL_SEGMENT_OPEN_MAX) {
		spoold_refused(w, S_ROOM, ask.value);
		errnum = EINVAL;
	} else if (spool_folder_room(&w->folder, ask.value, &w->done.left) ==
	    -1) {
		errnum = errno;
	}
	spoold_answer_done(w, errnum);
}

/* Is ${name} the file ${st}? */
static bool
is_named(int dirfd, const char *name, const struct stat *st)
{
	struct stat named;

	return fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st->st_dev == named.st_dev && st->st_ino == named.st_ino;
}

/* The worker has the file open, so it has it from this process, and is its
 * writer.  A segment that is named already stays: the answer to S_MADE came too
 * late for the worker, and the queue removes the segment, in which nothing is. */
void
spoold_on_drop(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	char name[SPOOL_NAME], made[SPOOL_NAME];
	int dirfd = w->sp->dirfd;
	struct msg_drop drop;
	struct stat st;

	memcpy(&drop, msg->base, sizeof(drop));
	if (msg->fd == -1 || !spoold_owns(w, S_DROP, drop.id))
		return;		/* the queue process removes it later */
	if (drop.is_segment)
		spool_segment_name("new", drop.id, name);
	else
		spool_body_name(drop.id, name);
	spool_segment_name("seg", drop.id, made);
	if (fstat(msg->fd, &st) == 0 && is_named(dirfd, name, &st))
		(void)unlinkat(dirfd, name, 0);
	else if (!drop.is_segment || !is_named(dirfd, made, &st))
		spoold_refused(w, S_DROP, drop.id);
}

/* A worker's ids may be ahead of the clock, when the clock was set back or when
 * it makes very many; but they cannot advance faster than time does. */
void
spoold_on_mark(void *closure, struct channel_msg *msg)
{
	struct spoold_worker *w = closure;
	struct msg_mark mark;
	uint64_t most;

	memcpy(&mark, msg->base, sizeof(mark));
	if (!w->is_open)
		return;
	most = MAX(spool_id_now_us(), w->base_us +
	    (monotonic_ms() - w->base_ms) * 1000) + CLAIM_US;
	if (mark.us > most)
		spoold_refused(w, S_MARK, mark.us);
	spool_id_reach(&w->folder.ids, MIN(mark.us, most));
	if (spool_id_is_due(&w->folder.ids))
		(void)spool_id_extend(&w->folder.ids);
}
