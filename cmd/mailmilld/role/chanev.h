/* A channel on the loop: one Event that reads what came, gives each message to
 * its function, and writes what the peer did not take at once.
 * Owns: the Event, the bound on messages per pass, the order of closing.
 * Knows nothing of what the messages mean. */

#ifndef CMD_MAILMILLD_ROLE_CHANEV_H
#define CMD_MAILMILLD_ROLE_CHANEV_H

#include "cmd/mailmilld/role/msg.h"

struct chanev;

/* msg_fn(closure, msg): One message, which fits its row in msg.def.  A
 * descriptor in msg->fd is the function's if it sets msg->fd to -1; otherwise
 * chanev closes it.  A message whose row has a descriptor comes with -1 when
 * this process was out of descriptors.  May call chanev_free() of its channel. */
typedef void msg_fn(void *closure, struct channel_msg *msg);

struct chanev_ops {
	/* a function for each message that the peer may send (msg.def):
	 * chanev_open() asserts that none is missing */
	msg_fn	*on[NMSGS];
	/* gone(closure): the peer has closed its end or died.  The last call
	 * made; when it returns, the channel is freed, if it is not yet */
	void	(*gone)(void *closure);
	/* bad(closure): a message that fitted no row was thrown away.  Must not
	 * free the channel.  NULL: it is only logged */
	void	(*bad)(void *closure);
};

/* chanev_open(fd, self, peer, ops, closure): Serve the channel ${fd} on the
 * calling thread's scheduler.  takes ${fd}, also when it fails.  ${ops} lives
 * as long as the result.  NULL with errno. */
struct chanev *chanev_open(int fd, enum role_id self, enum role_id peer,
    const struct chanev_ops *ops, void *closure);

/* chanev_name(ce, slot, instance): Which process the peer is, for the log.  NULL
 * ${ce} does nothing. */
void chanev_name(struct chanev *ce, unsigned int slot, unsigned int instance);

/* chanev_send(ce, type, base, entries, nentries, fd): As channel_send(), and
 * what was kept is written when the peer reads.  NULL ${ce}: -1 with EPIPE. */
int chanev_send(struct chanev *ce, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd);

/* chanev_free(ce): Close; no callback is made any more.  Allowed in the
 * callbacks of ${ce}.  NULL does nothing. */
void chanev_free(struct chanev *ce);

/* chanev_finish(ce): The peer has ended, or this process does: give what the peer
 * had sent and nobody has read to the functions of ${ce}, at once and without a
 * bound but the channel's, then chanev_free() it; gone() is not called.  Not from
 * a callback of ${ce}.  NULL does nothing. */
void chanev_finish(struct chanev *ce);

/* chanev_hold(ce): In message(): read no more of them, so that they wait in the
 * channel, until chanev_resume(ce).  Meanwhile the end of the peer goes
 * unnoticed. */
void chanev_hold(struct chanev *ce);
void chanev_resume(struct chanev *ce);

int chanev_fd(const struct chanev *ce);

/* chanev_is_behind(ce): The peer has not read what was sent before. */
bool chanev_is_behind(const struct chanev *ce);

/* chanev_flush_wait(ce, timeout_ms): Block, at most ${timeout_ms}, until all
 * that was sent has been written: for start and end, never inside the loop.
 * Return 0 or -1. */
int chanev_flush_wait(struct chanev *ce, int timeout_ms);

#endif
