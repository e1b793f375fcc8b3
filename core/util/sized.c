/* Structs that begin with their size; see sized.h. */

#include "core/util/sized.h"

#include <errno.h>
#include <string.h>

int
sized_copy(void *to, size_t room, const void *from)
{
	size_t size = 0;

	if (from != NULL)
		memcpy(&size, from, sizeof(size));
	if (size <= sizeof(size)) {
		errno = EINVAL;
		return -1;
	}
	memset(to, 0, room);
	memcpy(to, from, size < room ? size : room);
	return 0;
}
