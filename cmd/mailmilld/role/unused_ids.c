/* See unused_ids.h.  What was found out about an id is kept: several roles, and
 * then a reload, ask about the same ones. */

#include "cmd/mailmilld/role/unused_ids.h"

#include <sys/types.h>

#include <grp.h>
#include <pwd.h>
#include <stdint.h>

#include "core/util/monotonic.h"

#define IDS		65536	/* those which are looked at are below */

static unsigned char is_known[IDS / 8], is_account[IDS / 8];
static unsigned char is_given[IDS / 8];	/* to a role, which may ask again */
static uint64_t looked_ns;	/* in all */

static bool
has_bit(const unsigned char *bits, unsigned int id)
{
	return (bits[id / 8] & 1u << id % 8) != 0;
}

static void
set_bit(unsigned char *bits, unsigned int id)
{
	bits[id / 8] |= (unsigned char)(1u << id % 8);
}

bool
unused_is_slow(void)
{
	return looked_ns > UNUSED_LOOK_MS * 1000000ULL;
}

static bool
has_account(unsigned int id)
{
	uint64_t start_ns;

	if (!has_bit(is_known, id)) {
		if (unused_is_slow())
			return true;
		start_ns = monotonic_ns();
		if (getpwuid(id) != NULL || getgrgid(id) != NULL)
			set_bit(is_account, id);
		set_bit(is_known, id);
		looked_ns += monotonic_ns() - start_ns;
	}
	return has_bit(is_account, id);
}

const struct unused_maps *
unused_maps(void)
{
	static struct unused_maps maps;

	if (maps.uids.n == 0) {
		idmap_read(IDMAP_UIDS, &maps.uids);
		idmap_read(IDMAP_GIDS, &maps.gids);
	}
	return &maps;
}

static bool
is_unused(const struct unused_maps *maps, unsigned int id)
{
	return idmap_has(&maps->uids, id) && idmap_has(&maps->gids, id) &&
	    !has_account(id);
}

/* A row of ${n}, looked for from ${first} to ${last}, or downwards.  Return the
 * lowest of it, or 0. */
static unsigned int
row(const struct unused_maps *maps, unsigned int n, unsigned int first,
    unsigned int last)
{
	int step = first <= last ? 1 : -1;
	unsigned int id, run = 0;

	for (id = first;; id += (unsigned int)step) {
		run = !has_bit(is_given, id) && is_unused(maps, id) ?
		    run + 1 : 0;
		if (run == n)
			return step == 1 ? id + 1 - n : id;
		if (id == last)
			return 0;
	}
}

unsigned int
unused_row(const struct unused_maps *maps, unsigned int n)
{
	unsigned int id = row(maps, n, UNUSED_SPARE,
	    UNUSED_SPARE + UNUSED_SPARES - 1);

	/* a container may have no such ids: the highest of those it has */
	return id != 0 ? id : row(maps, n, UNUSED_TRIAL - 1, UNUSED_LOWEST);
}

unsigned int
unused_nth(const struct unused_maps *maps, unsigned int n)
{
	unsigned int id = UNUSED_TRIAL;
	bool is_above = true;

	while (!is_unused(maps, id) || n-- > 0) {
		if (id == UNUSED_LOWEST)
			return 0;
		if (is_above && ++id < UNUSED_TRIAL + UNUSED_TRIALS)
			continue;
		id = is_above ? UNUSED_TRIAL - 1 : id - 1;
		is_above = false;
	}
	set_bit(is_given, id);
	return id;
}
