/* What the files of this folder share: is a job in use?
 * And for a process that may start no threads later: its threads. */

#ifndef CORE_JOBS_THREAD_POOL_H
#define CORE_JOBS_THREAD_POOL_H

#include <stdbool.h>

#include "core/ec_thread_pool.h"

/* A job that was never used holds anything, or zeros. */
static inline bool
job_is_in_use(const ec_async_job *job)
{
	return __atomic_load_n(&job->in_use, __ATOMIC_ACQUIRE) ==
	    ~(uintptr_t)job;
}

static inline void
job_set_in_use(ec_async_job *job, bool is_in_use)
{
	__atomic_store_n(&job->in_use, is_in_use ? ~(uintptr_t)job : 0,
	    __ATOMIC_RELEASE);
}

/* The pool lets a module's job go, of which the session may know.  True: the
 * session has let it go already, so the job is the pool's to end. */
static inline bool
job_let_go(ec_async_job *job)
{
	return __atomic_exchange_n(&job->module, NULL, __ATOMIC_ACQ_REL) ==
	    NULL;
}

/* job_prepare(job): It is about to be queued: get what its completion needs.
 * Return 0, or -1 with errno.  Then one of: ec_async_complete_tail();
 * job_give_back(job): it could not be queued, and is the caller's;
 * job_drop(job): it is not done at the shutdown. */
int job_prepare(ec_async_job *job);
void job_give_back(ec_async_job *job);
void job_drop(ec_async_job *job);

/* thread_pool_fix(n): From now on each of ECTP_CLASS_CPU and ECTP_CLASS_IO has at
 * least ${n} threads (LIM_JOB_THREADS at most), and no class gets another one: a
 * job of a class that has none is refused with EAGAIN.  Return 0, or what
 * pthread_create(3) says. */
int thread_pool_fix(unsigned int n);

#endif
