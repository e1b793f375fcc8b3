/* What the role keyd's files share: keyd.c, the process and its keys, and
 * keyd_worker.c, which answers the workers. */

#ifndef CMD_MAILMILLD_KEYD_KEYD_INT_H
#define CMD_MAILMILLD_KEYD_KEYD_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/role/chanev.h"
#include "cmd/settings/settings.h"
#include "core/util/bucket.h"
#include "core/util/log_bound.h"
#include "tls/keeper.h"

TAILQ_HEAD(keyd_workers, keyd_worker);

struct keyd {
	const struct settings	*settings;
	struct keeper		*keeper;
	struct keyd_workers	 workers;
	/* done(closure): the last worker has gone */
	void			(*done)(void *closure);
	void			*closure;
};

/* One worker's channel. */
struct keyd_worker {
	TAILQ_ENTRY(keyd_worker) link;
	struct keyd	*keyd;
	struct msg_peer	 who;
	struct chanev	*ce;
	struct bucket	 bucket;
	Event		*timer;		/* set while it is not listened to */
	struct log_bound refusals;
};

/* keyd_worker_open(kd, who, fd): Answer a worker; takes ${fd}.  Return 0, or -1
 * with errno. */
int keyd_worker_open(struct keyd *kd, const struct msg_peer *who, int fd);

/* keyd_workers_close(kd): All of them, without done(). */
void keyd_workers_close(struct keyd *kd);

#endif
