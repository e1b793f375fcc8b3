/* The folders of the spool, with the owners that the roles need. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_SPOOLDIR_H
#define CMD_MAILMILLD_MASTER_NEEDS_SPOOLDIR_H

#include "cmd/mailmilld/role/privs.h"
#include "core/spool/spool_id.h"

/* spooldir_free(path): Return 0, or -1 having logged which other server, which
 * runs, has that spool. */
int spooldir_free(const char *path);

/* spooldir_make(path, accounts): Make what is missing of ${path}, the folders
 * of the roles in it (role->folders) and SPOOL_EMPTY, and put owners and modes
 * right, also of the files in them (a trial's numeric uids may have been
 * followed by real accounts; in an earlier version the workers had the files of
 * "incoming").  SPOOL_EMPTY must be empty.
 * Return 0, or -1 having logged why. */
int spooldir_make(const char *path, const struct account accounts[NROLES]);

/* spooldir_check(path): Could spooldir_make() do that?  Nothing is changed.
 * Return 0, or -1 with errno.
 * spooldir_could_make(path, missing): Could ${path} be made, or replaced, when
 * up to ${missing} of the folders that it is in are made first?  Return 0, or
 * -1 with errno. */
int spooldir_check(const char *path);
int spooldir_could_make(const char *path, unsigned int missing);

/* The numbers of writers in the names of the files of spool/incoming, and in the
 * ids of deferred messages: a worker could forge mail with the ids of another
 * that had its number */
struct spooldir_numbers {
	unsigned char	 bits[(1 << SPOOL_NUMBER_BITS) / 8];
};

/* spooldir_numbers(path, numbers_r): Those there are now; a folder that is missing
 * has none.  Return 0, or -1 with errno: there may be more.
 * spooldir_numbers_incoming(path, numbers): Add those of spool/incoming alone. */
int spooldir_numbers(const char *path, struct spooldir_numbers *numbers_r);
int spooldir_numbers_incoming(const char *path,
    struct spooldir_numbers *numbers);

static inline bool
spooldir_has_number(const struct spooldir_numbers *numbers,
    unsigned int number)
{
	return (numbers->bits[number / 8] & 1u << number % 8) != 0;
}

/* rundir_make(file): Make the folder that ${file} is to be in, when only that
 * one folder is missing.  Return 0, or -1 with errno. */
int rundir_make(const char *file);

#endif
