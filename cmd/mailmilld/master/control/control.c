/* The Unix socket of mailmillctl.
 * Owns: the socket, its connections: one request line in, one line out.
 * A stop or a reload that is asked for is noted; step.c acts on it.
 * A request about the queue, or for a look-up, goes to the queue process, or the
 * resolver, together with its connection, and that process answers it. */

#include "cmd/mailmilld/master/control/control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"

#define CONNECTIONS_MAX		32
#define ROLE_WAIT_S		10	/* for a process that is starting */
#define REQUEST_TIMEOUT_S	30	/* for a client to send or read something */
#define RELOAD_WAIT_S		100	/* mailmillctl gives up after 120 */

struct conn {
	TAILQ_ENTRY(conn)	 link;
	struct control		*control;
	Event			*event;
	char			*buf;		/* the request, then the answer */
	size_t			 len;
	size_t			 done;		/* octets of the answer written */
	bool			 is_answering;
	unsigned int		 request;	/* a reload that it waits for; 0: none */
	enum role_id		 wants;		/* waits for a process of that role;
						 * ROLE_MASTER: for none */
	bool			 stays;		/* open until the master ends */
};

struct control {
	struct master		*master;
	Event			*event;
	char			 path[108];
	TAILQ_HEAD(, conn)	 conns;
	unsigned int		 nconns;
};

static void
conn_free(struct conn *c)
{
	TAILQ_REMOVE(&c->control->conns, c, link);
	c->control->nconns--;
	free(c->buf);
	free(c);
}

/* The last step of a connection's callback: the scheduler frees the event. */
static int
conn_end(struct conn *c)
{
	event_close(c->event);
	conn_free(c);
	return 0;
}

static int
wait_for(struct conn *c, int mask, const struct timeval *now, int limit_s)
{
	c->event->trigger = *now;
	c->event->trigger.tv_sec += limit_s;
	return mask | E_TIMEOUT;
}

/* --- answering ------------------------------------------------------------ */

/* takes ${answer}; the request is not needed any more. */
static void
conn_answer(struct conn *c, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	int len = -1;

	json_decref(answer);
	free(c->buf);
	if (text == NULL || (len = asprintf(&c->buf, "%s\n", text)) == -1)
		c->buf = NULL;
	free(text);
	c->len = len == -1 ? 0 : (size_t)len;
	c->done = 0;
	c->is_answering = true;
}

static int
conn_write(struct conn *c, const struct timeval *now)
{
	int n, needmask = E_WRITE;

	while (c->done < c->len) {
		n = event_write(c->event, c->buf + c->done,
		    (int)(c->len - c->done), &needmask);
		if (n == -1 && errno == EAGAIN)
			return wait_for(c, needmask, now,
			    REQUEST_TIMEOUT_S);
		if (n <= 0)
			return conn_end(c);
		c->done += (size_t)n;
	}
	if (!c->stays)
		return conn_end(c);
	/* mailmillctl stop waits for the end of the connection */
	return E_READ;
}

static int
conn_error(struct conn *c, const char *text, const struct timeval *now)
{
	conn_answer(c, json_pack("{s:s}", "error", text));
	return conn_write(c, now);
}

/* --- commands ------------------------------------------------------------- */

/* Wait for the reload, or for the client to leave, which E_EXCEPTION tells: a
 * client that has only closed its own direction still reads the answer. */
static int
do_reload(struct conn *c, const struct timeval *now)
{
	c->request = master_wants_reload(c->control->master);
	return wait_for(c, E_ASYNC | E_EXCEPTION, now, RELOAD_WAIT_S);
}

static int
reload_takes_long(struct conn *c, const struct timeval *now)
{
	c->request = 0;
	return conn_error(c, "the reload is still in progress, the log will "
	    "say how it ends", now);
}

/* The reload that ${c} has asked for is over. */
static void
reload_over(struct conn *c)
{
	const struct master *m = c->control->master;

	conn_answer(c, *m->reload_error != '\0' ?
	    json_pack("{s:s}", "error", m->reload_error) :
	    json_pack("{s:b, s:i, s:s}", "ok", 1, "generation",
	    (int)m->config.generation, "needs_restart", m->reload_fixed));
	c->request = 0;
	schedule_event_and_dispatch(c->event, E_WRITE);
}

