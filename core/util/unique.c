/* See unique.h.
 * Owns: the number of names that the process has got. */

#include "core/util/unique.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

const char *
unique_text(const struct timeval *now, char buf[UNIQUE_TEXT])
{
	static uint32_t n;

	/* each part but the last has as many digits in each name */
	snprintf(buf, UNIQUE_TEXT, "%010" PRIX64 "%05X%08" PRIX32 "%X",
	    (uint64_t)now->tv_sec & UINT64_C(0xffffffffff),
	    (unsigned int)now->tv_usec & 0xfffff,
	    __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED),
	    (unsigned int)getpid() & 0xffffffff);
	return buf;
}
