/* A spool in a folder of its own, for the tests of core/spool. */

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
	/* what the writer's callbacks have reported, by handle */
	bool			 is_done[FIXTURE_SESSIONS];
	int			 error[FIXTURE_SESSIONS];
	unsigned int		 room[FIXTURE_SESSIONS];
	unsigned int		 ndone;
	struct spool_position	 positions[FIXTURE_POSITIONS];
	unsigned int		 npositions;
	bool			 has_clients;	/* FIXTURE_PER_CLIENT handles each */
	bool			 is_inside;	/* a spool_ops call is running */
};

/* fixture_init(f): A folder, and a configuration with small sizes.
 * fixture_open(f): A writer. */
void fixture_init(struct spool_fixture *f);
void fixture_open(struct spool_fixture *f);
void fixture_close(struct spool_fixture *f);	/* closes the writer */
void fixture_free(struct spool_fixture *f);	/* removes the folder too */

/* Begin a message, append fixture_body() in pieces, commit.  Return 0, or the
 * errno of the call that failed. */
int fixture_send(struct spool_fixture *f, uint64_t handle, size_t octets);
void fixture_body(char *buf, uint64_t seed, size_t octets);

/* Let the writer work until ${handle} is done. */
void fixture_wait(struct spool_fixture *f, uint64_t handle);

/* Number of files of the kind in the folder; id of the last. */
unsigned int fixture_count(const struct spool_fixture *f, enum spool_entry kind,
    uint64_t *id_r);

/* The contents of a segment's file; the caller frees them. */
char *fixture_load(const struct spool_fixture *f, uint64_t segment,
    size_t *octets_r);

/* A file without a name that holds these octets. */
int fixture_memfile(const void *buf, size_t octets);

/* A deterministic generator. */
uint64_t fixture_random(uint64_t *state);

#endif
