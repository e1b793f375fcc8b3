/* How much of the spool's disk a worker uses.
 * Owns: when a worker's files are looked at, the bound.
 * A file counts until the queue process has removed it or has made it a free
 * segment, and as long as the worker has it open.  A worker gets no new
 * file while its files have more than SHARE times the octets that are free.  So
 * one worker can fill SHARE of SHARE + 1 parts of the room, and the last part
 * is left to the others.
 *
 * Each request for a new file looks at a few files of the list in turn; these
 * are more than the request adds, so the list stays up to date.  The whole
 * folder is read when a worker connects, and again when many segments of the
 * worker have gone.  The queue process may have set them aside as damaged.N.G,
 * where spoold cannot look one by one: the worker has written the G, the
 * generation, into the segment.
 *
 * A worker can also write more to files that it has open, and spoold cannot take a
 * descriptor back.  So spoold looks at all of these once a second.  When a worker
 * has its share, each answer to S_ROOM says so.  An honest worker asks before it
 * writes to a body, and then writes no more.  If the files of a worker grow all the
 * same, the master ends it: a worker that an attacker controls takes more than its
 * share for a second or two, and the queue process removes the bodies.
 *
 * A file grows when it becomes longer than it was, a segment when it becomes
 * longer than it may be.  What a file takes on the disk counts for the share.  What
 * is written to holes shows only there.  But some file systems say only seconds
 * later what that is, so that it may grow after an honest worker has written its
 * last octet: on these it counts LAG_MS later. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/monotonic.h"

#define SHARE		4
#define LOOK		4	/* files looked at for each request */
#define LOOK_LONG	256	/* files looked at before a worker is refused a file */
#define LOOK_LONG_MS	10	/* at least so long between two such looks */
#define GONE_PART	8	/* scan the folder when more than this part of the free octets has gone */
#define GONE_OCTETS	(64ULL << 20)	/* but not for less than this */
#define KEPT_MS		10000	/* scan again after this time: an administrator may have removed what was set aside */
#define LAG_MS		10000	/* until the file system says what it has written takes on the disk: with ZFS, some seconds */
#define XFS_MAGIC	0x58465342	/* linux/magic.h lacks it */
#define SETTLE_MS	200	/* until a worker has heard that it has its share: the last answer may be on its way, and holds for 20 ms */
#define SLACK_PART	4	/* of the free octets: so much may still be written, by a worker that has not heard yet ... */
#define SLACK_MIN	(1ULL << 20)	/* ... at least */
#define SLACK_MAX	(32ULL << 20)	/* ... at most */
#define ROOM_MS		50	/* how old the measured quota may be; to measure it reads the folder */

/* --- looks ---------------------------------------------------------------- */

/* Does the file exist?  *octets_r is what it takes on the disk, without
 * holes. */
static bool
is_there(int dirfd, const char *name, uint64_t *octets_r)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	*octets_r = (uint64_t)st.st_blocks * 512;
	return true;
}

/* The same for a file that the worker has open: it takes that, named or not. */
static bool
is_open_there(int fd, uint64_t *octets_r)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return false;
	*octets_r = (uint64_t)st.st_blocks * 512;
	return true;
}

static bool
is_segment_there(int dirfd, uint64_t id, uint64_t *octets_r)
{
	char name[SPOOL_NAME];

	spool_segment_name("seg", id, name);
	if (is_there(dirfd, name, octets_r))
		return true;
	spool_segment_name("new", id, name);
	return is_there(dirfd, name, octets_r);
}

static bool
is_body_there(int dirfd, uint64_t id, uint64_t *octets_r)
{
	char name[SPOOL_NAME], damaged[SPOOL_NAME + 16];

	spool_body_name(id, name);
	if (is_there(dirfd, name, octets_r))
		return true;
	snprintf(damaged, sizeof(damaged), "damaged.%s", name);
	return is_there(dirfd, damaged, octets_r);
}

static void
look_at(struct spoold_share *s, int dirfd, struct spoold_file *f)
{
	char name[SPOOL_NAME];
	uint64_t octets;

	if (f->fd != -1 ? is_open_there(f->fd, &octets) :
	    f->is_body ? is_body_there(dirfd, f->id, &octets) :
	    is_segment_there(dirfd, f->id, &octets)) {
		octets = spoold_file_octets(octets);
		s->octets += octets - f->octets;
		f->octets = octets;
		return;
	}
	spool_segment_name("free", f->id, name);
	if (!f->is_body && !is_there(dirfd, name, &octets))
		s->gone_octets += f->octets;
	spoold_file_forget(s, f);
}

