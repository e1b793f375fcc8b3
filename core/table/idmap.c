/* See idmap.h. */

#include "core/table/idmap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The number after its last id.  For the range of all ids that is 2^32 - 1,
 * which no account can have. */
static uint64_t
end_of(const struct subid_range *r)
{
	return (uint64_t)r->first + r->count;
}

static int
by_first(const void *va, const void *vb)
{
	const struct subid_range *a = va, *b = vb;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* Put them in order; those that adjoin are one. */
static void
join(struct idmap *map)
{
	size_t i, n = 0;

	qsort(map->v, map->n, sizeof(map->v[0]), by_first);
	for (i = 0; i < map->n; i++)
		if (n > 0 && end_of(&map->v[n - 1]) == map->v[i].first)
			map->v[n - 1].count += map->v[i].count;
		else
			map->v[n++] = map->v[i];
	map->n = n;
}

void
idmap_read(const char *path, struct idmap *map_r)
{
	struct subid_range r;
	FILE *fp;

	map_r->n = 0;
	if ((fp = fopen(path, "re")) == NULL) {
		map_r->v[map_r->n++] = (struct subid_range){ 0, UINT32_MAX };
		return;
	}
	/* here, in the namespace outside of it, how many */
	while (map_r->n < IDMAP_MAX && fscanf(fp, "%" SCNu32 " %*u %" SCNu32,
	    &r.first, &r.count) == 2)
		if (r.count > 0)
			map_r->v[map_r->n++] = r;
	fclose(fp);
	join(map_r);
}

bool
idmap_has(const struct idmap *map, uint32_t id)
{
	const struct subid_range one = { id, 1 };

	return idmap_part(map, &one).count > 0;
}

struct subid_range
idmap_part(const struct idmap *map, const struct subid_range *range)
{
	struct subid_range best = { 0, 0 };
	uint64_t from, to;
	size_t i;

	for (i = 0; i < map->n; i++) {
		from = map->v[i].first > range->first ? map->v[i].first :
		    range->first;
		to = end_of(&map->v[i]) < end_of(range) ? end_of(&map->v[i]) :
		    end_of(range);
		if (from < to && to - from > best.count)
			best = (struct subid_range){ (uint32_t)from,
				(uint32_t)(to - from) };
	}
	return best;
}
