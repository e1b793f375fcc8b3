/* What the files of mailmill_client.h share: mailer.c, the connection,
 * mailer_message.c, the messages, mailer_login.c, TLS and logins as the engine
 * asks for them. */

#ifndef PROTO_MAILER_MAILER_INT_H
#define PROTO_MAILER_MAILER_INT_H

#include <sys/queue.h>

#include "core/scheduler.h"
#include "proto/client/smtp_client.h"
#include "proto/mailmill_client.h"

TAILQ_HEAD(mailer_messages, mailmill_message);

struct mailmill_message {
	TAILQ_ENTRY(mailmill_message) link;
	struct mailmill_client	*client;	/* that has it; NULL: none */
	mailmill_message_rcpt	 on_rcpt;
	mailmill_message_done	 on_done;
	void			*closure;
	struct spool_envelope	 env;		/* its arrays are those below */
	char			*sender, *envid;
	char			**rcpts, **orcpts;
	uint8_t			*notify;
	size_t			 rcpts_room, orcpts_room, notify_room;
	mailmill_message_read	 read;		/* NULL: ${body} */
	const char		*body;
	uint64_t		 octets;	/* of the body; of ${read}, as it was told */
};

struct mailmill_client {
	mailmill_client_ended	 on_ended;
	void			*closure;
	char			*helo;
	struct smtp_client_options options;
	unsigned int		 connect_seconds;
	struct mailmill_client_tls_ops	 tls_ops;	/* size 0: none */
	void			*tls_closure;
	struct mailmill_client_login_ops login_ops;	/* the same */
	void			*login_closure;
	struct smtp_client_ops	 ops;		/* of the engine */
	/* the connection */
	struct smtp_client	*engine;	/* NULL: there is none */
	Event			*event;
	void			*tls;		/* of tls_ops.start(), or NULL */
	void			*exchange;	/* of login_ops.begin(), or NULL */
	size_t			 nbegun;	/* messages that it has taken */
	int			 connect_errno;	/* of connect(2) itself, while is_connecting */
	bool			 is_attached;	/* the loop is the program's */
	bool			 is_connecting;
	bool			 is_stopped;
	bool			 is_leaving;	/* QUIT, after the messages that there are */
	bool			 is_over;	/* the messages that wait are told so */
	bool			 is_freed;
	struct mailer_messages	 queue;		/* the first may be under way */
	struct mailmill_message	*current;	/* the engine has it */
	unsigned int		 ncalls;	/* of functions of the program, or of the callback */
};

/* mailer_wake(client): Let the connection look for what has changed, unless the
 * loop is the program's. */
static inline void
mailer_wake(const struct mailmill_client *client)
{
	/* it is scheduled, so this needs no memory */
	if (client->event != NULL && !client->is_attached)
		(void)schedule_event_and_dispatch(client->event, E_ASYNC);
}

/* mailer_message.c.
 * mailer_result(r, result_r): What the engine says, as a program gets it.
 * mailer_message_next(client, m_r): Begin the first one: as next() of the engine.
 * mailer_message_read(m, ...): As read() of the engine.
 * mailer_message_told(m, i, r), mailer_message_over(m): Tell the program; the
 * second takes it out of the queue before.
 * mailer_messages_fail(client, r): All of the queue, that no connection has
 * begun. */
void mailer_result(const struct smtp_result *r,
    struct mailmill_client_result *result_r);
enum smtp_next mailer_message_next(struct mailmill_client *client,
    struct smtp_message *m_r);
ssize_t mailer_message_octets(struct mailmill_message *m, uint64_t offset,
    char *buf, size_t size);
void mailer_message_told(struct mailmill_message *m, size_t i,
    const struct mailmill_client_result *r);
void mailer_message_over(struct mailmill_message *m);
void mailer_messages_fail(struct mailmill_client *client,
    const struct mailmill_client_result *r);

/* mailer_login.c: mailer_ops(client): Set client->ops for what there is. */
void mailer_ops(struct mailmill_client *client);

#endif
