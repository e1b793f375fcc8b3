/* Which generation a segment is in.
 * Owns: what is known of it besides its header, which its writer can change: what
 * the log has, what this process has given out, what messages that are deferred
 * have.  A header with an earlier one is forged: its records would be taken for
 * those that this generation had. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>

#include <stdlib.h>

static struct queue_generation *
find(const struct queue_writer *w, uint64_t segment)
{
	size_t i;

	for (i = 0; w->given != NULL && i < QUEUE_GIVEN; i++)
		if (w->given[i].segment == segment)
			return &w->given[i];
	return NULL;
}

int
queue_generation_note(struct queue_spool *sp, uint64_t segment,
    uint64_t generation)
{
	struct queue_writer *w = &sp->writers[spool_number(segment)];
	struct queue_generation *g;

	if (w->given == NULL && (w->given = calloc(QUEUE_GIVEN,
	    sizeof(w->given[0]))) == NULL)
		return -1;
	if ((g = find(w, segment)) == NULL) {
		/* the one that has been there longest */
		g = &w->given[w->ngiven++ % QUEUE_GIVEN];
		*g = (struct queue_generation){ .segment = segment };
	}
	g->generation = MAX(g->generation, generation);
	return 0;
}

uint64_t
queue_generation_see(struct queue_spool *sp, struct queue_segment *seg)
{
	const struct queue_generation *g =
	    find(&sp->writers[spool_number(seg->id)], seg->id);
	uint64_t generation = seg->header.generation, last = 0;
	int rc = deferred_last_of(sp->deferred, seg->id, &last);

	seg->header_generation = generation;
	if (rc == 1 && last > generation && last < QUEUE_GENERATION_MAX)
		generation = last + 1;
	generation = MAX(generation, seg->least_generation);
	if (g != NULL)
		generation = MAX(generation, g->generation);
	/* A worker can write into its header the generation in which it has
	 * accepted what is deferred: its new records are taken for those.  If
	 * it cannot be known now, it is asked for each record. */
	seg->may_have_rows = rc == -1 || (rc == 1 && last == generation);
	return generation;
}

int
queue_generation_next(struct queue_spool *sp, struct queue_segment *seg)
{
	uint64_t generation = MAX(seg->header.generation, seg->generation);

	if (generation >= QUEUE_GENERATION_MAX ||
	    queue_generation_note(sp, seg->id, generation + 1) == -1)
		return -1;
	seg->header.generation = generation;
	return 0;
}

void
queue_generations_free(struct queue_spool *sp)
{
	size_t i;

	for (i = 0; i < sizeof(sp->writers) / sizeof(sp->writers[0]); i++)
		free(sp->writers[i].given);
}
