/* A simulated wire under the code being tested: an event_io_opset on
 * descriptors that exist only here.
 * Owns: both byte queues of each connection, what has arrived, the peer's
 * window, how the connection ends, and the faults that a seed deals out: short
 * reads and writes, EAGAIN although ready.
 * Knows nothing of time (the caller says when bytes arrive) and of SMTP. */

#ifndef TEST_LIB_SIMWIRE_H
#define TEST_LIB_SIMWIRE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"
#include "test/lib/simrand.h"

#define SIMWIRE_FD_BASE	64	/* above what the process has open itself */
#define SIMWIRE_MAX	32	/* connections at once */

struct simqueue {
	char	*buf;
	size_t	 start, len, size;
};

struct simwire {
	int		 fd;		/* -1: free */
	struct simqueue	 in;		/* client to server, sent */
	size_t		 arrived;	/* ... of which the server may read */
	struct simqueue	 out;		/* server to client, unread */
	size_t		 window;	/* octets the server may still write */
	bool		 is_eof;	/* the client sends nothing more ... */
	bool		 is_gone;	/* ... and takes nothing more */
	bool		 is_reset;	/* every call fails */
	bool		 is_closed;	/* by the server */
	unsigned int	 nclosed;	/* ... so often: must be 1 */
	unsigned int	 short_permille;
	unsigned int	 again_permille;
	size_t		 short_max;	/* a short transfer moves 1 .. this */
	uint64_t	 nread, nwritten;	/* octets by the server */
};

struct simnet {
	struct simwire	 wires[SIMWIRE_MAX];
	struct simrand	*rand;		/* NULL: no faults */
};

extern const event_io_opset simwire_opset;

void simnet_init(struct simnet *net, struct simrand *r);
void simnet_clear(struct simnet *net);

/* simnet_poll(net, fds, nfds): Readiness as poll(2) would tell it, for
 * simclock's wait(); descriptors that are not ours are never ready. */
int simnet_poll(void *net, struct pollfd *fds, nfds_t nfds);

/* simwire_open(net): A new connection with an unbounded window; NULL when all
 * are in use.  simwire_attach(w, e): make it the wire of the event. */
struct simwire *simwire_open(struct simnet *net);
void simwire_attach(struct simwire *w, Event *e);
void simwire_free(struct simwire *w);

/* The client's side.  send: bytes on their way; arrive: let ${n} of them be
 * read (simwire_send_now does both).  take: what the server wrote, removed;
 * return octets.  peek: a pointer to it, valid until the next call. */
void simwire_send(struct simwire *w, const char *buf, size_t len);
void simwire_arrive(struct simwire *w, size_t n);
void simwire_send_now(struct simwire *w, const char *buf, size_t len);
const char *simwire_peek(const struct simwire *w, size_t *len_r);
void simwire_take(struct simwire *w, size_t len);

/* half_close: the server will read to the end and find end of file.  close:
 * the same, and its writes fail with EPIPE.  reset: what has not been read is
 * lost, every call fails with ECONNRESET. */
void simwire_half_close(struct simwire *w);
void simwire_close(struct simwire *w);
void simwire_reset(struct simwire *w);

#endif
