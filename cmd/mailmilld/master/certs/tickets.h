/* Keys of session tickets.  All workers have the same, so that a client can
 * resume a TLS session with another worker, also after a reload.
 * Owns: the keys, in memory that is neither swapped out nor dumped. */

#ifndef CMD_MAILMILLD_MASTER_CERTS_TICKETS_H
#define CMD_MAILMILLD_MASTER_CERTS_TICKETS_H

#include "cmd/mailmilld/role/msg.h"

struct tickets;

/* tickets_new(): With one key.  NULL with errno. */
struct tickets *tickets_new(void);
void tickets_free(struct tickets *t);	/* wipes; NULL does nothing */

/* tickets_rotate(t): Make tickets with a new key from now on.  The older keys
 * still open the tickets made with them; the oldest one is wiped. */
void tickets_rotate(struct tickets *t);

/* tickets_renew(t): Wipe all keys and make one: no ticket made so far opens. */
void tickets_renew(struct tickets *t);

/* tickets_period_ms(lifetime_s): How often to rotate, so that a key is kept
 * until the last ticket made with it has expired. */
unsigned int tickets_period_ms(unsigned int lifetime_s);

/* tickets_message(t, lifetime_s, msg_r): For the workers; the caller wipes it.
 * Lifetime 0: no keys. */
void tickets_message(const struct tickets *t, unsigned int lifetime_s,
    struct msg_tickets *msg_r);

#endif
