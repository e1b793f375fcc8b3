/* Keys of session tickets: made here, the same for all workers, so that a
 * session begun with one is resumed with any, also after a reload.
 * Owns: the keys, in memory that is neither swapped out nor dumped. */

#ifndef CMD_MAILMILLD_TICKETS_H
#define CMD_MAILMILLD_TICKETS_H

#include "cmd/mailmilld/role/msg.h"

struct tickets;

/* tickets_new(): With one key.  NULL with errno. */
struct tickets *tickets_new(void);
void tickets_free(struct tickets *t);	/* wipes; NULL does nothing */

/* tickets_rotate(t): A new key makes tickets from now on, those before it still
 * open theirs, and the oldest is wiped. */
void tickets_rotate(struct tickets *t);

/* tickets_period_ms(lifetime_s): How often to rotate: with as many keys as are
 * kept, the last ticket that a key has made lives out its time. */
unsigned int tickets_period_ms(unsigned int lifetime_s);

/* tickets_message(t, lifetime_s, msg_r): For the workers; the caller wipes it.
 * Lifetime 0: no keys. */
void tickets_message(const struct tickets *t, unsigned int lifetime_s,
    struct msg_tickets *msg_r);

#endif