static int
do_stop(struct conn *c, const struct timeval *now)
{
	struct master *m = c->control->master;

	log_event(LOG_LEVEL_NOTICE, "stop", "mode=drain by=%s", "mailmillctl");
	c->stays = true;
	conn_answer(c, json_pack("{s:b, s:i, s:I}", "ok", 1, "pid",
	    (int)getpid(), "drain_time",
	    (json_int_t)m->config.settings->drain_time));
	master_wants_stop(m, STOP_DRAIN);
	return conn_write(c, now);
}

/* "the ROLE process ${what}" */
static int
conn_error_of(struct conn *c, enum role_id role, const char *what,
    const struct timeval *now)
{
	char text[128];

	snprintf(text, sizeof(text), "the %s process %s", role_name(role),
	    what);
	return conn_error(c, text, now);
}

static int
not_there(struct conn *c, const char *why, const struct timeval *now)
{
	enum role_id role = c->wants;

	c->wants = ROLE_MASTER;
	return conn_error_of(c, role, why, now);
}

/* The connection goes to the process of c->wants, when there is one. */
static int
do_pass_on(struct conn *c, const struct timeval *now)
{
	struct master *m = c->control->master;
	struct msg_control mc = { .octets = (uint32_t)c->len };
	enum role_id role = c->wants;
	struct proc *p = proc_find(m, role, m->config.generation);
	int fd;

	if (p == NULL && role_count(m->config.settings, role) == 0)
		return not_there(c, "is not in use: the configuration has "
		    "none", now);
	if (p == NULL || p->state != PROC_READY)
		return E_ASYNC | E_TIMEOUT;
	c->wants = ROLE_MASTER;
	if ((fd = fcntl(c->event->fd, F_DUPFD_CLOEXEC, 0)) == -1 ||
	    chanev_send(p->ce, M_CONTROL, &mc, c->buf,
	    (unsigned int)c->len, fd) == -1) {
		if (fd != -1)
			close(fd);
		return conn_error_of(c, role, "cannot be reached, try again",
		    now);
	}
	return conn_end(c);
}


void
control_step(struct master *m)
{
	struct conn *c;

	m->has_reload_answer = false;
	if (m->control == NULL)
		return;
	TAILQ_FOREACH(c, &m->control->conns, link) {
		if (c->wants != ROLE_MASTER)
			schedule_event_and_dispatch(c->event, E_ASYNC);
		if (c->request != 0 && c->request <= m->reload_answered)
			reload_over(c);
	}
}

static int
conn_request(struct conn *c, const struct timeval *now)
{
	enum control_command command = control_parse(c->buf, c->len);

	switch (command) {
	case CONTROL_STATUS:
		conn_answer(c, status_json(c->control->master));
		return conn_write(c, now);
	case CONTROL_STATS:
		conn_answer(c, stats_json(c->control->master));
		return conn_write(c, now);
	case CONTROL_RELOAD:
		return do_reload(c, now);
	case CONTROL_STOP:
		return do_stop(c, now);
	case CONTROL_QUEUE:
	case CONTROL_LOOKUP:
	case CONTROL_STS:
		c->wants = command == CONTROL_QUEUE ? ROLE_QUEUE :
		    command == CONTROL_STS ? ROLE_STS : ROLE_RESOLVER;
		(void)wait_for(c, 0, now, ROLE_WAIT_S);
		return do_pass_on(c, now);
	case CONTROL_BAD:
		break;
	}
	return conn_error(c, "expected one line with a JSON object that has a "
	    "known \"command\"", now);
}

/* --- connections ---------------------------------------------------------- */

