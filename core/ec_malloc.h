/* Memory, by the names of the documented API.  The memory is malloc(3)'s; the
 * number says what is in it, and is not kept: that the same one is given to
 * ec_free() is not checked. */

#ifndef CORE_EC_MALLOC_H
#define CORE_EC_MALLOC_H

#include <stddef.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

#define MEMTYPE_EVENT			0
#define MEMTYPE_MESSAGE_BODY		8
#define MEMTYPE_SIEVE			21
#define MEMTYPE_STRING			51
#define MEMTYPE_MESSAGE_CONSTRUCT	52
#define MEMTYPE_EC_ASYNC_JOB		55
#define MEMTYPE_ACCEPT_CONSTRUCT	67
#define MEMTYPE_VALIDATE_DATA		70
#define MEMTYPE_IO_OBJECT		91
#define MEMTYPE_IS_MALLOC_3C		97

/* ec_malloc(object_type): Memory for one object of a type of known size, all
 * zero: MEMTYPE_EVENT, MEMTYPE_EC_ASYNC_JOB.  NULL with errno: EINVAL for any other type; ENOMEM.
 * ec_malloc_size(object_type, size): ${size} octets, not initialised; at least
 * one.  NULL with errno ENOMEM.
 * ec_mt_strdup(object_type, str): A copy; NULL with errno ENOMEM, or EINVAL
 * without ${str}.
 * ec_free(object_type, ptr): NULL is permitted, and has no effect.
 * Any thread. */
void *ec_malloc(int object_type);
void *ec_malloc_size(int object_type, size_t size);
char *ec_mt_strdup(int object_type, const char *str);
void ec_free(int object_type, void *ptr);

MAILMILL_END

#endif
