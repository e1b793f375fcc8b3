/* A client of SMTP and LMTP for programs; see mailmill_client.h.
 * Owns: the connection, from the socket to its end.  What is said on it is the
 * engine's, proto/client/. */

#include "proto/mailmill_client.h"

#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "core/util/addr.h"
#include "core/util/fileio.h"
#include "core/util/require.h"
#include "proto/mailer/mailer_int.h"

#define CONNECT_SECONDS	30
#define SECONDS_MAX	86400	/* of an option */

/* --- the end -------------------------------------------------------------- */

/* The connection is over: nothing of it is used any more. */
static void
over(struct mailmill_client *client, const struct mailmill_client_result *r)
{
	struct mailmill_client_result waiting = *r;
	/* the program may set others in what is called here */
	void (*tls_end)(void *) = client->tls_ops.end;
	void *tls = client->tls;

	client->tls = NULL;
	client->engine = NULL;
	client->event = NULL;
	/* a server that has taken messages, or has said nothing against them,
	 * may take these, too */
	if (client->nbegun > 0 || waiting.outcome == MAILMILL_CLIENT_ACCEPTED)
		waiting.outcome = MAILMILL_CLIENT_UNSENT;
	mailer_messages_fail(client, &waiting);
	client->is_attached = client->is_connecting = false;
	client->is_stopped = client->is_leaving = false;
	client->nbegun = 0;
	if (client->on_ended != NULL)
		client->on_ended(client->closure, client, r);
	/* which has the words of ${r} */
	if (tls != NULL)
		tls_end(tls);
}

/* Without a server: what the engine says of one that has failed, RFC 3463 3.5 */
static void
over_unconnected(struct mailmill_client *client, int errnum)
{
	struct mailmill_client_result r = {
		.outcome = MAILMILL_CLIENT_UNSENT,
		.code = 451,
		.enhanced = errnum == ECANCELED ? "4.3.2" : "4.4.1",
		.words = errnum == ECANCELED ? "the client has been stopped" :
		    strerror(errnum),
		.command = "",
		.errnum = errnum == ECANCELED ? 0 : errnum
	};

	smtp_client_free(client->engine);
	event_close(client->event);
	over(client, &r);
}

/* A function that may have called the program is over. */
static void
leave(struct mailmill_client *client)
{
	if (--client->ncalls > 0 || !client->is_freed)
		return;
	(void)mailmill_client_set_tls(client, NULL, NULL);
	(void)mailmill_client_set_login(client, NULL, NULL);
	free(client->helo);
	free(client);
}

/* --- the engine's host ---------------------------------------------------- */

static enum smtp_next
host_next(void *host, struct smtp_client *, struct smtp_message *m_r)
{
	return mailer_message_next(host, m_r);
}

static ssize_t
host_read(void *host, struct smtp_client *, uint64_t offset, char *buf,
    size_t size)
{
	struct mailmill_client *client = host;

	return mailer_message_octets(client->current, offset, buf, size);
}

static void
host_rcpt(void *host, struct smtp_client *, size_t i,
    const struct smtp_result *result)
{
	struct mailmill_client *client = host;
	struct mailmill_client_result r;

	mailer_result(result, &r);
	mailer_message_told(client->current, i, &r);
}

static void
host_done(void *host, struct smtp_client *)
{
	struct mailmill_client *client = host;

	mailer_message_over(client->current);
}

static void
host_leaving(void *host, struct smtp_client *)
{
	struct mailmill_client *client = host;

	client->is_leaving = true;
}

static void
host_ended(void *host, struct smtp_client *, const struct smtp_result *result)
{
	struct mailmill_client *client = host;
	struct mailmill_client_result r;
	const char *why = "";

	mailer_result(result, &r);
	if (result->why == SMTP_WHY_TLS_FAILED && client->tls != NULL &&
	    client->tls_ops.why != NULL)
		why = client->tls_ops.why(client->tls);
	if (*why != '\0')
		r.words = why;
	over(client, &r);
}

/* --- the event ------------------------------------------------------------ */

/* What the socket says of its connection; ETIMEDOUT: it has said nothing for too
 * long.  -1: nothing yet. */
static int
connected(const struct mailmill_client *client, int eventtype)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (client->is_stopped)
		return ECANCELED;
	if (client->connect_errno != 0)
		return client->connect_errno;
	if ((eventtype & (E_WRITE | E_EXCEPTION)) == 0)
		return eventtype & E_TIMEOUT ? ETIMEDOUT : -1;
	if (getsockopt(client->event->fd, SOL_SOCKET, SO_ERROR, &errnum,
	    &len) == -1)
		return errno;
	return errnum;
}

static int
dispatch(struct mailmill_client *client, Event *e, int eventtype,
    struct timeval *now)
{
	int errnum;

	if (client->is_connecting) {
		if ((errnum = connected(client, eventtype)) == -1)
			return E_WRITE | E_TIMEOUT;
		client->is_connecting = false;
		if (errnum != 0) {
			over_unconnected(client, errnum);
			return 0;
		}
	}
	if (client->is_stopped)
		smtp_client_stop(client->engine);
	return smtp_client_event(e, eventtype, client->engine, now);
}

