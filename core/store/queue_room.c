/* A spool whose file system is full, or at its quota.
 * Owns: the order in which room is given up, when the reserve is made again.
 * First the free segments are removed, then the torn ones, which are kept only
 * so that somebody can look at them (core/spool/spool_torn.h).  Then the
 * reserve is given up (core/spool/spool_reserve.h); until it is made again, no
 * new mail is accepted.
 * The reserve is for records of deliveries, after which segments can be
 * removed.  Copies of deferred messages may use no more than half of it. */

#include <sys/param.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_reserve.h"
#include "core/spool/spool_torn.h"
#include "core/store/queue_spool_int.h"

#define ENOUGH		4	/* the reserve is made again when so many times its size is free: workers need room, too */

static int
remove_free(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	struct queue_spool *sp = closure;

	if (kind == SPOOL_ENTRY_FREE &&
	    unlinkat(sp->config.incoming_dirfd, name, 0) == 0)
		sp->nroom++;
	return 0;
}

/* Is there room for ${octets} more, and for ${nfiles} inodes?  statvfs(3) does
 * not tell about quotas of a user, so a reserve may be made again and soon be
 * given up again: see give_time(). */
static bool
has_free(const struct queue_spool *sp, uint64_t octets, uint64_t nfiles)
{
	struct statvfs fs;

	if (fstatvfs(sp->config.incoming_dirfd, &fs) == -1)
		return true;
	return (uint64_t)fs.f_bavail * fs.f_frsize >= octets &&
	    (fs.f_files == 0 || fs.f_favail >= nfiles);
}

void
queue_room_open(struct queue_spool *sp)
{
	sp->reserve_wait_ms = QUEUE_RESERVE_MS;
	sp->room_ms = sp->now_ms;
	sp->is_short = spool_reserve_is_given_up(sp->config.incoming_dirfd);
	if (sp->is_short)
		log_warnx("spool-full", "folder=%s effect=%s advice=%s",
		    sp->config.folder,
		    "the reserve was given up before this start; new mail "
		    "gets 452 until there is room for it again",
		    "make room on the spool's file system");
}

/* Set when to look at the reserve again: later each time that it was given up,
 * or could not be made, in a row. */
static void
give_time(struct queue_spool *sp)
{
	sp->reserve_ms = sp->now_ms + sp->reserve_wait_ms;
	sp->reserve_wait_ms = MIN(2 * sp->reserve_wait_ms,
	    QUEUE_RESERVE_MAX_MS);
}

static bool
is_full(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT;
}

bool
queue_room_make(struct queue_spool *sp)
{
	int dirfd = sp->config.incoming_dirfd, saved = errno;

	if (!is_full(errno))
		return false;
	sp->nroom = 0;
	if ((spool_scan(dirfd, remove_free, sp) == 0 && sp->nroom > 0) ||
	    spool_torn_remove(dirfd) == 0) {
		/* A journal may keep the blocks until it is written. */
		(void)fsync(dirfd);
		errno = saved;
		return true;
	}
	if (!spool_reserve_give_up(dirfd)) {
		sp->reserve_ms = MAX(sp->reserve_ms,
		    sp->now_ms + QUEUE_RESERVE_MS);
		errno = saved;
		return false;
	}
	give_time(sp);
	sp->is_short = true;
	errno = saved;
	log_warn("spool-full", "folder=%s effect=%s advice=%s",
	    sp->config.folder,
	    "the reserve is used to record deliveries; new mail gets 452",
	    "make room on the spool's file system");
	errno = saved;
	return true;
}

bool
queue_room_for_copy(const struct queue_spool *sp, uint64_t octets)
{
	return !sp->is_short ||
	    has_free(sp, octets +
	    spool_reserve_octets(sp->config.incoming_dirfd) / 2, 2);
}

/* Log, once for each errno, that the reserve could not be made. */
static void
not_made(struct queue_spool *sp)
{
	int errnum = errno;

	if (is_full(errnum)) {
		if (!sp->is_short)
			log_warn("spool-full", "folder=%s effect=%s",
			    sp->config.folder,
			    "there is no room for the reserve; new mail gets "
			    "452");
		sp->is_short = true;
		give_time(sp);
	} else if (errnum != sp->reserve_errnum) {
		log_warn("spool-reserve", "folder=%s effect=%s",
		    sp->config.folder,
		    "it is as it was; tried again every second");
		sp->reserve_errnum = errnum;
	}
}

void
queue_room_tell(struct queue_spool *sp)
{
	uint64_t octets;

	if (sp->is_short)
		return;
	octets = deferred_octets(sp->deferred);
	if (octets != sp->told_octets)
		spool_reserve_tell(sp->config.incoming_dirfd, octets);
	sp->told_octets = octets;
}

void
queue_room_check(struct queue_spool *sp)
{
	int dirfd = sp->config.incoming_dirfd;

	sp->reserve_ms = sp->now_ms + QUEUE_RESERVE_MS;
	deferred_shrink(sp->deferred, sp->is_short);
	if (sp->is_short && !has_free(sp,
	    ENOUGH * spool_reserve_octets(dirfd), ENOUGH * SPOOL_RESERVE_FILES)) {
		(void)spool_torn_remove(dirfd);
		return;
	}
	if (spool_reserve_make(dirfd) == -1) {
		not_made(sp);
		return;
	}
	sp->reserve_errnum = 0;
	if (sp->is_short) {
		log_event(LOG_LEVEL_NOTICE, "spool-room", "folder=%s effect=%s",
		    sp->config.folder, "new mail is accepted again");
		sp->room_ms = sp->now_ms;
	} else if (sp->now_ms - sp->room_ms >= QUEUE_RESERVE_LAST_MS) {
		sp->reserve_wait_ms = QUEUE_RESERVE_MS;
	}
	sp->is_short = false;
	/* the file may be a new one */
	sp->told_octets = UINT64_MAX;
	queue_room_tell(sp);
}
