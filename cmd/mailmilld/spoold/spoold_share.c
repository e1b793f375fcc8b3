/* What a worker has on the disk of the spool, whether it still holds it or not.
 * Owns: the list of its files, when they are looked at, how much is too much.
 * What is there counts until it is gone: until the queue has removed it, or has
 * made it a free segment.  A worker gets no new file while its files have more
 * than SHARE times what is free, so that one that takes all that it can leaves
 * the last part to the others: SHARE parts of SHARE + 1 are its own.
 *
 * Each request pays for a look at a few files of the list, by turns, which is
 * more than it adds.  The folder is read when a worker comes, and when so much
 * of its segments has gone that what was set aside of them could matter: a
 * worker chooses the name that a damaged one gets. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/param.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/monotonic.h"

#define SHARE		4
#define FILE_OCTETS	32768	/* what a file counts at least: names and inodes are used up, too */
#define LOOK		4	/* files looked at for each request */
#define LOOK_LONG	256	/* before a worker is refused something, */
#define LOOK_LONG_MS	10	/* no more often than that */
#define GONE_PART	8	/* of what is free: that much of segments may have gone to where they are not seen */
#define GONE_OCTETS	(64ULL << 20)	/* or that much */
#define KEPT_MS		10000	/* somebody may have removed what was set aside */
#define ROOM_MS		50	/* how old a look at the quota may be, which reads the folder */

struct spoold_file {
	RB_ENTRY(spoold_file) entry;
	uint64_t	 id;
	uint64_t	 octets;
	bool		 is_body;
};

static int
compare(const struct spoold_file *a, const struct spoold_file *b)
{
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (int)a->is_body - (int)b->is_body;
}

RB_PROTOTYPE(spoold_files, spoold_file, entry, compare)
RB_GENERATE(spoold_files, spoold_file, entry, compare)

/* --- the list ------------------------------------------------------------- */

static void
forget(struct spoold_share *s, struct spoold_file *f)
{
	if (s->hand == f)
		s->hand = RB_NEXT(spoold_files, &s->files, f);
	RB_REMOVE(spoold_files, &s->files, f);
	s->n--;
	s->octets -= f->octets;
	free(f);
}

void
spoold_share_free(struct spoold_share *s)
{
	struct spoold_file *f;

	while ((f = RB_ROOT(&s->files)) != NULL)
		forget(s, f);
	s->kept_files = s->kept_octets = s->gone_octets = 0;
}

static uint64_t
octets_of(uint64_t octets)
{
	return MAX(octets, FILE_OCTETS);
}

int
spoold_share_add(struct spoold_share *s, uint64_t id, bool is_body,
    uint64_t octets)
{
	struct spoold_file *f, *old;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	f->id = id;
	f->is_body = is_body;
	f->octets = octets_of(octets);
	if ((old = RB_INSERT(spoold_files, &s->files, f)) != NULL) {
		/* a segment that was used before */
		s->octets += f->octets - old->octets;
		old->octets = f->octets;
		free(f);
		return 0;
	}
	s->n++;
	s->octets += f->octets;
	return 0;
}

/* --- looks ---------------------------------------------------------------- */

/* Is there that file?  Its octets on the disk, which a hole does not take. */
static bool
is_there(int dirfd, const char *name, uint64_t *octets_r)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
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

	if (f->is_body ? is_body_there(dirfd, f->id, &octets) :
	    is_segment_there(dirfd, f->id, &octets)) {
		octets = octets_of(octets);
		s->octets += octets - f->octets;
		f->octets = octets;
		return;
	}
	spool_segment_name("free", f->id, name);
	if (!f->is_body && !is_there(dirfd, name, &octets))
		s->gone_octets += f->octets;
	forget(s, f);
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

/* A file that the queue has set aside: whose was it?  A body stays in the
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
	w->share.kept_octets += octets_of(octets);
	return 0;
}

int
spoold_share_scan(struct spoold_worker *w)
{
	spoold_share_free(&w->share);
	w->share.nscans++;
	w->share.scanned_ms = monotonic_ms();
	return spool_scan(w->sp->dirfd, scan_one, w) == 0 ? 0 : -1;
}

/* --- how much is too much ------------------------------------------------- */

/* What is free of the disk and the quota.  Return 0, or -1 with errno. */
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

/* Files that could be made; UINT64_MAX: not known */
static uint64_t
free_files(int dirfd)
{
	struct statvfs fs;

	return fstatvfs(dirfd, &fs) == 0 && fs.f_files != 0 ?
	    (uint64_t)fs.f_favail : UINT64_MAX;
}

/* Would ${w} have more than its share of what is ${left} then, with ${more}
 * octets of it?  The last worker has all of it. */
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

int
spoold_share_check(struct spoold_worker *w, uint64_t more)
{
	struct spoold_share *s = &w->share;
	int dirfd = w->sp->dirfd;
	uint64_t left, now;

	look(s, dirfd, LOOK);
	if (free_octets(w, &left) == -1)
		return -1;
	if (left == 0)
		goto full;
	if (s->gone_octets > MAX(left / GONE_PART, GONE_OCTETS))
		(void)spoold_share_scan(w);
	if (!is_too_much(w, more, left))
		return 0;
	now = monotonic_ms();
	if (s->kept_files > 0 && now - s->scanned_ms >= KEPT_MS) {
		(void)spoold_share_scan(w);
	} else if (now - s->looked_ms >= LOOK_LONG_MS) {
		s->looked_ms = now;
		look(s, dirfd, LOOK_LONG);
	}
	if (!is_too_much(w, more, left))
		return 0;
	too_much(w, left);
full:	errno = ENOSPC;
	return -1;
}
