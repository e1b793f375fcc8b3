/* A channel on the loop.
 * Owns: the Event of a channel, the bound on messages per pass, the order of
 * closing.
 * Knows nothing of what the messages mean. */

#include "cmd/mailmilld/role/chanev.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define MESSAGES_PER_PASS	64	/* then others have their turn */
#define RETRY_MS		5	/* for the kernel to have room again */

struct chanev {
	struct channel		*ch;
	Event			*event;
	const struct chanev_ops	*ops;
	void			*closure;
	bool			 is_busy;	/* in its own callback */
	bool			 is_dead;	/* free it when not busy */
	bool			 is_held;	/* nothing more is read */
	uint64_t		 nbad;		/* messages that fitted no row */
	unsigned int		 slot;		/* the peer's; 0: there is one of it */
	unsigned int		 instance;
	Event			*retry;		/* set while channel_is_short() */
};

static void
chanev_gone(struct chanev *ce)
{
	if (ce->is_dead)
		return;
	ce->ops->gone(ce->closure);
	ce->is_dead = true;
}

/* A peer that somebody has taken over must not fill the log: the first, the
 * second, the fourth bad message and so on are logged. */
static void
bad_message(struct chanev *ce)
{
	const char *peer = role_name(channel_peer(ce->ch));

	ce->nbad++;
	if ((ce->nbad & (ce->nbad - 1)) != 0)
		;
	else if (ce->slot == 0)
		log_warnx("channel-protocol", "peer=%s messages=%llu", peer,
		    (unsigned long long)ce->nbad);
	else
		log_warnx("channel-protocol", "peer=%s slot=%u instance=%u "
		    "messages=%llu", peer, ce->slot, ce->instance,
		    (unsigned long long)ce->nbad);
	if (ce->ops->bad != NULL)
		ce->ops->bad(ce->closure);
}

/* Read one message and give it to its function.  Return 1, 0 when the peer is
 * gone, or -1 when there is none now. */
static int
read_one(struct chanev *ce)
{
	struct channel_msg msg;
	int rc = channel_recv(ce->ch, &msg);

	if (rc == -1 && errno == EPROTO) {
		bad_message(ce);
		return 1;
	}
	if (rc == 0 || (rc == -1 && errno != EMFILE))
		return rc;
	ce->ops->on[msg.type](ce->closure, &msg);
	(void)fileio_close_passed(msg.fd);
	if (msg_rows[msg.type].is_secret)
		channel_wipe(ce->ch);
	return 1;
}

static void
chanev_read(struct chanev *ce)
{
	int i, rc = 1;

	for (i = 0; i < MESSAGES_PER_PASS && rc == 1 && !ce->is_dead &&
	    !ce->is_held; i++)
		rc = read_one(ce);
	if (rc == 0)
		chanev_gone(ce);
}

static void
on_retry(void *closure)
{
	struct chanev *ce = closure;

	ce->retry = NULL;
	schedule_event_and_dispatch(ce->event, E_WRITE);
}

/* What to wait for.  Never 0, which would end the event: E_ASYNC when nothing is
 * wanted from the peer. */
static int
wanted(struct chanev *ce)
{
	int mask = ce->is_held ? 0 : E_READ;

	if (ce->retry == NULL && channel_is_short(ce->ch))
		ce->retry = after_ms(RETRY_MS, on_retry, ce);
	if (channel_wants_write(ce->ch) && ce->retry == NULL)
		mask |= E_WRITE;
	return mask == 0 ? E_ASYNC : mask;
}

