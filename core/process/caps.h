/* The capabilities of this process: capabilities(7).
 * Owns: how the five sets of capabilities are changed. */

#ifndef CORE_PROCESS_CAPS_H
#define CORE_PROCESS_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#define CAPS_BIT(cap)	(UINT64_C(1) << (cap))	/* of CAP_* in linux/capability.h */

/* caps_bound(keep): Take all capabilities but ${keep} out of the bounding set,
 * so that no program which this process executes can gain another one.  Needs
 * CAP_SETPCAP if any is taken out.  Return 0 or -1 with errno. */
int caps_bound(uint64_t keep);

/* caps_keep(keep): This thread keeps only those of its capabilities that are in
 * ${keep}; its inheritable and ambient sets become empty.  Return 0 or -1 with
 * errno. */
int caps_keep(uint64_t keep);

/* caps_are_empty(with_bound): Are all sets of this thread empty?  The bounding
 * set is looked at only ${with_bound}: it matters where the process was
 * root. */
bool caps_are_empty(bool with_bound);

#endif
