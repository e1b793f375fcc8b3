/* The simulated wire: see simwire.h. */

#include "test/lib/simwire.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simclock.h"

static struct simrand *fault_rand;	/* of the net in use; NULL: no faults */

static void
queue_put(struct simqueue *q, const char *buf, size_t len)
{
	size_t size;

	if (len == 0)
		return;
	if (q->start > 0 && q->start + q->len + len > q->size) {
		memmove(q->buf, q->buf + q->start, q->len);
		q->start = 0;
	}
	if (q->len + len > q->size) {
		size = q->size == 0 ? 1024 : q->size;
		while (size < q->len + len)
			size *= 2;
		simalloc_quiet++;
		q->buf = realloc(q->buf, size);
		simalloc_quiet--;
		if (q->buf == NULL)
			abort();
		q->size = size;
	}
	memcpy(q->buf + q->start + q->len, buf, len);
	q->len += len;
}

static void
queue_drop(struct simqueue *q, size_t len)
{
	q->start += len;
	q->len -= len;
	if (q->len == 0)
		q->start = 0;
}

static void
queue_free(struct simqueue *q)
{
	simalloc_quiet++;
	free(q->buf);
	simalloc_quiet--;
	memset(q, 0, sizeof(*q));
}

void
simnet_init(struct simnet *net, struct simrand *r)
{
	size_t i;

	memset(net, 0, sizeof(*net));
	for (i = 0; i < SIMWIRE_MAX; i++)
		net->wires[i].fd = -1;
	net->rand = r;
	fault_rand = r;
}

void
simnet_clear(struct simnet *net)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++) {
		queue_free(&net->wires[i].in);
		queue_free(&net->wires[i].out);
		net->wires[i].fd = -1;
	}
	fault_rand = NULL;
}

struct simwire *
simwire_open(struct simnet *net)
{
	struct simqueue in, out;
	struct simwire *w;
	size_t i;

	for (i = 0; i < SIMWIRE_MAX && net->wires[i].fd != -1; i++)
		continue;
	if (i == SIMWIRE_MAX)
		return NULL;
	w = &net->wires[i];
	/* the buffers are used again: thousands of runs, few allocations */
	in = w->in;
	out = w->out;
	in.start = in.len = out.start = out.len = 0;
	*w = (struct simwire) {
		.fd = SIMWIRE_FD_BASE + (int)i,
		.in = in,
		.out = out,
		.window = SIZE_MAX,
		.short_max = 16,
	};
	return w;
}

void
simwire_attach(struct simwire *w, Event *e)
{
	e->io_opset = &simwire_opset;
	e->io_data = w;
}

void
simwire_free(struct simwire *w)
{
	w->fd = -1;
}

static bool
can_read(const struct simwire *w)
{
	return w->is_reset || w->arrived > 0 || (w->is_eof && w->in.len == 0);
}

static bool
can_write(const struct simwire *w)
{
	return w->is_reset || w->is_gone || w->window > 0;
}

int
simnet_poll(void *arg, struct pollfd *fds, nfds_t nfds)
{
	struct simnet *net = arg;
	struct simwire *w;
	int n = 0, i;
	nfds_t k;

	for (k = 0; k < nfds; k++) {
		fds[k].revents = 0;
		i = fds[k].fd - SIMWIRE_FD_BASE;
		if (i < 0 || i >= SIMWIRE_MAX)
			continue;
		w = &net->wires[i];
		if (w->fd == -1 || w->is_closed) {
			/* a descriptor polled after its close is a bug */
			fds[k].revents = POLLNVAL;
			n++;
			continue;
		}
		if (can_read(w))
			fds[k].revents |= fds[k].events & POLLIN;
		if (can_write(w))
			fds[k].revents |= fds[k].events & POLLOUT;
		if (w->is_reset)
			fds[k].revents |= POLLERR | POLLHUP;
		if (fds[k].revents != 0)
			n++;
	}
	return n;
}

