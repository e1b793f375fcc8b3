/* The capabilities of this process: capabilities(7).
 * Owns: the five sets. */

#ifndef CORE_PROCESS_CAPS_H
#define CORE_PROCESS_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#define CAPS_BIT(cap)	(UINT64_C(1) << (cap))	/* of CAP_* in linux/capability.h */

/* caps_bound(keep): No program that this process executes, and nothing else, can
 * ever give it a capability that is not in ${keep}.  Needs CAP_SETPCAP for
 * each that goes.  Return 0 or -1 with errno. */
int caps_bound(uint64_t keep);

/* caps_keep(keep): Of the capabilities that this thread has, only ${keep} stay;
 * those it could inherit go.  Return 0 or -1 with errno. */
int caps_keep(uint64_t keep);

/* caps_are_empty(): Whether all sets of this thread are.  The bounding set
 * counts only for a process that could execute as root: ${with_bound}. */
bool caps_are_empty(bool with_bound);

#endif
