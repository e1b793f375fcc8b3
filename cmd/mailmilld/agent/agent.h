/* An agent's end of the channel to the queue process, in whatever role: what a D_
 * message says is given to a function of the role, what the role says of its jobs
 * is sent.
 * Owns: the channel.
 * Knows nothing of what becomes of a job. */

#ifndef CMD_MAILMILLD_AGENT_AGENT_H
#define CMD_MAILMILLD_AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/spool/job.h"

struct agent_ops {
	/* source(closure, source, fd): jobs may name ${source} from now on; a
	 * file that it had is closed.  takes ${fd} when it returns 0; ${fd} is
	 * -1 when this process was out of descriptors.  -1, having logged it:
	 * its jobs have to fail with ESTALE, for the queue to tell again */
	int	(*source)(void *closure, uint64_t source, int fd);
	/* forget(closure, source): no job names it any more */
	void	(*forget)(void *closure, uint64_t source);
	void	(*jobs)(void *closure, const struct job *jobs, unsigned int n);
	/* stop(closure): the queue process waits for its jobs, and wants back
	 * what is not done soon.  NULL: all is done soon */
	void	(*stop)(void *closure);
	/* gone(closure): the queue process has ended; the role calls
	 * agent_leave() */
	void	(*gone)(void *closure);
	/* unsent(closure): what was said of jobs cannot be sent.  The queue
	 * would wait for it for ever, so the process has to end: the queue then
	 * gives all its jobs out again */
	void	(*unsent)(void *closure);
};

/* All 0 but for ${ops} and ${closure}, at first. */
struct agent {
	const struct agent_ops	*ops;
	void			*closure;
	struct chanev		*queue;		/* NULL: there is none now */
};

/* agent_join(a, self, fd): Work for the queue process at the other end of ${fd},
 * as the role ${self}.  takes ${fd}, also when it fails.  Return 0, or -1 with
 * errno.
 * agent_leave(a): Close the channel, if there is one. */
int agent_join(struct agent *a, enum role_id self, int fd);
void agent_leave(struct agent *a);

/* agent_say_error(a, je), agent_say_results(a, results, n): What has become of
 * jobs; the error of a job comes before its result.  A queue process that has
 * ended is told nothing. */
void agent_say_error(struct agent *a, const struct job_error *je);
void agent_say_results(struct agent *a, const struct job_result *results,
    unsigned int n);

/* agent_say_tls(a, nlost, octets, len): Of relay: what connections have come to, ${len}
 * octets as tlsrpt_said_next() reads them, and how many others there were.  Return
 * whether it was sent: not if there is no queue process now, or it has not read
 * what was sent before. */
bool agent_say_tls(struct agent *a, uint64_t nlost, const char *octets,
    size_t len);

/* agent_refuse(a, job, errnum, text): ${job} has failed with ${errnum}; ${text}, which
 * is cut to JOB_TEXT octets, says why. */
void agent_refuse(struct agent *a, const struct job *job, int errnum,
    const char *text);

/* agent_last_words(a): At the end of the process, wait a moment for the queue to
 * take what was said. */
void agent_last_words(struct agent *a);

#endif
