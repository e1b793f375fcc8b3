/* The version, and the one place that knows it: of the programs, of the
 * library, and in the file for pkg-config(1). */

#ifndef CORE_VERSION_H
#define CORE_VERSION_H

#include <mailmill/api.h>

MAILMILL_BEGIN

#define MAILMILL_VERSION_MAJOR	1
#define MAILMILL_VERSION_MINOR	0

/* "1.0", and a number to compare: 1000 */
#define MAILMILL_VERSION	MAILMILL_VERSION_TEXT(MAILMILL_VERSION_MAJOR, MAILMILL_VERSION_MINOR)
#define MAILMILL_VERSION_NUMBER	(MAILMILL_VERSION_MAJOR * 1000 + MAILMILL_VERSION_MINOR)
#define MAILMILL_VERSION_TEXT(major, minor) MAILMILL_VERSION_TEXT_(major, minor)
#define MAILMILL_VERSION_TEXT_(major, minor) #major "." #minor

/* mailmill_version(), mailmill_version_number(): The same of the library that
 * the program runs with; the macros are of the one that it was compiled
 * with. */
const char *mailmill_version(void);
int mailmill_version_number(void);

MAILMILL_END

#endif
