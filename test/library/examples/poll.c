/* A loop of poll(2), a virtual clock and a store of one's own:
 *	poll PORT MILLISECONDS
 * The clock begins in 1970 and stands still while there is something to do.  When
 * nothing has happened for MILLISECONDS, it is set to the next deadline of a
 * session.  So each run with the same clients is the same, and no timeout is
 * waited for.  Mail is printed: all that came in a pass of the loop is safe
 * together, at its end. */

#define _GNU_SOURCE	/* accept4(2) */
#include <mailmill/esmtp_factory.h>

#include <netinet/in.h>
#include <poll.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NSESSIONS	100

struct spool_msg {
	struct spool_msg *next;		/* printed, and not safe yet */
	esmtp_ticket ticket;		/* of the session that waits for that */
	char id[24];
	char *text;
	size_t len;
	FILE *file;
};

static struct timeval now;
static struct pollfd fds[1 + NSESSIONS];	/* the first one listens */
static Event *events[1 + NSESSIONS];		/* of sessions; NULL: none */
static struct spool_msg *printed;
static struct esmtp_host *host;

/* --- the store --------------------------------------------------------- */

static int
begin(void *spool, uint64_t handle, const struct timeval *at, struct spool_msg **msg_r)
{
	static unsigned long nmessages;
	struct spool_msg *m = calloc(1, sizeof(*m));

	(void)spool, (void)handle, (void)at;
	if (m == NULL || (m->file = open_memstream(&m->text, &m->len)) == NULL) {
		free(m);
		return -1;
	}
	snprintf(m->id, sizeof(m->id), "%lu", ++nmessages);
	*msg_r = m;
	return 0;
}

static const char *
id(const struct spool_msg *m)
{
	return m->id;
}

static int
append(struct spool_msg *m, const char *buf, size_t len)
{
	return fwrite(buf, 1, len, m->file) == len ? 0 : -1;
}

static void
forget(struct spool_msg *m)
{
	if (m == NULL)
		return;
	fclose(m->file);
	free(m->text);
	free(m);
}

/* The envelope is good for this call, the message until it is forgotten. */
static int
commit(struct spool_msg *m, const struct spool_envelope *env)
{
	size_t i;

	if (fflush(m->file) != 0)
		return -1;
	for (i = 0; i < env->nrcpts; i++)
		printf("%s to %s\n", env->sender, env->rcpts[i]);
	fwrite(m->text, 1, m->len, stdout);
	m->ticket = env->ticket;
	m->next = printed;
	printed = m;
	return 0;
}

/* One flush for all messages of a pass. */
static void
make_safe(void)
{
	int error = printed == NULL || (fflush(stdout) == 0 && !ferror(stdout)) ? 0 : EIO;
	struct spool_msg *m;

	while ((m = printed) != NULL) {
		printed = m->next;
		esmtp_answer(host, m->ticket, error);
		forget(m);
	}
}

/* --- the loop ---------------------------------------------------------- */

static void
step(size_t i, int type)
{
	Event *e = events[i];

	e->mask = e->callback(e, type, e->closure, &now);
	if (e->mask == 0) {	/* over: its descriptor is closed */
		esmtp_session_free(e->closure);
		event_free(e);
		events[i] = NULL;
		fds[i].fd = -1;
		return;
	}
	fds[i].events = (short)((e->mask & E_READ ? POLLIN : 0) | (e->mask & E_WRITE ? POLLOUT : 0));
	/* what waits for an answer alone is not polled */
	fds[i].fd = fds[i].events != 0 ? e->fd : -1;
}

static void
accept_session(struct esmtp_options *options)
{
	int fd = accept4(fds[0].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	accept_construct *ac;
	size_t i;

	if (fd == -1)
		return;
	for (i = 1; i <= NSESSIONS && events[i] != NULL; i++)
		continue;
	ac = i <= NSESSIONS ? esmtp_session_new(host, options, fd, NULL, &fds[i]) : NULL;
	if (ac == NULL) {
		close(fd);
		return;
	}
	events[i] = esmtp_session_event(ac);
	step(i, E_WRITE);
}

/* Nothing has happened: what comes next is a deadline. */
static void
turn_clock(void)
{
	const struct timeval *next = NULL;
	size_t i;

	for (i = 1; i <= NSESSIONS; i++)
		if (events[i] != NULL && events[i]->mask & E_TIMEOUT && (next == NULL || timercmp(&events[i]->trigger, next, <)))
			next = &events[i]->trigger;
	if (next != NULL && timercmp(&now, next, <))
		now = *next;
}

/* What has come true for session ${i}. */
static int
is_due(size_t i)
{
	short re = fds[i].fd != -1 ? fds[i].revents : 0;
	int type = re & (POLLIN | POLLHUP | POLLERR) ? E_READ : 0;

	if (re & (POLLOUT | POLLHUP | POLLERR))
		type |= E_WRITE;
	type &= events[i]->mask;
	if (events[i]->mask & E_TIMEOUT && !timercmp(&now, &events[i]->trigger, <))
		type |= E_TIMEOUT;
	return type;
}

int
main(int argc, char **argv)
{
	struct spool_ops spool = { sizeof(spool), begin, id, NULL, append, commit, forget, 0 };
	struct esmtp_options *options = esmtp_options_new("mx.example.test");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	accept_construct *ac;
	size_t i;
	int n, type;

	if (argc != 3)
		errx(2, "usage: poll PORT MILLISECONDS");
	at.sin_port = htons((in_port_t)atoi(argv[1]));
	for (i = 0; i <= NSESSIONS; i++)
		fds[i].fd = -1;
	fds[0].events = POLLIN;
	if (options == NULL || (host = esmtp_host_new(NULL, NULL, &spool, NULL)) == NULL)
		err(1, "mailmill");
	if ((fds[0].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) == -1 || listen(fds[0].fd, 10) == -1)
		err(1, "port %s", argv[1]);
	while ((n = poll(fds, 1 + NSESSIONS, atoi(argv[2]))) != -1 || errno == EINTR) {
		if (n == 0)
			turn_clock();
		for (i = 1; i <= NSESSIONS; i++)
			if (events[i] != NULL && (type = is_due(i)) != 0)
				step(i, type);
		if (n > 0 && fds[0].revents != 0)
			accept_session(options);
		make_safe();
		while ((ac = esmtp_answered(host)) != NULL)
			step((size_t)((struct pollfd *)esmtp_session_context(ac) - fds), E_ASYNC);
	}
	err(1, "poll");
}
