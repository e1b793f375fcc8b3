/* The files of the worker's spool, which spoold makes: struct spool_files_ops
 * over a channel.
 * Used by the loop and by the threads of the spool writer. */

#ifndef CMD_MAILMILLD_WORKER_HOST_FILES_H
#define CMD_MAILMILLD_WORKER_HOST_FILES_H

#include <stdbool.h>

#include "core/spool/spool_files.h"

struct host_files;

extern const struct spool_files_ops host_files_ops;	/* closure: struct host_files * */

#define HOST_FILES_ASK_MS	10000	/* for an answer, and for another spoold when one has died */

/* host_files_new(is_synced, ask_ms): No channel yet; a request has ${ask_ms}.
 * NULL with errno. */
struct host_files *host_files_new(bool is_synced, unsigned int ask_ms);
void host_files_free(struct host_files *f);	/* NULL does nothing */

/* host_files_connect(f, fd): From now on ask the spoold at ${fd}, which it
 * takes.  A request that waits for the one before is made again after a
 * moment. */
void host_files_connect(struct host_files *f, int fd);

#endif
