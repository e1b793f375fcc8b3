/* ETRN: a client wants what is deferred for its domain.
 * Owns: how often each client may ask the queue process for that.
 * The queue itself bounds how often it begins (core/queue/queue_start.c).  The
 * answer is given before it has begun: it may take long. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <stdlib.h>
#include <xxhash.h>

#include "core/process/log.h"
#include "core/util/addr.h"
#include "core/util/monotonic.h"

#define RATE	4	/* a second, of one share.  All together have less than the queue takes from a worker: queue_etrn.c */
#define ROOM	50	/* at once */

void
host_etrn_open(struct worker *w)
{
	size_t i;

	arc4random_buf(&w->etrn.secret, sizeof(w->etrn.secret));
	for (i = 0; i < ETRN_SHARES; i++)
		bucket_init_room(&w->etrn.shares[i], RATE, ROOM,
		    monotonic_ms());
}

/* Several clients may have one share, but few of them use ETRN. */
static struct bucket *
share_of(struct worker *w, const struct sockaddr *peer)
{
	unsigned char network[ADDR_NETWORK];

	addr_network(peer, network);
	return &w->etrn.shares[XXH64(network, sizeof(network),
	    w->etrn.secret) % ETRN_SHARES];
}

enum esmtp_start_status
host_etrn_start(void *host, accept_construct *ac, const char *domain,
    int has_subdomains)
{
	struct worker *w = host;
	const struct sockaddr *peer = &ac->remote_addr.sa;
	char buf[ADDR_TEXT];

	if (peer->sa_family == AF_UNSPEC)
		peer = esmtp_session_via(ac);
	if (!bucket_take_n(share_of(w, peer), 1, monotonic_ms()) ||
	    tell_start(w, domain, has_subdomains != 0) == -1)
		return ESMTP_START_LATER;
	if (log_clients_may(&w->log_clients, peer, monotonic_ms()))
		log_event(LOG_LEVEL_INFO, "etrn",
		    "session=%s client=%s listener=%s user=%s domain=%s "
		    "subdomains=%s",
		    ac->id, addr_text(&ac->remote_addr.sa, buf),
		    w->child->settings->listens[ac->listener].name,
		    esmtp_session_login(ac), domain,
		    has_subdomains ? "yes" : "no");
	return ESMTP_START_OK;
}
