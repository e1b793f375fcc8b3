/* What the files of mailmill_server.h share:
 * server.c	the server and its connections
 * server_admit.c	the limits on sessions
 * server_client.c	the sessions and the memory of each client
 * server_mail.c	the questions about mail
 * server_name.c	the names that a program has for questions
 * server_rcpts.c	the recipients that questions name
 * server_spool.c	messages in memory
 * server_octets.c	the memory of a message as it grows
 * server_loop.c	the scheduler
 * server_find.c	which session belongs to which server */

#ifndef PROTO_SERVICE_SERVER_INT_H
#define PROTO_SERVICE_SERVER_INT_H

#include <sys/queue.h>

#include <stdbool.h>

#include "core/scheduler.h"
#include "core/spool.h"
#include "proto/esmtp_factory.h"
#include "proto/esmtp_reply.h"
#include "proto/mailmill_server.h"
#include "proto/netlistener.h"

#define SERVER_MESSAGE	"25M"		/* octets of one, if nothing is set */
#define SERVER_HELD	(256u << 20)	/* of messages and questions, of all */
#define SERVER_SHARE	(SERVER_HELD / 4) /* of a client, unless a message needs more */
#define SERVER_STEP	(8u << 20)	/* by which a large message grows */
#define SERVER_SESSIONS	1000		/* of one address, at once */
#define SERVER_NAME	48		/* octets that the name of a question takes */
#define SERVER_PROXY	(SERVER_SESSIONS / 4) /* of a proxy, before it names clients */

struct server_client;
struct server_question;
struct server_rcpt;

/* Memory of one client that grows. */
struct server_octets {
	struct server_client *client;
	char	*v;
	size_t	 len, room;
};

struct server_session {
	TAILQ_ENTRY(server_session) link;
	struct mailmill_server	*server;
	accept_construct	*ac;
	struct server_client	*client;
	struct server_rcpt	*rcpts;		/* of the last question; NULL: none */
	/* that is asked about; NULL: none.  While the commit waits for the
	 * answer, by the lock of server_mail.c */
	struct server_question	*question;
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
	unsigned int		 nopen;		/* of them */
	size_t			 share;		/* octets that one client may hold */
	uint64_t		 nsessions;
	unsigned int		 ncalls;	/* of its functions may be running */
};

/* server.c: server_step(): The callback of the sessions. */
int server_step(Event *e, int eventtype, void *closure, struct timeval *now);

/* server_find.c.
 * server_session_of(ac): NULL: it is no session of a server. */
struct server_session *server_session_of(const accept_construct *ac);

/* server_client.c: the clients of the process.  A client is an IPv4 address, or
 * an IPv6 network of 64 bits; those that connect directly, proxies, those that
 * proxies name, and local sockets are counted apart.  Any thread.
 * server_client_join(peer, kind, max): The client at ${peer} has one more
 * session; it may have ${max}, 0: any number.  NULL with errno: EUSERS, it has
 * them all; ENOMEM.
 * server_client_is(c, peer, kind): Is ${c} that one?
 * server_client_leave(c): It has one less.
 * server_client_take(c, octets, share): It has ${octets} more, of at most
 * ${share}.
 * Return 0, or -1 (ENOSPC): this, the bound for all clients, or that for a
 * larger IPv6 network would be exceeded.
 * server_client_give(c, octets): So many less.
 * ${c} is there while it has a session or any octets.
 * server_client_freeze(), server_client_thaw(is_child): Around fork(2).  A
 * child has none of the clients: they are its parent's. */
enum server_kind { SERVER_DIRECT, SERVER_PROXY_ITSELF, SERVER_PROXIED,
	SERVER_LOCAL };
struct server_client *server_client_join(const struct sockaddr *peer,
    enum server_kind kind, int64_t max);
bool server_client_is(const struct server_client *c,
    const struct sockaddr *peer, enum server_kind kind);
