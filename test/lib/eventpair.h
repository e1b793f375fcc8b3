/* Events that are dispatched by nobody: what is looked at is how octets move. */

#ifndef TEST_LIB_EVENTPAIR_H
#define TEST_LIB_EVENTPAIR_H

#include "core/event.h"

/* no_callback: returns 0. */
int no_callback(Event *e, int eventtype, void *closure, struct timeval *now);

/* event_pair(pair_r): Events of the two ends of a connection, which do not
 * block.  Return 0 or -1. */
int event_pair(Event *pair_r[2]);

#endif
