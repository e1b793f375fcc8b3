/* The one place that knows the version. */

#ifndef CMD_SETTINGS_VERSION_H
#define CMD_SETTINGS_VERSION_H

#define MAILMILL_VERSION	"1.0"

#endif
