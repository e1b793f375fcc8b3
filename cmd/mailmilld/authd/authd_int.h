/* What the files of the role authd share: authd.c has the process and its
 * channels, authd_exchange.c the exchanges, authd_attempt.c what they are charged
 * to, authd_clients.c their clients, authd_offer.c what a listener offers to them,
 * authd_log.c the lines about failures and workers, authd_back.c the back ends. */

#ifndef CMD_MAILMILLD_AUTHD_AUTHD_INT_H
#define CMD_MAILMILLD_AUTHD_AUTHD_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/authd/auth_limit.h"
#include "cmd/mailmilld/authd/auth_pool.h"
#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "cmd/mailmilld/role/auth_request.h"
#include "cmd/mailmilld/role/chanev.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/util/addr.h"
#include "core/util/log_bound.h"
#include "proto/auth/esmtp_auth_mech.h"

#define AUTHD_EXCHANGES_MAX	4096	/* of one worker, at once */
#define AUTHD_CLIENT_MAX	256	/* and of one client there */

#define AUTHD_STUCK_TIMES	2	/* auth_timeout ... */
#define AUTHD_STUCK_MS		10000	/* ... plus this: all threads hang */

struct authd_exchange;
RB_HEAD(authd_exchanges, authd_exchange);

/* An exchange that waits for its client. */
struct authd_rest {
	TAILQ_ENTRY(authd_rest)	 link;
	struct authd_exchange	*exchange;
	uint64_t		 since_ms;
};

/* One client of a worker, while it has exchanges. */
struct authd_client {
	RB_ENTRY(authd_client)	 node;
	uint8_t			 key[ADDR_NETWORK];
	size_t			 n;
	TAILQ_HEAD(, authd_rest) resting;	/* the longest first */
};
RB_HEAD(authd_clients, authd_client);

/* One worker. */
struct authd_worker {
	TAILQ_ENTRY(authd_worker) link;
	struct authd		*authd;
	struct msg_peer		 who;
	struct chanev		*ce;
	struct vouch		*vouch;		/* its sessions; NULL: not known */
	struct auth_lane	 lane;
	struct authd_exchanges	 exchanges;	/* by id */
	size_t			 nexchanges;
	struct authd_clients	 clients;	/* by key */
	uint64_t		 complained_ms;	/* last logged complaint */
};
TAILQ_HEAD(authd_workers, authd_worker);

/* An open back end; several scopes of the settings may name the same. */
struct authd_back {
	const char		*spec;		/* the settings' */
	struct auth_back	*back;
};

struct authd {
	struct child		*child;
	struct authd_workers	 workers;
	LIST_HEAD(, authd_exchange) orphans;	/* a thread has them */
	struct authd_back	*backs;
	size_t			 nbacks;
	struct auth_pool	*pool;
	pthread_mutex_t		 limit_lock;	/* threads ask too */
	struct auth_limit	*limit;
	struct vouch		*vouch;		/* of M_VOUCH, until its M_PEER; or NULL */
	uint32_t		 vouch_instance; /* of that worker */
	struct log_burst	*failures;	/* by slot: bounds the lines about them */
	struct log_bound	*proxies;	/* by slot: the same about auth_proxy_failures */
	unsigned int		 stuck_ms;	/* beyond AUTHD_STUCK_TIMES; 0: AUTHD_STUCK_MS */
	bool			 is_stuck;	/* ending because of that */
};

/* authd_open(a): a->child is set, the rest is zero, or what a test wants.
 * Return 0, or -1 having logged why.
 * authd_close(a): also after that; may end the process when a thread does not
 * come back.
 * authd_peer(a, who, fd): see child_ops.
 * authd_vouch(a, who, fd): The sessions of that worker are there (vouch.h); ${fd}
 * remains the caller's.  Its authd_peer() follows. */
int authd_open(struct authd *a);
void authd_close(struct authd *a);
void authd_peer(void *closure, const struct msg_peer *who, int fd);
void authd_vouch(struct authd *a, const struct msg_peer *who, int fd);

/* authd_back.c: the back ends.
 * authd_backs_open(a): All that some client of some listener may need.  Return
 * 0, or -1 having logged why.
 * authd_back_find(a, spec): NULL if there is none. */
int authd_backs_open(struct authd *a);
void authd_backs_close(struct authd *a);
struct auth_back *authd_back_find(const struct authd *a, const char *spec);

/* authd_clients.c: the clients of the exchanges.
 * authd_client_join(w, peer): That of an exchange that begins; NULL: no memory.
 * authd_client_leave(w, c): An exchange of it has ended.
 * authd_clients_oldest(w): The exchange that has to make room when the worker
 * has too many: of the client that has most of them, the one that waits for it
 * longest.  NULL: none waits for a client. */
struct authd_client *authd_client_join(struct authd_worker *w,
    const struct sockaddr *peer);
void authd_client_leave(struct authd_worker *w, struct authd_client *c);
struct authd_exchange *authd_clients_oldest(struct authd_worker *w);

/* authd_offer.c: what the listener with the options ${o} offers to the client
 * ${who}.
 * authd_offer_objection(r, o, who): Why the request is refused; NULL: it is not.
 * authd_offer_has_plus(r, o, who): Is a mechanism with channel binding offered? */
const char *authd_offer_objection(const struct auth_request *r,
    const struct esmtp_options *o, const struct vouched *who);
bool authd_offer_has_plus(const struct auth_request *r,
    const struct esmtp_options *o, const struct vouched *who);

/* authd_log.c: what a log watcher reads.
 * authd_log_failed(a, slot, r, who, login, why): A wrong password, or the like, of
 * that session of the worker ${slot}, with the login that was tried ("": none).
 * A worker has a share of the lines.  False: it has used that up, so this one is
 * not logged.
 * authd_log_proxy(a, slot, who): The worker ${slot} has had as many failures as
 * auth_proxy_failures allows of all clients together that one peer names, and the
 * login of ${who} was refused for that alone.  One line in LOG_BOUND_MS.
 * authd_complain(w, what): The worker does what it should not.  One line a
 * minute. */
bool authd_log_failed(struct authd *a, unsigned int slot,
    const struct auth_request *r, const struct vouched *who,
    const char *login, enum esmtp_auth_why why);
void authd_log_proxy(struct authd *a, unsigned int slot,
    const struct vouched *who);
void authd_complain(struct authd_worker *w, const char *what);

/* authd_exchange.c: the messages of a worker, and its end. */
msg_fn authd_on_start, authd_on_step, authd_on_cancel;
void authd_exchanges_end(struct authd_worker *w);
/* authd_orphans_free(a): Call it when no thread runs any more. */
void authd_orphans_free(struct authd *a);

#endif
