/* What the files of the role resolver share: resolver.c has the process,
 * resolver_asker.c its askers, resolver_ctl.c the requests of mailmillctl;
 * question.h, dns_cache.h, dns_packet.h and dns_wire.h are below them. */

#ifndef CMD_MAILMILLD_RESOLVER_RESOLVER_INT_H
#define CMD_MAILMILLD_RESOLVER_RESOLVER_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/mx_self.h"
#include "cmd/mailmilld/resolver/question.h"
#include "cmd/mailmilld/role/chanev.h"
#include "cmd/settings/settings.h"

struct resolver_ask;
RB_HEAD(resolver_asks, resolver_ask);

/* A process that asks. */
struct resolver_asker {
	TAILQ_ENTRY(resolver_asker) link;
	struct resolver		*resolver;
	struct chanev		*ce;
	struct msg_peer		 who;
	struct resolver_asks	 asks;		/* by id */
	unsigned int		 nasks;		/* that want an answer */
	unsigned int		 ncancelled;	/* that want none, and whose questions go on */
	struct log_bound	 complaints;
};
TAILQ_HEAD(resolver_askers, resolver_asker);

struct resolver_ctl;
TAILQ_HEAD(resolver_ctls, resolver_ctl);

struct resolver {
	const struct settings	*settings;
	struct questions	 questions;
	struct resolver_askers	 askers;
	/* done(closure): the last of them has gone */
	void			(*done)(void *closure);
	void			*closure;
	/* it asks itself, as others do, what mailmillctl wants to know */
	struct lookup		*lookup;
	struct mx_self		*self;
	struct resolver_ctls	 ctls;
	unsigned int		 nctls;
};

/* resolver_asker_open(r, who, fd): Answer that process; takes ${fd}.  Return 0,
 * or -1 with errno.
 * resolver_askers_close(r): All of them, without done(). */
int resolver_asker_open(struct resolver *r, const struct msg_peer *who,
    int fd);
void resolver_askers_close(struct resolver *r);

/* resolver_has_askers(r): Is there one beside this process itself? */
bool resolver_has_askers(const struct resolver *r);

/* resolver_ctl_begin(r, fd, request, len): Answer the request on mailmillctl's
 * connection ${fd}, which may be -1; takes ${fd}.
 * resolver_ctl_end_all(r): Tell all that wait to ask the next process. */
void resolver_ctl_begin(struct resolver *r, int fd, const char *request,
    unsigned int len);
void resolver_ctl_end_all(struct resolver *r);

#endif
