/* A folder for the files of one input, in $TMPDIR, or in memory where the system
 * has such a file system.
 * Owns: the folder, with all that is in it, also the database of the deferred store: it is empty at the start of each
 * input, and goes with the process. */

#ifndef TEST_FUZZ_FOLDER_H
#define TEST_FUZZ_FOLDER_H

#include "core/spool/spool_format.h"
#include "test/fuzz/fuzz.h"

/* folder_open(): Empty it.  Return its path, which stays the same.
 * folder_file(name, octets, len): Make that file in it, and folders above it; an
 * earlier one of the name is lost.
 * folder_make(name): Make a folder in it, and those above it. */
const char *folder_open(void);
void folder_file(const char *name, const void *octets, size_t len);
void folder_make(const char *name);

/* folder_segment(in, octets_r): A segment of the spool with sound checksums, of
 * what ${in} says: a segment's id, a generation, and records up to a mark.
 * Return it, malloced. */
unsigned char *folder_segment(struct fuzz_input *in, size_t *octets_r);

/* folder_row(queue, in): A row of the deferred store in that folder, then a column
 * of it as somebody with sqlite3(1) might have changed it: octets for the id, the
 * recipient, the attempts and terms, the column, and of which type its value is,
 * which goes up to an LF. */
void folder_row(const char *queue, struct fuzz_input *in);

#endif
