/* Memory that has held a secret. */

#include "core/util/wipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
wipe_free(void *p, size_t octets)
{
	int saved = errno;

	if (p == NULL)
		return;
	explicit_bzero(p, octets);
	free(p);
	errno = saved;
}
