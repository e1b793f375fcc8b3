/* libcurl's transfers on our loop; see sts_loop.h.
 *
 * The sockets of all transfers are in one epoll(7) set, which is one descriptor of
 * the loop: libcurl says what each waits for, and closes it when it likes. */

#include "cmd/mailmilld/sts/sts_loop.h"

#include <sys/epoll.h>

#include <unistd.h>

#include "core/loop/after.h"
#include "core/loop/watch.h"

#define EVENTS		32		/* of one pass */

/* The transfers that have ended. */
static void
take_results(struct sts_loop *l)
{
	CURLMsg *msg;
	CURL *easy;
	CURLcode code;
	int left;

	while ((msg = sts_curl.multi_info_read(l->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		/* the message does not outlive the transfer */
		easy = msg->easy_handle;
		code = msg->data.result;
		l->done(l->closure, easy, code);
	}
}

static void
act(struct sts_loop *l, curl_socket_t fd, int what)
{
	int running;

	(void)sts_curl.multi_socket_action(l->multi, fd, what, &running);
}

static int
on_sockets(Event *, int, void *closure, struct timeval *)
{
	struct sts_loop *l = closure;
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->epoll, events, EVENTS, 0), i, what;

	for (i = 0; i < n; i++) {
		what = 0;
		if ((events[i].events & EPOLLIN) != 0)
			what |= CURL_CSELECT_IN;
		if ((events[i].events & EPOLLOUT) != 0)
			what |= CURL_CSELECT_OUT;
		if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
			what |= CURL_CSELECT_ERR;
		act(l, events[i].data.fd, what);
	}
	take_results(l);
	return E_READ;
}

static int
on_socket(CURL *, curl_socket_t fd, int what, void *closure, void *)
{
	struct sts_loop *l = closure;
	struct epoll_event event = { .data.fd = fd };

	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if ((what & CURL_POLL_IN) != 0)
		event.events |= EPOLLIN;
	if ((what & CURL_POLL_OUT) != 0)
		event.events |= EPOLLOUT;
	if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &event) == -1)
		/* without memory the time limit of the transfer ends it */
		(void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static void
on_timer(void *closure)
{
	struct sts_loop *l = closure;

	l->timer = NULL;
	act(l, CURL_SOCKET_TIMEOUT, 0);
	take_results(l);
}

static int
set_timer(CURLM *, long ms, void *closure)
{
	struct sts_loop *l = closure;

	after_cancel(&l->timer);
	if (ms < 0)
		return 0;
	l->timer = after_ms((unsigned int)ms, on_timer, l);
	return l->timer == NULL ? -1 : 0;
}

int
sts_loop_open(struct sts_loop *l, enum sts_curl_kind kind,
    sts_loop_fn *done, void *closure)
{
	*l = (struct sts_loop){ .done = done, .closure = closure };
	if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return -1;
	if ((l->event = watch_fd(l->epoll, E_READ, on_sockets, l)) == NULL) {
		close(l->epoll);
		return -1;
	}
	if ((l->multi = sts_curl_multi(kind)) == NULL)
		return -1;
	return sts_curl.multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION,
	    on_socket) == CURLM_OK &&
	    sts_curl.multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l) ==
	    CURLM_OK &&
	    sts_curl.multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION,
	    set_timer) == CURLM_OK &&
	    sts_curl.multi_setopt(l->multi, CURLMOPT_TIMERDATA, l) ==
	    CURLM_OK ? 0 : -1;
}

void
sts_loop_close(struct sts_loop *l)
{
	after_cancel(&l->timer);
	if (l->event != NULL)
		watch_close(&l->event);
}