static void
look(struct spoold_share *s, int dirfd, size_t n)
{
	struct spoold_file *f;

	for (n = MIN(n, s->n); n > 0; n--) {
		if ((f = s->hand) == NULL)
			f = RB_MIN(spoold_files, &s->files);
		s->hand = RB_NEXT(spoold_files, &s->files, f);
		s->nlooks++;
		look_at(s, dirfd, f);
	}
}

/* --- the folder ----------------------------------------------------------- */

/* Has the queue process set the file ${name} aside?  *id is the number that the
 * file had in its name before.  *is_body_r: it is a body, which stays in the
 * list. */
static bool
is_set_aside(enum spool_entry kind, const char *name, uint64_t *id,
    bool *is_body_r)
{
	static const char damaged[] = "damaged.", body[] = "damaged.body.";

	*is_body_r = false;
	if (kind == SPOOL_ENTRY_TORN)
		return true;
	if (strncmp(name, body, sizeof(body) - 1) == 0) {
		*is_body_r = true;
		return spool_id_parse(name + sizeof(body) - 1,
		    strlen(name + sizeof(body) - 1), id) == 0;
	}
	if (strncmp(name, damaged, sizeof(damaged) - 1) != 0)
		return false;
	*id = strtoull(name + sizeof(damaged) - 1, NULL, 16);
	return true;
}

static int
scan_one(void *closure, enum spool_entry kind, uint64_t id, const char *name)
{
	struct spoold_worker *w = closure;
	bool is_body = kind == SPOOL_ENTRY_BODY;
	bool is_kept = kind == SPOOL_ENTRY_TORN ||
	    kind == SPOOL_ENTRY_DAMAGED || kind == SPOOL_ENTRY_OTHER;
	uint64_t octets;

	if (kind == SPOOL_ENTRY_FREE ||
	    (is_kept && !is_set_aside(kind, name, &id, &is_body)) ||
	    spool_number(id) != w->folder.ids.number ||
	    !is_there(w->sp->dirfd, name, &octets))
		return 0;
	if (!is_kept || is_body)
		return spoold_share_add(&w->share, id, is_body, octets);
	w->share.kept_files++;
	w->share.kept_octets += spoold_file_octets(octets);
	return 0;
}

/* The files that the worker has open are in the list again, also those that have
 * no name. */
static int
list_given(struct spoold_share *s, const struct spoold_given *g, bool is_body)
{
	uint64_t octets;
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (!is_open_there(g->files[i].fd, &octets) ||
		    spoold_share_add(s, g->files[i].id, is_body, octets) == -1)
			return -1;
		spoold_share_opened(s, g->files[i].id, is_body,
		    g->files[i].fd);
	}
	return 0;
}

int
spoold_share_scan(struct spoold_worker *w)
{
	struct spoold_share *s = &w->share;

	spoold_share_free(s);
	s->nscans++;
	s->scanned_ms = monotonic_ms();
	if (spool_scan(w->sp->dirfd, scan_one, w) != 0)
		return -1;
	return list_given(s, &w->segments, false) == 0 ?
	    list_given(s, &w->bodies, true) : -1;
}

/* --- how much is too much ------------------------------------------------- */

/* The octets that are free on the disk and of the quota, as measured within
 * ROOM_MS.  Return 0, or -1 with errno. */
static int
free_octets(struct spoold_worker *w, uint64_t *octets_r)
{
	struct spoold *sp = w->sp;
	uint64_t now = monotonic_ms();

	if (w->folder.quota_octets != 0 && sp->room_ms != 0 &&
	    now - sp->room_ms < ROOM_MS) {
		*octets_r = sp->room_octets;
		return 0;
	}
	if (spool_folder_room(&w->folder, 0, octets_r) == -1)
		return -1;
	sp->room_ms = now;
	sp->room_octets = *octets_r;
	return 0;
}

