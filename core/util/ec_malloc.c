/* Memory, by the names of the documented API: see ec_malloc.h. */

#include "core/ec_malloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_thread_pool.h"
#include "core/event.h"

void *
ec_malloc(int object_type)
{
	if (object_type == MEMTYPE_EVENT)
		return calloc(1, sizeof(Event));
	if (object_type == MEMTYPE_EC_ASYNC_JOB)
		return calloc(1, sizeof(ec_async_job));
	errno = EINVAL;
	return NULL;
}

void *
ec_malloc_size(int, size_t size)
{
	return malloc(size == 0 ? 1 : size);
}

char *
ec_mt_strdup(int, const char *str)
{
	if (str != NULL)
		return strdup(str);
	errno = EINVAL;
	return NULL;
}

void
ec_free(int, void *ptr)
{
	free(ptr);
}
