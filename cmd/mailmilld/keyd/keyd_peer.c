/* A channel of keyd to a process that asks it, in whatever role.
 * Owns: the channel, and how soon a request in it is read after the one before.
 * Knows nothing of what is asked. */

#include "cmd/mailmilld/keyd/keyd_int.h"

#include "core/loop/after.h"
#include "core/util/monotonic.h"

static void on_timer(void *);

/* What a process asks for too soon stays in its channel, where it delays nobody
 * else. */
static void
hold(struct keyd_peer *p, unsigned int wait_ms)
{
	if ((p->timer = after_ms(wait_ms, on_timer, p)) != NULL)
		chanev_hold(p->ce);
}

/* A timer counts from the begin of the loop's pass, which may be long ago when
 * it is set after many requests: so it can end too soon. */
static void
on_timer(void *closure)
{
	struct keyd_peer *p = closure;
	unsigned int wait_ms = bucket_wait(&p->bucket, monotonic_ms());

	p->timer = NULL;
	if (wait_ms > 0)
		hold(p, wait_ms);
	if (p->timer == NULL)
		chanev_resume(p->ce);
}

void
keyd_peer_keep_pace(struct keyd_peer *p)
{
	unsigned int wait_ms = bucket_take(&p->bucket, monotonic_ms());

	if (wait_ms > 0 && p->timer == NULL)
		hold(p, wait_ms);
}

int
keyd_peer_open(struct keyd_peer *p, const struct msg_peer *who, int fd,
    const struct chanev_ops *ops, void *closure)
{
	p->who = *who;
	p->ce = chanev_open(fd, ROLE_KEYD, who->role, ops, closure);
	chanev_name(p->ce, who->slot, who->instance);
	return p->ce == NULL ? -1 : 0;
}

void
keyd_peer_close(struct keyd_peer *p)
{
	after_cancel(&p->timer);
	chanev_free(p->ce);
}
