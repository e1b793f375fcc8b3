/* A spool in a folder of its own, for the tests of core/spool_*. */

#ifndef TEST_UNIT_CORE_SPOOL_SPOOL_FIXTURE_H
#define TEST_UNIT_CORE_SPOOL_SPOOL_FIXTURE_H

#include "core/spool/spool_reader.h"
#include "core/spool/spool_reserve.h"
#include "core/spool/spool_segment.h"
#include "core/spool/spool_writer.h"

#define FIXTURE_SESSIONS	256
#define FIXTURE_POSITIONS	64
#define FIXTURE_PER_CLIENT	10

struct spool_fixture {
	char			 path[64];
	int			 dirfd;
	struct spool_writer_config config;
	struct spool_writer	*w;
	/* what the callbacks have said, by handle */
	bool			 is_done[FIXTURE_SESSIONS];
	int			 error[FIXTURE_SESSIONS];
	unsigned int		 room[FIXTURE_SESSIONS];
	unsigned int		 ndone;
	struct spool_position	 positions[FIXTURE_POSITIONS];
	unsigned int		 npositions;
	bool			 has_clients;	/* FIXTURE_PER_CLIENT handles each */
	bool			 is_inside;	/* a spool_ops call is running */
};

/* A folder, a configuration with small sizes; no writer yet. */
void fixture_init(struct spool_fixture *f);
void fixture_open(struct spool_fixture *f);
void fixture_close(struct spool_fixture *f);	/* the writer alone */
void fixture_free(struct spool_fixture *f);	/* and the folder */

/* begin, append in pieces, commit; 0 or errno of what failed.  The body is
 * fixture_body(). */
int fixture_send(struct spool_fixture *f, uint64_t handle, size_t octets);
void fixture_body(char *buf, uint64_t seed, size_t octets);

/* Let the writer work until ${handle} is done. */
void fixture_wait(struct spool_fixture *f, uint64_t handle);

/* Number of files of the kind in the folder; id of the last. */
unsigned int fixture_count(const struct spool_fixture *f, enum spool_entry kind,
    uint64_t *id_r);

/* The file as a whole in memory (to be freed). */
char *fixture_load(const struct spool_fixture *f, uint64_t segment,
    size_t *octets_r);

/* A file without a name that holds these octets. */
int fixture_memfile(const void *buf, size_t octets);

/* A deterministic generator. */
uint64_t fixture_random(uint64_t *state);

#endif
