/* A loop, a clock and a store of one's own: epoll PORT MILLISECONDS.
 * The loop is epoll(7).  The clock begins in 1970, and each pass of the loop, which
 * waits for MILLISECONDS at most, is a second.  Mail is printed. */

#define _GNU_SOURCE	/* accept4(2) */
#include <mailmill/esmtp_factory.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool_msg { size_t len; char text[1 << 20]; };

static struct timeval now;
static int epfd;
static Event *events[1024];		/* of sessions, by descriptor */
static struct esmtp_host *host;

static int
begin(void *spool, uint64_t handle, const struct timeval *at, struct spool_msg **msg_r)
{
	(void)spool, (void)handle, (void)at;
	return (*msg_r = calloc(1, sizeof(**msg_r))) != NULL ? 0 : -1;
}

static int
append(struct spool_msg *m, const char *buf, size_t len)
{
	if (len > sizeof(m->text) - m->len)
		return errno = ENOSPC, -1;
	memcpy(m->text + m->len, buf, len);
	m->len += len;
	return 0;
}

static void forget(struct spool_msg *m) { free(m); }

static int
commit(struct spool_msg *m, const struct spool_envelope *env)
{
	int is_safe = printf("%s to %s\n", env->sender, env->rcpts[0]) > 0 &&
	    fwrite(m->text, 1, m->len, stdout) == m->len && fflush(stdout) == 0;

	free(m);
	return esmtp_answer(host, env->ticket, is_safe ? 0 : EIO);
}

static void
step(int fd, int type)
{
	Event *e = events[fd];
	struct epoll_event ev = { 0, { .fd = fd } };

	e->mask = e->callback(e, type, e->closure, &now);
	ev.events = (e->mask & E_READ ? EPOLLIN : 0) | (e->mask & E_WRITE ? EPOLLOUT : 0);
	if (e->mask == 0) {	/* over: its descriptor is closed */
		events[fd] = NULL;
		esmtp_session_free(e->closure);
		event_free(e);
	} else if (epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &ev) == -1 && epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
}

int
main(int argc, char **argv)
{
	struct spool_ops spool = { .size = sizeof(spool), .begin = begin, .append = append, .commit = commit, .abort = forget };
	struct esmtp_options *options = esmtp_options_new("mx.example.test");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(argc == 3 ? (in_port_t)atoi(argv[1]) : 0), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd, n;
	struct epoll_event ev = { EPOLLIN, { .fd = s } };
	accept_construct *ac;

	if (argc != 3)
		errx(2, "usage: epoll PORT MILLISECONDS");
	epfd = epoll_create1(0);
	host = esmtp_host_new(NULL, NULL, &spool, NULL);
	if (options == NULL || host == NULL || bind(s, (struct sockaddr *)&at, sizeof(at)) == -1 || listen(s, 10) == -1 || epoll_ctl(epfd, EPOLL_CTL_ADD, s, &ev) == -1)
		err(1, "port %s", argv[1]);
	for (; (n = epoll_wait(epfd, &ev, 1, atoi(argv[2]))) != -1; now.tv_sec++) {
		for (fd = 0; fd < 1024; fd++)
			if (events[fd] != NULL && events[fd]->mask & E_TIMEOUT && !timercmp(&now, &events[fd]->trigger, <))
				step(fd, E_TIMEOUT);
		if (n == 1 && ev.data.fd != s && events[ev.data.fd] != NULL)
			step(ev.data.fd, events[ev.data.fd]->mask & (E_READ | E_WRITE));
		if (n != 1 || ev.data.fd != s || (fd = accept4(s, NULL, NULL, SOCK_NONBLOCK)) == -1)
			continue;
		if (fd < 1024 && (ac = esmtp_session_new(host, options, fd, NULL, NULL)) != NULL) {
			events[fd] = esmtp_session_event(ac);
			step(fd, E_WRITE);
		} else			/* too many, or no memory */
			close(fd);
	}
	err(1, "epoll_wait");
}