/* How many more files the file system can hold; UINT64_MAX: not known. */
static uint64_t
free_files(int dirfd)
{
	struct statvfs fs;

	return fstatvfs(dirfd, &fs) == 0 && fs.f_files != 0 ?
	    (uint64_t)fs.f_favail : UINT64_MAX;
}

/* With ${more} octets of the ${left} that are free, would ${w} have more than
 * its share of the rest?  Where there is only one worker, it may have all. */
static bool
is_too_much(const struct spoold_worker *w, uint64_t more, uint64_t left)
{
	const struct spoold_share *s = &w->share;
	uint64_t files = s->n + s->kept_files;
	uint64_t octets = s->octets + s->kept_octets;

	if (files == 0 || w->sp->settings->workers < 2)
		return false;
	if (files / SHARE > free_files(w->sp->dirfd))
		return true;
	return left != UINT64_MAX &&
	    (left <= more || (octets + more) / SHARE > left - more);
}

static void
too_much(struct spoold_worker *w, uint64_t left)
{
	const struct spoold_share *s = &w->share;
	uint64_t n = log_bound_count(&w->share.refusals, monotonic_ms());

	if (n == 0)
		return;
	log_warnx("spoold-share", "slot=%u instance=%u files=%llu "
	    "octets=%llu free=%llu times=%llu effect=%s advice=%s",
	    w->who.slot, w->who.instance,
	    (unsigned long long)(s->n + s->kept_files),
	    (unsigned long long)(s->octets + s->kept_octets),
	    (unsigned long long)left, (unsigned long long)n,
	    "it has its share of the spool, gets no more files, and answers "
	    "452", "see why the queue does not deliver its mail; remove "
	    "damaged files that have its number");
}

/* The same, when more of its files have been looked at if it seems so. */
static bool
is_too_much_now(struct spoold_worker *w, uint64_t more, uint64_t left)
{
	struct spoold_share *s = &w->share;
	uint64_t now;

	if (!is_too_much(w, more, left))
		return false;
	now = monotonic_ms();
	if (s->kept_files > 0 && now - s->scanned_ms >= KEPT_MS) {
		(void)spoold_share_scan(w);
	} else if (now - s->looked_ms >= LOOK_LONG_MS) {
		s->looked_ms = now;
		look(s, w->sp->dirfd, LOOK_LONG);
	}
	return is_too_much(w, more, left);
}

int
spoold_share_check(struct spoold_worker *w, uint64_t more)
{
	struct spoold_share *s = &w->share;
	uint64_t left;

	look(s, w->sp->dirfd, LOOK);
	if (free_octets(w, &left) == -1)
		return -1;
	if (left == 0)
		goto full;
	if (s->gone_octets > MAX(left / GONE_PART, GONE_OCTETS))
		(void)spoold_share_scan(w);
	if (!is_too_much_now(w, more, left))
		return 0;
	too_much(w, left);
full:	errno = ENOSPC;
	return -1;
}

/* --- files that are open -------------------------------------------------- */

/* The name of ${f}, which has not been set aside, in ${name}, if its writer has it
 * open, so that it is locked. */
static bool
is_locked(int dirfd, const struct spoold_file *f, char *name)
{
	static const char *const prefixes[] = { "new", "seg" };
	size_t i;
	bool rv = false;
	int fd;

	for (i = 0; i < (f->is_body ? 1 : 2) && !rv; i++) {
		if (f->is_body)
			spool_body_name(f->id, name);
		else
			spool_segment_name(prefixes[i], f->id, name);
		if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC |
		    O_NOFOLLOW | O_NONBLOCK)) == -1)
			continue;
		rv = flock(fd, LOCK_SH | LOCK_NB) == -1;
		(void)close(fd);
	}
	return rv;
}

void
spoold_share_given(struct spoold_worker *w)
{
	struct spoold_file *f;
	char name[SPOOL_NAME];

	RB_FOREACH(f, spoold_files, &w->share.files) {
		if (f->fd != -1 || !is_locked(w->sp->dirfd, f, name))
			continue;
		/* it may just be writing the segment for the first time */
		if (spoold_given_add(w, f->is_body, f->id, name, f->is_body ?
		    0 : (uint64_t)w->sp->settings->segment_size) == -1)
			log_warn("spoold-number", "slot=%u instance=%u",
			    w->who.slot, w->who.instance);
	}
}

