/* Shared memory of a fixed size, without a name.
 * Owns: the seals.  Knows nothing of its contents. */

#ifndef CORE_PROCESS_SEALED_H
#define CORE_PROCESS_SEALED_H

#include <stddef.h>

/* sealed_create(name, octets): Zeroed memory that several processes may map and
 * write, and none can resize: so none can cause a SIGBUS in another.  Return
 * its descriptor, close-on-exec, or -1 with errno. */
int sealed_create(const char *name, size_t octets);

/* sealed_create_own(name, octets, &p_r): The same, mapped at ${p_r}, and from
 * then on only that mapping can be written: who gets the descriptor can read
 * (F_SEAL_FUTURE_WRITE, Linux 5.1). */
int sealed_create_own(const char *name, size_t octets, void **p_r);

/* sealed_map(fd, octets): Map it, to read and write.  NULL with errno: EINVAL,
 * it has another size.
 * sealed_map_read(fd, &octets_r): Map all of it, to read alone.  NULL with
 * errno. */
void *sealed_map(int fd, size_t octets);
const void *sealed_map_read(int fd, size_t *octets_r);

#endif
