/* A string that grows: see ec_string.h. */

#include "core/ec_string.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_OCTETS	64

/* Does the memory belong to the string? */
static bool
is_own(const string *str)
{
	return str->type >= 0;
}

int
string_init_type(string *str, size_t size, int type)
{
	if (size == 0 || size > INT_MAX || type < 0) {
		errno = EINVAL;
		return 0;
	}
	memset(str, 0, sizeof(*str));
	str->type = type;
	if ((str->buffer = ec_malloc_size(type, size)) == NULL)
		return 0;
	str->buffer[0] = '\0';
	str->allocd = (int)size;
	return 1;
}

int
string_destroy(string *str)
{
	if (str == NULL)
		return 1;
	if (is_own(str))
		ec_free(str->type, str->buffer);
	str->buffer = NULL;
	str->len = str->allocd = 0;
	return 1;
}

/* Move the octets to memory of the string's own, with room for ${size}. */
static int
grow(string *str, size_t size)
{
	char *grown = realloc(is_own(str) ? str->buffer : NULL, size);

	if (grown == NULL)
		return -1;
	if (!is_own(str)) {
		if (str->len > 0)
			memcpy(grown, str->buffer, (size_t)str->len);
		str->type = STRING_TYPE_ECSTRING;
	}
	str->buffer = grown;
	str->allocd = (int)size;
	return 0;
}

/* Make room for ${more} octets and a NUL. */
static int
make_room(string *str, size_t more)
{
	size_t need, size;

	if (more >= (size_t)(INT_MAX - str->len)) {
		errno = EFBIG;
		return -1;
	}
	need = (size_t)str->len + more + 1;
	if (str->buffer != NULL && need <= (size_t)str->allocd)
		return 0;
	if (!is_own(str) && str->type != STRING_TYPE_GROWABLE_STATIC) {
		errno = ENOSPC;
		return -1;
	}
	size = (size_t)str->allocd * 2;
	if (size < FIRST_OCTETS)
		size = FIRST_OCTETS;
	if (size < need || size > INT_MAX)
		size = need;
	return grow(str, size);
}

ssize_t
stringwrite2(string *str, const char *iobuf, size_t iolen)
{
	/* a part of itself moves with it */
	bool is_part = str->buffer != NULL && iolen > 0 &&
	    (uintptr_t)iobuf >= (uintptr_t)str->buffer &&
	    (uintptr_t)iobuf <= (uintptr_t)str->buffer + (size_t)str->len;
	size_t at = is_part ? (size_t)(iobuf - str->buffer) : 0;

	if (make_room(str, iolen) == -1)
		return -1;
	if (is_part)
		iobuf = str->buffer + at;
	if (iolen > 0)
		memmove(str->buffer + str->len, iobuf, iolen);
	str->len += (int)iolen;
	str->buffer[str->len] = '\0';
	return (ssize_t)iolen;
}

string *
stringprintf(string *str, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0 && errno == EOVERFLOW)
		errno = EFBIG;
	if (n < 0 || make_room(str, (size_t)n) == -1)
		return NULL;
	va_start(ap, format);
	(void)vsnprintf(str->buffer + str->len, (size_t)n + 1, format, ap);
	va_end(ap);
	str->len += n;
	return str;
}
