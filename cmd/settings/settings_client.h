/* One client of one listener, as mailmilld -T names it: "listener,address".
 * Owns: which Listen section is meant, what is wrong with what names none. */

#ifndef CMD_SETTINGS_SETTINGS_CLIENT_H
#define CMD_SETTINGS_SETTINGS_CLIENT_H

#include "cmd/settings/settings.h"
#include "core/util/addr.h"

struct settings_client {
	size_t		listen;		/* index into listens */
	union addr	addr;
};

/* settings_client_parse(s, text, client_r, err_r, errlen): "listener,address".
 * The listener is a Listen section by its title or another spelling of its
 * address, or an address that the section with all addresses holds.  Return 0,
 * or -1 with a message in ${err_r}. */
int settings_client_parse(const struct settings *s, const char *text,
    struct settings_client *client_r, char *err_r, size_t errlen);

#endif
