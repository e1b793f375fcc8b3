/* A lack of memory for what is not ASCII. */

#ifndef TEST_UNIT_CORE_UTIL_UTF8_FAIL_H
#define TEST_UNIT_CORE_UTIL_UTF8_FAIL_H

#include <stdbool.h>

/* utf8_fail(is_on): From now on utf8_lower() returns -1, ENOMEM, for each text that
 * is not ASCII; or no more. */
void utf8_fail(bool is_on);

#endif
