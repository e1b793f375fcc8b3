/* Keys of session tickets: see tickets.h. */

#include "cmd/mailmilld/master/certs/tickets.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>

struct tickets {
	struct msg_tickets	msg;	/* what workers get, but for the lifetime */
};

struct tickets *
tickets_new(void)
{
	struct tickets *t;

	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return NULL;
	/* either may fail: RLIMIT_MEMLOCK may be 0 */
	(void)mlock(t, sizeof(*t));
	(void)madvise(t, sizeof(*t), MADV_DONTDUMP);
	tickets_rotate(t);
	return t;
}

void
tickets_free(struct tickets *t)
{
	if (t == NULL)
		return;
	explicit_bzero(t, sizeof(*t));
	munmap(t, sizeof(*t));
}

void
tickets_rotate(struct tickets *t)
{
	struct msg_tickets *m = &t->msg;

	memmove(&m->keys[1], &m->keys[0],
	    sizeof(m->keys[0]) * (MSG_TICKET_KEYS - 1));
	arc4random_buf(&m->keys[0], sizeof(m->keys[0]));
	if (m->nkeys < MSG_TICKET_KEYS)
		m->nkeys++;
}

void
tickets_renew(struct tickets *t)
{
	explicit_bzero(&t->msg, sizeof(t->msg));
	tickets_rotate(t);
}

unsigned int
tickets_period_ms(unsigned int lifetime_s)
{
	return lifetime_s * 1000 / (MSG_TICKET_KEYS - 1);
}

void
tickets_message(const struct tickets *t, unsigned int lifetime_s,
    struct msg_tickets *msg_r)
{
	memset(msg_r, 0, sizeof(*msg_r));
	if (lifetime_s == 0)
		return;
	*msg_r = t->msg;
	msg_r->lifetime = lifetime_s;
}
