/* The table of messages between processes, from msg.def.
 * Owns: the rows. */

#include "cmd/mailmilld/role/msg.h"

#include "tls/remote.h"

enum { FD = 1, SECRET = 2 };

#define R(role) (1u << ROLE_##role)
#define ALL_CHILDREN ((1u << NROLES) - 1 - R(MASTER))
#define AGENTS ROLES_DELIVERING
#define MSG(id, from, to, base, entry, max, flags) \
	[id] = { .name = #id, .senders = from, .receivers = to, \
	    .base_octets = sizeof(base), \
	    .entry_octets = (max) == 0 ? 0 : sizeof(entry), \
	    .max_entries = max, .has_fd = ((flags) & FD) != 0, \
	    .is_secret = ((flags) & SECRET) != 0 },

const struct channel_row msg_rows[NMSGS] = {
#include "cmd/mailmilld/role/msg.def"
};
