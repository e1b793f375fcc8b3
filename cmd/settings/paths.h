/* Paths that are used when no option or flag gives another. */

#ifndef CMD_SETTINGS_PATHS_H
#define CMD_SETTINGS_PATHS_H

#ifndef MAILMILL_CONF
#define MAILMILL_CONF	"/etc/mailmill/mailmill.conf"
#endif

#endif
