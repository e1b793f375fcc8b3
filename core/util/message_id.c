/* Names for connections; see message_id.h.
 * Owns: their counter. */

#include "core/message_id.h"

#include <unistd.h>

void
ec_generate_connection_id(message_id *cid, time_t nowsec)
{
	static uint16_t counter;

	cid->slot = (uint32_t)nowsec;
	cid->pid = (uint16_t)getpid();
	cid->counter = __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}
