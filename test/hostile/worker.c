/* Tricks of a worker. */

#include "test/hostile/hostile.h"

bool
trick_silent(uint64_t, unsigned int)
{
	hostile.is_silent = true;
	return true;
}

bool
trick_unknown(uint64_t arg, unsigned int)
{
	const struct msg_empty empty = { 0 };
	uint64_t i, handle;

	for (i = 0; i < arg; i++) {
		/* as the master's could be, and as they cannot be */
		handle = i % 2 == 0 ? i / 2 | (i + 1) << 32 : UINT64_MAX - i;
		if (hostile_send(ROLE_MASTER, M_CLOSED, &empty, &handle, 1)
		    == -1)
			break;
	}
	return true;
}
