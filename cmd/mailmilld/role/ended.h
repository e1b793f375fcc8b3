/* Memory that a worker shares with the master: in it the worker lists the
 * handles of its sessions that have ended, and counts the sessions that it has
 * taken.  The master looks there when it needs the numbers.  So the end of a
 * session does not wake the master, which would cost more than all else it does
 * for a session.
 * Owns: the memory, its layout.
 * Knows nothing of what a handle names. */

#ifndef CMD_MAILMILLD_ROLE_ENDED_H
#define CMD_MAILMILLD_ROLE_ENDED_H

#include <stdbool.h>
#include <stdint.h>

#define ENDED_MAX	1024	/* handles that it holds; a power of two */

struct ended;

/* ended_create(): A memfd of a fixed size, for M_ENDED, or -1 with errno. */
int ended_create(void);

/* ended_attach(fd): Map it; ${fd} remains the caller's.  NULL with errno:
 * EINVAL, it is not of ended_create().  ended_free(NULL) does nothing. */
struct ended *ended_attach(int fd);
void ended_free(struct ended *e);

/* ended_put(e, handle): The worker's.  False: there is no room, the master has
 * not looked for long. */
bool ended_put(struct ended *e, uint64_t handle);

/* ended_take(e): The worker's: it has taken one more session.
 * ended_taken(e): The master's: how many it says it has taken; wraps. */
void ended_take(struct ended *e);
uint32_t ended_taken(const struct ended *e);

/* ended_get(e, &handle_r): The master's.  False: there is none.  Whatever the
 * worker writes there, no access is out of bounds; but it can be one without
 * end, so that the caller has to bound its turn. */
bool ended_get(struct ended *e, uint64_t *handle_r);

#endif
