/* One-shot timers on the loop. */

#ifndef CMD_MAILMILLD_AFTER_H
#define CMD_MAILMILLD_AFTER_H

#include <stdint.h>

#include "core/event.h"

/* after_ms(ms, callback, closure): Call ${callback} once, ${ms} from now; it
 * returns 0.  The scheduler frees the event then, so the callback first clears
 * whatever points to it.  NULL: ENOMEM. */
Event *after_ms(unsigned int ms, EventFunc callback, void *closure);

/* after_cancel(&e): Forget the timer; *e is NULL afterwards. */
void after_cancel(Event **e);

/* monotonic_ms(): Milliseconds, never set by anybody: for how long something
 * has lived. */
uint64_t monotonic_ms(void);

#endif
