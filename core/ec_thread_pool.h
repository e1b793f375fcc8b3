/* Jobs: work that blocks, done by threads of the library, by the names of the
 * documented API; see ec_thread_pool(3).  There are threads only in a program
 * that queues a job. */

#ifndef CORE_EC_THREAD_POOL_H
#define CORE_EC_THREAD_POOL_H

#include <semaphore.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/event.h>
#include <mailmill/scheduler_impl.h>

MAILMILL_BEGIN

struct validate_context;
struct ec_thread_pool_job;
struct ec_async_module;

typedef struct ec_thread_pool_job ec_async_job;

typedef void (*ec_thread_pool_work_func)(ec_async_job *job, void *closure);
typedef void (*ec_thread_pool_completion_func)(ec_async_job *job,
    void *closure);

/* Who does a job: each class has threads of its own. */
#define ECTP_CLASS_SHORT_LIVED	(-1)
#define ECTP_CLASS_CPU		0
#define ECTP_CLASS_IO		1
#define ECTP_CLASS_SWAPOUT	2
#define ECTP_CLASS_SWAPIN	3
#define ECTP_CLASS_CLOSE	4
#define ECTP_CLASS_UNLINK	5
#define ECTP_CLASS_BATCH_UNLINK	6
#define ECTP_CLASS_SPOOL_IN	7
#define ECTP_CLASS_ASYNC_BOUNCE	8
#define ECTP_CLASS_SIEVE_IO	9

/* A job, in memory of the caller, who zeroes it.  From ec_queue_async_job() to
 * its completion only the worker, and then the completion, touch it. */
struct ec_thread_pool_job {
	ec_async_job	*next;		/* the queue's */
	enum _ec_thread_pool_job_completion {
		ECTP_COMPLETE_NONE,
		ECTP_COMPLETE_EVENT,	/* schedule r.e.event, and dispatch r.e.mask to it */
		ECTP_COMPLETE_MODULE,	/* ec_async_wake_validation_module() */
		ECTP_COMPLETE_CALLBACK,	/* r.cb.func, in the worker's thread */
		ECTP_COMPLETE_SEMAPHORE, /* post to r.sema */
		ECTP_COMPLETE_SYNC,	/* the worker is called by ec_queue_async_job() */
		ECTP_COMPLETE_CALLBACK_SCHED, /* r.cb.func, in the scheduler's thread */
		ECTP_COMPLETE_EVENT_INST, /* refused */
		ECTP_COMPLETE_CALLBACK_SCHED_INST /* refused */
	}		 completion;
	int		 job_class;	/* ECTP_CLASS_* */
	sem_t		*concurrency;	/* NULL; or waited for, and posted behind the worker */
	ec_thread_pool_work_func worker;
	void		*closure;	/* the worker's */
	union _ec_thread_pool_job_r {
		struct _ec_thread_pool_job_r_e {
			Event			*event;
			int			 mask;
			struct validate_context	*ctx;
			ec_scheduler_inst	*inst;
		} e;
		struct _ec_thread_pool_job_r_cb {
			ec_thread_pool_completion_func func;
			void			*closure;
			ec_scheduler_inst	*inst;
		} cb;
		sem_t	*sema;
	}		 r;
	int		 free_on_completion_memtype; /* not 0: ec_free() it behind the completion */
	unsigned int	 skip_completion : 1;	/* ec_async_complete_tail() completes it */
	unsigned int	 skip_on_shutdown : 1;	/* drop it then, without a completion */
	unsigned int	 _spare_bits : 30;
	const char	*file;		/* where it was queued */
	int		 line;
	/* the pool's own */
	uintptr_t	 in_use;
	uint64_t	 scheduler;	/* that goes on until it is completed */
	Event		*carrier;	/* brings it to that one's thread */
	const struct ec_async_module *module;
	ec_async_job	*module_next;	/* of the same session */
	/* for members of later versions: programs have the struct in theirs, so
	 * that it stays as large as it is */
	void		*_spare[4];
};

/* What ec_async_wake_validation_module() leaves in a job, both called in the
 * session's thread: it is queued; it is completed, and whom to tell, or NULL.
 * A session that ends exchanges job->module for NULL, and so does the pool when
 * the scheduler has ended.  The one that finds NULL there ends the job: it sets
 * in_use to 0, and frees the job if free_on_completion_memtype says so. */
struct ec_async_module {
	void	(*queued)(ec_async_job *job);
	Event	*(*done)(ec_async_job *job);
};

/* ec_queue_async_job(job): Have the threads of job->job_class do it, in the order
 * of the queue.  ${job} is an ec_async_job, or something that begins with one.
 * Any thread; ECTP_COMPLETE_MODULE: the session's, in a callback of the module.
 * Return 1; or 0 with errno, and the job is the caller's still: EINVAL, there is
 * no worker, class, function, event or semaphore, or no scheduler that it could
 * come back to; EBUSY, it is queued or runs already; ESHUTDOWN, the threads are
 * being ended; ENOMEM; or what pthread_create(3) says. */
#define ec_queue_async_job(job) \
	ec_queue_async_job_((ec_async_job *)(void *)(job), __FILE__, __LINE__, 0)
int ec_queue_async_job_(ec_async_job *job, const char *file, int line,
    int flags);

/* ec_async_wake_event(job, event, mask): The completion of ${job} is to schedule
 * ${event}, and to dispatch ${mask} to it: before ec_queue_async_job().
 * ec_async_complete_tail(job): Complete a job with skip_completion; once, when
 * its worker has returned or is done with it.  Any thread. */
void ec_async_wake_event(ec_async_job *job, Event *event, int mask);
void ec_async_complete_tail(ec_async_job *job);

/* mailmill_async_job_is_done(job): 1: a job that was queued was completed or
 * dropped, and what its worker has written can be read: the job is its owner's
 * again.  0: it is queued, at work, or its completion is on its way.  Any thread
 * that knows that the job was not freed. */
int mailmill_async_job_is_done(const ec_async_job *job);

/* mailmill_thread_pool_threads(job_class, n): There are at most ${n} threads for
 * jobs of that class, from those on that are started next; 4 by default.  Return
 * 1, or 0: EINVAL, no such class, or more than LIM_JOB_THREADS or none.
 * mailmill_thread_pool_shutdown(): Do what is queued, but jobs with
 * skip_on_shutdown, and end all threads; the next job starts new ones.  Before
 * scheduler_destroy() and dlclose(3); not in a job. */
int mailmill_thread_pool_threads(int job_class, int n);
void mailmill_thread_pool_shutdown(void);

MAILMILL_END

#endif
