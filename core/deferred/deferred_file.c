/* The deferred store: one file per message in deferred/.
 * Owns: their names, how rows are made again from them.  The comparison of files and
 * rows: deferred_check.c. */

#include "core/deferred/deferred_int.h"

#include <sys/param.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/util/fileio.h"

int
deferred_files_folder(int dirfd)
{
	if (mkdirat(dirfd, DEFERRED_FOLDER, 0700) == -1 && errno != EEXIST)
		return -1;
	return openat(dirfd, DEFERRED_FOLDER,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What a file takes of the disk, in whole blocks; nothing if it is not a regular
 * one.  (st_blocks does not tell: a new file has none until it is flushed.) */
static uint64_t
octets_of(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) ? 0 :
	    roundup((uint64_t)st.st_size, SPOOL_PAGE);
}

uint64_t
deferred_file_octets(const struct deferred *d, const char *name)
{
	return octets_of(d->filesfd, name);
}

/* The file ${name} has so many more, or less. */
static void
count(struct deferred *d, const char *name, int64_t octets)
{
	bool is_counted = d->check.phase == DEFERRED_CHECKED ||
	    (d->check.phase == DEFERRED_CHECK_ROWS &&
	    strcmp(name, d->check.id) <= 0);

	d->written += octets;
	if (!is_counted)
		return;
	/* a file that got no row, and was passed, is not among them */
	if (octets < 0 && (uint64_t)-octets > d->octets)
		d->octets = 0;
	else
		d->octets += (uint64_t)octets;
}

int
deferred_file_write(struct deferred *d, uint64_t id,
    const struct spool_view *view, const struct spool_origin *origin, int fd,
    int body_fd)
{
	char name[SPOOL_ID_TEXT + 1];
	uint64_t before;

	spool_id_text(id, name);
	before = octets_of(d->filesfd, name);
	if (spool_message_write(d->filesfd, name, view, id, origin, fd, body_fd,
	    false) == -1)
		return -1;
	count(d, name, (int64_t)(octets_of(d->filesfd, name) - before));
	return 0;
}

/* The folder of the database has few files: it, its log, the log of
 * acknowledgements, and what was set aside. */
static uint64_t
folder_octets(const struct deferred *d)
{
	uint64_t octets = 0;
	struct dirent *de;
	DIR *dir;

	if ((dir = fileio_opendir(d->dirfd, ".")) == NULL)
		return octets_of(d->dirfd, DEFERRED_DB);
	/* not by d_type: some file systems leave it DT_UNKNOWN */
	while ((de = readdir(dir)) != NULL)
		octets += octets_of(d->dirfd, de->d_name);
	closedir(dir);
	return octets;
}

uint64_t
deferred_octets(const struct deferred *d)
{
	uint64_t octets = d->octets + folder_octets(d);
	int64_t assumed = (int64_t)d->assumed + d->written;

	return d->check.phase == DEFERRED_CHECKED ||
	    assumed <= (int64_t)octets ? octets : (uint64_t)assumed;
}

void
deferred_assume(struct deferred *d, uint64_t octets)
{
	d->assumed = MIN(octets, INT64_MAX / 2);
	d->written = 0;
}

int
deferred_files_sync(struct deferred *d)
{
	return syncfs(d->filesfd);
}

int
deferred_file_temporary(struct deferred *d)
{
	static const char name[] = "import.tmp";	/* one of a crash is removed at the start */
	int fd = openat(d->filesfd, name, O_RDWR | O_CREAT | O_TRUNC |
	    O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd != -1)
		fileio_unlink(d->filesfd, name);
	return fd;
}

int
deferred_file_open(struct deferred *d, uint64_t id)
{
	char name[SPOOL_ID_TEXT + 1];

	spool_id_text(id, name);
	return openat(d->filesfd, name, O_RDONLY | O_CLOEXEC);
}

int
deferred_file_remove(struct deferred *d, uint64_t id)
{
	char name[SPOOL_ID_TEXT + 1];
	uint64_t octets;

	spool_id_text(id, name);
	octets = octets_of(d->filesfd, name);
	if (unlinkat(d->filesfd, name, 0) == -1)
		return errno == ENOENT ? 0 : -1;
	count(d, name, -(int64_t)octets);
	return 0;
}

/* Rows for all recipients of one file, due at once unless it is held: those that
 * have their message already are found by the delivery agent. */
static int
restore_rows(struct deferred *d, const struct spool_view *view,
    const struct spool_origin *origin)
{
	struct deferred_row row = {
		.id = view->record.id,
		.sender = view->envelope.sender,
		.transport = "",
		.received_us = view->record.received_us,
		.octets = view->record.body_octets,
		.origin = *origin,
		.last_error = view->envelope.hold_until != 0 ? NULL :
		    "the database of deferred messages was lost",
		.next_attempt = view->envelope.hold_until,
		.hold_until = view->envelope.hold_until,
		.deliver_by = view->envelope.deliver_by,
		.priority = view->envelope.priority,
		.flags = view->envelope.flags,
		.holder = view->envelope.holder,
		.since = (int64_t)(view->record.received_us / 1000000),
		.notify = DEFERRED_NOTIFY_UNKNOWN,
	};
	const char *cursor = NULL;

	while ((row.rcpt = spool_envelope_rcpt_next(&view->envelope,
	    &cursor)) != NULL) {
		if (deferred_put(d, &row) == -1)
			return -1;
		row.rcpt_index++;
	}
	return 0;
}

/* Read the message in the file ${fd}, whose name has ${id}.  Return a reader,
 * which *view_r points into, or NULL with errno. */
static struct spool_reader *
read_file(int fd, uint64_t id, struct spool_readbuf *buf, unsigned int flags,
    struct spool_view *view_r)
{
	struct spool_reader *r = spool_reader_new(fd, buf, flags);
	struct spool_damage damage;

	if (r == NULL)
		return NULL;
	if (spool_reader_at(r, SPOOL_PAGE, view_r, &damage) == 1) {
		if (view_r->record.id == id)
			return r;
		errno = EBADMSG;
	}
	spool_reader_free(r);
	return NULL;
}

/* Does this error concern all files, and not only the one that was read? */
static bool
is_general(int errnum)
{
	return errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE ||
	    errnum == EACCES || errnum == EPERM;
}

/* A file could not be read, with errno.  It has no row, and would be removed as
 * a leftover when the mark is gone: so rename it to damaged.ID. */
static int
keep_file(struct deferred *d, const char *name)
{
	char kept[SPOOL_ID_TEXT + 16];
	int errnum = errno;

	snprintf(kept, sizeof(kept), "damaged.%s", name);
	if (is_general(errnum) || (renameat(d->filesfd, name, d->filesfd,
	    kept) == -1 && errno != ENOENT)) {
		log_err("deferred-rebuild", "file=%s/%s step=%s",
		    DEFERRED_FOLDER, name, "read");
		return -1;
	}
	errno = errnum;
	log_err("deferred-file-kept", "file=%s/%s reason=%s", DEFERRED_FOLDER,
	    kept, "it cannot be read; remove it when you have looked at it");
	return 0;
}

static int
restore_file(struct deferred *d, const char *name, uint64_t id,
    struct spool_readbuf *buf)
{
	struct spool_origin origin;
	struct spool_reader *r;
	struct spool_view view;
	int fd, rc;

	if ((fd = deferred_file_open(d, id)) == -1)
		return keep_file(d, name);
	if ((r = read_file(fd, id, buf, 0, &view)) == NULL) {
		rc = keep_file(d, name);
	} else {
		spool_message_origin(spool_reader_header(r), &view.record,
		    &origin);
		rc = restore_rows(d, &view, &origin);
		d->nrestored++;
	}
	spool_reader_free(r);
	fileio_close(fd);
	return rc;
}

int
deferred_file_origin(struct deferred *d, uint64_t id,
    struct spool_origin *origin_r)
{
	struct spool_readbuf *buf;
	struct spool_reader *r;
	struct spool_view view;
	int fd, rc = -1;

	if ((fd = deferred_file_open(d, id)) == -1)
		return errno == ENOENT ? 0 : -1;
	if ((buf = spool_readbuf_new()) != NULL) {
		r = read_file(fd, id, buf, SPOOL_READ_TRUST_BODY, &view);
		if (r != NULL) {
			rc = 1;
			spool_message_origin(spool_reader_header(r),
			    &view.record, origin_r);
		} else if (errno == EBADMSG) {
			/* a power cut has left an incomplete file: no
			 * row was ever committed for it */
			rc = 0;
		}
		spool_reader_free(r);
	}
	spool_readbuf_free(buf);
	close(fd);
	return rc;
}

static bool
is_same(const struct spool_view *a, const struct spool_view *b)
{
	return a->record.envelope_octets == b->record.envelope_octets &&
	    memcmp(a->envelope.envelope, b->envelope.envelope,
	    a->record.envelope_octets) == 0 &&
	    a->record.body_octets == b->record.body_octets &&
	    a->record.body_sum == b->record.body_sum;
}

int
deferred_file_is(struct deferred *d, uint64_t id,
    const struct spool_view *view)
{
	struct spool_readbuf *buf;
	struct spool_reader *r;
	struct spool_view kept;
	int fd, rc = -1, saved;

	if ((fd = deferred_file_open(d, id)) == -1)
		return -1;
	/* of its own: ${view} points into the caller's */
	if ((buf = spool_readbuf_new()) != NULL) {
		r = read_file(fd, id, buf, SPOOL_READ_TRUST_BODY, &kept);
		if (r != NULL)
			rc = is_same(&kept, view);
		saved = errno;
		spool_reader_free(r);
		errno = saved;
	}
	saved = errno;
	spool_readbuf_free(buf);
	close(fd);
	errno = saved;
	return rc;
}

/* One directory entry.  Return 0, or -1: go no further. */
static int
rebuild_file(struct deferred *d, const char *name, struct spool_readbuf *buf)
{
	uint64_t id;
	int has;

	if (spool_id_parse(name, strlen(name), &id) == -1)
		return 0;
	has = deferred_has(d, id, DEFERRED_ANY);
	return has == 0 ? restore_file(d, name, id, buf) : has == 1 ? 0 : -1;
}

static int
rebuild_all(struct deferred *d, struct spool_readbuf *buf)
{
	struct dirent *de;
	DIR *dir;
	int rc = 0, saved;

	if ((dir = fileio_opendir(d->filesfd, ".")) == NULL)
		return -1;
	d->nrestored = 0;
	while (rc == 0 && (errno = 0, de = readdir(dir)) != NULL)
		rc = rebuild_file(d, de->d_name, buf);
	/* after an error some files may not have been listed: do not take them
	 * for missing */
	if (rc == 0 && errno != 0)
		rc = -1;
	saved = errno;
	closedir(dir);
	errno = saved;
	return rc;
}

int
deferred_files_rebuild(struct deferred *d)
{
	struct spool_readbuf *buf;
	int rc, saved;

	if ((buf = spool_readbuf_new()) == NULL)
		return -1;
	rc = deferred_begin(d);
	if (rc == 0) {
		rc = rebuild_all(d, buf);
		saved = errno;
		if (rc == 0)
			rc = deferred_commit(d);
		else {
			deferred_rollback(d);
			errno = saved;
		}
	}
	spool_readbuf_free(buf);
	return rc;
}
