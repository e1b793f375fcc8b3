/* The numbers of processes, and those that workers have in the names of their
 * files.
 * Owns: which numbers of files are in use: those that have been given, and those
 * that were in names when the folders were read last.  The folders of the spool
 * may have very many files, and the master serves nobody while it reads them.
 * So it reads them when all numbers have been given, at a start that does not know
 * what has been given before (numbers_file.h), and at each start of a worker until
 * they could be read to the end. */

#include "cmd/mailmilld/master/start/start.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/start/numbers_file.h"
#include "core/process/log.h"

#define NUMBERS	(1 << SPOOL_NUMBER_BITS)

struct numbers {
	struct spooldir_numbers	used;
	bool			is_stale;	/* read the folders at the next start */
};

static void
use(struct numbers *n, unsigned int number)
{
	n->used.bits[number / 8] |= (unsigned char)(1u << number % 8);
}

/* Mark the numbers of living workers, which may have no file yet, and those
 * that no worker may have. */
static void
use_living(struct master *m)
{
	const struct proc *p;

	use(m->numbers, 0);
	use(m->numbers, SPOOL_NUMBER_QUEUE);
	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_WORKER)
			use(m->numbers, spool_number(p->instance));
}

static void
look(struct master *m, const char *spool)
{
	struct numbers *n = m->numbers;

	n->is_stale = spooldir_numbers(spool, &n->used) == -1;
	if (n->is_stale)
		log_warn("spool", "folder=%s effect=%s", spool, "a new worker "
		    "may get a number that files of another worker have; the "
		    "folder is read again when the next worker starts");
	use_living(m);
}

/* Of the first worker: the names of deferred messages need not be read if it is known
 * which numbers have been given.  The others are few. */
static void
begin(struct master *m, const char *spool)
{
	struct numbers *n = m->numbers;

	n->is_stale = numbers_file_load(spool, &n->used) == -1 ||
	    spooldir_numbers_incoming(spool, &n->used) == -1;
	if (!n->is_stale)
		use_living(m);
}

/* Go on to the next number that is not in use.  Return whether there is one. */
static bool
next(struct master *m)
{
	unsigned int i, number;

	for (i = 0; i < NUMBERS; i++) {
		number = spool_number(++m->instances);
		if (!spooldir_has_number(&m->numbers->used, number)) {
			use(m->numbers, number);
			return true;
		}
	}
	return false;
}

/* Files have all numbers, after a long time without a queue: take one that no
 * living worker has.  Some may be free when the next number is needed, so the
 * folders are read again then. */
static void
take_used(struct master *m)
{
	memset(&m->numbers->used, 0, sizeof(m->numbers->used));
	use_living(m);
	(void)next(m);
	m->numbers->is_stale = true;
}

int
instance_next(struct master *m, enum role_id role, const char *spool,
    unsigned int *instance_r)
{
	if (role != ROLE_WORKER) {
		*instance_r = ++m->instances;
		return 0;
	}
	if (m->numbers == NULL) {
		if ((m->numbers = calloc(1, sizeof(*m->numbers))) == NULL)
			return -1;
		begin(m, spool);
	}
	if (m->numbers->is_stale || !next(m)) {
		look(m, spool);
		if (!next(m))
			take_used(m);
	}
	if (m->numbers->is_stale)
		numbers_file_forget(spool);
	else
		numbers_file_save(spool, &m->numbers->used);
	*instance_r = m->instances;
	return 0;
}

void
numbers_free(struct master *m)
{
	free(m->numbers);
	m->numbers = NULL;
}
