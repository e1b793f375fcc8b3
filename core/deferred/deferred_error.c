/* The deferred store: what an SQLite error is as an errno, and in the log. */

#include "core/deferred/deferred_int.h"

#include <errno.h>
#include <string.h>

#include "core/process/log.h"

#define BEHIND_END	(1LL << 46)	/* octets that no file of a database has */

static bool
is_full(int errnum)
{
	return errnum == EDQUOT || errnum == ENOSPC;
}

/* With what errno a file of the database has failed last: which is
 * SQLITE_FCNTL_FILE_POINTER, the database, or SQLITE_FCNTL_JOURNAL_POINTER, its
 * log.  0: with none.  SQLite does not forget that when the file works again, but
 * a read behind its end makes it do so: then the next failure has an errno of its
 * own. */
static int
take_errno(const struct deferred *d, int which)
{
	sqlite3_file *file = NULL;
	int errnum = 0;
	char octet;

	if (sqlite3_file_control(d->db, NULL, which, &file) != SQLITE_OK ||
	    file == NULL || file->pMethods == NULL ||
	    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO,
	    &errnum) != SQLITE_OK)
		return 0;
	if (errnum != 0)
		(void)file->pMethods->xRead(file, &octet, 1, BEHIND_END);
	return errnum;
}

/* SQLite has no code of its own for a full quota, or for a lack of inodes.  What
 * sqlite3_system_errno() says may be of an earlier failure, and is never that of a
 * commit: so the files come first, of which changes are written to the log. */
static int
system_errno(const struct deferred *d)
{
	int log = take_errno(d, SQLITE_FCNTL_JOURNAL_POINTER);
	int file = take_errno(d, SQLITE_FCNTL_FILE_POINTER);

	return log != 0 ? log : file != 0 ? file : sqlite3_system_errno(d->db);
}

void
deferred_forget_errno(struct deferred *d)
{
	(void)take_errno(d, SQLITE_FCNTL_JOURNAL_POINTER);
	(void)take_errno(d, SQLITE_FCNTL_FILE_POINTER);
}

/* What SQLite says, as an errno; 0 only for SQLITE_OK, ROW and DONE. */
static int
errno_of(const struct deferred *d, int rc)
{
	int system = 0;

	if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)
		system = system_errno(d);
	if (is_full(system))
		return system;
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_CANTOPEN:
		return ENOENT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	default:
		return EIO;
	}
}

int
deferred_failed(struct deferred *d, int rc, const char *what)
{
	int errnum = errno_of(d, rc);

	if (d->last_logged != errnum)
		log_errx("deferred-store", "file=%s step=%s error=%s",
		    DEFERRED_DB, what, d->db != NULL ? sqlite3_errmsg(d->db) :
		    strerror(errnum));
	d->last_logged = errnum;
	d->is_damaged = d->is_damaged || errnum == EBADMSG;
	errno = errnum;
	return -1;
}
