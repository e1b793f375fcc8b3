/* The allocator under the simulator: linked with --wrap, so that every
 * allocation of the code under test can fail, and is accounted for.
 * Owns: how much each owner holds; the decision which request fails.
 * simalloc_quiet (test/lib/simclock.h) exempts the test's own requests;
 * simalloc_owner (test/lib/simhost.h) says for whom a request is made. */

#ifndef TEST_SIM_ALLOC_H
#define TEST_SIM_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include "test/lib/simrand.h"

#define ALLOC_OWNERS	64	/* 0: what belongs to no session */

struct alloc_account {
	size_t		octets, blocks;
	size_t		peak;		/* octets */
	unsigned long	nfailed;	/* requests that were made to fail */
	unsigned long	nrequests;
	unsigned long	nsecrets;	/* freed with a password */
};

/* alloc_reset(r): Forget all accounts (what is outstanding stays
 * outstanding).  Requests fail as ${r} says, see alloc_fail(). */
void alloc_reset(struct simrand *r);

/* alloc_fail(permille, nth): From now on each request fails with that chance;
 * and request number ${nth} from now (0: none) does. */
void alloc_fail(unsigned int permille, unsigned long nth);

const struct alloc_account *alloc_of(unsigned int owner);

/* alloc_outstanding(): Blocks of all owners. */
size_t alloc_outstanding(void);

#endif
