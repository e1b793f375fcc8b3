/* Counts for reports of TLS; see queue_tls.h. */

#include "core/queue/queue_tls.h"

#include <errno.h>

#include "core/queue/queue_int.h"

int
queue_tls_add(struct queue *q, const struct deferred_tls *rows, size_t n,
    uint64_t *nlost_r)
{
	/* mail does not wait for the database again and again because of this,
	 * nor at all if only these tables are damaged */
	if (q->store_ms > q->now_ms || q->tls_ms > q->now_ms) {
		errno = EAGAIN;
		return -1;
	}
	if (q->store_ops->tls_add(q->store, rows, n, nlost_r) == 0)
		return 0;
	q->tls_ms = q->now_ms + QUEUE_TROUBLE_MS;
	return -1;
}
