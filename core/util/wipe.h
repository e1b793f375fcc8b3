/* Memory that has held a secret. */

#ifndef CORE_UTIL_WIPE_H
#define CORE_UTIL_WIPE_H

#include <stddef.h>

/* wipe_free(p, octets): Overwrite ${octets} at ${p} and free it; errno stays.
 * NULL does nothing. */
void wipe_free(void *p, size_t octets);

#endif
