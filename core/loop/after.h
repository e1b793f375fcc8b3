/* One-shot timers on the loop. */

#ifndef CORE_LOOP_AFTER_H
#define CORE_LOOP_AFTER_H

#include "core/event.h"

/* after_ms(ms, callback, closure): Call ${callback} once, ${ms} from now.  The
 * scheduler frees the event afterwards, so the callback first clears all
 * pointers to it.  NULL: ENOMEM. */
Event *after_ms(unsigned int ms, void (*callback)(void *closure),
    void *closure);

/* after_cancel(&e): Forget the timer; *e is NULL afterwards. */
void after_cancel(Event **e);

#endif
