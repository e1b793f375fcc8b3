/* What the role keyd's files share: keyd.c, the process and its keys,
 * keyd_worker.c, which answers the workers, keyd_login.c, which answers relay,
 * and keyd_peer.c, the channels to both. */

#ifndef CMD_MAILMILLD_KEYD_KEYD_INT_H
#define CMD_MAILMILLD_KEYD_KEYD_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/creds/hop_creds.h"
#include "cmd/mailmilld/role/chanev.h"
#include "cmd/settings/settings.h"
#include "core/util/bucket.h"
#include "core/util/log_bound.h"
#include "tls/keeper.h"

TAILQ_HEAD(keyd_workers, keyd_worker);
TAILQ_HEAD(keyd_relays, keyd_relay);
TAILQ_HEAD(keyd_exchanges, keyd_exchange);

struct keyd {
	const struct settings	*settings;
	struct keeper		*keeper;
	struct keyd_workers	 workers;
	struct hop_creds	*creds;		/* passwords for next hops */
	struct keyd_relays	 relays;
	struct keyd_exchanges	 working;	/* those that want a slice of time, the next first */
	Event			*work;		/* set while there are some */
	/* done(closure): the last worker has gone, or a relay */
	void			(*done)(void *closure);
	void			*closure;
};

/* The channel to a process that asks. */
struct keyd_peer {
	struct msg_peer	 who;
	struct chanev	*ce;
	struct bucket	 bucket;	/* of requests; set before keyd_peer_open() */
	Event		*timer;		/* set while it is not listened to */
	struct log_bound refusals;
};

/* One worker's. */
struct keyd_worker {
	TAILQ_ENTRY(keyd_worker) link;
	struct keyd	*keyd;
	struct keyd_peer peer;
};

/* One relay's. */
struct keyd_relay {
	TAILQ_ENTRY(keyd_relay) link;
	struct keyd	*keyd;
	struct keyd_peer peer;
	struct keyd_exchanges exchanges;
	size_t		 nexchanges;
};

/* keyd_peer_open(p, who, fd, ops, closure): Listen to ${who}; takes ${fd}, also
 * when it fails.  Return 0, or -1 with errno.
 * keyd_peer_keep_pace(p): It has asked for something: read the next request when
 * its rate allows that.
 * keyd_peer_close(p): Close the channel. */
int keyd_peer_open(struct keyd_peer *p, const struct msg_peer *who, int fd,
    const struct chanev_ops *ops, void *closure);
void keyd_peer_keep_pace(struct keyd_peer *p);
void keyd_peer_close(struct keyd_peer *p);

/* keyd_worker_open(kd, who, fd): Answer a worker; takes ${fd}.  Return 0, or -1
 * with errno. */
int keyd_worker_open(struct keyd *kd, const struct msg_peer *who, int fd);

/* keyd_workers_close(kd): All of them, without done(). */
void keyd_workers_close(struct keyd *kd);

/* keyd_relay_open(kd, who, fd), keyd_relays_close(kd): The same for a relay. */
int keyd_relay_open(struct keyd *kd, const struct msg_peer *who, int fd);
void keyd_relays_close(struct keyd *kd);

#endif
