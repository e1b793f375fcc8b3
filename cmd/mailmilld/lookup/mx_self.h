/* Which next hops are this server itself.
 * Owns: its names, and the addresses on which its listeners are reached.
 * A hop with one of our names, or with an address and port on which we listen,
 * would bring the message back to us (RFC 5321 5.1). */

#ifndef CMD_MAILMILLD_LOOKUP_MX_SELF_H
#define CMD_MAILMILLD_LOOKUP_MX_SELF_H

#include <stdbool.h>

#include "cmd/settings/settings.h"
#include "core/util/addr.h"

struct mx_self;

/* mx_self_new(s): From the settings, and from the addresses of this machine's
 * interfaces: before child_run(), since a process without files and sockets
 * cannot ask for these.  NULL: ENOMEM. */
struct mx_self *mx_self_new(const struct settings *s);

/* mx_self_add_name(self, name), mx_self_add_addr(self, addr): One more; an
 * address whose port is 0 is ours with each port.  Return 0, or -1: ENOMEM. */
int mx_self_add_name(struct mx_self *self, const char *name);
int mx_self_add_addr(struct mx_self *self, const union addr *addr);

/* mx_self_has_name(self, name), mx_self_has_addr(self, addr): Is it ours?  Of
 * NULL ${self} nothing is. */
bool mx_self_has_name(const struct mx_self *self, const char *name);
bool mx_self_has_addr(const struct mx_self *self, const union addr *addr);

void mx_self_free(struct mx_self *self);	/* NULL does nothing */

#endif
