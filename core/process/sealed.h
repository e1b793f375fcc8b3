/* Shared memory of a fixed size, without a name.
 * Owns: the seals.  Knows nothing of its contents. */

#ifndef CORE_PROCESS_SEALED_H
#define CORE_PROCESS_SEALED_H

#include <stddef.h>

/* sealed_create(name, octets): Zeroed memory that several processes may map and
 * write, and none can resize: so none can cause a SIGBUS in another.  Return
 * its descriptor, close-on-exec, or -1 with errno. */
int sealed_create(const char *name, size_t octets);

/* sealed_map(fd, octets): Map it, to read and write.  NULL with errno: EINVAL,
 * it has another size. */
void *sealed_map(int fd, size_t octets);

#endif
