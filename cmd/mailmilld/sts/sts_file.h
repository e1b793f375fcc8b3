/* The file of policies: what a restart must not forget (RFC 8461 10.2).
 * Owns: two files in the folder "sts" of the spool, written by turns, so that one of
 * them is whole whenever the machine stops; their form; the lock.
 * Knows nothing of what a policy is for.
 *
 * Both files are opened while that can be done, so that the process needs no call
 * that opens files later. */

#ifndef CMD_MAILMILLD_STS_STS_FILE_H
#define CMD_MAILMILLD_STS_STS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/sts/sts_cache.h"

#define STS_FOLDER	"sts"
/* Octets of one file: the policies, and a head for each. */
#define STS_FILE_MAX	(LIM_STS_OCTETS + LIM_STS_DOMAINS * 128ULL + 128)

struct sts_file;

/* sts_file_open(dirfd): The files in that folder, which are made if they are not
 * there.  NULL with errno. */
struct sts_file *sts_file_open(int dirfd);

/* sts_file_lock(f): Return whether this process alone writes them from now on: at
 * a reload the one before does, until it ends. */
bool sts_file_lock(struct sts_file *f);

/* sts_file_load(f, cache, wall_s): Give the policies that have not expired, by the
 * wall clock ${wall_s}, to ${cache}.  Return how many there were, or -1 with errno:
 * EBADMSG, neither file is whole. */
int sts_file_load(struct sts_file *f, struct sts_cache *cache,
    int64_t wall_s);

/* sts_file_save(f, cache, wall_s): Write all of ${cache} to the disk.  It blocks.
 * Return 0, or -1 with errno: what was written before is still there. */
int sts_file_save(struct sts_file *f, struct sts_cache *cache,
    int64_t wall_s);

void sts_file_close(struct sts_file *f);	/* NULL does nothing */

#endif
