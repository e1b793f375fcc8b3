/* Structs that a program makes and the library reads: the first member is the
 * size that the struct had when the program was compiled, a size_t.  The library
 * may be newer, and know more members, or older.  New members are put behind its
 * end, and not where it was filled up.
 * Knows nothing of what is in them. */

#ifndef CORE_UTIL_SIZED_H
#define CORE_UTIL_SIZED_H

#include <stddef.h>

/* sized_copy(to, room, from): Copy the struct ${from} to ${to}, which has
 * ${room} octets; what ${from} does not have is zero there.  Return 0, or -1
 * (EINVAL): ${from} is NULL or has no size. */
int sized_copy(void *to, size_t room, const void *from);

#endif
