/* Names that nothing else on this machine has. */

#ifndef CORE_UTIL_UNIQUE_H
#define CORE_UTIL_UNIQUE_H

#include <sys/time.h>

/* unique_text(now, buf): A name of capital letters and digits, that no other call
 * has given, in any thread, nor in another process, also of another time, if
 * ${now} is the time.  Return ${buf}. */
#define UNIQUE_TEXT	32	/* octets with the NUL */
const char *unique_text(const struct timeval *now, char buf[UNIQUE_TEXT]);

#endif
