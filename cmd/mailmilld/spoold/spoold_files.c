/* The list of a worker's files on the disk.
 * Owns: what a file of the list counts for, which descriptor it has. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/param.h>

#include <stdlib.h>

#define FILE_OCTETS	32768	/* a smaller file counts as this: it takes a name and an inode, too */

static int
compare(const struct spoold_file *a, const struct spoold_file *b)
{
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (int)a->is_body - (int)b->is_body;
}

RB_GENERATE(spoold_files, spoold_file, entry, compare)

void
spoold_file_forget(struct spoold_share *s, struct spoold_file *f)
{
	if (s->hand == f)
		s->hand = RB_NEXT(spoold_files, &s->files, f);
	RB_REMOVE(spoold_files, &s->files, f);
	s->n--;
	s->octets -= f->octets;
	free(f);
}

void
spoold_share_free(struct spoold_share *s)
{
	struct spoold_file *f;

	while ((f = RB_ROOT(&s->files)) != NULL)
		spoold_file_forget(s, f);
	s->kept_files = s->kept_octets = s->gone_octets = 0;
}

uint64_t
spoold_file_octets(uint64_t octets)
{
	return MAX(octets, FILE_OCTETS);
}

int
spoold_share_add(struct spoold_share *s, uint64_t id, bool is_body,
    uint64_t octets)
{
	struct spoold_file *f, *old;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	f->id = id;
	f->is_body = is_body;
	f->fd = -1;
	f->octets = spoold_file_octets(octets);
	if ((old = RB_INSERT(spoold_files, &s->files, f)) != NULL) {
		/* a segment that the worker had before */
		s->octets += f->octets - old->octets;
		old->octets = f->octets;
		free(f);
		return 0;
	}
	s->n++;
	s->octets += f->octets;
	return 0;
}

struct spoold_file *
spoold_file_find(struct spoold_share *s, uint64_t id, bool is_body)
{
	struct spoold_file wanted = { .id = id, .is_body = is_body };

	return RB_FIND(spoold_files, &s->files, &wanted);
}

void
spoold_share_opened(struct spoold_share *s, uint64_t id, bool is_body, int fd)
{
	struct spoold_file *f = spoold_file_find(s, id, is_body);

	if (f != NULL)
		f->fd = fd;
}

void
spoold_share_closed(struct spoold_share *s, uint64_t id, bool is_body, int fd)
{
	struct spoold_file *f = spoold_file_find(s, id, is_body);

	if (f != NULL && f->fd == fd)
		f->fd = -1;
}