static int
conn_read(struct conn *c, const struct timeval *now)
{
	int n, needmask = E_READ;
	char *nl;

	n = event_read(c->event, c->buf + c->len,
	    (int)(MSG_CONTROL_OCTETS - c->len), &needmask);
	if (n == -1 && errno == EAGAIN)
		return wait_for(c, needmask, now,
			    REQUEST_TIMEOUT_S);
	if (n <= 0)
		return conn_end(c);
	c->len += (size_t)n;
	if ((nl = memchr(c->buf, '\n', c->len)) != NULL) {
		c->len = (size_t)(nl - c->buf);
		return conn_request(c, now);
	}
	if (c->len == MSG_CONTROL_OCTETS) {
		return conn_error(c, "the request is too long", now);
	}
	return wait_for(c, E_READ, now, REQUEST_TIMEOUT_S);
}

static int
conn_callback(Event *, int eventtype, void *closure, struct timeval *now)
{
	struct conn *c = closure;

	if (c->wants != ROLE_MASTER)
		return (eventtype & E_TIMEOUT) != 0 ? not_there(c, "is not "
		    "running now, the log says why; try again when it is",
		    now) : do_pass_on(c, now);
	if (c->request != 0)
		return (eventtype & E_EXCEPTION) != 0 ? conn_end(c) :
		    reload_takes_long(c, now);
	if ((eventtype & (E_READ | E_WRITE | E_ASYNC | E_EXCEPTION)) == 0)
		return conn_end(c);		/* E_TIMEOUT alone */
	if (c->is_answering && c->done == c->len)
		return conn_end(c);		/* mailmillctl has left */
	return c->is_answering ? conn_write(c, now) : conn_read(c, now);
}

static int
conn_open(struct control *ctl, int fd)
{
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return -1;
	c->control = ctl;
	if ((c->buf = malloc(MSG_CONTROL_OCTETS)) == NULL)
		goto err1;
	c->event = build_event_from_now_f(REQUEST_TIMEOUT_S, fd, conn_callback,
	    c);
	if (c->event == NULL)
		goto err1;
	c->event->mask = E_READ | E_TIMEOUT;
	if (schedule_event(c->event) == -1)
		goto err2;
	TAILQ_INSERT_TAIL(&ctl->conns, c, link);
	ctl->nconns++;
	return 0;
err2:
	event_free(c->event);
err1:
	free(c->buf);
	free(c);
	return -1;
}

static int
control_accept(Event *e, int, void *closure, struct timeval *)
{
	struct control *ctl = closure;
	int fd;

	fd = accept4(e->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1 && (ctl->nconns >= CONNECTIONS_MAX ||
	    conn_open(ctl, fd) == -1))
		close(fd);
	return E_READ;
}

/* --- the socket ----------------------------------------------------------- */

static int
control_bind(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* We have the pid file's lock, so a socket that is there belongs to a
	 * server that has died.  Anything else is a mistake in the
	 * configuration. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
	mask = umask(0177);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (rc == 0)
		rc = listen(fd, CONNECTIONS_MAX);
	if (rc == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
control_open(struct master *m)
{
	const char *path = m->config.settings->control;
	struct control *ctl;
	int fd;

	if ((ctl = calloc(1, sizeof(*ctl))) == NULL)
		goto err1;
	ctl->master = m;
	TAILQ_INIT(&ctl->conns);
	strlcpy(ctl->path, path, sizeof(ctl->path));
	if (rundir_make(path) == -1 || (fd = control_bind(path)) == -1)
		goto err2;
	if ((ctl->event = watch_fd(fd, E_READ, control_accept, ctl)) == NULL)
		goto err3;
	m->control = ctl;
	return 0;
err3:
	close(fd);
err2:
	free(ctl);
err1:
	log_err("control", "socket=%s", path);
	return -1;
}

void
control_close(struct master *m)
{
	struct control *ctl = m->control;
	struct conn *c;

	if (ctl == NULL)
		return;
	m->control = NULL;
	(void)unlink(ctl->path);
	watch_close(&ctl->event);
	while ((c = TAILQ_FIRST(&ctl->conns)) != NULL) {
		watch_close(&c->event);
		conn_free(c);
	}
	free(ctl);
}
