/* The user or group ids that there are in this process's user namespace:
 * /proc/self/uid_map and gid_map, user_namespaces(7).  In a container these may
 * be few, and a process cannot become another one. */

#ifndef CORE_TABLE_IDMAP_H
#define CORE_TABLE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/table/subid.h"

#define IDMAP_UIDS	"/proc/self/uid_map"
#define IDMAP_GIDS	"/proc/self/gid_map"
#define IDMAP_MAX	340	/* ranges; the kernel takes no more */

struct idmap {
	size_t			n;
	struct subid_range	v[IDMAP_MAX];	/* in order, with gaps between them */
};

/* idmap_read(path, map_r): No such file: the kernel has no user namespaces, and
 * all ids are there. */
void idmap_read(const char *path, struct idmap *map_r);

/* idmap_has(map, id): Is it there?
 * idmap_part(map, range): The largest part of ${range} that is; count 0: none. */
bool idmap_has(const struct idmap *map, uint32_t id);
struct subid_range idmap_part(const struct idmap *map,
    const struct subid_range *range);

#endif
