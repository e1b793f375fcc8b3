/* A lack of memory for what is not ASCII; see utf8_fail.h. */

#include "test/unit/core/util/utf8_fail.h"

#include <errno.h>

#include "core/util/utf8.h"

/* Of the linker's --wrap */
ssize_t __real_utf8_lower(const char *s, size_t len, char *out, size_t size);
ssize_t __wrap_utf8_lower(const char *s, size_t len, char *out, size_t size);

static bool is_failing;

void
utf8_fail(bool is_on)
{
	is_failing = is_on;
}

ssize_t
__wrap_utf8_lower(const char *s, size_t len, char *out, size_t size)
{
	if (is_failing && !utf8_is_ascii(s, len)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_utf8_lower(s, len, out, size);
}
