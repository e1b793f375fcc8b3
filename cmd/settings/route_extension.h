/* Extensions of local parts: user+extension.
 * Each Domain section says with Recipient_Delimiter which characters begin one.
 * Owns: where it begins, and which local parts have none whatever they hold. */

#ifndef CMD_SETTINGS_ROUTE_EXTENSION_H
#define CMD_SETTINGS_ROUTE_EXTENSION_H

#include <stddef.h>

#include "cmd/settings/settings.h"

#define ROUTE_ADDRESS_MAX	1024	/* octets of an address with NUL: more than any that a session takes */

/* route_extension(d, address): Where the extension begins in ${address}, local part
 * and domain as mailaddr_format() writes them: at its delimiter.  0: it has none.
 * route_extension_strip(address, at, buf): Write the address without the extension
 * that begins at ${at}, in the same form, to ${buf}, ROUTE_ADDRESS_MAX octets.
 * Return 0, or -1 with errno (ENOMEM; else it is no address).
 * route_extension_text(address, at, buf): Write what is behind the delimiter, not
 * quoted, to ${buf}, ROUTE_ADDRESS_MAX octets.
 * route_extension_add(s, of, at, buf): ${buf}, ROUTE_ADDRESS_MAX octets, gets the mail
 * of ${of}, which has an extension at ${at}: give it to ${buf}, too, if that is of a
 * domain here with the same delimiter, and has none of its own. */
size_t route_extension(const struct settings_domain *d, const char *address);
int route_extension_strip(const char *address, size_t at, char *buf);
void route_extension_text(const char *address, size_t at, char *buf);
void route_extension_add(const struct settings *s, const char *of, size_t at,
    char *buf);

#endif
