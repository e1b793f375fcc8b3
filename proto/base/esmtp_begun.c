/* See esmtp_begun.h.
 * Owns: the flag. */

#include "proto/base/esmtp_begun.h"

static bool has_begun;

bool
esmtp_has_begun(void)
{
	return __atomic_load_n(&has_begun, __ATOMIC_RELAXED);
}

void
esmtp_begin(void)
{
	/* written once: each write would take the cache line from the other
	 * threads */
	if (!esmtp_has_begun())
		__atomic_store_n(&has_begun, true, __ATOMIC_RELAXED);
}