static void
look_at_given(struct spoold_worker *w, const struct spoold_given *g,
    bool is_body)
{
	struct spoold_file *f;
	size_t i;

	for (i = 0; i < g->n; i++)
		if ((f = spoold_file_find(&w->share, g->files[i].id, is_body)) != NULL)
			look_at(&w->share, w->sp->dirfd, f);
}

/* Has ${w} its share now?  *left_r: what is free. */
static bool
has_share(struct spoold_worker *w, uint64_t *left_r)
{
	*left_r = 0;
	if (free_octets(w, left_r) == -1 && errno != EDQUOT)
		return false;
	return is_too_much_now(w, 0, *left_r);
}

bool
spoold_share_is_over(struct spoold_worker *w)
{
	uint64_t left;

	if (w->share.is_over && !has_share(w, &left))
		w->share.is_over = false;
	return w->share.is_over;
}

unsigned int
spoold_lag_ms(int dirfd)
{
	/* these count what is written, and will get its place on the disk
	 * later */
	static const uint32_t at_once[] = { EXT4_SUPER_MAGIC, XFS_MAGIC,
		BTRFS_SUPER_MAGIC, TMPFS_MAGIC };
	struct statfs fs;
	size_t i;

	if (fstatfs(dirfd, &fs) == -1)
		return LAG_MS;
	for (i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++)
		if ((uint32_t)fs.f_type == at_once[i])
			return 0;
	return LAG_MS;
}

/* What it has written since it knows that it has its share.  A file becomes
 * longer at once; what it takes on the disk may be known only later. */
static uint64_t
written(const struct spoold_share *s)
{
	return MAX(s->grown, s->is_written ? s->filled : 0);
}

static void
breaks(const struct spoold_worker *w, uint64_t left)
{
	const struct spoold_share *s = &w->share;

	log_errx("spoold-beyond", "slot=%u instance=%u files=%llu octets=%llu "
	    "grown=%llu free=%llu effect=%s", w->who.slot, w->who.instance,
	    (unsigned long long)(s->n + s->kept_files),
	    (unsigned long long)(s->octets + s->kept_octets),
	    (unsigned long long)written(s), (unsigned long long)left,
	    "the master ends it: it goes on to write when it has its share");
}

/* ${w} has its share, and knows it.  Does it go on to write?  What is free is
 * measured again from time to time only: with a quota that reads the folder. */
static bool
goes_on(struct spoold_worker *w, uint64_t now_ms)
{
	struct spoold_share *s = &w->share;
	uint64_t left;

	if (!s->is_written && now_ms - s->over_ms >= w->sp->lag_ms) {
		s->is_written = true;
		s->filled = 0;
	}
	if (written(s) <= SLACK_MIN && now_ms - s->measured_ms < SPOOLD_WATCH_MS)
		return false;
	s->measured_ms = now_ms;
	if (!has_share(w, &left)) {
		s->is_over = false;
		return false;
	}
	if (written(s) <= MIN(SLACK_MAX, MAX(left / SLACK_PART, SLACK_MIN)))
		return false;
	breaks(w, left);
	/* in case it lives on */
	s->is_settled = s->is_written = false;
	s->over_ms = now_ms;
	return true;
}

bool
spoold_share_watch(struct spoold_worker *w, uint64_t now_ms)
{
	struct spoold_share *s = &w->share;
	uint64_t left;
	bool has_grown;

	if (!w->is_open)
		return false;
	spoold_given_measure(w);
	look_at_given(w, &w->segments, false);
	look_at_given(w, &w->bodies, true);
	spoold_given_look(w, false, SIZE_MAX);
	spoold_given_look(w, true, SIZE_MAX);
	has_grown = s->grown + s->filled != s->seen;
	s->seen = s->grown + s->filled;
	if (s->is_over && s->is_settled)
		return goes_on(w, now_ms);
	if (!s->is_over && has_grown && has_share(w, &left)) {
		s->is_over = true;
		s->is_settled = s->is_written = false;
		s->over_ms = s->measured_ms = now_ms;
	} else if (s->is_over && now_ms - s->over_ms >= SETTLE_MS) {
		s->is_settled = true;
		s->grown = 0;
	}
	return false;
}
