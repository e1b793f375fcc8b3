/* The deferred store: opening and closing it.
 * Owns: what is done about a database that is damaged.  Its tables:
 * deferred_table.c.  Its rows: deferred_rows.c.  Its files: deferred_file.c.
 * WAL with synchronous=FULL: a commit that returned is on disk. */

#include "core/deferred/deferred_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/fileio.h"

#define NAMES_MAX	1000	/* tried for a damaged database */

static void
close_db(struct deferred *d)
{
	size_t i;

	for (i = 0; i < DEFERRED_NSTATEMENTS; i++) {
		sqlite3_finalize(d->st[i]);
		d->st[i] = NULL;
	}
	sqlite3_close(d->db);
	d->db = NULL;
}

/* Make the mark: from now on no file without a row is removed, not even after a
 * crash. */
static int
mark_rebuild(struct deferred *d)
{
	int fd = openat(d->dirfd, DEFERRED_REBUILD, O_WRONLY | O_CREAT |
	    O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	rc = fd == -1 || fsync(fd) == -1 || fsync(d->dirfd) == -1 ? -1 : 0;
	fileio_close(fd);
	if (rc == -1)
		log_err("deferred-rebuild", "file=%s step=%s",
		    DEFERRED_REBUILD, "make");
	return rc;
}

/* The rows are on disk: remove the mark.  Before that the name of the database
 * must be on disk, and the names of the files that were set aside; and the
 * removal must be, before files without a row may be taken for leftovers. */
static int
unmark_rebuild(struct deferred *d)
{
	if (fsync(d->filesfd) == 0 && fsync(d->dirfd) == 0 &&
	    unlinkat(d->dirfd, DEFERRED_REBUILD, 0) == 0 &&
	    fsync(d->dirfd) == 0)
		return 0;
	log_err("deferred-rebuild", "file=%s step=%s", DEFERRED_REBUILD,
	    "remove");
	return -1;
}

static int
see_mark(struct deferred *d)
{
	d->is_rebuilding = faccessat(d->dirfd, DEFERRED_REBUILD, F_OK,
	    AT_SYMLINK_NOFOLLOW) == 0;
	if (d->is_rebuilding || errno == ENOENT)
		return 0;
	log_err("deferred-rebuild", "file=%s step=%s", DEFERRED_REBUILD,
	    "look");
	return -1;
}

static int
open_db(struct deferred *d, const char *path)
{
	bool has;
	int rc, saved;

	rc = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	sqlite3_busy_timeout(d->db, DEFERRED_BUSY_MS);
	if ((rc = deferred_table_find(d, &has)) != SQLITE_OK)
		goto err1;
	if (!has && mark_rebuild(d) == -1)
		goto err2;
	if (deferred_table_open(d, has) == -1 || deferred_prepare(d) == -1)
		goto err2;
	return 0;
err1:
	deferred_failed(d, rc, "open");
err2:
	saved = errno;
	close_db(d);
	errno = saved;
	return -1;
}

/* Most stores have no more files than this looks at. */
static int
check_first(struct deferred *d)
{
	int rc;

	do {
		rc = deferred_check_some(d, DEFERRED_CHECK_OPEN);
	} while (rc == 1 && d->check.dir == NULL && d->check.id[0] == '\0');
	return rc == -1 ? -1 : 0;
}

/* Open the database, and make rows and files agree. */
static int
open_all(struct deferred *d, const char *path)
{
	int saved;

	if (open_db(d, path) == -1)
		return -1;
	if (see_mark(d) == 0 && (!d->is_rebuilding ||
	    (deferred_files_rebuild(d) == 0 && unmark_rebuild(d) == 0)) &&
	    deferred_came_begin(d) == 0 && check_first(d) == 0) {
		if (d->nrestored > 0)
			log_warnx("deferred-rebuilt", "file=%s messages=%u "
			    "effect=%s", DEFERRED_DB, d->nrestored,
			    "their recipients are tried again now, but for "
			    "those that their senders have had held; which "
			    "were put on hold, or led elsewhere, is not "
			    "known any more");
		return 0;
	}
	saved = errno;
	deferred_check_end(d);
	close_db(d);
	errno = saved;
	return -1;
}

/* Where a damaged database goes: a name that no file has yet, since an earlier
 * one may have been moved in the same second, or with another clock. */
static int
free_name(struct deferred *d, char *buf, size_t len)
{
	long long t = (long long)time(NULL), last = t + NAMES_MAX;

	for (; t < last; t++) {
		snprintf(buf, len, "%s.damaged.%lld", DEFERRED_DB, t);
		if (faccessat(d->dirfd, buf, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
			return errno == ENOENT ? 0 : -1;
	}
	errno = EEXIST;
	return -1;
}

/* Move a damaged database aside, for the administrator. */
static int
set_aside(struct deferred *d)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char from[64], to[96], kept[64];
	size_t i;

	if (free_name(d, kept, sizeof(kept)) == -1)
		return -1;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", DEFERRED_DB, parts[i]);
		snprintf(to, sizeof(to), "%s%s", kept, parts[i]);
		if (renameat(d->dirfd, from, d->dirfd, to) == -1 &&
		    errno != ENOENT)
			return -1;
	}
	log_errx("deferred-store-damaged", "file=%s kept_as=%s effect=%s",
	    DEFERRED_DB, kept, "a new one is made from the files in "
	    "deferred/; remove the damaged one when you have looked at it");
	return 0;
}

struct deferred *
deferred_open(const char *folder, int dirfd)
{
	struct deferred *d;
	char path[1024];
	int saved;

	if (snprintf(path, sizeof(path), "%s/%s", folder, DEFERRED_DB) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->dirfd = dirfd;
	if ((d->filesfd = deferred_files_folder(dirfd)) == -1)
		goto err1;
	if (open_all(d, path) == 0)
		return d;
	if (errno == EBADMSG && mark_rebuild(d) == 0 && set_aside(d) == 0) {
		d->is_damaged = false;
		if (open_all(d, path) == 0)
			return d;
	}
err1:
	saved = errno;
	deferred_free(d);
	errno = saved;
	return NULL;
}

int
deferred_check(struct deferred *d, unsigned int limit)
{
	int rc = deferred_check_some(d, limit), saved = errno;

	if (rc == -1 && errno == EBADMSG)
		(void)mark_rebuild(d);
	errno = saved;
	return rc;
}

bool
deferred_is_damaged(struct deferred *d)
{
	/* the next one may not come to what was found here before it has begun */
	if (d->is_damaged && !d->is_set_aside)
		d->is_set_aside = mark_rebuild(d) == 0 && set_aside(d) == 0;
	return d->is_damaged;
}

void
deferred_free(struct deferred *d)
{
	if (d == NULL)
		return;
	deferred_check_end(d);
	close_db(d);
	if (d->filesfd != -1)
		close(d->filesfd);
	free(d);
}
