/* The files of large bodies: when they can be removed.
 * Owns: that no body is removed while a record that names it is not done.
 *
 * The writer of a record chooses the body that it names, so two records may
 * name the same body: a worker that an attacker controls can write the second
 * one.  Which of the two segments was written to first is not known: the clock
 * may have been set, and a worker can set the time of a file that it holds. */

#include "core/store/queue_spool_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/array.h"

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
has_id(struct queue_ids *ids, uint64_t id)
{
	if (ids->n == 0)
		return false;
	if (!ids->is_sorted)
		qsort(ids->v, ids->n, sizeof(id), compare);
	ids->is_sorted = true;
	return bsearch(&id, ids->v, ids->n, sizeof(id), compare) != NULL;
}

static void
add_id(struct queue_segment *seg, struct queue_ids *ids, uint64_t id)
{
	uint64_t *v = array_fit(ids->v, &ids->room, ids->n + 1, sizeof(id));

	if (v == NULL) {
		seg->has_back_unknown = true;
		return;
	}
	ids->v = v;
	ids->v[ids->n++] = id;
	ids->is_sorted = false;
}

static void
clear_ids(struct queue_ids *ids)
{
	free(ids->v);
	memset(ids, 0, sizeof(*ids));
}

void
queue_body_put_back(struct queue_segment *seg, uint64_t id)
{
	add_id(seg, &seg->back, id);
}

void
queue_body_rewind(struct queue_segment *seg)
{
	size_t i;

	for (i = 0; i < seg->back.n; i++)
		add_id(seg, &seg->back_before, seg->back.v[i]);
	clear_ids(&seg->back);
}

void
queue_body_all_read(struct queue_segment *seg)
{
	clear_ids(&seg->back_before);
	if (seg->nback == 0)
		seg->has_back_unknown = false;
}

/* May ${seg} have records whose bodies are not known: records that have not
 * been read, or that were put back when there was no memory to note the
 * body? */
static bool
is_unread(const struct queue_segment *seg)
{
	return !seg->is_unusable && ((seg->state == SEGMENT_DEAD &&
	    !seg->is_read) || seg->has_back_unknown);
}

/* Note for each number whether it has a segment that has not been read in full. */
static void
see_unread(struct queue_spool *sp)
{
	struct queue_segment *seg;
	size_t i;

	for (i = 0; i < sizeof(sp->writers) / sizeof(sp->writers[0]); i++)
		sp->writers[i].has_unread = false;
	sp->has_unread_early = false;
	RB_FOREACH (seg, queue_segments, &sp->segments) {
		if (!is_unread(seg))
			continue;
		if (seg->is_early)
			sp->has_unread_early = true;
		sp->writers[spool_number(seg->id)].has_unread = true;
	}
}

/* A record that names body.${id} is done.  May another record name it that is
 * not done?  ${nheld} of those in memory do not count. */
static bool
may_be_named(struct queue_spool *sp, uint64_t id, unsigned int nheld)
{
	struct queue_segment *seg;

	if (sp->user->holds(sp->queue, id) > nheld ||
	    sp->writers[spool_number(id)].has_unread || sp->has_unread_early)
		return true;
	RB_FOREACH (seg, queue_segments, &sp->segments)
		if (has_id(&seg->back, id) || has_id(&seg->back_before, id))
			return true;
	return false;
}

void
queue_body_done(struct queue_spool *sp, uint64_t id)
{
	uint64_t *bodies = array_fit(sp->bodies, &sp->bodies_room,
	    sp->nbodies + 1, sizeof(*bodies));

	if (bodies == NULL)
		return;		/* no memory: the sweep removes it later */
	sp->bodies = bodies;
	sp->bodies[sp->nbodies++] = id;
}

void
queue_bodies_remove(struct queue_spool *sp)
{
	size_t i, n = 0;

	if (sp->nbodies == 0)
		return;
	see_unread(sp);
	for (i = 0; i < sp->nbodies; i++)
		if (may_be_named(sp, sp->bodies[i], 0))
			sp->bodies[n++] = sp->bodies[i];
		else if (spool_body_remove(sp->config.incoming_dirfd,
		    sp->bodies[i]) == -1 && errno != ENOENT)
			log_warn("body-remove", "folder=%s", "incoming");
	sp->nbodies = n;
}

void
queue_body_keep(struct queue_spool *sp, uint64_t id)
{
	char name[SPOOL_NAME], kept[SPOOL_NAME + 16];
	int dirfd = sp->config.incoming_dirfd;

	see_unread(sp);
	if (may_be_named(sp, id, 1))
		return;
	spool_body_name(id, name);
	snprintf(kept, sizeof(kept), "damaged.%s", name);
	if (renameat(dirfd, name, dirfd, kept) == 0)
		log_errx("body-kept", "file=%s reason=%s", kept,
		    "it is damaged; remove it when you have looked at it");
}
