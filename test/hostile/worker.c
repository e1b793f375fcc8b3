/* Tricks of a worker. */

#include "test/hostile/hostile.h"

bool
trick_seal(uint64_t arg, unsigned int)
{
	static const uint64_t ends[] = { 0, 64, 4096, 4160, 65536, 1 << 20,
	    16 << 20, 1ULL << 40, UINT64_MAX };
	struct msg_committed mc = { .segment = arg };
	size_t i;

	for (mc.generation = 0; mc.generation < 5; mc.generation++)
		for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			mc.end = ends[i];
			mc.is_sealed = 0;
			(void)hostile_send(ROLE_QUEUE, Q_COMMITTED, &mc, NULL,
			    0);
			mc.is_sealed = 1;
			(void)hostile_send(ROLE_QUEUE, Q_COMMITTED, &mc, NULL,
			    0);
		}
	return true;
}

bool
trick_silent(uint64_t, unsigned int)
{
	hostile.is_silent = true;
	return true;
}

bool
trick_hoarder(uint64_t, unsigned int)
{
	hostile.is_silent = hostile.is_hoarder = true;
	return true;
}

bool
trick_liar(uint64_t, unsigned int)
{
	const struct msg_empty empty = { 0 };
	unsigned int n = hostile.nkept;

	hostile.is_silent = hostile.is_liar = true;
	(void)hostile_send(ROLE_MASTER, M_CLOSED, &empty, hostile.kept,
	    n < MSG_CLOSED_MAX ? n : MSG_CLOSED_MAX);
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
