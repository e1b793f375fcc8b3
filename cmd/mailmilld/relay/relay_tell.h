/* What connections to MX hosts have come to is told to the queue process, which counts
 * it for reports of TLS.
 * Owns: when that is told: TELL_MS after something has come, all of it at once; it is
 * kept while the queue process does not take it, as far as there is room.
 * Knows nothing of channels and of connections. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_TELL_H
#define CMD_MAILMILLD_RELAY_RELAY_TELL_H

#include <stdbool.h>

#include "cmd/mailmilld/relay/relay_told.h"

#define RELAY_TELL_MS	1000

struct relay_tell;

/* send(closure, tally): Send what it has.  Return whether it was: else it is kept,
 * and tried again after RELAY_TELL_MS. */
typedef bool relay_tell_fn(void *closure, const struct tlsrpt_tally *tally);

/* relay_tell_new(send, closure): NULL: ENOMEM.
 * relay_tell_free(t): What was not sent is lost; NULL does nothing. */
struct relay_tell *relay_tell_new(relay_tell_fn *send, void *closure);
void relay_tell_free(struct relay_tell *t);

/* relay_tell_end(t, told, result, reason): As relay_told_end(); NULL for ${t} or
 * ${told} does nothing. */
void relay_tell_end(struct relay_tell *t, struct relay_told *told,
    enum relay_result result, const char *reason);

/* relay_tell_now(t): Send what there is, if it can be; NULL does nothing. */
void relay_tell_now(struct relay_tell *t);

#endif
