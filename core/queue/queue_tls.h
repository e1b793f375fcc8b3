/* Counts for reports of TLS, which the store keeps (core/deferred/deferred_tls.h).
 * Owns: that they are not written while the store fails.
 * Knows nothing of who tells of connections, and of reports. */

#ifndef CORE_QUEUE_QUEUE_TLS_H
#define CORE_QUEUE_QUEUE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "core/deferred/deferred_tls.h"

struct queue;

/* queue_tls_add(q, rows, n, nlost_r): Count them, all or none, on disk;
 * *${nlost_r} are the connections that are not, since others have the domains that
 * there may be of a day.  Return 0, or -1 with errno, and none of them is: EAGAIN,
 * the store has failed a moment ago; ENOSPC, the disk is full; another. */
int queue_tls_add(struct queue *q, const struct deferred_tls *rows, size_t n,
    uint64_t *nlost_r);

#endif
