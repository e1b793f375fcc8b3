/* libcurl's transfers on our loop.
 * Owns: the epoll(7) set of their sockets, libcurl's timer.
 * Knows nothing of what is transferred. */

#ifndef CMD_MAILMILLD_STS_STS_LOOP_H
#define CMD_MAILMILLD_STS_STS_LOOP_H

#include "cmd/mailmilld/sts/sts_curl.h"
#include "core/event.h"

/* done(closure, easy, code): That transfer, which was added to ${multi}, has ended. */
typedef void sts_loop_fn(void *closure, CURL *easy, CURLcode code);

struct sts_loop {
	CURLM		*multi;
	int		 epoll;
	Event		*event;		/* of epoll */
	Event		*timer;		/* libcurl's */
	sts_loop_fn	*done;
	void		*closure;
};

/* sts_loop_open(l, kind, done, closure): Whatever it returns, sts_loop_close() comes later.
 * ${l} stays where it is.  Return 0, or -1: out of memory or descriptors.
 * sts_loop_close(l): All transfers have been removed; on one of zeroes it does
 * nothing. */
int sts_loop_open(struct sts_loop *l, enum sts_curl_kind kind,
    sts_loop_fn *done, void *closure);
void sts_loop_close(struct sts_loop *l);

#endif
