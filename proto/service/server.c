/* A server in a few lines; see mailmill_server.h.
 * Owns: their connections. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_malloc.h"
#include "core/lim.h"
#include "core/util/require.h"

/* --- connections ---------------------------------------------------------- */

static void
session_end(void *, accept_construct *ac)
{
	struct server_session *s = server_session_of(ac);

	server_mail_leave(s);
	server_rcpts_unref(s->rcpts);
	server_client_leave(s->client);
	TAILQ_REMOVE(&s->server->sessions, s, link);
	s->server->nopen--;
	free(s);
}

int
server_step(Event *e, int eventtype, void *closure, struct timeval *now)
{
	accept_construct *ac = closure;
	struct mailmill_server *server = server_session_of(ac)->server;
	int mask;

	server->ncalls++;
	mask = esmtp_message_factory(e, eventtype, ac, now);
	server->ncalls--;
	if (mask == 0) {
		netlistener_clean_accept_construct(ac);
		ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
	}
	return mask;
}

/* The session of the connection ${ac}.  NULL: ENOMEM. */
static struct server_session *
session_new(struct mailmill_server *server, accept_construct *ac,
    struct server_client *client)
{
	struct server_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->server = server;
	s->ac = ac;
	s->client = client;
	TAILQ_INSERT_TAIL(&server->sessions, s, link);
	server->nopen++;
	ac->accept_construct_closure.vptr = NULL;
	ac->host = server->host;
	ac->options = server->options;
	ac->handle = (uintptr_t)s;
	snprintf(ac->id, sizeof(ac->id), "%" PRIX64, ++server->nsessions);
	return s;
}

/* A connection has been accepted: make it a session, or have it closed. */
static int
on_accept(Event *e, int, void *closure, struct timeval *)
{
	accept_construct *ac = closure;
	struct mailmill_server *server = ac->accept_construct_closure.vptr;
	struct server_client *client;
	enum esmtp_reply_id id = server_admit(server, ac, &client);

	if (id != RPL_OK) {
		server_admit_refuse(server, e->fd, id);
		return 0;
	}
	if (session_new(server, ac, client) != NULL)
		return E_READ | E_WRITE;
	server_client_leave(client);
	return 0;
}

/* End a session without a word. */
static void
drop(struct server_session *s)
{
	struct mailmill_server *server = s->server;
	const struct esmtp_host_ops *ops = &server->ops;
	accept_construct *ac = s->ac;
	message_construct *mc = accept_construct_get_message_construct(ac);
	Event *e = ac->event;

	if (mc != NULL)
		esmtp_destroy_message_construct(mc);
	if (ops->tls_end != NULL)
		ops->tls_end(ops->tls_closure != NULL ? ops->tls_closure :
		    server, ac);
	session_end(NULL, ac);
	(void)event_close(e);
	event_free(e);
	netlistener_clean_accept_construct(ac);
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
}

/* --- the server ----------------------------------------------------------- */

struct mailmill_server *
mailmill_server_new(const char *hostname, mailmill_server_ask message,
    void *closure)
{
	struct mailmill_server *server;

	if (message == NULL) {
		errno = EINVAL;
		return NULL;
	}
	if (server_mail_register() == -1 ||
	    (server = calloc(1, sizeof(*server))) == NULL)
		return NULL;
	TAILQ_INIT(&server->sessions);
	server->on_message = message;
	server->closure = closure;
	server->ops.size = sizeof(server->ops);
	server->ops.session_end = session_end;
	server->ops.peer_changed = server_peer_changed;
	if ((server->options = esmtp_options_new(hostname)) != NULL &&
	    mailmill_server_set(server, "Max_Message_Size", SERVER_MESSAGE,
	    NULL, 0) == 0)
		return server;
	mailmill_server_free(server);
	return NULL;
}

void
mailmill_server_on_sender(struct mailmill_server *server,
    mailmill_server_ask f)
{
	server->on_sender = f;
}

void
mailmill_server_on_rcpt(struct mailmill_server *server, mailmill_server_ask f)
{
	server->on_rcpt = f;
}

int
mailmill_server_set(struct mailmill_server *server, const char *name,
    const char *value, char *error_r, size_t len)
{
	return esmtp_options_set(server->options, name, value, error_r, len);
}

const struct esmtp_options *
mailmill_server_options(const struct mailmill_server *server)
{
	return server->options;
}

struct esmtp_host_ops *
mailmill_server_ops(struct mailmill_server *server)
{
	return &server->ops;
}

/* The octets that a client may hold: one message of the greatest size has room,
 * with its recipients.  0: there is none for such a message. */
static size_t
share_of(const struct esmtp_options *options)
{
	int64_t max = 0, nrcpts = 0;

	(void)esmtp_options_number(options, "Max_Message_Size", &max);
	(void)esmtp_options_number(options, "Max_Recipients_Per_Message",
	    &nrcpts);
	if (max == 0 || max > (int64_t)SERVER_HELD)
		return 0;
	max += (nrcpts + 2) * (LIM_PATH + 64) + LIM_SCRATCH + SERVER_STEP;
	if (max > (int64_t)SERVER_HELD)
		return 0;
	return (size_t)max > SERVER_SHARE ? (size_t)max : SERVER_SHARE;
}

/* Connections of an address at once: enough that Listener_Sessions is what
 * refuses one more. */
static int
concurrency_of(const struct esmtp_options *options)
{
	int64_t n = 0;

	(void)esmtp_options_number(options, "Listener_Sessions", &n);
	return n < SERVER_SESSIONS ? SERVER_SESSIONS : (int)n + 1;
}

/* What the first address needs. */
static int
open_host(struct mailmill_server *server)
{
	if ((server->share = share_of(server->options)) == 0) {
		errno = EFBIG;
		return -1;
	}
	if (server_loop_join(&server->loop) == -1 ||
	    server_mail_watch_fork() == -1)
		return -1;
	if (server->host == NULL && (server->host = esmtp_host_new(
	    &server->ops, server, &server_spool, server)) == NULL)
		return -1;
	if (server->def != NULL)
		return 0;
	server->def = netlistener_register3("ESMTP", server_step, on_accept,
	    server);
	if (server->def == NULL)
		return -1;
	server->def->opt_concurrency = concurrency_of(server->options);
	(void)esmtp_host_set(server->host, ESMTP_HOST_RCPTS_MAX,
	    LIM_RCPTS_WORKER);
	return esmtp_host_set(server->host, ESMTP_HOST_CLIENT_RCPTS_MAX,
	    LIM_RCPTS_CLIENT);
}

int
mailmill_server_listen(struct mailmill_server *server, const char *address)
{
	if (open_host(server) == -1 ||
	    netlistener_instantiate_addr(server->def, NULL, address) == 0)
		return -1;
	server->port = mailmill_netlistener_port(
	    mailmill_netlistener_find(address));
	return 0;
}

int
mailmill_server_port(const struct mailmill_server *server)
{
	return server->port;
}

void
mailmill_server_free(struct mailmill_server *server)
{
	struct server_session *s, *next;

	if (server == NULL)
		return;
	REQUIRE_OUTSIDE("mailmill_server_free", server->ncalls > 0 ||
	    server_loop_is_needed(server->loop), "a callback",
	    "mailmill_server_stop(), and when mailmill_server_run() has returned");
	/* for the functions that are told of its last sessions */
	server->ncalls++;
	mailmill_netlistener_unregister(server->def);
	TAILQ_FOREACH_SAFE(s, &server->sessions, link, next)
		drop(s);
	esmtp_host_free(server->host);
	esmtp_options_free(server->options);
	server_loop_leave(server->loop);
	free(server);
}
