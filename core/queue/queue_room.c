/* A spool whose file system is full, or at its quota.
 * Owns: the order in which idle room is given up, when the reserve is made
 * again.
 * First go the free segments, then the reserve (core/spool/spool_reserve.h).
 * What the reserve has to do is to record deliveries, so that segments can go;
 * a copy of a deferred message may use no more than half of it. */

#include <sys/statvfs.h>

#include <errno.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/queue/queue_spool_int.h"
#include "core/spool/spool_reserve.h"

#define ENOUGH		4	/* times the reserve is free, before it is made again: workers need some, too */

static int
remove_free(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	struct queue_spool *sp = closure;

	if (kind == SPOOL_ENTRY_FREE &&
	    unlinkat(sp->config.incoming_dirfd, name, 0) == 0)
		sp->nroom++;
	return 0;
}

/* Room for ${octets} more, and an inode?  Quotas of a user are not told. */
static bool
has_free(const struct queue_spool *sp, uint64_t octets, uint64_t nfiles)
{
	struct statvfs fs;

	if (fstatvfs(sp->config.incoming_dirfd, &fs) == -1)
		return true;
	return (uint64_t)fs.f_bavail * fs.f_frsize >= octets &&
	    (fs.f_files == 0 || fs.f_favail >= nfiles);
}

bool
queue_room_make(struct queue_spool *sp)
{
	int dirfd = sp->config.incoming_dirfd, saved = errno;

	if (errno != ENOSPC && errno != EDQUOT)
		return false;
	sp->nroom = 0;
	if (spool_scan(dirfd, remove_free, sp) == 0 && sp->nroom > 0) {
		/* A journal may keep the blocks until it is written. */
		(void)fsync(dirfd);
		errno = saved;
		return true;
	}
	sp->reserve_ms = sp->now_ms + QUEUE_RESERVE_MS;
	if (!spool_reserve_give_up(dirfd)) {
		errno = saved;
		return false;
	}
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

void
queue_room_check(struct queue_spool *sp)
{
	int dirfd = sp->config.incoming_dirfd;

	sp->reserve_ms = sp->now_ms + QUEUE_RESERVE_MS;
	if (sp->is_short && !has_free(sp,
	    ENOUGH * spool_reserve_octets(dirfd), ENOUGH * SPOOL_RESERVE_FILES))
		return;
	if (spool_reserve_make(dirfd) == -1) {
		if (!sp->is_short)
			log_warn("spool-full", "folder=%s effect=%s",
			    sp->config.folder,
			    "there is no room for the reserve; new mail gets "
			    "452");
		sp->is_short = true;
		return;
	}
	if (sp->is_short)
		log_event(LOG_LEVEL_NOTICE, "spool-room", "folder=%s effect=%s",
		    sp->config.folder, "new mail is accepted again");
	sp->is_short = false;
	spool_reserve_tell(dirfd, deferred_octets(sp->deferred));
}
