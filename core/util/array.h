/* Arrays that grow. */

#ifndef CORE_UTIL_ARRAY_H
#define CORE_UTIL_ARRAY_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* array_fit(v, &size, n, octets): Make room for ${n} elements of ${octets} each
 * in ${v}, which has room for ${size}, by half as much again at least; new ones
 * are zeroed.  Return the array, which may have moved, or NULL (ENOMEM): ${v} is
 * as it was. */
static inline void *
array_fit(void *v, size_t *size, size_t n, size_t octets)
{
	size_t room = *size + *size / 2;

	if (n <= *size)
		return v;
	if (room < n)
		room = n;
	if (room < 16)
		room = 16;
	if ((v = reallocarray(v, room, octets)) == NULL)
		return NULL;
	memset((char *)v + *size * octets, 0, (room - *size) * octets);
	*size = room;
	return v;
}

#endif