void server_client_leave(struct server_client *c);
int server_client_take(struct server_client *c, size_t octets, size_t share);
void server_client_give(struct server_client *c, size_t octets);
void server_client_freeze(void);
void server_client_thaw(bool is_child);

/* server_admit.c.
 * server_admit(server, ac, &client_r): May the client of ${ac} have a session?
 * RPL_OK, or how it is refused; ESMTP_NREPLIES: without a word.
 * server_admit_refuse(server, fd, id): Say ${id} in place of the banner.
 * server_peer_changed(): The host's function. */
enum esmtp_reply_id server_admit(struct mailmill_server *server,
    const accept_construct *ac, struct server_client **client_r);
void server_admit_refuse(const struct mailmill_server *server, int fd,
    enum esmtp_reply_id id);
int server_peer_changed(void *server, accept_construct *ac);

/* server_loop.c.
 * server_loop_join(&loop): Use the scheduler of the servers of this thread, which
 * is made if there is none; ${loop} stays NULL where the program has made one.
 * Return 0, or -1 with errno.  Once for a server.
 * server_loop_leave(loop): The last server destroys it.  NULL does nothing.
 * server_loop_is_needed(loop): It runs, and its last server asks. */
int server_loop_join(struct server_loop **loop_r);
bool server_loop_is_needed(const struct server_loop *loop);
void server_loop_leave(struct server_loop *loop);

/* server_mail.c.
 * server_mail_register(): The policy that asks about addresses, once in a
 * process.
 * Return 0, or -1 with errno.  Any thread.
 * server_mail_commit(s, body, env): Ask the program to make the message safe,
 * and answer env->ticket with what it says.  Return 0, which takes the octets
 * of ${body}; or -1 with errno.
 * server_mail_leave(s): The session ${s} ends: nobody waits for the answer to its
 * question.
 * server_mail_watch_fork(): No child of fork(2) finds a lock of servers held.
 * Once there is a scheduler.  Return 0, or -1 with errno ENOMEM. */
int server_mail_register(void);
int server_mail_commit(struct server_session *s, struct server_octets *body,
    const struct spool_envelope *env);
void server_mail_leave(struct server_session *s);
int server_mail_watch_fork(void);

/* server_name.c: under the lock of server_mail.c.
 * server_name_new(q): The name of ${q}, which no question has had for long.  NULL
 * with errno ENOMEM.
 * server_name_find(name): NULL: that question is not open.
 * server_name_drop(name): It is open no longer. */
struct mailmill_mail *server_name_new(struct server_question *q);
struct server_question *server_name_find(const struct mailmill_mail *name);
void server_name_drop(const struct mailmill_mail *name);

/* server_rcpts.c: lists of recipients, which questions share.  A list is named
 * by its last recipient; NULL is the empty one.
 * server_rcpts_follow(s): s->rcpts is what the session has now.  Return 0, or
 * -1 with errno.
 * server_rcpts_ref(r): One more uses it.  server_rcpts_unref(r): One less; any
 * thread.
 * server_rcpts_get(r, i): Number ${i}, NULL behind the last. */
int server_rcpts_follow(struct server_session *s);
struct server_rcpt *server_rcpts_ref(struct server_rcpt *r);
void server_rcpts_unref(struct server_rcpt *r);
const char *server_rcpts_get(const struct server_rcpt *r, size_t i);

/* server_octets.c.
 * server_octets_add(o, buf, len, share): Append; o->client may hold ${share}.
 * Return 0, or -1 (ENOSPC, ENOMEM).
 * server_octets_trim(o): It does not grow any more.
 * server_octets_free(o): Any thread. */
int server_octets_add(struct server_octets *o, const char *buf, size_t len,
    size_t share);
void server_octets_trim(struct server_octets *o);
void server_octets_free(struct server_octets *o);

/* server_spool.c: the handle of a session is the address of its
 * server_session. */
extern const struct spool_ops server_spool;

#endif
