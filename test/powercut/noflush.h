/* For the controls of the power-cut test: included before anything else by one
 * file of a mailmilld that then says it has flushed, and has not.
 *
 * NO_COMMIT_FLUSH, for core/spool/spool_commit.c: the flush of a segment.
 * NO_DELIVERY_FLUSH, for core/maildir/deliver.c: the flush of the Maildirs.
 * A test that finds no loss with these two could find none at all. */

#include <unistd.h>

#ifdef NO_COMMIT_FLUSH
#define fdatasync(fd)	((void)(fd), 0)
#endif
#ifdef NO_DELIVERY_FLUSH
#define syncfs(fd)	((void)(fd), 0)
#endif
