/* Numeric ids that no account has, for processes whose account is missing.
 * Owns: where they are looked for; the bound on looking, which may ask a server
 * far away (nsswitch.conf(5)) about each id. */

#ifndef CMD_MAILMILLD_ROLE_UNUSED_IDS_H
#define CMD_MAILMILLD_ROLE_UNUSED_IDS_H

#include <stdbool.h>

#include "core/table/idmap.h"

#define UNUSED_TRIAL	64200	/* for the roles: first looked at; above Debian's
				 * dynamic range, below its 64-bit-only one */
#define UNUSED_TRIALS	300
#define UNUSED_SPARE	64600	/* for processes with an account each, likewise */
#define UNUSED_SPARES	900
#define UNUSED_LOWEST	100	/* below, a system's own accounts come and go */
#define UNUSED_LOOK_MS	5000	/* all looking together */

/* The user and group ids that there are. */
struct unused_maps {
	struct idmap	uids, gids;
};

/* unused_maps(): Of this process, read once. */
const struct unused_maps *unused_maps(void);

/* unused_nth(maps, n): The ${n}th one from 0 on, for a role: the same while the
 * accounts of the system do not change.  0: there are too few. */
unsigned int unused_nth(const struct unused_maps *maps, unsigned int n);

/* unused_row(maps, n): The first of ${n} in a row that no role has been given;
 * 0: there are none. */
unsigned int unused_row(const struct unused_maps *maps, unsigned int n);

/* unused_is_slow(): Has the search taken longer than UNUSED_LOOK_MS?  Then ids
 * that have not been looked up count as used. */
bool unused_is_slow(void);

#endif
