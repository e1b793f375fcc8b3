/* For unit tests: settings of a text. */

#ifndef TEST_UNIT_CMD_SETTINGS_LOAD_H
#define TEST_UNIT_CMD_SETTINGS_LOAD_H

#include "cmd/settings/settings.h"

/* Why there are none. */
extern char load_error[SETTINGS_ERROR_MAX];

/* load_settings(override, fmt, ...): Those of the file m.conf with that text;
 * ${override} is an option -D, NULL: there is none.  NULL, with load_error.
 * load_good_settings(fmt, ...): The text has none of the errors. */
struct settings *load_settings(const char *override, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct settings *load_good_settings(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* check_domain(before, domain, why): Load ${before} and, behind it, a section for
 * a.test with the options ${domain}.  Expect a message that ends with ${why};
 * NULL: expect none. */
void check_domain(const char *before, const char *domain, const char *why);

#endif
