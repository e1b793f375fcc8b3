/* One connection to a next hop: the socket, until it is connected; then the
 * client engine's host.
 * Owns: the socket's options, the time for connecting.
 * Knows nothing of which mail it is given, and of other connections. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"

/* --- the engine's host ---------------------------------------------------- */

static enum smtp_next
on_next(void *host, struct smtp_client *, struct smtp_message *m_r)
{
	struct relay_conn *conn = host;

	if ((conn->mail = conn->ops->next(conn->closure, conn)) == NULL)
		return conn->state == CONN_LEAVING ? SMTP_NEXT_QUIT :
		    SMTP_NEXT_NONE;
	*m_r = (struct smtp_message){ .env = &conn->mail->env,
		.octets = conn->mail->record.body_octets };
	return SMTP_NEXT_MESSAGE;
}

static ssize_t
on_read(void *host, struct smtp_client *, uint64_t offset, char *buf,
    size_t size)
{
	struct relay_conn *conn = host;

	return conn->ops->read(conn->closure, conn->mail, offset, buf, size);
}

static void
on_rcpt(void *host, struct smtp_client *, size_t i,
    const struct smtp_result *result)
{
	struct relay_conn *conn = host;

	conn->ops->rcpt(conn->closure, conn, i, result);
}

static void
on_done(void *host, struct smtp_client *)
{
	struct relay_conn *conn = host;

	conn->ops->done(conn->closure, conn);
}

static void
on_ended(void *host, struct smtp_client *, const struct smtp_result *result)
{
	struct relay_conn *conn = host;
	struct smtp_result r = *result;
	struct job_error why;
	struct job_result jr;

	/* the dispatcher frees the event, the engine itself */
	conn->event = NULL;
	conn->client = NULL;
	jr = relay_said_outcome(&r, true, 0, conn->remote, &why);
	conn->ops->ended(conn->closure, conn, &why,
	    jr.errnum != 0 ? jr.errnum : EAGAIN);
}

static const struct smtp_client_ops client_ops = {
	.next = on_next,
	.read = on_read,
	.rcpt = on_rcpt,
	.done = on_done,
	.ended = on_ended
};

/* --- connecting ----------------------------------------------------------- */

static void
fail(struct relay_conn *conn, int errnum)
{
	struct job_error why;

	event_close(conn->event);
	smtp_client_free(conn->client);
	conn->event = NULL;
	conn->client = NULL;
	relay_said_failure(errnum, NULL, conn->remote, &why);
	conn->ops->ended(conn->closure, conn, &why, errnum);
}

/* The event's callback until the socket is connected. */
static int
on_connect(Event *event, int eventtype, void *closure, struct timeval *now)
{
	struct relay_conn *conn = closure;
	socklen_t len = sizeof(int);
	int errnum = ETIMEDOUT;

	if ((eventtype & ~E_TIMEOUT) != 0 && getsockopt(event->fd, SOL_SOCKET,
	    SO_ERROR, &errnum, &len) == -1)
		errnum = errno;
	if (errnum != 0) {
		fail(conn, errnum);
		return 0;
	}
	event->callback = smtp_client_event;
	event->closure = conn->client;
	return smtp_client_event(event, E_WRITE, conn->client, now);
}

/* Return a socket that is connected, or is being connected; or -1. */
static int
begin_connect(const struct route_addr *addr)
{
	bool is_unix = addr->kind == ROUTE_UNIX;
	int fd, one = 1, saved;
	socklen_t len = is_unix ? sizeof(addr->un) : addr_len(&addr->ip.sa);
	const struct sockaddr *sa = is_unix ?
	    (const struct sockaddr *)&addr->un : &addr->ip.sa;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return -1;
	/* commands come in groups, each in one write */
	if (!is_unix)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
	if (connect(fd, sa, len) == 0 || errno == EINPROGRESS ||
	    errno == EINTR)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

struct relay_conn *
relay_conn_open(const struct route_addr *addr,
    const struct smtp_client_options *options,
    const struct relay_conn_ops *ops, void *closure)
{
	struct relay_conn *conn;
	int fd, saved;

	if ((conn = calloc(1, sizeof(*conn))) == NULL)
		return NULL;
	conn->ops = ops;
	conn->closure = closure;
	relay_said_remote(addr, conn->remote);
	if ((fd = begin_connect(addr)) == -1)
		goto err1;
	if ((conn->client = smtp_client_new(options, &client_ops,
	    conn)) == NULL)
		goto err2;
	conn->event = build_event_from_now_f(RELAY_CONNECT_SECONDS, fd,
	    on_connect, conn);
	if (conn->event == NULL)
		goto err3;
	conn->event->mask = E_WRITE | E_TIMEOUT;
	if (schedule_event(conn->event) == 0)
		return conn;
	event_free(conn->event);
err3:
	smtp_client_free(conn->client);
err2:
	saved = errno;
	close(fd);
	errno = saved;
err1:
	saved = errno;
	free(conn);
	errno = saved;
	return NULL;
}

void
relay_conn_wake(struct relay_conn *conn)
{
	/* of a scheduled event, which this is, it cannot fail */
	(void)schedule_event_and_dispatch(conn->event, E_ASYNC);
}

void
relay_conn_kill(struct relay_conn *conn)
{
	struct timeval now = *scheduler_now();
	Event *event = conn->event;

	if (event->callback == on_connect) {
		fail(conn, ECANCELED);
	} else {
		smtp_client_stop(conn->client);
		(void)smtp_client_event(event, E_ASYNC, conn->client, &now);
	}
	event_free(event);
}

void
relay_conn_free(struct relay_conn *conn)
{
	free(conn);
}
