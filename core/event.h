/* Events: one callback and what it waits for (a descriptor, a moment, a
 * completion).  The names and meanings are those of the documented Momentum 3
 * Event API; where its pages contradict each other, the decision is in
 * mailmill-momentum(3).
 * Owns: struct Event, the masks, byte I/O through the opset.
 * Knows nothing of the loop that dispatches: scheduler.h is one, an embedder
 * may bring another. */

#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>

#include <pthread.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/names.h>

MAILMILL_BEGIN

#define E_READ		0x00000001	/* reading the descriptor will not block */
#define E_WRITE		0x00000002	/* writing will not block */
#define E_EXCEPTION	0x00000004	/* the descriptor is in error */
#define E_TIMEOUT	0x00000008	/* event->trigger has passed */
#define E_ASYNC		0x00000010	/* a completion was dispatched to the event */

/* How many callbacks in a row an event may get; kept for the documented
 * build_fd_event(), and a hint only. */
#define E_AGGRESSIVE_NONE	0
#define E_AGGRESSIVE_LOW	1
#define E_AGGRESSIVE_MED	2
#define E_AGGRESSIVE_HIGH	3

/* whence of build_event(): when is a time of the worker clock, or is counted
 * from its present time */
#define E_FROM_EPOCH	0
#define E_FROM_NOW	1

typedef struct _Event Event;

/* The loop that has an event: the head of struct scheduler, or of an embedder's
 * struct.  While an event is scheduled, or was sent to be scheduled, e->loop
 * points to it. */
struct event_loop {
	/* fd_closing: e->fd is about to be closed: forget it, and ${e} too
	 * unless its own callback is running */
	void	(*fd_closing)(Event *e);
	/* freeing: ${e} is about to be freed: unschedule it */
	void	(*freeing)(Event *e);
};

/* The scheduler's queue of events that were posted. */
struct event_link {
	struct event_link	*next;
	struct event_link	*prev;
};

/* EventFunc(event, eventtype, closure, now): One dispatch of ${event}:
 * ${eventtype} says which of E_* came true (or'd), ${now} is the worker's
 * clock, read once per pass of the loop.  Return the mask to wait for next, or
 * 0: finished.  On 0 the dispatcher frees the Event; it never closes the
 * descriptor, which the callback has done with event_close().  A callback must
 * not free the event it was called for.
 * In a returned mask:
 *   E_READ, E_WRITE, E_EXCEPTION   wait for the descriptor
 *   E_TIMEOUT    be called at event->trigger (set by the callback) unless
 *                something else came first; alone or with others.  The
 *                trigger of a scheduled event is changed by its own callback
 *                only; from elsewhere it may be moved later, not earlier
 *   E_ASYNC      stay alive for schedule_event_and_dispatch(); E_ASYNC without
 *                E_READ/E_WRITE is not polled at all, so input waits in the
 *                kernel
 * The callback of a timed event (fd -1) returns 0, or E_TIMEOUT after it has
 * set a later trigger. */
typedef int (*EventFunc)(Event *event, int eventtype, void *closure,
    struct timeval *now);

typedef int (*AcceptFunc)(Event *e, struct sockaddr *sa, socklen_t *salen);
typedef int (*ReadFunc)(Event *e, char *buf, int buflen, int *needmask);
typedef int (*WriteFunc)(Event *e, const char *buf, int buflen, int *needmask);
typedef int (*CloseFunc)(Event *e);
typedef int (*SendFileFunc)(Event *e, int fd, off_t *offset, size_t count,
    int *needmask);
typedef int (*PendingFunc)(Event *e);
typedef void (*RestFunc)(Event *e);

/* How bytes move: plain sockets (event_plain_opset), TLS (tls/tlsio.h), a
 * simulated wire in tests.  Read and write return octets moved; 0 from read is
 * end of file; -1 with errno: EAGAIN sets *needmask to what must be waited for
 * (a TLS read may need E_WRITE), anything else is final.  After EAGAIN from
 * write the same octets are to be written again, and more may follow them.
 * event_pending may be NULL: the descriptor alone tells what would not block.
 * Else it returns the mask of what would not block although poll(2) does not
 * know it (octets that were read from the descriptor before).  The loop calls
 * it after each callback, so that no callback has to read until EAGAIN.
 * event_rest may be NULL.  Else the loop calls it when the event has been idle
 * for a while, and it frees memory that is not needed until something
 * happens. */
