/* See unique.h.
 * Owns: the number of names that the process has got; what tells this thread of
 * this process from all others, whatever their clocks say: pids are used again,
 * and in a container they are the same at each start. */

#include "core/util/unique.h"

#include <sys/random.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static uint32_t
random_of_thread(void)
{
	static __thread uint32_t bits;
	static __thread pid_t owner;	/* 0: there are none yet */
	pid_t pid = getpid();

	if (owner != pid) {
		if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) !=
		    sizeof(bits))
			bits = (uint32_t)pid;
		owner = pid;
	}
	return bits;
}

const char *
unique_text(const struct timeval *now, char buf[UNIQUE_TEXT])
{
	static uint32_t n;

	snprintf(buf, UNIQUE_TEXT, "%010" PRIX64 "%05X%08" PRIX32 "%08" PRIX32,
	    (uint64_t)now->tv_sec & UINT64_C(0xffffffffff),
	    (unsigned int)now->tv_usec & 0xfffff,
	    __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED), random_of_thread());
	return buf;
}
