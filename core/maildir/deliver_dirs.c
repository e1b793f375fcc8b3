/* The Maildirs that are open, and the file systems they are on.
 * Owns: their descriptors, their bound (least recently used goes first), the
 * check that an open one is still the one at its path.
 * Knows nothing of jobs and messages. */

#include "core/maildir/deliver_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_format.h"
#include "core/util/monotonic.h"

static struct deliver_bucket *
bucket(struct deliver_dirs *dirs, const char *path)
{
	return &dirs->buckets[spool_sum(path, strlen(path)) % 256];
}

void
deliver_dirs_init(struct deliver_dirs *dirs)
{
	memset(dirs, 0, sizeof(*dirs));
	TAILQ_INIT(&dirs->lru);
	deliver_counts_init(&dirs->counts);
	dirs->started = time(NULL);
}

static void
dir_free(struct deliver_dirs *dirs, struct deliver_dir *dir)
{
	if (!dir->is_stale)
		LIST_REMOVE(dir, hash);
	TAILQ_REMOVE(&dirs->lru, dir, lru);
	dirs->ndirs--;
	maildir_close(&dir->md);
	free(dir);
}

void
deliver_dirs_clear(struct deliver_dirs *dirs)
{
	while (!TAILQ_EMPTY(&dirs->lru))
		dir_free(dirs, TAILQ_FIRST(&dirs->lru));
	deliver_counts_clear(&dirs->counts);
	while (dirs->nfs > 0)
		close(dirs->fs[--dirs->nfs].fd);
}

/* It may be opened again soon.  One that was removed is forgotten: another folder
 * may get its number. */
static void
keep_count(struct deliver_dirs *dirs, const struct deliver_dir *dir)
{
	struct stat st;

	if (!dir->is_stale && fstat(dir->md.fd, &st) == 0 && st.st_nlink > 0)
		deliver_counts_keep(&dirs->counts, &st, &dir->quota,
		    monotonic_ms());
}

/* Close the one that was used longest ago and is not in use.  Return whether
 * there was one. */
static bool
evict(struct deliver_dirs *dirs)
{
	struct deliver_dir *dir;

	TAILQ_FOREACH (dir, &dirs->lru, lru)
		if (dir->nusers == 0) {
			keep_count(dirs, dir);
			dir_free(dirs, dir);
			return true;
		}
	return false;
}

