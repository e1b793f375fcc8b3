/* The files that an agent's jobs read from; see spool_sources.h. */

#include "core/spool/spool_sources.h"

#include <sys/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BUCKETS	256

struct source {
	LIST_ENTRY(source)	 hash;
	uint64_t		 id;
	int			 fd;
	struct spool_reader	*reader;	/* made when first used */
};

struct spool_sources {
	LIST_HEAD(, source)	 buckets[BUCKETS];
	struct spool_readbuf	*readbuf;
};

struct spool_sources *
spool_sources_new(void)
{
	struct spool_sources *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	if ((s->readbuf = spool_readbuf_new()) != NULL)
		return s;
	free(s);
	errno = ENOMEM;
	return NULL;
}

static struct source *
find(struct spool_sources *s, uint64_t id)
{
	struct source *src;

	LIST_FOREACH (src, &s->buckets[id % BUCKETS], hash)
		if (src->id == id)
			return src;
	return NULL;
}

int
spool_sources_add(struct spool_sources *s, uint64_t source, int fd)
{
	struct source *src;

	if (find(s, source) != NULL) {
		errno = EEXIST;
		return -1;
	}
	if ((src = calloc(1, sizeof(*src))) == NULL)
		return -1;
	src->id = source;
	src->fd = fd;
	LIST_INSERT_HEAD(&s->buckets[source % BUCKETS], src, hash);
	return 0;
}

static void
source_free(struct source *src)
{
	LIST_REMOVE(src, hash);
	spool_reader_free(src->reader);
	close(src->fd);
	free(src);
}

void
spool_sources_drop(struct spool_sources *s, uint64_t source)
{
	struct source *src = find(s, source);

	if (src != NULL)
		source_free(src);
}

void
spool_sources_free(struct spool_sources *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < BUCKETS; i++)
		while (!LIST_EMPTY(&s->buckets[i]))
			source_free(LIST_FIRST(&s->buckets[i]));
	spool_readbuf_free(s->readbuf);
	free(s);
}

int
spool_sources_record(struct spool_sources *s, const struct job *job,
    struct spool_view *view_r)
{
	struct source *src = find(s, job->source);
	struct spool_damage damage;

	if (src == NULL) {
		errno = ESTALE;
		return -1;
	}
	if (src->reader == NULL) {
		src->reader = spool_reader_new(src->fd, s->readbuf,
		    SPOOL_READ_TRUST_BODY);
		if (src->reader == NULL)
			return -1;
	}
	return spool_reader_at(src->reader, job->offset, view_r, &damage) ==
	    1 ? 0 : -1;
}

int
spool_sources_body(struct spool_sources *s, const struct job *job,
    const struct spool_record *record, uint64_t *offset_r)
{
	bool is_large = (record->flags & SPOOL_RECORD_LARGE) != 0;
	struct source *src;

	src = find(s, is_large ? job->body_source : job->source);
	if (src == NULL) {
		errno = ESTALE;
		return -1;
	}
	*offset_r = is_large ? 0 : record->body_offset;
	return src->fd;
}