static int
chanev_callback(Event *, int eventtype, void *closure, struct timeval *)
{
	struct chanev *ce = closure;

	ce->is_busy = true;
	if (ce->retry == NULL && channel_wants_write(ce->ch) &&
	    channel_flush(ce->ch) == -1 && errno == EPIPE) {
		/* the peer has closed its end; read what it had sent before */
		eventtype |= E_READ;
		ce->is_held = false;
	}
	if ((eventtype & (E_READ | E_EXCEPTION)) != 0)
		chanev_read(ce);
	ce->is_busy = false;
	if (ce->is_dead) {
		/* nothing may take the descriptor's number before the
		 * scheduler has let go of the event */
		after_cancel(&ce->retry);
		channel_free(ce->ch);
		free(ce);
		return 0;
	}
	return wanted(ce);
}

/* There is a function for each message that the peer may send. */
static void
assert_complete(const struct chanev_ops *ops, enum role_id self,
    enum role_id peer)
{
	unsigned int i;

	for (i = 0; i < NMSGS; i++)
		assert(ops->on[i] != NULL ||
		    !channel_row_goes(&msg_rows[i], peer, self));
}

struct chanev *
chanev_open(int fd, enum role_id self, enum role_id peer,
    const struct chanev_ops *ops, void *closure)
{
	struct chanev *ce;

	assert_complete(ops, self, peer);
	if ((ce = calloc(1, sizeof(*ce))) == NULL) {
		fileio_close(fd);
		return NULL;
	}
	ce->ops = ops;
	ce->closure = closure;
	ce->ch = channel_open(fd, msg_rows, NMSGS, self, peer);
	if (ce->ch == NULL)
		fileio_close(fd);
	else if ((ce->event = watch_fd(fd, E_READ, chanev_callback, ce)) !=
	    NULL)
		return ce;
	chanev_free(ce);
	return NULL;
}

void
chanev_name(struct chanev *ce, unsigned int slot, unsigned int instance)
{
	if (ce == NULL)
		return;
	ce->slot = slot;
	ce->instance = instance;
}

int
chanev_send(struct chanev *ce, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd)
{
	bool had_kept;

	if (ce == NULL || ce->is_dead) {
		errno = EPIPE;
		return -1;
	}
	had_kept = channel_wants_write(ce->ch);
	if (channel_send(ce->ch, type, base, entries, nentries, fd) == -1)
		return -1;
	if (!had_kept && channel_wants_write(ce->ch) && !ce->is_busy)
		/* its callback finds it kept and waits for E_WRITE */
		schedule_event_and_dispatch(ce->event, E_WRITE);
	return 0;
}

void
chanev_free(struct chanev *ce)
{
	if (ce == NULL)
		return;
	if (ce->is_busy) {
		ce->is_dead = true;
		return;
	}
	after_cancel(&ce->retry);
	event_free(ce->event);
	channel_free(ce->ch);
	free(ce);
}

void
chanev_finish(struct chanev *ce)
{
	if (ce == NULL)
		return;
	ce->is_busy = true;
	channel_shut(ce->ch);
	while (!ce->is_dead && read_one(ce) == 1)
		continue;
	ce->is_busy = false;
	chanev_free(ce);
}

void
chanev_hold(struct chanev *ce)
{
	ce->is_held = true;
}

void
chanev_resume(struct chanev *ce)
{
	ce->is_held = false;
	if (!ce->is_busy)
		schedule_event_and_dispatch(ce->event, E_READ);
}

int
chanev_fd(const struct chanev *ce)
{
	return channel_fd(ce->ch);
}

bool
chanev_is_behind(const struct chanev *ce)
{
	return channel_wants_write(ce->ch);
}

int
chanev_flush_wait(struct chanev *ce, int timeout_ms)
{
	uint64_t end_ms = monotonic_ms() + (uint64_t)timeout_ms;

	while (channel_wants_write(ce->ch)) {
		if (channel_flush(ce->ch) == 0)
			return 0;
		if (errno != EAGAIN || monotonic_ms() >= end_ms)
			return -1;
		if (channel_is_short(ce->ch))
			(void)poll(NULL, 0, RETRY_MS);
		else if (monotonic_poll(channel_fd(ce->ch), POLLOUT,
		    end_ms) <= 0)
			return -1;
	}
	return 0;
}