typedef struct ec_event_io_opset {
	AcceptFunc	event_accept;
	ReadFunc	event_read;
	WriteFunc	event_write;
	CloseFunc	event_close;
	SendFileFunc	event_sendfile;
	PendingFunc	event_pending;
	RestFunc	event_rest;
} event_io_opset;

/* mailmill_plain_opset(): That of plain sockets, which each event has at first.
 * event_plain_opset is what it points to. */
const event_io_opset *mailmill_plain_opset(void);

struct _Event {
	/* The documented members have the documented order; active_ms fills a
	 * gap between them. */
	struct timeval		 trigger;	/* deadline on the worker clock */
	void			*io_data;	/* the opset's */
	const event_io_opset	*io_opset;	/* never NULL */
	unsigned int		 aggressive : 4;
	unsigned int		 trace : 1;
	unsigned int		 unused : 27;
	int			 mask;		/* waited for now */
	int			 fd;		/* -1: a timed event */
	uint32_t		 active_ms;	/* scheduler: last activity */
	EventFunc		 callback;
	void			*closure;
	pthread_t		 scheduled_thread; /* of its (last) scheduler */
	/* the scheduler's own; zero while not scheduled */
	struct event_loop	*loop;		/* NULL: the caller's */
	struct event_link	 link;		/* next is NULL: not queued */
	int			 async_mask;	/* posted, not dispatched */
	unsigned int		 all_slot;	/* index in all events + 1 */
	unsigned int		 poll_slot;	/* pollfd index + 1 */
	unsigned int		 timer_slot;	/* heap index + 1 */
	unsigned int		 is_parked : 1;	/* behind epoll, not in pollfd */
	/* its own callback, which is running, has taken it out with
	 * clear_event_by_fd(), and has freed it */
	unsigned int		 is_cleared : 1;
	unsigned int		 is_floating : 1;	/* float_event() */
	unsigned int		 is_freed : 1;
	unsigned int		 scheduled_number; /* scheduled_thread's, not
						    * used again; 0: none */
};

/* build_event(when, whence, fd, callback, closure): A new event with a
 * deadline and the mask E_TIMEOUT; ${fd} is -1 for a plain timer.  NULL with
 * errno ENOMEM.  The caller owns it until schedule_event(), and may change
 * mask, trigger, io_opset and io_data until then. */
Event *build_event(struct timeval when, int whence, int fd, EventFunc callback,
    void *closure);

/* build_event_from_epoch(when, fd, callback, closure): build_event() with
 * E_FROM_EPOCH.  build_event_from_now() is the same with E_FROM_NOW. */
#define build_event_from_epoch(a, b, c, d) \
	build_event((a), E_FROM_EPOCH, (b), (c), (d))
#define build_event_from_now(a, b, c, d) \
	build_event((a), E_FROM_NOW, (b), (c), (d))

/* build_event_from_now_f(offset_seconds, fd, callback, closure): The same in
 * seconds.  A time that no timeval can hold is the furthest one; not a number
 * is now. */
Event *build_event_from_now_f(float offset_seconds, int fd, EventFunc callback,
    void *closure);

/* build_fd_event(fd, mask, aggressive, callback, closure): A new event that
 * waits for ${mask} on ${fd}; the descriptor stays the caller's. */
Event *build_fd_event(int fd, int mask, int aggressive, EventFunc callback,
    void *closure);

/* event_free(e): Free ${e}, unscheduling it first if need be.  Does not close
 * the descriptor.  Not for the event whose callback is running: that one
 * returns 0 instead.  NULL is permitted, and has no effect. */
void mailmill_event_free(Event *e);

/* event_close(e): Close the descriptor through the opset, take it out of the
 * scheduler's set, set e->fd to -1.  Return close(2)'s value, -1 with errno
 * included; or 0 if there was nothing to close (no descriptor, or ${e} is
 * NULL).  Does not free the event: from its own callback, the event stays (it
 * may go on with E_TIMEOUT and E_ASYNC) until that returns 0; from anywhere
 * else it is unscheduled and the caller's, to be freed with event_free(). */
