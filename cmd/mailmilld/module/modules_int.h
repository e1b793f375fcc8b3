/* Shared by the files of the modules alone. */

#ifndef CMD_MAILMILLD_MODULE_MODULES_INT_H
#define CMD_MAILMILLD_MODULE_MODULES_INT_H

#include "cmd/mailmilld/module/modules.h"

/* modules_say(err_r, errlen, at, fmt, ...): Write "FILE:LINE:COLUMN: option
 * 'Module': ...".  Return -1. */
int modules_say(char *err_r, size_t errlen, const struct conf_at *at,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* modules_file_check(path, owner, real_r, err_r, errlen): May the code in that
 * file run in our processes?  ${real_r}, of PATH_MAX octets, gets the path
 * without symbolic links.  Return 0, or -1 with why not. */
int modules_file_check(const char *path, uid_t owner, char *real_r,
    char *err_r, size_t errlen);

/* modules_object_find(m, real, owner, err_r, errlen): dlopen(3) ${real}, check the
 * files of the objects that it needs, as modules_file_check() does, and find and
 * check its struct, into ${m}.  Return 0, or -1 with why not. */
int modules_object_find(struct module *m, const char *real, uid_t owner,
    char *err_r, size_t errlen);

/* modules_limit(seconds): From now on there is a SIGALRM when a module is loaded and
 * told its settings, or has its init() called, for so long.
 * modules_calling(section): A function of that module is about to be called; NULL:
 * it has returned.  For crashes outside of sessions.
 * modules_called(): That one. */
void modules_limit(unsigned int seconds);
void modules_calling(const struct settings_module *section);
const struct settings_module *modules_called(void);

#endif
