/* See esmtp_begun.h.
 * Owns: that fact. */

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
	/* written once, so that threads share the line */
	if (!esmtp_has_begun())
		__atomic_store_n(&has_begun, true, __ATOMIC_RELAXED);
}
