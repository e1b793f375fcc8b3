/* The files that jobs read from: segments, deferred messages, bodies.
 * Owns: their descriptors and readers.
 * Knows nothing of Maildirs. */

#include "core/maildir/deliver_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct deliver_source *
deliver_source_find(struct deliver *d, uint64_t id)
{
	struct deliver_source *s;

	LIST_FOREACH (s, &d->sources[id % 256], hash)
		if (s->id == id)
			return s;
	return NULL;
}

int
deliver_source(struct deliver *d, uint64_t source, int fd)
{
	struct deliver_source *s;

	if (deliver_source_find(d, source) != NULL) {
		errno = EEXIST;
		return -1;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -1;
	s->id = source;
	s->fd = fd;
	LIST_INSERT_HEAD(&d->sources[source % 256], s, hash);
	return 0;
}

static void
source_free(struct deliver_source *s)
{
	LIST_REMOVE(s, hash);
	spool_reader_free(s->reader);
	close(s->fd);
	free(s);
}

void
deliver_forget(struct deliver *d, uint64_t source)
{
	struct deliver_source *s = deliver_source_find(d, source);

	if (s != NULL)
		source_free(s);
}

void
deliver_sources_clear(struct deliver *d)
{
	size_t i;

	for (i = 0; i < 256; i++)
		while (!LIST_EMPTY(&d->sources[i]))
			source_free(LIST_FIRST(&d->sources[i]));
}

int
deliver_source_record(struct deliver *d, const struct job *job,
    struct spool_view *view_r)
{
	struct deliver_source *s = deliver_source_find(d, job->source);
	struct spool_damage damage;

	if (s == NULL) {
		errno = ESTALE;
		return -1;
	}
	if (s->reader == NULL) {
		s->reader = spool_reader_new(s->fd, d->readbuf,
		    SPOOL_READ_TRUST_BODY);
		if (s->reader == NULL)
			return -1;
	}
	return spool_reader_at(s->reader, job->offset, view_r, &damage) == 1 ?
	    0 : -1;
}
