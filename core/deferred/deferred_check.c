/* The deferred store: are there files without a row, and what do all files take?
 * Owns: how far that has come.  There may be a million files, and mail is delivered
 * meanwhile, so it is done in pieces.
 * First the names of all files are looked at: one without a row is a leftover of a
 * crash, or will be written again, since no row is to come for a file that is there
 * between two calls.  Then, by the ids that rows have, the octets of their files: those
 * of a file that is written or removed meanwhile count if its id was passed
 * (deferred_file.c). */

#include "core/deferred/deferred_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/util/fileio.h"

static void
close_folder(struct deferred *d)
{
	if (d->check.dir != NULL)
		closedir(d->check.dir);
	d->check.dir = NULL;
}

void
deferred_check_end(struct deferred *d)
{
	close_folder(d);
	d->check = (struct deferred_check){ .phase = DEFERRED_CHECK_NAMES };
	d->octets = 0;
}

/* Whoever has made the mark wants rows for files that have none. */
static bool
is_marked(const struct deferred *d)
{
	return faccessat(d->dirfd, DEFERRED_REBUILD, F_OK,
	    AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* One name in the folder.  Return 0, or -1 with errno. */
static int
check_name(struct deferred *d, const char *name)
{
	size_t len = strlen(name);
	uint64_t id;
	int has;

	if (spool_id_parse(name, len, &id) == -1) {
		/* what spool_message_write() had not finished */
		if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
			(void)unlinkat(d->filesfd, name, 0);
		return 0;
	}
	if ((has = deferred_has(d, id, DEFERRED_ANY)) == -1)
		return -1;
	/* no row: it is still in its segment, or was done with */
	if (has == 0 && !is_marked(d) && deferred_file_remove(d, id) == -1)
		log_warn("deferred-file-remove", "folder=%s", DEFERRED_FOLDER);
	return 0;
}

/* Return 1, or -1 with errno: it has to begin again. */
static int
check_names(struct deferred *d, unsigned int limit)
{
	struct deferred_check *c = &d->check;
	struct dirent *de;
	unsigned int i;
	int rc = 0, errnum;

	if (c->dir == NULL &&
	    (c->dir = fileio_opendir(d->filesfd, ".")) == NULL)
		return -1;
	for (i = 0; i < limit && rc == 0; i++) {
		errno = 0;
		if ((de = readdir(c->dir)) == NULL)
			break;
		rc = check_name(d, de->d_name);
	}
	if (rc == 0 && i == limit)
		return 1;
	/* of readdir(), or of what was looked for; 0: those were all names */
	errnum = errno;
	close_folder(d);
	if (errnum != 0) {
		errno = errnum;
		return -1;
	}
	c->phase = DEFERRED_CHECK_ROWS;
	return 1;
}

/* Return 1; 0: those were all; -1 with errno. */
static int
count_files(struct deferred *d, unsigned int limit)
{
	struct deferred_check *c = &d->check;
	unsigned int i;
	int rc = 1;

	for (i = 0; i < limit && (rc = deferred_next_id(d, c->id)) == 1; i++)
		d->octets += deferred_file_octets(d, c->id);
	if (rc == 0)
		c->phase = DEFERRED_CHECKED;
	return rc;
}

int
deferred_check_some(struct deferred *d, unsigned int limit)
{
	switch (d->check.phase) {
	case DEFERRED_CHECK_NAMES:
		return check_names(d, limit);
	case DEFERRED_CHECK_ROWS:
		return count_files(d, limit);
	case DEFERRED_CHECKED:
		break;
	}
	return 0;
}
