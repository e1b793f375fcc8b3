/* The file "numbers" of the spool: the numbers that names there may have. */

#ifndef CMD_MAILMILLD_MASTER_START_NUMBERS_FILE_H
#define CMD_MAILMILLD_MASTER_START_NUMBERS_FILE_H

#include "cmd/mailmilld/master/needs/spooldir.h"

/* numbers_file_load(spool, numbers_r): Those that were in use when the folders of
 * ${spool} were read last, and those that workers have been given since.  Return 0, or
 * -1: that is not known, and the folders have to be read.
 * numbers_file_save(spool, numbers): Note them, before a worker has its number.
 * numbers_file_forget(spool): They are not known any more. */
int numbers_file_load(const char *spool, struct spooldir_numbers *numbers_r);
void numbers_file_save(const char *spool,
    const struct spooldir_numbers *numbers);
void numbers_file_forget(const char *spool);

#endif
