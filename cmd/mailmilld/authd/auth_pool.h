/* The threads on which steps of exchanges run, since those may block.
 * Owns: the threads, the queue of jobs, the way of results back to the loop.
 * Knows nothing of what a job does.
 * All calls are made on the loop's thread. */

#ifndef CMD_MAILMILLD_AUTHD_AUTH_POOL_H
#define CMD_MAILMILLD_AUTHD_AUTH_POOL_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

struct auth_pool;
struct auth_lane;

/* A job is part of something larger, which lives until done(). */
struct auth_job {
	void	(*run)(struct auth_job *job);	/* on a thread of the pool */
	void	(*done)(struct auth_job *job);	/* on the loop's, when it has run */
	/* auth_pool.c's own */
	TAILQ_ENTRY(auth_job)	 link;
	struct auth_lane	*lane;		/* NULL: it does not wait */
};

TAILQ_HEAD(auth_jobs, auth_job);

/* The queued jobs of one worker.  Lanes take turns, so that many jobs of one
 * worker do not delay those of others. */
struct auth_lane {
	struct auth_jobs	 jobs;
	TAILQ_ENTRY(auth_lane)	 link;		/* while it has any */
};

void auth_lane_init(struct auth_lane *lane);

/* auth_pool_open(nthreads): Results come back on the calling thread's
 * scheduler.  NULL with errno. */
struct auth_pool *auth_pool_open(unsigned int nthreads);

/* auth_pool_close(p, wait_ms): End the threads.  Queued jobs are not begun, and
 * done() is no longer called.  Return whether all threads have ended within
 * ${wait_ms}; if not, ${p} is not freed, nor may anything be that they use. */
bool auth_pool_close(struct auth_pool *p, unsigned int wait_ms);

/* auth_pool_add(p, lane, job): Queue a job, whose members run and done are
 * set. */
void auth_pool_add(struct auth_pool *p, struct auth_lane *lane,
    struct auth_job *job);

/* auth_pool_withdraw(p, job): True: it had not begun and will not.
 * False: it has, and done() will be called. */
bool auth_pool_withdraw(struct auth_pool *p, struct auth_job *job);

/* auth_pool_stuck_ms(p, now_ms): For how long all threads have been busy with
 * their present jobs; 0 while one is idle.  ${now_ms}: of monotonic_ms(). */
uint64_t auth_pool_stuck_ms(struct auth_pool *p, uint64_t now_ms);

#endif