/* What a fault makes of a transfer of ${len} octets; 0: EAGAIN. */
static size_t
fault_cut(const struct simwire *w, size_t len)
{
	if (fault_rand == NULL)
		return w->short_permille >= 1000 && len > w->short_max
		    ? w->short_max : len;
	if (simrand_chance(fault_rand, w->again_permille))
		return 0;
	if (len > 1 && simrand_chance(fault_rand, w->short_permille)) {
		size_t cut = 1 + simrand_below(fault_rand,
		    (uint32_t)w->short_max);

		if (cut < len)
			len = cut;
	}
	return len;
}

static int
wire_read(Event *e, char *buf, int buflen, int *needmask)
{
	struct simwire *w = e->io_data;
	size_t n;

	if (w->is_closed) {
		errno = EBADF;
		return -1;
	}
	if (w->is_reset) {
		errno = ECONNRESET;
		return -1;
	}
	if (w->arrived == 0 && w->is_eof && w->in.len == 0)
		return 0;
	n = w->arrived < (size_t)buflen ? w->arrived : (size_t)buflen;
	if (n > 0)
		n = fault_cut(w, n);
	if (n == 0) {
		*needmask = E_READ;
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, w->in.buf + w->in.start, n);
	queue_drop(&w->in, n);
	w->arrived -= n;
	w->nread += n;
	return (int)n;
}

static int
wire_write(Event *e, const char *buf, int buflen, int *needmask)
{
	struct simwire *w = e->io_data;
	size_t n;

	if (w->is_closed) {
		errno = EBADF;
		return -1;
	}
	if (w->is_reset || w->is_gone) {
		errno = w->is_reset ? ECONNRESET : EPIPE;
		return -1;
	}
	n = w->window < (size_t)buflen ? w->window : (size_t)buflen;
	if (n > 0)
		n = fault_cut(w, n);
	if (n == 0) {
		*needmask = E_WRITE;
		errno = EAGAIN;
		return -1;
	}
	queue_put(&w->out, buf, n);
	if (w->window != SIZE_MAX)
		w->window -= n;
	w->nwritten += n;
	return (int)n;
}

static int
wire_close(Event *e)
{
	struct simwire *w = e->io_data;

	w->nclosed++;
	if (w->is_closed) {
		errno = EBADF;
		return -1;
	}
	w->is_closed = true;
	return 0;
}

static int
wire_accept(Event *, struct sockaddr *, socklen_t *)
{
	errno = EINVAL;		/* a wire is no listener */
	return -1;
}

static int
wire_sendfile(Event *, int, off_t *, size_t, int *)
{
	errno = EOPNOTSUPP;	/* a server of mail sends no files */
	return -1;
}

const event_io_opset simwire_opset = {
	.event_accept = wire_accept,
	.event_read = wire_read,
	.event_write = wire_write,
	.event_close = wire_close,
	.event_sendfile = wire_sendfile,
};

void
simwire_send(struct simwire *w, const char *buf, size_t len)
{
	if (!w->is_eof && !w->is_reset && !w->is_closed)
		queue_put(&w->in, buf, len);
}

void
simwire_arrive(struct simwire *w, size_t n)
{
	w->arrived += n;
	if (w->arrived > w->in.len)
		w->arrived = w->in.len;
}

void
simwire_send_now(struct simwire *w, const char *buf, size_t len)
{
	simwire_send(w, buf, len);
	simwire_arrive(w, w->in.len);
}

const char *
simwire_peek(const struct simwire *w, size_t *len_r)
{
	*len_r = w->out.len;
	return w->out.len == 0 ? "" : w->out.buf + w->out.start;
}

void
simwire_take(struct simwire *w, size_t len)
{
	queue_drop(&w->out, len);
}

void
simwire_half_close(struct simwire *w)
{
	w->is_eof = true;
	w->arrived = w->in.len;
}

void
simwire_close(struct simwire *w)
{
	simwire_half_close(w);
	w->is_gone = true;
}

void
simwire_reset(struct simwire *w)
{
	w->is_reset = true;
	w->in.len = w->arrived = 0;
}
