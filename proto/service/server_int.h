/* What the files of mailmill_server.h share: server.c, the server and its
 * connections; server_mail.c, the questions about mail; server_spool.c, messages
 * in memory; server_octets.c, their octets; server_loop.c, the scheduler; server_find.c, which session is a
 * server's. */

#ifndef PROTO_SERVICE_SERVER_INT_H
#define PROTO_SERVICE_SERVER_INT_H

#include <sys/queue.h>

#include <stdbool.h>

#include "core/scheduler.h"
#include "core/spool.h"
#include "proto/esmtp_factory.h"
#include "proto/mailmill_server.h"
#include "proto/netlistener.h"

#define SERVER_MESSAGE	"25M"		/* octets of one, if nothing is set */
#define SERVER_HELD	(256u << 20)	/* of all messages of the process */
#define SERVER_SESSIONS	1000		/* of one address, at once */

/* The octets of a message, malloced. */
struct server_octets {
	char	*v;
	size_t	 len, room;
};

struct server_session {
	TAILQ_ENTRY(server_session) link;
	struct mailmill_server	*server;
	accept_construct	*ac;
	/* that is asked about; NULL: none.  While the commit waits for the answer,
	 * by the lock of server_mail.c */
	struct mailmill_mail	*mail;
};

struct mailmill_server {
	mailmill_server_ask	 on_sender, on_rcpt, on_message;
	void			*closure;
	struct esmtp_options	*options;
	struct esmtp_host_ops	 ops;
	struct esmtp_host	*host;		/* NULL: before the first address */
	struct server_loop	*loop;		/* NULL: none, or the program's */
	netlistener_def		*def;
	int			 port;		/* of the last address */
	TAILQ_HEAD(, server_session) sessions;
	uint64_t		 nmessages, nsessions;
};

/* server.c: server_step(): The callback of the sessions. */
int server_step(Event *e, int eventtype, void *closure, struct timeval *now);

/* server_find.c.
 * server_session_of(ac): NULL: it is no session of a server. */
struct server_session *server_session_of(const accept_construct *ac);

/* server_loop.c.
 * server_loop_join(&loop): Use the scheduler of the servers of this thread, which
 * is made if there is none; ${loop} stays NULL where the program has made one.
 * Return 0, or -1 with errno.  Once for a server.
 * server_loop_leave(loop): The last server destroys it.  NULL does nothing. */
int server_loop_join(struct server_loop **loop_r);
void server_loop_leave(struct server_loop *loop);

/* server_mail.c.
 * server_mail_register(): The policy that asks about addresses, once in a process.
 * Return 0, or -1 with errno.  Any thread.
 * server_mail_commit(s, body, env): Ask the program to make the message safe, and
 * answer env->ticket with what it says.  Return 0, which takes the octets of
 * ${body}; or -1 with errno.
 * server_mail_leave(s): The session ${s} ends: nobody waits for the answer to its
 * question. */
int server_mail_register(void);
int server_mail_commit(struct server_session *s, struct server_octets *body,
    const struct spool_envelope *env);
void server_mail_leave(struct server_session *s);

/* server_octets.c.
 * server_octets_add(o, buf, len): Append.  Return 0, or -1 (ENOSPC, ENOMEM).
 * server_octets_free(o): Any thread. */
int server_octets_add(struct server_octets *o, const char *buf, size_t len);
void server_octets_free(struct server_octets *o);

/* server_spool.c: its closure is the server, the handle of a session the address of
 * its server_session. */
extern const struct spool_ops server_spool;

#endif
