/* Whose turn it is to be fetched from, or posted to; see sts_fetch.h.
 * Owns: who has the next place, who has to end early, and which hosts were slow. */

#include "cmd/mailmilld/sts/sts_fetch_int.h"

#include <string.h>
#include <xxhash.h>

#include "core/loop/after.h"

#define CUT_MS		1000		/* while fetches wait, what takes long is looked for */
#define SLOW_MS		3600000		/* for so long: mail is tried again more often */

/* --- slow hosts ----------------------------------------------------------- */

/* Where the host of ${f} is remembered, or would be: another one may be there. */
static struct sts_slow *
slow_of(const struct sts_fetch *f, uint64_t *hash_r)
{
	*hash_r = XXH3_64bits_withSeed(f->host, strlen(f->host), f->fs->seed);
	return &f->fs->slow[*hash_r % STS_SLOW_MAX];
}

static bool
is_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	const struct sts_slow *s = slow_of(f, &hash);

	return s->hash == hash && f->fs->now_ms() < s->end_ms;
}

static void
note_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	struct sts_slow *s = slow_of(f, &hash);

	*s = (struct sts_slow){ hash, f->fs->now_ms() + SLOW_MS };
}

void
sts_place_forget_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	struct sts_slow *s = slow_of(f, &hash);

	if (s->hash == hash)
		s->end_ms = 0;
}

/* --- places --------------------------------------------------------------- */

/* How many of that group have a place. */
static unsigned int
running_of(const struct sts_fetches *fs, const char *group)
{
	const struct sts_fetch *f;
	unsigned int n = 0;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link)
		n += strcmp(f->group, group) == 0;
	return n;
}

/* The one that gets the next place; NULL: none waits.  A host that was slow a while
 * ago comes after those of which nothing is known: it would be slow again, and mail
 * that asks for it comes back before theirs has had a turn. */
static struct sts_fetch *
next_waiting(const struct sts_fetches *fs)
{
	struct sts_fetch *f, *next = NULL;
	unsigned int n, least = 0;

	TAILQ_FOREACH(f, &fs->lists[WAITING], link) {
		n = running_of(fs, f->group) + (is_slow(f) ?
		    fs->places : 0);
		if (next == NULL || n < least) {
			next = f;
			least = n;
		}
		if (least == 0)
			break;
	}
	return next;
}

static bool
is_wanted(const struct sts_fetch *f)
{
	return f->fs->is_wanted == NULL || f->fs->is_wanted(f->closure);
}

static bool
is_long(const struct sts_fetch *f)
{
	return f->fs->short_ms > 0 &&
	    f->fs->now_ms() - f->since_ms >= f->fs->short_ms;
}

/* The one whose place another one gets; NULL: none has had it for long. */
static struct sts_fetch *
first_to_go(const struct sts_fetches *fs)
{
	struct sts_fetch *f, *first = NULL;
	unsigned int n, most = 0;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link) {
		if (!is_wanted(f))
			return f;
		if (!is_long(f))
			continue;
		n = running_of(fs, f->group);
		if (n > most) {
			first = f;
			most = n;
		}
	}
	return first;
}

static void on_cut(void *closure);

void
sts_place_start(struct sts_fetches *fs)
{
	struct sts_fetch *f;

	while (fs->nrunning < fs->places &&
	    (f = next_waiting(fs)) != NULL)
		sts_transfer_start(f);
	if (fs->cut == NULL && !TAILQ_EMPTY(&fs->lists[WAITING]))
		fs->cut = after_ms(CUT_MS, on_cut, fs);
}

/* Some wait.  It is no failure of the servers: they could have had more time. */
static void
on_cut(void *closure)
{
	struct sts_fetches *fs = closure;
	struct sts_fetch *f, *next;
	unsigned int n = 0;

	fs->cut = NULL;
	TAILQ_FOREACH_SAFE(f, &fs->lists[WAITING], link, next)
		if (is_wanted(f))
			n++;
		else
			sts_transfer_finish(f, STS_UNKNOWN,
			    "nobody waits for it any more");
	while (n-- > 0 && (f = first_to_go(fs)) != NULL) {
		if (is_long(f))
			note_slow(f);
		sts_transfer_finish(f, STS_UNKNOWN, "its server has not "
		    "answered within some seconds, and others wait");
	}
	sts_place_start(fs);
}
