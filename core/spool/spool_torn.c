/* Segments whose last batch is not whole: see spool_torn.h. */

#include "core/spool/spool_torn.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_segment.h"

int
spool_torn_keep(int dirfd, uint64_t segment, uint64_t generation)
{
	char from[SPOOL_NAME], name[SPOOL_NAME], to[SPOOL_NAME + 32];

	spool_segment_name("seg", segment, from);
	spool_segment_name("torn", segment, name);
	snprintf(to, sizeof(to), "%s.%llu", name,
	    (unsigned long long)generation);
	/* its time begins now: set it before the file has the new name */
	return (utimensat(dirfd, from, NULL, AT_SYMLINK_NOFOLLOW) == -1 ||
	    renameat(dirfd, from, dirfd, to) == -1 ? -1 : 0);
}

static int
remove_file(int dirfd, const char *name, const char *reason)
{
	if (unlinkat(dirfd, name, 0) == -1)
		return (-1);
	log_event(LOG_LEVEL_NOTICE, "segment-torn", "file=%s effect=%s "
	    "reason=%s", name, "removed", reason);
	return (0);
}

static int
expire_one(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	int dirfd = *(const int *)closure;
	time_t now = time(NULL);
	struct stat st;

	if (kind != SPOOL_ENTRY_TORN ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (0);
	/* the clock has been set back: its time begins again */
	if (st.st_mtime > now)
		(void)utimensat(dirfd, name, NULL, AT_SYMLINK_NOFOLLOW);
	else if (now - st.st_mtime >= SPOOL_TORN_KEEP_S)
		(void)remove_file(dirfd, name, "it was kept for a week");
	return (0);
}

int
spool_torn_expire(int dirfd)
{
	return (spool_scan(dirfd, expire_one, &dirfd));
}

static int
remove_one(void *closure, enum spool_entry kind, uint64_t, const char *name)
{
	return (kind == SPOOL_ENTRY_TORN && remove_file(*(const int *)closure,
	    name, "the spool needs the room") == 0);
}

int
spool_torn_remove(int dirfd)
{
	return (spool_scan_one(dirfd, remove_one, &dirfd));
}
