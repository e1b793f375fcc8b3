/* What the files of the deferred store share. */

#ifndef CORE_DEFERRED_DEFERRED_INT_H
#define CORE_DEFERRED_DEFERRED_INT_H

#include <dirent.h>
#include <sqlite3.h>

#include "core/deferred/deferred.h"

#define DEFERRED_DB	"deferred.db"
#define DEFERRED_FOLDER	"deferred"
#define DEFERRED_REBUILD "deferred.rebuild" /* while it exists, rows may be missing, and each file gets those that it lacks */

#define DEFERRED_BUSY_MS 1000	/* to wait while another process, such as sqlite3(1), has the database locked */

enum deferred_statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_PUT, ST_DROP, ST_TOUCH, ST_HURRY,
	ST_HOLD, ST_RELEASE, ST_GIVE_UP, ST_ROUTE, ST_HURRY_SOME, ST_DOMAIN,
	ST_DOMAIN_END, ST_SHIFT, ST_SHIFT_FAR, ST_SHIFT_END,
	ST_HOLDERS, ST_CAME_DROP, ST_CAME_GONE, ST_DUE, ST_PAGE, ST_PAGE_DOMAIN,
	ST_OF, ST_WAITS, ST_WAITED_FOR, ST_NEXT, ST_HAS, ST_FIND, ST_LAST_OF,
	ST_TLS_MORE, ST_TLS_SUMS, ST_TLS_ROOM, ST_TLS_OPEN, ST_TLS_PUT, ST_TLS_NEXT,
	ST_TLS_ROWS, ST_TLS_DROP, ST_TLS_CLOSE, ST_TLS_TRY, ST_TLS_TRIED,
	ST_TLS_UNTRY, ST_TLS_TAKE, ST_TLS_TAKEN, ST_TLS_UNTAKE, ST_NEXT_ID,
	DEFERRED_NSTATEMENTS
};

#define DEFERRED_CHECK_OPEN 256	/* files and rows that are looked at by deferred_open(): of most stores all */

struct deferred {
	int		 dirfd;		/* not owned */
	int		 filesfd;	/* deferred/ */
	uint64_t	 octets;	/* of the files that have been counted */
	uint64_t	 assumed;	/* until all are: see deferred_assume() */
	int64_t		 written;	/* octets since then, less those removed */
	struct deferred_check {
		enum {
			DEFERRED_CHECK_NAMES, DEFERRED_CHECK_ROWS,
			DEFERRED_CHECKED
		} phase;
		DIR	*dir;		/* of NAMES; NULL: not begun */
		char	 id[SPOOL_ID_TEXT + 1];	/* of ROWS: the last that was counted */
	} check;
	bool		 is_rebuilding;	/* DEFERRED_REBUILD exists */
	unsigned int	 nrestored;	/* files for which rows were made */
	bool		 is_uncut;	/* deferred_shrink() has left the log as it was: somebody reads the database */
	sqlite3		*db;
	sqlite3_stmt	*st[DEFERRED_NSTATEMENTS];
	/* of the day of the counts of TLS that was written last; 0: not known */
	int64_t		 tls_day;
	int64_t		 tls_ndomains, tls_nrows;
	int		 last_logged;	/* errno of the failure last logged */
	bool		 is_damaged;	/* a statement has found that */
	bool		 is_set_aside;	/* so its file has another name */
};

/* core/deferred/deferred_error.c
 * deferred_failed(d, rc, what): Log what went wrong, once for each errno until
 * something works again.  Return -1 with errno. */
int deferred_failed(struct deferred *d, int rc, const char *what);

/* deferred_forget_errno(d): Something has failed that nobody is told of; no later
 * failure is to be taken for it. */
void deferred_forget_errno(struct deferred *d);

/* core/deferred/deferred_table.c
 * deferred_table_find(d, has_r): Has the database a table?  One that is missing, or
 * was never finished, has none.  Return what SQLite says.
 * deferred_table_open(d, has): Make the tables, or bring those of an earlier
 * version to this one.  Return 0, or -1 with errno, having logged why:
 * EPROTONOSUPPORT, a later version has made them.
 * deferred_came_begin(d): What has come for each login begins with what is held,
 * also by rows that were made from files.  Return the same. */
int deferred_table_find(struct deferred *d, bool *has_r);
int deferred_table_open(struct deferred *d, bool has);
int deferred_came_begin(struct deferred *d);

/* core/deferred/deferred_statement.c
 * deferred_prepare(d): Prepare the statements.  Return the same. */
int deferred_prepare(struct deferred *d);

/* core/deferred/deferred_rows.c
 * deferred_rows_find(d, origin, id_r): Find the id of the message with that
 * origin.  Return 1; 0: no row has the origin; -1 with errno. */
int deferred_rows_find(struct deferred *d, const struct spool_origin *origin,
    uint64_t *id_r);

/* deferred_end(d, which, rc): What sqlite3_step() has said of a statement: make
 * it ready for the next time.  Return 1: it has a row; 0: no more; -1 with
 * errno, having logged why.
 * deferred_run(d, which): A statement that gives no rows.  Return 0, or -1
 * likewise. */
int deferred_end(struct deferred *d, enum deferred_statement which, int rc);
int deferred_run(struct deferred *d, enum deferred_statement which);

/* deferred_last(d, which, id, rcpt_index): Run a statement that finds the last of the
 * rows of a piece: the id of this one, SPOOL_ID_TEXT octets and a NUL, and its
 * recipient.  Return 1; 0: there are fewer rows, or where one was edited in that no
 * id is, which the next search would not begin behind: the piece has all that are
 * left; -1 likewise. */
int deferred_last(struct deferred *d, enum deferred_statement which, char *id,
    int64_t *rcpt_index);

/* deferred_next_id(d, id): The next id that rows have behind ${id}, "": the first;
 * into ${id}.  1, 0: there is none; -1 likewise. */
int deferred_next_id(struct deferred *d, char id[SPOOL_ID_TEXT + 1]);

/* core/deferred/deferred_file.c
 * deferred_files_folder(dirfd): Open deferred/, made if missing; -1 with
 * errno. */
int deferred_files_folder(int dirfd);

/* deferred_file_origin(d, id, origin_r): Read from the file where its message
 * was accepted.  Return 1; 0: there is no file; -1 with errno. */
int deferred_file_origin(struct deferred *d, uint64_t id,
    struct spool_origin *origin_r);
/* deferred_files_rebuild(d): Make rows for all recipients of files without a row.
 * Return 0, or -1 with errno: EBADMSG, the database is damaged.
 * deferred_file_octets(d, name): What the file takes; 0: it is not there. */
int deferred_files_rebuild(struct deferred *d);
uint64_t deferred_file_octets(const struct deferred *d, const char *name);

/* core/deferred/deferred_check.c
 * deferred_check_some(d, limit): As deferred_check(), without the mark.
 * deferred_check_end(d): Close what it has open; another begins at the start. */
int deferred_check_some(struct deferred *d, unsigned int limit);
void deferred_check_end(struct deferred *d);

#endif
