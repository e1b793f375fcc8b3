/* The settings as they are in force, and where each is set, for mailmilld -n -v
 * and -T.
 * Owns: the form of the listing.  What is kept of a configuration does not say
 * where an option is set, so the configuration is parsed once more. */

#ifndef CMD_SETTINGS_SETTINGS_SHOW_H
#define CMD_SETTINGS_SETTINGS_SHOW_H

#include <stdio.h>

#include "cmd/settings/settings_client.h"

/* settings_show(fd, client, fp, err_r, errlen): Write all settings of the pack
 * ${fd} (settings_pack()), each on a line, in the syntax of mailmill.conf(5),
 * with a comment that says where it is set.  The whole is a configuration with
 * the same effect.  If ${client} is not NULL: of the Listen sections only that
 * of its listener, with the options of this client.
 * settings_show_client(fd, client, ...): The options of ${client} alone,
 * without a section round them.
 * Both return 0, or -1 with a message in ${err_r}. */
int settings_show(int fd, const struct settings_client *client, FILE *fp,
    char *err_r, size_t errlen);
int settings_show_client(int fd, const struct settings_client *client,
    FILE *fp, char *err_r, size_t errlen);

#endif
