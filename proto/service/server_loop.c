/* The scheduler that the servers of a thread share; see mailmill_server.h.
 * Owns: it, and how many servers use it. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <stdlib.h>

struct server_loop {
	struct scheduler	*scheduler;
	unsigned int		 nservers;
	bool			 is_running;
};

/* That the servers of the thread have made; NULL: none. */
static __thread struct server_loop *of_thread;

static struct server_loop *
loop_new(void)
{
	struct server_loop *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	if ((l->scheduler = scheduler_create(NULL)) == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

int
server_loop_join(struct server_loop **loop_r)
{
	if (*loop_r != NULL || (of_thread == NULL && is_scheduler_thread()))
		return 0;
	if (of_thread == NULL && (of_thread = loop_new()) == NULL)
		return -1;
	of_thread->nservers++;
	*loop_r = of_thread;
	return 0;
}

void
server_loop_leave(struct server_loop *l)
{
	if (l == NULL || --l->nservers > 0)
		return;
	scheduler_destroy(l->scheduler);
	if (of_thread == l)
		of_thread = NULL;
	free(l);
}

bool
server_loop_is_needed(const struct server_loop *l)
{
	return l != NULL && l->is_running && l->nservers == 1;
}

int
mailmill_server_run(struct mailmill_server *server)
{
	struct server_loop *l = server->loop;
	bool was_running;
	int result;

	if (l == NULL) {
		errno = server->host != NULL ? EEXIST : EINVAL;
		return -1;
	}
	/* ${server} may be freed meanwhile, ${l} is not.  In a callback, where
	 * this fails, it runs already */
	was_running = l->is_running;
	l->is_running = true;
	result = scheduler_run(l->scheduler);
	l->is_running = was_running;
	return result;
}

void
mailmill_server_stop(struct mailmill_server *server)
{
	if (server->loop != NULL)
		scheduler_stop(server->loop->scheduler);
}
