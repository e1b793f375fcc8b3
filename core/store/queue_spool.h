/* The store of the queue on this machine's disk: the segments of the workers,
 * the acknowledgement log, the deferred store. */

#ifndef CORE_STORE_QUEUE_SPOOL_H
#define CORE_STORE_QUEUE_SPOOL_H

#include "core/queue/queue_store.h"

extern const struct queue_store_ops queue_spool_ops;

#endif
