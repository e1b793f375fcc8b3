/* Ranges of subordinate ids: /etc/subuid and /etc/subgid (subuid(5), subgid(5)),
 * a line each "account:first:count", where the account is a name or a number.
 * Nobody else uses ids of a range that an account has. */

#ifndef CORE_TABLE_SUBID_H
#define CORE_TABLE_SUBID_H

#include <stdint.h>

#define SUBUID_FILE	"/etc/subuid"
#define SUBGID_FILE	"/etc/subgid"

struct subid_range {
	uint32_t	first;
	uint32_t	count;
};

/* subid_find(path, name, id, &range_r): The largest range that ${path} gives to
 * the account ${name}, whose number is ${id}.  A range that holds 0, or an id
 * that there cannot be, does not count.  Return 0, or -1 with errno (ENOENT: no
 * such file, or it has none). */
int subid_find(const char *path, const char *name, uint32_t id,
    struct subid_range *range_r);

#endif