int mailmill_event_close(Event *e);

/* event_post_dup(dst, src): Make ${dst}, whose memory is the caller's and holds
 * anything or a copy of *${src}, a duplicate of ${src} that is not scheduled.
 * Both have one descriptor and one transport: at most one of them can be
 * scheduled, and one of them is used for I/O from now on.  ${dst} must not be
 * a scheduled event.  event_free() frees it if it came from malloc(3). */
void mailmill_event_post_dup(Event *dst, Event *src);

/* event_read(e, buf, buflen, &needmask), event_write(...): see event_io_opset.
 * event_read sets *needmask always, to E_READ where the opset has not said
 * otherwise, so that a callback can return it; event_write only when it would
 * block.  ${needmask} may be NULL.  event_sendfile moves up to ${count} octets
 * of the file ${fd} from *${offset}, which it advances. */
int mailmill_event_accept(Event *e, struct sockaddr *sa, socklen_t *salen);
int mailmill_event_read(Event *e, char *buf, int buflen, int *needmask);
int mailmill_event_write(Event *e, const char *buf, int buflen, int *needmask);
int mailmill_event_sendfile(Event *e, int fd, off_t *offset, size_t count,
    int *needmask);
int mailmill_event_pending(Event *e);
void mailmill_event_rest(Event *e);

/* A transfer of a fixed length, which may need several dispatches.  One that is
 * all zero is ready for use, and so is one that was used before: it keeps its
 * memory for the next transfer. */
typedef struct _event_io_state {
	char	*buf;		/* the state's own, from malloc(3) */
	int	 optype;	/* of the pending transfer; 0: none */
	int	 buflen;	/* octets of the transfer */
	int	 bufsize;	/* octets that buf has room for */
	int	 offset;	/* octets moved so far */
	int	 needmask;	/* what to wait for; 0: nothing is pending */
} event_io_state;

#define EVENT_IO_DONE		1
#define EVENT_IO_PENDING	0	/* return state->needmask, then go on */
#define EVENT_IO_ERROR		(-1)	/* errno */
#define EVENT_IO_EOF		(-2)	/* the peer sends no more */

/* event_io_read(e, buf, buflen, state): Read exactly ${buflen} octets.
 * DONE: they are in ${buf}.  PENDING: call event_io_read() again when
 * state->needmask has come true; ${buf} may be another one then, since no
 * pointer to it is kept: what has arrived is in the state.  ERROR, EOF: ${buf}
 * has the state->offset octets that came before.  A later call with a smaller
 * ${buflen} gets the first of the octets, and the next call those behind.
 * event_io_write(e, buf, buflen, state): Write all ${buflen} octets.  DONE;
 * PENDING: the rest was copied to the state, go on with event_io_retry();
 * ERROR, with errno 0 for a transport that takes nothing.
 * event_io_printf(e, state, fmt, ...): event_io_write() of a text of at most
 * 8191 octets; ERROR with E2BIG for a longer one.
 * event_io_retry(e, state): Go on with whatever is pending; DONE if nothing is.
 * A read that it completes is fetched with event_io_read(), at once.  After EOF
 * and ERROR the state->offset octets that came before are in state->buf, and
 * not in a later read.  ERROR with EINVAL while event_io_write_string() is
 * pending, since the caller has the string: that goes on with the same call.
 * One call reads a mebibyte and then is PENDING, so that others get their turn.
 * Each: ERROR with EINVAL for a negative length or without a state, EBUSY while
 * another transfer of the state is pending, which goes on undisturbed; ENOMEM:
 * octets are lost, close the connection.  After DONE, ERROR of the transport
 * and EOF needmask is 0. */
int mailmill_event_io_read(Event *e, char *buf, int buflen,
    event_io_state *state);
int mailmill_event_io_write(Event *e, const char *buf, int buflen,
    event_io_state *state);
int mailmill_event_io_printf(Event *e, event_io_state *state, const char *fmt,
    ...)
    __attribute__((format(printf, 3, 4)));
int mailmill_event_io_retry(Event *e, event_io_state *state);

/* event_io_state_clean(state): Free what the state holds, and make it ready for
 * use.  NULL is permitted, and has no effect. */
void mailmill_event_io_state_clean(event_io_state *state);

MAILMILL_END

#endif
