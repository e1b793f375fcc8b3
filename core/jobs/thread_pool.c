/* The threads that do jobs: see ec_thread_pool.h.
 * Owns: the queue of each class, how many threads there are.
 * Knows nothing of what becomes of a job that is done: job_done.c does.
 *
 * A thread is started when there are more jobs in the queue than threads that
 * wait for one, up to the bound of the class.  It goes on until the shutdown. */

#include "core/jobs/thread_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "core/lim.h"
#include "core/util/monotonic.h"
#include "core/util/require.h"

#define NCLASSES	(ECTP_CLASS_SIEVE_IO - ECTP_CLASS_SHORT_LIVED + 1)
#define THREADS_DEFAULT	4
#define RETRY_MS	100	/* when somebody else posts the semaphore of a job */

struct pool {
	pthread_cond_t	 work;		/* there may be some */
	ec_async_job	*head, **tail;
	unsigned int	 nqueued;
	unsigned int	 nidle;		/* threads that wait */
	unsigned int	 nthreads;
	unsigned int	 max;
	pthread_t	 threads[LIM_JOB_THREADS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* of all that follows */
static pthread_cond_t stopped = PTHREAD_COND_INITIALIZER;
static struct pool pools[NCLASSES];
static bool is_stopping;
static bool is_fixed;		/* no thread is started any more */

static __thread bool is_in_pool;

/* --- the pools ------------------------------------------------------------ */

static void
pool_clear(struct pool *p)
{
	(void)monotonic_cond_init(&p->work);
	p->head = NULL;
	p->tail = &p->head;
	p->nqueued = p->nidle = p->nthreads = 0;
}

static void
before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child has no threads of the pool, and none of the parent's jobs. */
static void
in_child(void)
{
	size_t i;

	for (i = 0; i < NCLASSES; i++)
		pool_clear(&pools[i]);
	pthread_cond_init(&stopped, NULL);
	is_stopping = false;
	pthread_mutex_unlock(&lock);
}

/* A constructor, so that there is no other thread yet.  If another thread
 * forked meanwhile, its child would register the functions a second time. */
__attribute__((constructor)) static void
init(void)
{
	size_t i;

	for (i = 0; i < NCLASSES; i++) {
		pool_clear(&pools[i]);
		pools[i].max = THREADS_DEFAULT;
	}
	(void)pthread_atfork(before_fork, after_fork, in_child);
}

/* The pool of a class, or NULL. */
static struct pool *
pool_of(int job_class)
{
	if (job_class < ECTP_CLASS_SHORT_LIVED ||
	    job_class > ECTP_CLASS_SIEVE_IO)
		return NULL;
	return &pools[job_class - ECTP_CLASS_SHORT_LIVED];
}

/* --- the queue ------------------------------------------------------------ */

static void
append(struct pool *p, ec_async_job *job)
{
	job->next = NULL;
	*p->tail = job;
	p->tail = &job->next;
	p->nqueued++;
}

static void
take_out(struct pool *p, ec_async_job **at)
{
	ec_async_job *job = *at;

	*at = job->next;
	if (p->tail == &job->next)
		p->tail = at;
	p->nqueued--;
}

/* The first job that may be done now, no longer queued, with its semaphore; or
 * NULL.  *is_dropped_r: it is not to be done, and has none. */
static ec_async_job *
take(struct pool *p, bool *is_dropped_r)
{
	ec_async_job **at, *job;

	for (at = &p->head; (job = *at) != NULL; at = &job->next) {
		*is_dropped_r = is_stopping && job->skip_on_shutdown;
		if (*is_dropped_r || job->concurrency == NULL ||
		    sem_trywait(job->concurrency) == 0) {
			take_out(p, at);
			return job;
		}
	}
	return NULL;
}

/* --- a thread ------------------------------------------------------------- */

static void
wait_for_work(struct pool *p)
{
	const struct timespec until = monotonic_in(RETRY_MS * 1000000u);

	p->nidle++;
	if (p->head == NULL)
		pthread_cond_wait(&p->work, &lock);
	else
		pthread_cond_timedwait(&p->work, &lock, &until);
	p->nidle--;
}

/* Jobs of other classes may wait for it, too. */
static void
post(sem_t *concurrency)
{
	size_t i;

	if (concurrency == NULL)
		return;
	sem_post(concurrency);
	pthread_mutex_lock(&lock);
	for (i = 0; i < NCLASSES; i++)
		if (pools[i].head != NULL)
			pthread_cond_broadcast(&pools[i].work);
	pthread_mutex_unlock(&lock);
}

static void
run(ec_async_job *job)
{
	sem_t *concurrency = job->concurrency;
	/* somebody else may complete it, and free it, before its worker
	 * returns */
	bool is_skipped = job->skip_completion;

	job->worker(job, job->closure);
	post(concurrency);
	if (!is_skipped && !job->skip_completion)
		ec_async_complete_tail(job);
}

static void *
work(void *arg)
{
	struct pool *p = arg;
	ec_async_job *job;
	bool is_dropped;

	is_in_pool = true;
	pthread_mutex_lock(&lock);
	while (!is_stopping || p->head != NULL) {
		if ((job = take(p, &is_dropped)) == NULL) {
			wait_for_work(p);
			continue;
		}
		pthread_mutex_unlock(&lock);
		if (is_dropped)
			job_drop(job);
		else
			run(job);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Signals of a fault are for the thread that has it: where they are blocked, the
 * kernel ends the process without a call of the handler that the program has. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP,
    SIGABRT };

/* Other signals are for the threads of the program.  Return 0, or an errno. */
static int
start_thread(struct pool *p)
{
	sigset_t most, old;
	size_t i;
	int error;

	sigfillset(&most);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	error = pthread_create(&p->threads[p->nthreads], NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		p->nthreads++;
	return error;
}

/* --- the interface -------------------------------------------------------- */

/* Return 0, or an errno. */
static int
enqueue(struct pool *p, ec_async_job *job)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (is_stopping)
		error = ESHUTDOWN;
	else if (is_fixed)
		error = p->nthreads == 0 ? EAGAIN : 0;
	else if (p->nqueued >= p->nidle && p->nthreads < p->max)
		error = start_thread(p);
	/* with fewer threads it takes longer */
	if (error != ESHUTDOWN && p->nthreads > 0) {
		error = 0;
		append(p, job);
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&lock);
	return error;
}

static int
run_here(ec_async_job *job)
{
	sem_t *concurrency = job->concurrency;

	while (concurrency != NULL && sem_wait(concurrency) == -1 &&
	    errno == EINTR)
		continue;
	run(job);
	return 1;
}

int
ec_queue_async_job_(ec_async_job *job, const char *file, int line, int)
{
	const struct ec_async_module *module = NULL;
	struct pool *p;
	int error;

	if (job == NULL || job->worker == NULL ||
	    (p = pool_of(job->job_class)) == NULL) {
		errno = EINVAL;
		return 0;
	}
	if (job_is_in_use(job)) {
		errno = EBUSY;
		return 0;
	}
	if (job_prepare(job) == -1)
		return 0;
	job->file = file;
	job->line = line;
	job_set_in_use(job, true);
	if (job->completion == ECTP_COMPLETE_SYNC)
		return run_here(job);
	/* the job may be gone as soon as it is in the queue; of a module's
	 * nothing is done but by this thread, later */
	if (job->completion == ECTP_COMPLETE_MODULE)
		module = job->module;
	if ((error = enqueue(p, job)) != 0) {
		job_give_back(job);
		errno = error;
		return 0;
	}
	if (module != NULL)
		module->queued(job);
	return 1;
}

int
mailmill_thread_pool_threads(int job_class, int n)
{
	struct pool *p = pool_of(job_class);

	if (p == NULL || n < 1 || n > LIM_JOB_THREADS) {
		errno = EINVAL;
		return 0;
	}
	pthread_mutex_lock(&lock);
	p->max = (unsigned int)n;
	pthread_mutex_unlock(&lock);
	return 1;
}

int
thread_pool_fix(unsigned int n)
{
	static const int classes[] = { ECTP_CLASS_CPU, ECTP_CLASS_IO };
	struct pool *p;
	int error = 0;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		p = pool_of(classes[i]);
		while (error == 0 && p->nthreads < n &&
		    p->nthreads < LIM_JOB_THREADS)
			error = start_thread(p);
	}
	is_fixed = true;
	pthread_mutex_unlock(&lock);
	return error;
}

/* No other thread starts one meanwhile. */
static void
join_all(struct pool *p)
{
	unsigned int i;

	for (i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	p->nthreads = 0;
}

void
mailmill_thread_pool_shutdown(void)
{
	size_t i;

	REQUIRE("mailmill_thread_pool_shutdown", !is_in_pool,
	    "a job cannot end the thread that it runs in");
	(void)pool_of(ECTP_CLASS_IO);
	pthread_mutex_lock(&lock);
	if (is_stopping) {
		while (is_stopping)
			pthread_cond_wait(&stopped, &lock);
		pthread_mutex_unlock(&lock);
		return;
	}
	is_stopping = true;
	for (i = 0; i < NCLASSES; i++)
		pthread_cond_broadcast(&pools[i].work);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < NCLASSES; i++)
		join_all(&pools[i]);
	pthread_mutex_lock(&lock);
	is_stopping = false;
	pthread_cond_broadcast(&stopped);
	pthread_mutex_unlock(&lock);
}
