/* Our client against our server, over two simulated wires with what a seed
 * makes of the way between them: fragments, delays, small windows, cuts
 * anywhere; TLS; commits that fail, memory that fails, a server that shuts down,
 * clocks that are set.
 * Owns: the way between the wires; the check that a message is in the server's
 * spool exactly for those recipients whose client says so. */

#ifndef TEST_SIM_HOP_H
#define TEST_SIM_HOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hop_total {
	unsigned long	nmessages, nrcpts, naccepted, nuncertain, nunsent,
			nrefused, ncuts, nhandshakes;
};

/* hop_run(seed, mutation, is_traced, total, text, size): One seed; ${mutation}
 * is of the spool (enum simspool_mutation).  Add to ${total}.  Return whether
 * all holds; if not, ${text} says what does not. */
bool hop_run(uint64_t seed, int mutation, bool is_traced,
    struct hop_total *total, char *text, size_t size);

#endif