/* The file system ${dev}, of which ${fd} is a folder */
static struct deliver_fs *
find_fs(struct deliver_dirs *dirs, dev_t dev, int fd)
{
	struct deliver_fs *fs;
	size_t i;

	for (i = 0; i < dirs->nfs; i++)
		if (dirs->fs[i].dev == dev)
			return &dirs->fs[i];
	if (dirs->nfs == DELIVER_FILESYSTEMS) {
		errno = ENFILE;
		return NULL;
	}
	fs = &dirs->fs[dirs->nfs];
	*fs = (struct deliver_fs){ .dev = dev,
		.fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	if (fs->fd == -1)
		return NULL;
	dirs->nfs++;
	return fs;
}

/* Two patterns may give the same path with administrator's parts of different
 * length; links are followed only in these, so they are different folders. */
static struct deliver_dir *
lookup(struct deliver_dirs *dirs, const char *path, size_t fixed)
{
	struct deliver_dir *dir;

	LIST_FOREACH (dir, bucket(dirs, path), hash)
		if (dir->fixed == fixed && strcmp(dir->path, path) == 0)
			return dir;
	return NULL;
}

/* Is the open Maildir still what is at its path?  An administrator may have
 * moved it away and made another. */
static bool
is_current(struct deliver_dir *dir, time_t now)
{
	if (now >= dir->checked && now - dir->checked <= DELIVER_RECHECK_S)
		return true;
	dir->checked = now;
	return maildir_is_current(&dir->md, dir->path, dir->fixed);
}

/* When this agent opens a Maildir for the first time, remove the files that
 * agents which were killed have left in tmp/.  They are all older than this
 * agent.  If this fails, it is tried again when the Maildir is opened again. */
static void
sweep(struct deliver_dirs *dirs, const struct deliver_dir *dir)
{
	size_t hash = spool_sum(dir->path, strlen(dir->path)) % DELIVER_SWEPT;
	unsigned char bit = (unsigned char)(1u << hash % 8);
	unsigned int n;
	int rc;

	if ((dirs->swept[hash / 8] & bit) != 0)
		return;
	rc = maildir_sweep(&dir->md, dirs->started, time(NULL), &n);
	if (rc == 0)
		dirs->swept[hash / 8] |= bit;
	if (rc == -1)
		log_warn("maildir-sweep", "folder=%s/tmp removed=%u", dir->path,
		    n);
	else if (n > 0)
		log_event(LOG_LEVEL_INFO, "maildir-sweep",
		    "folder=%s/tmp removed=%u", dir->path, n);
}

static struct deliver_dir *
open_dir(struct deliver_dirs *dirs, const char *path, size_t fixed, time_t now)
{
	size_t len = strlen(path);
	struct deliver_dir *dir;
	struct stat st;

	if ((dir = calloc(1, sizeof(*dir) + len + 1)) == NULL)
		return NULL;
	memcpy(dir->path, path, len + 1);
	dir->fixed = fixed;
	dir->checked = now;
	while (maildir_open(path, fixed, &dir->md, dirs->where) == -1)
		if ((errno != EMFILE && errno != ENFILE) || !evict(dirs))
			goto err1;
	if (fstat(dir->md.fd, &st) == -1 ||
	    (dir->fs = find_fs(dirs, st.st_dev, dir->md.fd)) == NULL)
		goto err2;
	deliver_counts_take(&dirs->counts, &st, &dir->quota, monotonic_ms());
	sweep(dirs, dir);
	LIST_INSERT_HEAD(bucket(dirs, path), dir, hash);
	TAILQ_INSERT_TAIL(&dirs->lru, dir, lru);
	dirs->ndirs++;
	return dir;
err2:
	strlcpy(dirs->where, path, sizeof(dirs->where));
	maildir_close(&dir->md);
err1:
	free(dir);
	return NULL;
}

struct deliver_dir *
deliver_dirs_get(struct deliver_dirs *dirs, const char *path, size_t fixed,
    time_t now)
{
	struct deliver_dir *dir = lookup(dirs, path, fixed);

	if (dir != NULL && !is_current(dir, now)) {
		deliver_dirs_drop(dirs, dir);
		dir = NULL;
	}
	if (dir == NULL) {
		while (dirs->ndirs >= DELIVER_DIRS && evict(dirs))
			continue;
		dir = open_dir(dirs, path, fixed, now);
		if (dir == NULL)
			return NULL;
	} else {
		TAILQ_REMOVE(&dirs->lru, dir, lru);
		TAILQ_INSERT_TAIL(&dirs->lru, dir, lru);
	}
	dir->nusers++;
	return dir;
}

struct deliver_dir *
deliver_dirs_find(struct deliver_dirs *dirs, const char *path, size_t fixed,
    time_t now)
{
	struct deliver_dir *dir = lookup(dirs, path, fixed);

	if (dir != NULL && !is_current(dir, now)) {
		deliver_dirs_drop(dirs, dir);
		dir = NULL;
	}
	if (dir != NULL || maildir_exists(path, fixed))
		return deliver_dirs_get(dirs, path, fixed, now);
	strlcpy(dirs->where, path, sizeof(dirs->where));
	return NULL;
}

void
deliver_dirs_put(struct deliver_dirs *dirs, struct deliver_dir *dir)
{
	dir->nusers--;
	if (dir->is_stale && dir->nusers == 0)
		dir_free(dirs, dir);
}

void
deliver_dirs_drop(struct deliver_dirs *dirs, struct deliver_dir *dir)
{
	if (!dir->is_stale) {
		LIST_REMOVE(dir, hash);
		dir->is_stale = true;
	}
	if (dir->nusers == 0)
		dir_free(dirs, dir);
}
