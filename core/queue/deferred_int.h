/* What the files of the deferred store share. */

#ifndef CORE_DEFERRED_INT_H
#define CORE_DEFERRED_INT_H

#include <sqlite3.h>

#include "core/queue/deferred.h"

#define DEFERRED_DB	"deferred.db"
#define DEFERRED_FOLDER	"deferred"

enum deferred_statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_PUT, ST_DROP, ST_TOUCH, ST_HURRY,
	ST_HURRY_ALL, ST_DUE, ST_PAGE, ST_OF, ST_NEXT, ST_HAS, ST_HAS_ANY,
	DEFERRED_NSTATEMENTS
};

struct deferred {
	int		 dirfd;		/* not owned */
	int		 filesfd;	/* deferred/ */
	sqlite3		*db;
	sqlite3_stmt	*st[DEFERRED_NSTATEMENTS];
	int		 last_logged;	/* errno of the failure last logged */
};

/* deferred_files_folder(dirfd): Open deferred/, made if missing; -1 with
 * errno. */
int deferred_files_folder(int dirfd);

/* deferred_files_check(d, is_fresh): Remove files without a row; when the
 * database ${is_fresh}, give every file rows for all its recipients instead. */
int deferred_files_check(struct deferred *d, bool is_fresh);

#endif
