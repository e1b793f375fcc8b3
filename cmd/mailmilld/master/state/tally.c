/* See tally.h.
 * A part is there while its worker has a session in the tally, so a list has as
 * many as there are workers, at most: it is walked. */

#include "cmd/mailmilld/master/state/tally.h"

#include <stdlib.h>

struct part {
	SLIST_ENTRY(part)	 link;
	struct tally		*tally;
	const struct book	*book;
	unsigned int		 n;
};

static struct part *
find(const struct tally *t, const struct book *b)
{
	struct part *part;

	SLIST_FOREACH(part, &t->parts, link)
		if (part->book == b)
			return part;
	return NULL;
}

struct part *
tally_enter(struct tally *t, const struct book *b)
{
	struct part *part = find(t, b);

	if (part == NULL) {
		if ((part = calloc(1, sizeof(*part))) == NULL)
			return NULL;
		part->tally = t;
		part->book = b;
		SLIST_INSERT_HEAD(&t->parts, part, link);
	}
	part->n++;
	t->n++;
	return part;
}

struct tally *
tally_leave(struct part *part)
{
	struct tally *t = part->tally;

	t->n--;
	if (--part->n > 0)
		return t;
	SLIST_REMOVE(&t->parts, part, part, link);
	free(part);
	return t;
}

struct tally *
part_tally(const struct part *part)
{
	return part->tally;
}

unsigned int
tally_of(const struct tally *t, const struct book *b)
{
	const struct part *part = t == NULL ? NULL : find(t, b);

	return part == NULL ? 0 : part->n;
}

unsigned int
tally_bounded(const struct tally *t, unsigned int max)
{
	const struct part *part;
	unsigned int n = 0;

	SLIST_FOREACH(part, &t->parts, link)
		n += part->n < max ? part->n : max;
	return n;
}
