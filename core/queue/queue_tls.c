/* Counts for reports of TLS; see queue_tls.h. */

#include "core/queue/queue_tls.h"

#include <errno.h>

#include "core/queue/queue_int.h"

int
queue_tls_add(struct queue *q, const struct deferred_tls *rows, size_t n,
    uint64_t *nlost_r)
{
	/* as other changes, which are more urgent, wait */
	if (q->store_ms > q->now_ms) {
		errno = EAGAIN;
		return -1;
	}
	return q->store_ops->tls_add(q->store, rows, n, nlost_r);
}
