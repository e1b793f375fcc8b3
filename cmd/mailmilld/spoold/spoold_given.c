/* The files that a worker has been given and has not closed yet.
 * Owns: the lists of them, the check whether the worker has closed one. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/file.h>
#include <sys/param.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/util/array.h"

/* Has the writer of ${name} closed it?  Then it is not locked any more. */
static bool
is_closed(int dirfd, const char *name)
{
	bool rv;
	int fd;

	if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return errno == ENOENT;
	rv = flock(fd, LOCK_SH | LOCK_NB) == 0;
	(void)close(fd);
	return rv;
}

bool
spoold_segment_is_closed(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_segment_name("new", id, name);
	if (!is_closed(dirfd, name))
		return false;
	spool_segment_name("seg", id, name);
	return is_closed(dirfd, name);
}

bool
spoold_body_is_closed(int dirfd, uint64_t id)
{
	char name[SPOOL_NAME];

	spool_body_name(id, name);
	return is_closed(dirfd, name);
}

void
spoold_given_look(struct spoold_given *g, int dirfd, size_t n,
    bool (*is_file_closed)(int dirfd, uint64_t id))
{
	for (n = MIN(n, g->n); n > 0; n--) {
		g->hand = g->hand < g->n ? g->hand : 0;
		if (is_file_closed(dirfd, g->ids[g->hand]))
			g->ids[g->hand] = g->ids[--g->n];
		else
			g->hand++;
	}
}

int
spoold_given_room(struct spoold_given *g, size_t max)
{
	uint64_t *ids;

	if (g->n >= max) {
		errno = EMFILE;
		return -1;
	}
	if ((ids = array_fit(g->ids, &g->room, g->n + 1, sizeof(*ids))) == NULL)
		return -1;
	g->ids = ids;
	return 0;
}
