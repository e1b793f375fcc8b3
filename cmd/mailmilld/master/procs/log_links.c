/* The sockets on which the children send their lines to the logger.  The master
 * makes one for each child, gives the child one end and the logger the other,
 * and says whose it is.  It neither sends nor reads there, but for what is left
 * when it closes the last end.
 * Owns: a duplicate of each of the logger's ends.  When the logger dies, lines
 * wait in the sockets, and the next logger gets them, also those of processes
 * that have died meanwhile. */

#include "cmd/mailmilld/master/procs/procs.h"

#include <sys/socket.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/process/passed.h"
#include "core/util/fileio.h"

#define ROOM_OCTETS	(1 << 20)	/* what a child may send meanwhile: a second's
					 * lines of a fast one.  Not more than
					 * net.core.wmem_max: the master has no
					 * capability to go beyond that */
#define LEFT_MAX	64		/* of processes that have died; then the oldest
					 * is forgotten */

struct log_link {
	TAILQ_ENTRY(log_link)	link;
	struct msg_writer	who;
	int			fd;	/* the logger's end */
};

static struct proc *
find_logger(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_LOGGER && p->ce != NULL && !p->has_exited)
			return p;
	return NULL;
}

/* Close ${ll}.  If a logger runs, it has a duplicate of the descriptor, and
 * reads what is left; else what is left is lost. */
static void
forget(struct master *m, struct log_link *ll)
{
	TAILQ_REMOVE(&m->log_links, ll, link);
	if (find_logger(m) != NULL)
		close(ll->fd);
	else
		passed_close(ll->fd);
	free(ll);
}

static bool
has_died(const struct master *m, const struct log_link *ll)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->instance == ll->who.instance)
			return false;
	return true;
}

/* Forget the oldest link of a dead process when there are too many: processes
 * may die again and again while there is no logger. */
static void
bound_left(struct master *m)
{
	struct log_link *ll, *oldest = NULL;
	unsigned int n = 0;

	TAILQ_FOREACH(ll, &m->log_links, link)
		if (has_died(m, ll) && n++ == 0)
			oldest = ll;
	if (n > LEFT_MAX)
		forget(m, oldest);
}

static int
give(struct proc *logger, const struct log_link *ll)
{
	int fd = fcntl(ll->fd, F_DUPFD_CLOEXEC, 0);

	if (fd != -1 && chanev_send(logger->ce, M_WRITER, &ll->who, NULL, 0,
	    fd) == 0) {
		logger->nwriters++;
		return 0;
	}
	fileio_close(fd);
	return -1;
}

int
log_link_open(struct master *m, const struct proc *p,
    const struct settings *s)
{
	struct proc *logger = find_logger(m);
	struct log_link *ll;
	int fds[2], room = ROOM_OCTETS, on = 1;

	bound_left(m);
	if ((ll = calloc(1, sizeof(*ll))) == NULL)
		return -1;
	if (channel_pair(fds) == -1) {
		free(ll);
		return -1;
	}
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	/* the logger tells an empty record from the end by it: before the first */
	(void)setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	ll->fd = fds[0];
	ll->who = (struct msg_writer){ .instance = p->instance,
		.role = p->role, .slot = p->slot, .pid = (uint32_t)p->pid,
		.rate = (uint32_t)s->log_rate };
	TAILQ_INSERT_TAIL(&m->log_links, ll, link);
	/* one that is about to die has a successor, which gets all of them */
	if (logger != NULL && give(logger, ll) == -1)
		log_warn("process-connect", "role=%s slot=%u peer=%s",
		    role_name(p->role), p->slot, role_name(ROLE_LOGGER));
	return fds[1];
}

int
log_links_give(struct master *m, struct proc *logger)
{
	struct log_link *ll;

	TAILQ_FOREACH(ll, &m->log_links, link)
		if (give(logger, ll) == -1)
			return -1;
	return 0;
}

int
log_link_ended(struct proc *logger, uint32_t instance)
{
	struct master *m = logger->master;
	struct log_link *ll;

	if (logger->nwriters == 0)
		return -1;
	logger->nwriters--;
	TAILQ_FOREACH(ll, &m->log_links, link)
		if (ll->who.instance == instance) {
			forget(m, ll);
			break;
		}
	/* or it has been forgotten meanwhile */
	return 0;
}

void
log_links_close(struct master *m)
{
	struct log_link *ll;

	while ((ll = TAILQ_FIRST(&m->log_links)) != NULL)
		forget(m, ll);
}
