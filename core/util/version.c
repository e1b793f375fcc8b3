/* Which version the library has; see version.h. */

#include "core/version.h"

const char *
mailmill_version(void)
{
	return MAILMILL_VERSION;
}

int
mailmill_version_number(void)
{
	return MAILMILL_VERSION_NUMBER;
}
