/* The threads on which steps of exchanges run.
 * Owns: the threads, the lock, the queues, the Event that brings results back.
 * Knows nothing of what a job does. */

#include "cmd/mailmilld/authd/auth_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "core/event.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

TAILQ_HEAD(lanes, auth_lane);

struct thread {
	pthread_t		 id;
	struct auth_pool	*pool;
	uint64_t		 began_ms;	/* its job; 0: idle */
};

struct auth_pool {
	pthread_mutex_t		 lock;		/* of all that follows */
	pthread_cond_t		 work;
	struct lanes		 lanes;		/* with jobs, the next first */
	struct auth_jobs	 finished;
	bool			 is_closing;
	Event			*event;		/* scheduled all the time */
	unsigned int		 nthreads;
	struct thread		 threads[];
};

void
auth_lane_init(struct auth_lane *lane)
{
	TAILQ_INIT(&lane->jobs);
}

/* --- on the threads ------------------------------------------------------- */

/* Take the first job of the lane whose turn it is.  The caller has the lock. */
static struct auth_job *
take(struct auth_pool *p)
{
	struct auth_lane *lane = TAILQ_FIRST(&p->lanes);
	struct auth_job *job = TAILQ_FIRST(&lane->jobs);

	TAILQ_REMOVE(&lane->jobs, job, link);
	job->lane = NULL;
	TAILQ_REMOVE(&p->lanes, lane, link);
	if (!TAILQ_EMPTY(&lane->jobs))
		TAILQ_INSERT_TAIL(&p->lanes, lane, link);
	return job;
}

/* Run one job.  The caller has the lock; it is released while the job runs. */
static void
work(struct thread *t)
{
	struct auth_pool *p = t->pool;
	struct auth_job *job = take(p);

	t->began_ms = monotonic_ms();
	(void)pthread_mutex_unlock(&p->lock);
	job->run(job);
	(void)pthread_mutex_lock(&p->lock);
	t->began_ms = 0;
	TAILQ_INSERT_TAIL(&p->finished, job, link);
	if (!p->is_closing)
		(void)schedule_event_and_dispatch(p->event, E_ASYNC);
}

static void *
thread_main(void *closure)
{
	struct thread *t = closure;
	struct auth_pool *p = t->pool;

	(void)pthread_mutex_lock(&p->lock);
	for (;;) {
		while (TAILQ_EMPTY(&p->lanes) && !p->is_closing)
			(void)pthread_cond_wait(&p->work, &p->lock);
		if (p->is_closing)
			break;
		work(t);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* --- on the loop ---------------------------------------------------------- */

static int
on_finished(Event *, int, void *closure, struct timeval *)
{
	struct auth_jobs finished = TAILQ_HEAD_INITIALIZER(finished);
	struct auth_pool *p = closure;
	struct auth_job *job;

	(void)pthread_mutex_lock(&p->lock);
	TAILQ_CONCAT(&finished, &p->finished, link);
	(void)pthread_mutex_unlock(&p->lock);
	while ((job = TAILQ_FIRST(&finished)) != NULL) {
		TAILQ_REMOVE(&finished, job, link);
		job->done(job);
	}
	return E_ASYNC;
}

void
auth_pool_add(struct auth_pool *p, struct auth_lane *lane,
    struct auth_job *job)
{
	job->lane = lane;
	(void)pthread_mutex_lock(&p->lock);
	if (TAILQ_EMPTY(&lane->jobs))
		TAILQ_INSERT_TAIL(&p->lanes, lane, link);
	TAILQ_INSERT_TAIL(&lane->jobs, job, link);
	(void)pthread_cond_signal(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
}

bool
auth_pool_withdraw(struct auth_pool *p, struct auth_job *job)
{
	struct auth_lane *lane;

	(void)pthread_mutex_lock(&p->lock);
	if ((lane = job->lane) != NULL) {
		TAILQ_REMOVE(&lane->jobs, job, link);
		job->lane = NULL;
		if (TAILQ_EMPTY(&lane->jobs))
			TAILQ_REMOVE(&p->lanes, lane, link);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return lane != NULL;
}

uint64_t
auth_pool_stuck_ms(struct auth_pool *p, uint64_t now_ms)
{
	uint64_t latest = 0;
	unsigned int i;

	(void)pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->nthreads; i++) {
		if (p->threads[i].began_ms == 0) {
			latest = now_ms;
			break;
		}
		if (p->threads[i].began_ms > latest)
			latest = p->threads[i].began_ms;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return now_ms > latest ? now_ms - latest : 0;
}

/* --- life ----------------------------------------------------------------- */

static int
start_threads(struct auth_pool *p, unsigned int n)
{
	sigset_t all, old;
	int error = 0;

	/* signals are delivered to the loop's thread */
	sigfillset(&all);
	/* the filter of system calls sends it to the thread itself */
	sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; p->nthreads < n && error == 0; p->nthreads += error == 0) {
		p->threads[p->nthreads].pool = p;
		error = pthread_create(&p->threads[p->nthreads].id, NULL,
		    thread_main, &p->threads[p->nthreads]);
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = error;
	return error == 0 ? 0 : -1;
}

struct auth_pool *
auth_pool_open(unsigned int nthreads)
{
	struct auth_pool *p;
	int saved;

	if ((p = calloc(1, sizeof(*p) + nthreads * sizeof(p->threads[0])))
	    == NULL)
		return NULL;
	TAILQ_INIT(&p->lanes);
	TAILQ_INIT(&p->finished);
	if ((errno = pthread_mutex_init(&p->lock, NULL)) != 0)
		goto err1;
	if ((errno = pthread_cond_init(&p->work, NULL)) != 0)
		goto err2;
	if ((p->event = watch_fd(-1, E_ASYNC, on_finished, p)) == NULL)
		goto err3;
	if (start_threads(p, nthreads) == 0)
		return p;
	saved = errno;
	(void)auth_pool_close(p, UINT32_MAX);
	errno = saved;
	return NULL;
err3:
	pthread_cond_destroy(&p->work);
err2:
	pthread_mutex_destroy(&p->lock);
err1:
	saved = errno;
	free(p);
	errno = saved;
	return NULL;
}

bool
auth_pool_close(struct auth_pool *p, unsigned int wait_ms)
{
	struct timespec until;

	(void)pthread_mutex_lock(&p->lock);
	p->is_closing = true;
	(void)pthread_cond_broadcast(&p->work);
	(void)pthread_mutex_unlock(&p->lock);
	until = monotonic_in((uint64_t)wait_ms * 1000000);
	for (; p->nthreads > 0; p->nthreads--)
		if (pthread_clockjoin_np(p->threads[p->nthreads - 1].id, NULL,
		    CLOCK_MONOTONIC, &until) != 0)
			return false;
	event_free(p->event);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return true;
}
