/* The numbers of processes, and those that workers have in the names of their
 * files.
 * Owns: which numbers of files are in use: those that have been given, and those
 * that were in names when this was looked up last.  The folders of the spool may
 * have very many files, and nobody is served while they are read: that is done
 * at the first start of a worker, again when all numbers have been given, and at
 * each start while that has not told which are free. */

#include "cmd/mailmilld/master/start/start.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/master/needs/spooldir.h"
#include "core/process/log.h"

#define NUMBERS	(1 << SPOOL_NUMBER_BITS)

struct numbers {
	struct spooldir_numbers	used;
	bool			is_stale;	/* look them up at the next start */
};

static void
use(struct numbers *n, unsigned int number)
{
	n->used.bits[number / 8] |= (unsigned char)(1u << number % 8);
}

/* Those of living workers, also of such that have no file yet; and those that
 * no worker may have. */
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
		    "may have the number of one that has left files there; "
		    "they are looked up again at the next start of one");
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

/* All are in names, after a long time without a queue.  Some may be free when the
 * next one is asked for. */
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
		m->numbers->is_stale = true;
	}
	if (m->numbers->is_stale || !next(m)) {
		look(m, spool);
		if (!next(m))
			take_used(m);
	}
	*instance_r = m->instances;
	return 0;
}

void
numbers_free(struct master *m)
{
	free(m->numbers);
	m->numbers = NULL;
}