static int
step(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct mailmill_client *client = closure;
	int mask;

	client->ncalls++;
	mask = dispatch(client, e, eventtype, now);
	leave(client);
	return mask;
}

/* --- connections ---------------------------------------------------------- */

/* The engine and an event, which waits for ${mask}.  Return 0, or -1 with
 * errno. */
static int
begin(struct mailmill_client *client, int fd, int mask)
{
	if (client->engine != NULL)
		return errno = EISCONN, -1;
	if (client->is_freed || client->is_over)
		return errno = ESHUTDOWN, -1;
	client->options.helo = client->helo;
	client->engine = smtp_client_new(&client->options, &client->ops,
	    client);
	client->event = build_fd_event(fd, mask, E_AGGRESSIVE_NONE, step,
	    client);
	if (client->engine != NULL && client->event != NULL)
		return 0;
	smtp_client_free(client->engine);
	event_free(client->event);
	client->engine = NULL;
	client->event = NULL;
	return errno = ENOMEM, -1;
}

/* Return 0, or -1 with errno. */
static int
schedule(struct mailmill_client *client)
{
	int errnum;

	if (schedule_event(client->event) == 0)
		return 0;
	errnum = errno;
	smtp_client_free(client->engine);
	event_free(client->event);
	client->engine = NULL;
	client->event = NULL;
	return errno = errnum, -1;
}

int
mailmill_client_open(struct mailmill_client *client, int fd)
{
	if (begin(client, fd, E_READ | E_WRITE) == -1)
		return -1;
	return schedule(client);
}

Event *
mailmill_client_attach(struct mailmill_client *client, int fd)
{
	if (begin(client, fd, E_READ | E_WRITE) == -1)
		return NULL;
	client->is_attached = true;
	return client->event;
}

/* A socket that connects to ${address}, or has, or has failed: that is told when
 * the event is called, as what fails later.  -1 with errno. */
static int
connecting(const char *address, int *errnum_r)
{
	union { union addr a; struct sockaddr sa; struct sockaddr_un un; } to;
	const char *path;
	socklen_t len;
	int fd;

	memset(&to, 0, sizeof(to));
	if (strncasecmp(address, "unix:", 5) == 0) {
		path = address + 5;
		if (*path == '\0' || strlen(path) >= sizeof(to.un.sun_path))
			return errno = EINVAL, -1;
		to.un.sun_family = AF_UNIX;
		strcpy(to.un.sun_path, path);
		len = sizeof(to.un);
	} else if (addr_parse(address, &to.a) == 0)
		len = addr_len(&to.sa);
	else
		return errno = EINVAL, -1;
	fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	*errnum_r = fd == -1 || connect(fd, &to.sa, len) == 0 ||
	    errno == EINPROGRESS ? 0 : errno;
	return fd;
}

int
mailmill_client_connect(struct mailmill_client *client, const char *address)
{
	int fd, errnum;

	if (client->engine != NULL)
		return errno = EISCONN, -1;
	if ((fd = connecting(address, &errnum)) == -1)
		return -1;
	if (begin(client, fd, E_WRITE | E_TIMEOUT) == -1) {
		fileio_close(fd);
		return -1;
	}
	get_now(&client->event->trigger);
	client->event->trigger.tv_sec += client->connect_seconds;
	client->is_connecting = true;
	client->connect_errno = errnum;
	if (schedule(client) == 0)
		return 0;
	client->is_connecting = false;
	fileio_close(fd);
	return -1;
}

void
mailmill_client_quit(struct mailmill_client *client)
{
	if (client->engine == NULL)
		return;
	client->is_leaving = true;
	mailer_wake(client);
}

void
mailmill_client_stop(struct mailmill_client *client)
{
	struct mailmill_client_result r;

	if (client->engine != NULL) {
		client->is_stopped = true;
		mailer_wake(client);
		return;
	}
	/* a function that is told so already calls this */
	if (client->is_over)
		return;
	r = (struct mailmill_client_result){
		.outcome = MAILMILL_CLIENT_UNSENT, .code = 451,
		.enhanced = "4.3.2", .words = "the client has been stopped",
		.command = ""
	};
	client->ncalls++;
	mailer_messages_fail(client, &r);
	leave(client);
}

/* --- the client ----------------------------------------------------------- */

struct mailmill_client *
mailmill_client_new(const char *helo, mailmill_client_ended ended,
    void *closure)
{
	static const struct smtp_client_ops ops = { .next = host_next,
		.read = host_read, .rcpt = host_rcpt, .done = host_done,
		.leaving = host_leaving, .ended = host_ended };
	struct smtp_client_options options = { .helo = helo };
	struct mailmill_client *client;
	struct smtp_client *trial;

	if (helo == NULL)
		return errno = EINVAL, NULL;
	/* it checks the name */
	if ((trial = smtp_client_new(&options, &ops, NULL)) == NULL)
		return NULL;
	smtp_client_free(trial);
	if ((client = calloc(1, sizeof(*client))) == NULL)
		return NULL;
	if ((client->helo = strdup(helo)) == NULL) {
		free(client);
		return NULL;
	}
	client->on_ended = ended;
	client->closure = closure;
	client->connect_seconds = CONNECT_SECONDS;
	client->ops = ops;
	TAILQ_INIT(&client->queue);
	return client;
}

