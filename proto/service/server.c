/* A server in a few lines; see mailmill_server.h.
 * Owns: their connections. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_malloc.h"

/* --- connections ---------------------------------------------------------- */

static void
session_end(void *, accept_construct *ac)
{
	struct server_session *s = server_session_of(ac);

	server_mail_leave(s);
	TAILQ_REMOVE(&s->server->sessions, s, link);
	free(s);
}

int
server_step(Event *e, int eventtype, void *closure, struct timeval *now)
{
	accept_construct *ac = closure;
	int mask = esmtp_message_factory(e, eventtype, ac, now);

	if (mask == 0) {
		netlistener_clean_accept_construct(ac);
		ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
	}
	return mask;
}

/* A connection has been accepted: make it a session. */
static int
on_accept(Event *, int, void *closure, struct timeval *)
{
	accept_construct *ac = closure;
	struct mailmill_server *server = ac->accept_construct_closure.vptr;
	struct server_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return 0;
	s->server = server;
	s->ac = ac;
	TAILQ_INSERT_TAIL(&server->sessions, s, link);
	ac->accept_construct_closure.vptr = NULL;
	ac->host = server->host;
	ac->options = server->options;
	ac->handle = (uintptr_t)s;
	snprintf(ac->id, sizeof(ac->id), "%" PRIX64, ++server->nsessions);
	return E_READ | E_WRITE;
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

/* What the first address needs. */
static int
open_host(struct mailmill_server *server)
{
	if (server_loop_join(&server->loop) == -1)
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
	server->def->opt_concurrency = SERVER_SESSIONS;
	return 0;
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
	TAILQ_FOREACH_SAFE(s, &server->sessions, link, next)
		drop(s);
	mailmill_netlistener_unregister(server->def);
	esmtp_host_free(server->host);
	esmtp_options_free(server->options);
	server_loop_leave(server->loop);
	free(server);
}
