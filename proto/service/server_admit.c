/* May a client have one more session of a mailmill_server?  See
 * mailmill_server.h.
 * Owns: the session limits, and how a client is told that it is over one. */

#include "proto/service/server_int.h"

#include <sys/socket.h>

#include <errno.h>

#include "core/lim.h"

static int64_t
limit_of(const struct mailmill_server *server, const char *option)
{
	int64_t n = 0;

	(void)esmtp_options_number(server->options, option, &n);
	return n;
}

/* Where the options demand a PROXY header, the peer counts as a proxy until it
 * has named its client. */
static enum server_kind
kind_of(const struct mailmill_server *server, const struct sockaddr *peer)
{
	if (limit_of(server, "Proxy_Protocol") != 0)
		return SERVER_PROXY_ITSELF;
	return peer->sa_family == AF_INET || peer->sa_family == AF_INET6 ?
	    SERVER_DIRECT : SERVER_LOCAL;
}

/* How many sessions the client may have; 0: any number.  A busy proxy has many
 * sessions whose header is on its way, for a moment each.  Different clients
 * may connect to a local socket, and cannot be told apart. */
static int64_t
client_limit(const struct mailmill_server *server, enum server_kind kind)
{
	int64_t limit = limit_of(server, "Client_Sessions");

	if (kind == SERVER_LOCAL)
		return 0;
	return kind == SERVER_PROXY_ITSELF && limit > 0 &&
	    limit < SERVER_PROXY ? SERVER_PROXY : limit;
}

enum esmtp_reply_id
server_admit(struct mailmill_server *server, const accept_construct *ac,
    struct server_client **client_r)
{
	const struct sockaddr *peer = esmtp_session_peer(ac);
	enum server_kind kind = kind_of(server, peer);
	int64_t limit;

	/* the instance counts this connection already */
	limit = limit_of(server, "Listener_Sessions");
	if (limit > 0 && ac->inst->nconnections > limit)
		return RPL_SESSIONS;
	limit = limit_of(server, "Service_Sessions");
	if (limit > 0 && server->nopen >= limit)
		return RPL_SESSIONS;
	*client_r = server_client_join(peer, kind, client_limit(server, kind));
	if (*client_r != NULL)
		return RPL_OK;
	return errno == EUSERS ? RPL_CLIENT_SESSIONS : ESMTP_NREPLIES;
}

/* A client that expects TLS would take a line of text for a broken handshake,
 * and a proxy sends its header before it reads anything. */
void
server_admit_refuse(const struct mailmill_server *server, int fd,
    enum esmtp_reply_id id)
{
	char buf[LIM_REPLY_LINE];
	size_t len;

	if (id >= ESMTP_NREPLIES || limit_of(server, "Use_SSL") != 0 ||
	    limit_of(server, "Proxy_Protocol") != 0)
		return;
	len = esmtp_reply_row_format(id, buf, sizeof(buf));
	/* a new socket has room for one line; if not, the client only sees that
	 * the connection ends */
	(void)!send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A proxy has named the client of a session, which counts for that from now
 * on. */
int
server_peer_changed(void *closure, accept_construct *ac)
{
	struct mailmill_server *server = closure;
	struct server_session *s = server_session_of(ac);
	const struct sockaddr *peer = esmtp_session_peer(ac);
	struct server_client *c;

	/* one that is named again has this session already; and clients whose
	 * address is not known are not one */
	if (server_client_is(s->client, peer, SERVER_PROXIED) ||
	    peer->sa_family == AF_UNSPEC)
		return 1;
	c = server_client_join(peer, SERVER_PROXIED, client_limit(server,
	    SERVER_PROXIED));
	if (c == NULL) {
		esmtp_peer_done(ac, false);
		return 0;
	}
	server_client_leave(s->client);
	s->client = c;
	return 1;
}
