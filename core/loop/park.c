/* Parking of idle descriptors behind epoll(7); see park.h. */

#include "core/loop/park.h"

#include <sys/epoll.h>

#include <poll.h>
#include <stdint.h>
#include <unistd.h>

void
park_init(struct park *p)
{
	p->epfd = -1;
	p->count = 0;
}

int
park_add(struct park *p, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (p->epfd == -1) {
		p->epfd = epoll_create1(EPOLL_CLOEXEC);
		if (p->epfd == -1)
			return -1;
	}
	if (epoll_ctl(p->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		return -1;
	p->count++;
	return 0;
}

void
park_remove(struct park *p, int fd)
{
	/* fails only for a descriptor that was closed already: the kernel has
	 * removed it from the set then */
	epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
	p->count--;
}

static short
poll_events(uint32_t events)
{
	short revents = 0;

	if (events & EPOLLIN)
		revents |= POLLIN;
	if (events & EPOLLERR)
		revents |= POLLERR;
	if (events & EPOLLHUP)
		revents |= POLLHUP;
	return revents;
}

size_t
park_collect(struct park *p, struct park_ready *ready_r, size_t n)
{
	struct epoll_event ev[PARK_BATCH];
	int i, got;

	if (n > PARK_BATCH)
		n = PARK_BATCH;
	got = epoll_wait(p->epfd, ev, (int)n, 0);
	for (i = 0; i < got; i++) {
		ready_r[i].fd = ev[i].data.fd;
		ready_r[i].revents = poll_events(ev[i].events);
	}
	return got > 0 ? (size_t)got : 0;
}

void
park_free(struct park *p)
{
	park_abandon(p);
	p->count = 0;
}

void
park_abandon(struct park *p)
{
	int fd = p->epfd;

	/* first, so that no thread that forks meanwhile finds a number there
	 * which is another descriptor's already */
	__atomic_store_n(&p->epfd, -1, __ATOMIC_RELEASE);
	if (fd != -1)
		close(fd);
}
