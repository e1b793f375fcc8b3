/* Who gets the mail of an alias, and who is its sender then: expand() of
 * queue_ops. */

#ifndef CMD_MAILMILLD_QUEUE_EXPAND_H
#define CMD_MAILMILLD_QUEUE_EXPAND_H

#include "cmd/settings/settings.h"
#include "core/queue/queue.h"

/* expand(s, x): Set what x->aliases are expanded to, by the files of Aliases that
 * ${s} has loaded.  Return 0, or -1 with errno ENOMEM; expand_free() in both
 * cases.
 * expand_free(x): Free what was set. */
int expand(const struct settings *s, struct queue_expansion *x);
void expand_free(struct queue_expansion *x);

#endif