void
mailmill_client_free(struct mailmill_client *client)
{
	struct timeval now;
	Event *e;

	if (client == NULL || client->is_freed)
		return;
	e = client->event;
	REQUIRE_OUTSIDE("mailmill_client_free", client->ncalls > 0 &&
	    (e != NULL || client->is_over),
	    "a function of the client or its messages but ended()",
	    "call mailmill_client_stop() there");
	REQUIRE("mailmill_client_free", e == NULL || !client->is_attached,
	    "not while a loop of the program has its event: call "
	    "mailmill_client_stop() and the event's callback before");
	client->is_freed = true;
	client->ncalls++;
	if (e == NULL)
		mailmill_client_stop(client);
	else {
		client->is_stopped = true;
		event_unschedule(e);
		get_now(&now);
		(void)step(e, E_ASYNC, client, &now);
		event_free(e);
	}
	leave(client);
}

/* Return whether ${value} is from ${min} to ${max}. */
static bool
is_within(long value, long min, long max)
{
	return value >= min && value <= max;
}

int
mailmill_client_set(struct mailmill_client *client,
    enum mailmill_client_option option, long value)
{
	struct smtp_client_options *o = &client->options;
	static const long max[] = {
		[MAILMILL_CLIENT_LMTP] = 1,
		[MAILMILL_CLIENT_BDAT] = 1,
		[MAILMILL_CLIENT_TLS] = MAILMILL_CLIENT_TLS_FIRST,
		[MAILMILL_CLIENT_LOGIN] = MAILMILL_CLIENT_LOGIN_MUST,
		[MAILMILL_CLIENT_LOGIN_CLEAR] = 1,
		[MAILMILL_CLIENT_CONNECT_SECONDS] = SECONDS_MAX,
		[MAILMILL_CLIENT_REPLY_SECONDS] = SECONDS_MAX,
		[MAILMILL_CLIENT_IDLE_SECONDS] = SECONDS_MAX,
		[MAILMILL_CLIENT_CONVERT] = 1
	};

	if (client->engine != NULL)
		return errno = EISCONN, -1;
	if ((unsigned int)option >= sizeof(max) / sizeof(max[0]) ||
	    !is_within(value, option == MAILMILL_CLIENT_CONNECT_SECONDS,
	    max[option]))
		return errno = EINVAL, -1;
	switch (option) {
	case MAILMILL_CLIENT_LMTP:
		o->is_lmtp = value != 0;
		break;
	case MAILMILL_CLIENT_BDAT:
		o->is_bdat_preferred = value != 0;
		break;
	case MAILMILL_CLIENT_TLS:
		o->tls = (enum smtp_tls_use)value;
		break;
	case MAILMILL_CLIENT_LOGIN:
		o->login = (enum smtp_login_use)value;
		break;
	case MAILMILL_CLIENT_LOGIN_CLEAR:
		o->may_login_clear = value != 0;
		break;
	case MAILMILL_CLIENT_CONNECT_SECONDS:
		client->connect_seconds = (unsigned int)value;
		break;
	case MAILMILL_CLIENT_REPLY_SECONDS:
		o->reply_seconds = (unsigned int)value;
		break;
	case MAILMILL_CLIENT_IDLE_SECONDS:
		o->idle_seconds = (unsigned int)value;
		break;
	case MAILMILL_CLIENT_CONVERT:
		o->may_convert = value != 0;
		break;
	}
	return 0;
}

const char *
mailmill_client_state(const struct mailmill_client *client)
{
	if (client->engine == NULL)
		return "";
	return client->is_connecting ? "awaiting the connection" :
	    smtp_client_state(client->engine);
}

bool
mailmill_client_offers(const struct mailmill_client *client,
    const char *keyword)
{
	int i;

	if (client->engine == NULL)
		return false;
	for (i = 0; i < SMTP_NKEYWORDS; i++)
		if (strcasecmp(smtp_keyword_name((enum smtp_keyword)i),
		    keyword) == 0)
			return smtp_ehlo_has(smtp_client_ehlo(client->engine),
			    1u << i);
	return false;
}

bool
mailmill_client_is_tls(const struct mailmill_client *client)
{
	return client->engine != NULL && smtp_client_is_tls(client->engine);
}

bool
mailmill_client_is_verified(const struct mailmill_client *client)
{
	return mailmill_client_is_tls(client) && client->tls != NULL &&
	    client->tls_ops.is_verified(client->tls);
}

bool
mailmill_client_is_logged_in(const struct mailmill_client *client)
{
	return client->engine != NULL &&
	    smtp_client_is_logged_in(client->engine);
}
