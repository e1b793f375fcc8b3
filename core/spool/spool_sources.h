/* The files that an agent's jobs read from: segments, deferred messages, bodies.
 * Owns: their descriptors and readers. */

#ifndef CORE_SPOOL_SPOOL_SOURCES_H
#define CORE_SPOOL_SPOOL_SOURCES_H

#include "core/spool/job.h"
#include "core/spool/spool_reader.h"

struct spool_sources;

/* spool_sources_new(): None yet.  NULL: ENOMEM.
 * spool_sources_free(s): Close all.  NULL does nothing. */
struct spool_sources *spool_sources_new(void);
void spool_sources_free(struct spool_sources *s);

/* spool_sources_add(s, source, fd): Jobs may name ${source} from now on.  takes
 * ${fd} when it succeeds.  Return 0, or -1 with errno (EEXIST, ENOMEM).
 * spool_sources_drop(s, source): Close it; jobs that still name it fail. */
int spool_sources_add(struct spool_sources *s, uint64_t source, int fd);
void spool_sources_drop(struct spool_sources *s, uint64_t source);

/* spool_sources_record(s, job, view_r): The record that ${job} names, valid
 * until the next call for any source; the checksum of its body is not compared.
 * Return 0, or -1 with errno: ESTALE, there is no such source; as
 * spool_reader_new() and spool_reader_at(). */
int spool_sources_record(struct spool_sources *s, const struct job *job,
    struct spool_view *view_r);

/* spool_sources_body(s, job, record, offset_r): The descriptor of the file with
 * the body, and where in it the body begins.  -1 with errno ESTALE. */
int spool_sources_body(struct spool_sources *s, const struct job *job,
    const struct spool_record *record, uint64_t *offset_r);

#endif
