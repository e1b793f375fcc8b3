/* Jobs: who does them, how they come back, what is done at the end.  All waits
 * are for something that happens; nothing depends on how long it takes. */

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_malloc.h"
#include "core/ec_thread_pool.h"
#include "core/jobs/thread_pool.h"
#include "core/lim.h"
#include "core/scheduler.h"
#include "test/lib/misuse.h"

static sem_t gate;		/* what workers wait for */
static sem_t done;		/* what completions post */
static int nrunning, nmost, nworked, ncompleted;
static pthread_t worked_in, completed_in;

static void
count_in(void)
{
	int n = __atomic_add_fetch(&nrunning, 1, __ATOMIC_SEQ_CST);
	int most = __atomic_load_n(&nmost, __ATOMIC_SEQ_CST);

	while (n > most && !__atomic_compare_exchange_n(&nmost, &most, n,
	    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		continue;
}

static void
worker(ec_async_job *, void *closure)
{
	count_in();
	if (closure != NULL)
		sem_wait(closure);
	__atomic_store_n(&worked_in, pthread_self(), __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&nworked, 1, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(&nrunning, 1, __ATOMIC_SEQ_CST);
}

static void
completed(ec_async_job *, void *closure)
{
	__atomic_store_n(&completed_in, pthread_self(), __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&ncompleted, 1, __ATOMIC_SEQ_CST);
	if (closure != NULL)
		sem_post(closure);
}

static ec_async_job *
job_new(enum _ec_thread_pool_job_completion completion)
{
	ec_async_job *job = ec_malloc(MEMTYPE_EC_ASYNC_JOB);

	cr_assert_not_null(job);
	job->completion = completion;
	job->job_class = ECTP_CLASS_IO;
	job->worker = worker;
	job->free_on_completion_memtype = MEMTYPE_EC_ASYNC_JOB;
	if (completion == ECTP_COMPLETE_CALLBACK ||
	    completion == ECTP_COMPLETE_CALLBACK_SCHED) {
		job->r.cb.func = completed;
		job->r.cb.closure = &done;
	}
	return job;
}

static void
init(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&done, 0, 0);
}
TestSuite(thread_pool, .init = init);

/* --- completions ---------------------------------------------------------- */

Test(thread_pool, a_callback_is_called_in_the_thread_of_the_worker)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK);

	cr_assert_eq(ec_queue_async_job(job), 1);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, 1);
	cr_expect_not(pthread_equal(worked_in, pthread_self()));
	cr_expect(pthread_equal(worked_in, completed_in));
}

Test(thread_pool, a_semaphore_is_posted)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_SEMAPHORE);

	job->r.sema = &done;
	cr_assert_eq(ec_queue_async_job(job), 1);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
}

Test(thread_pool, a_synchronous_job_is_done_by_who_queues_it)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_SYNC);

	cr_assert_eq(ec_queue_async_job(job), 1);
	cr_expect_eq(nworked, 1);
	cr_expect(pthread_equal(worked_in, pthread_self()));
}

Test(thread_pool, a_callback_of_the_scheduler_is_called_in_its_thread)
{
	struct scheduler *s = scheduler_create(NULL);
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK_SCHED);

	job->closure = &gate;
	cr_assert_eq(ec_queue_async_job(job), 1);
	cr_assert_eq(scheduler_event_count(s), 0);
	sem_post(&gate);
	/* nothing is scheduled, but something will be */
	cr_assert_eq(scheduler_run(s), 0);
	cr_expect_eq(ncompleted, 1);
	cr_expect(pthread_equal(completed_in, pthread_self()));
	cr_expect_not(pthread_equal(worked_in, pthread_self()));
	/* and now nothing */
	cr_assert_eq(scheduler_run(s), 0);
	mailmill_thread_pool_shutdown();
	scheduler_destroy(s);
}

static int
note_event(Event *, int eventtype, void *closure, struct timeval *)
{
	*(int *)closure = eventtype;
	return 0;
}

Test(thread_pool, an_event_is_scheduled_and_called)
{
	struct scheduler *s = scheduler_create(NULL);
	ec_async_job *job = job_new(ECTP_COMPLETE_NONE);
	struct timeval never = { 0 };
	int type = 0;

	ec_async_wake_event(job, build_event(never, E_FROM_EPOCH, -1,
	    note_event, &type), E_ASYNC | E_WRITE);
	cr_assert_eq(ec_queue_async_job(job), 1);
	cr_assert_eq(scheduler_run(s), 0);
	cr_expect_eq(type, E_ASYNC | E_WRITE);
	mailmill_thread_pool_shutdown();
	scheduler_destroy(s);
}

static ec_async_job *kept;

static void *
complete_kept(void *)
{
	ec_async_complete_tail(kept);
	return NULL;
}

static void
hand_over(ec_async_job *job, void *)
{
	pthread_t t;

	/* somebody else completes it, and frees it, before this returns */
	kept = job;
	pthread_create(&t, NULL, complete_kept, NULL);
	pthread_join(t, NULL);
}

Test(thread_pool, a_job_may_be_completed_by_somebody_else)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK);

	job->worker = hand_over;
	job->skip_completion = 1;
	cr_assert_eq(ec_queue_async_job(job), 1);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(ncompleted, 1);
}

/* The completion may do what it likes with the job. */
static void
queue_again(ec_async_job *job, void *closure)
{
	if (__atomic_add_fetch(&ncompleted, 1, __ATOMIC_SEQ_CST) < 5)
		cr_expect_eq(ec_queue_async_job(job), 1);
	else
		sem_post(closure);
}

Test(thread_pool, a_job_may_be_queued_again_when_it_was_completed)
{
	ec_async_job job = { .completion = ECTP_COMPLETE_CALLBACK,
		.job_class = ECTP_CLASS_SHORT_LIVED, .worker = worker,
		.r.cb = { .func = queue_again, .closure = &done } };

	cr_assert_eq(ec_queue_async_job(&job), 1);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, 5);
}

/* --- bounds --------------------------------------------------------------- */

#define MANY	40

static void
queue_many(int job_class, int n, sem_t *concurrency)
{
	ec_async_job *job;
	int i;

	for (i = 0; i < n; i++) {
		job = job_new(ECTP_COMPLETE_CALLBACK);
		job->job_class = job_class;
		job->closure = &gate;
		job->concurrency = concurrency;
		cr_assert_eq(ec_queue_async_job(job), 1);
	}
}

static void
wait_for(int n)
{
	for (; n > 0; n--)
		sem_wait(&done);
}

Test(thread_pool, has_no_more_threads_than_a_class_may_have)
{
	int i;

	cr_assert_eq(mailmill_thread_pool_threads(ECTP_CLASS_CPU, 2), 1);
	queue_many(ECTP_CLASS_CPU, MANY, NULL);
	/* another class does not wait for it */
	queue_many(ECTP_CLASS_IO, 1, NULL);
	for (i = 0; i < MANY + 1; i++)
		sem_post(&gate);
	wait_for(MANY + 1);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, MANY + 1);
	cr_expect_leq(nmost, 3);
}

Test(thread_pool, has_as_many_threads_as_are_needed)
{
	cr_assert_eq(mailmill_thread_pool_threads(ECTP_CLASS_CPU, 8), 1);
	queue_many(ECTP_CLASS_CPU, 8, NULL);
	/* all are at work, or this would wait for ever */
	while (__atomic_load_n(&nrunning, __ATOMIC_SEQ_CST) < 8)
		usleep(1000);
	while (__atomic_load_n(&nworked, __ATOMIC_SEQ_CST) < 8)
		sem_post(&gate);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nmost, 8);
}

/* As in a process that may start no thread any more. */
Test(thread_pool, has_no_other_threads_once_they_are_fixed)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK);
	int i;

	cr_assert_eq(thread_pool_fix(2), 0);
	queue_many(ECTP_CLASS_CPU, 8, NULL);
	queue_many(ECTP_CLASS_IO, 8, NULL);
	while (__atomic_load_n(&nrunning, __ATOMIC_SEQ_CST) < 4)
		usleep(1000);
	job->job_class = ECTP_CLASS_SWAPIN;
	errno = 0;
	cr_expect_eq(ec_queue_async_job(job), 0);
	cr_expect_eq(errno, EAGAIN);
	/* nor if somebody wants more */
	cr_assert_eq(mailmill_thread_pool_threads(ECTP_CLASS_SWAPIN, 2), 1);
	cr_expect_eq(ec_queue_async_job(job), 0);
	for (i = 0; i < 16; i++)
		sem_post(&gate);
	wait_for(16);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, 16);
	cr_expect_eq(nmost, 4);
	ec_free(MEMTYPE_EC_ASYNC_JOB, job);
}

Test(thread_pool, may_be_fixed_without_threads)
{
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK);

	cr_assert_eq(thread_pool_fix(0), 0);
	errno = 0;
	cr_expect_eq(ec_queue_async_job(job), 0);
	cr_expect_eq(errno, EAGAIN);
	/* it is the caller's still */
	cr_expect_eq(mailmill_async_job_is_done(job), 1);
	ec_free(MEMTYPE_EC_ASYNC_JOB, job);
}

Test(thread_pool, does_as_many_jobs_at_a_time_as_their_semaphore_says)
{
	sem_t two;
	int i;

	sem_init(&two, 0, 2);
	queue_many(ECTP_CLASS_CPU, MANY / 2, &two);
	queue_many(ECTP_CLASS_IO, MANY / 2, &two);
	for (i = 0; i < MANY; i++)
		sem_post(&gate);
	wait_for(MANY);
	mailmill_thread_pool_shutdown();
	cr_expect_leq(nmost, 2);
	sem_getvalue(&two, &i);
	cr_expect_eq(i, 2);
}

Test(thread_pool, a_job_that_must_wait_holds_up_no_other)
{
	sem_t none;

	sem_init(&none, 0, 0);
	queue_many(ECTP_CLASS_IO, 3, &none);
	queue_many(ECTP_CLASS_IO, 1, NULL);
	sem_post(&gate);
	wait_for(1);
	cr_expect_eq(nworked, 1);
	/* another part of the program posts, and tells nobody */
	sem_post(&none);
	sem_post(&gate);
	wait_for(1);
	sem_post(&gate);
	sem_post(&gate);
	wait_for(2);
	mailmill_thread_pool_shutdown();
}

static sigset_t blocked;

static void
look_at_signals(ec_async_job *, void *)
{
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
}

Test(thread_pool, takes_no_signal_of_the_program)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS,
		SIGTRAP, SIGABRT };
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK);
	size_t i;

	job->worker = look_at_signals;
	cr_assert_eq(ec_queue_async_job(job), 1);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(sigismember(&blocked, SIGTERM), 1);
	cr_expect_eq(sigismember(&blocked, SIGCHLD), 1);
	/* but what a fault of its own makes, which the program may handle */
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		cr_expect_eq(sigismember(&blocked, faults[i]), 0, "%d",
		    faults[i]);
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	cr_expect_eq(sigismember(&blocked, SIGTERM), 0);
}

/* --- the end -------------------------------------------------------------- */

static void *
shut_down(void *)
{
	mailmill_thread_pool_shutdown();
	return NULL;
}

Test(thread_pool, does_what_is_queued_before_it_ends_but_what_may_be_dropped)
{
	ec_async_job late = { .worker = worker }, *job;
	pthread_t t;
	int i;

	cr_assert_eq(mailmill_thread_pool_threads(ECTP_CLASS_IO, 1), 1);
	queue_many(ECTP_CLASS_IO, 1, NULL);
	for (i = 0; i < MANY; i++) {
		job = job_new(ECTP_COMPLETE_CALLBACK);
		job->skip_on_shutdown = i % 2;
		cr_assert_eq(ec_queue_async_job(job), 1);
	}
	/* the first one holds up the rest until the end has begun: it has
	 * when nothing can be queued any more */
	pthread_create(&t, NULL, shut_down, NULL);
	while (ec_queue_async_job(&late) == 1 || errno == EBUSY)
		usleep(1000);
	cr_expect_eq(errno, ESHUTDOWN);
	i = __atomic_load_n(&nworked, __ATOMIC_SEQ_CST);
	sem_post(&gate);
	pthread_join(t, NULL);
	cr_expect_eq(nworked - i, 1 + MANY / 2);
	cr_expect_eq(ncompleted, 1 + MANY / 2);
}

Test(thread_pool, can_be_used_again_after_its_end)
{
	int i;

	mailmill_thread_pool_shutdown();
	for (i = 0; i < 3; i++) {
		cr_assert_eq(ec_queue_async_job(
		    job_new(ECTP_COMPLETE_CALLBACK)), 1);
		mailmill_thread_pool_shutdown();
		cr_expect_eq(ncompleted, i + 1);
	}
}

Test(thread_pool, a_scheduler_that_has_ended_calls_nobody)
{
	struct scheduler *s = scheduler_create(NULL), *other;
	ec_async_job *job = job_new(ECTP_COMPLETE_CALLBACK_SCHED);

	job->closure = &gate;
	job->free_on_completion_memtype = 0;
	cr_assert_eq(ec_queue_async_job(job), 1);
	cr_expect_eq(mailmill_async_job_is_done(job), 0);
	scheduler_destroy(s);
	other = scheduler_create(NULL);
	sem_post(&gate);
	mailmill_thread_pool_shutdown();
	cr_assert_eq(scheduler_pass(other, 0), 0);
	cr_expect_eq(ncompleted, 0);
	/* the job is its owner's again */
	cr_expect_eq(mailmill_async_job_is_done(job), 1);
	job->closure = NULL;
	cr_assert_eq(ec_queue_async_job(job), 1);
	cr_assert_eq(scheduler_run(other), 0);
	cr_expect_eq(ncompleted, 1);
	mailmill_thread_pool_shutdown();
	scheduler_destroy(other);
	free(job);
}

Test(thread_pool, is_that_of_the_process_after_fork)
{
	int status;
	pid_t pid;

	queue_many(ECTP_CLASS_IO, 1, NULL);
	cr_assert_neq(pid = fork(), -1);
	if (pid == 0) {
		/* without the parent's threads, and its jobs */
		if (ec_queue_async_job(job_new(ECTP_COMPLETE_CALLBACK)) != 1)
			_exit(1);
		mailmill_thread_pool_shutdown();
		_exit(nworked == 1 ? 0 : 2);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	sem_post(&gate);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, 1);
}

/* --- misuse --------------------------------------------------------------- */

Test(thread_pool, refuses_what_it_cannot_do)
{
	ec_async_job job = { .worker = NULL };

	errno = 0;
	cr_expect_eq(ec_queue_async_job(NULL), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(ec_queue_async_job(&job), 0);
	job.worker = worker;
	job.job_class = ECTP_CLASS_SIEVE_IO + 1;
	cr_expect_eq(ec_queue_async_job(&job), 0);
	job.job_class = ECTP_CLASS_SHORT_LIVED - 1;
	cr_expect_eq(ec_queue_async_job(&job), 0);
	job.job_class = ECTP_CLASS_IO;
	for (job.completion = ECTP_COMPLETE_EVENT; job.completion <=
	    ECTP_COMPLETE_CALLBACK_SCHED_INST; job.completion++) {
		errno = 0;
		if (job.completion == ECTP_COMPLETE_SYNC)
			continue;
		cr_expect_eq(ec_queue_async_job(&job), 0, "%d",
		    job.completion);
		cr_expect_eq(errno, EINVAL);
	}
	/* there is no scheduler that it could come back to */
	job.completion = ECTP_COMPLETE_CALLBACK_SCHED;
	job.r.cb.func = completed;
	cr_expect_eq(ec_queue_async_job(&job), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(nworked, 0);
	cr_expect_eq(mailmill_thread_pool_threads(ECTP_CLASS_IO, 0), 0);
	cr_expect_eq(mailmill_thread_pool_threads(ECTP_CLASS_IO,
	    LIM_JOB_THREADS + 1), 0);
	cr_expect_eq(mailmill_thread_pool_threads(99, 1), 0);
	cr_expect_eq(errno, EINVAL);
}

Test(thread_pool, a_job_is_in_the_queue_once)
{
	ec_async_job job = { .completion = ECTP_COMPLETE_CALLBACK,
		.worker = worker, .closure = &gate,
		.r.cb = { .func = completed, .closure = &done } };

	cr_assert_eq(ec_queue_async_job(&job), 1);
	cr_expect_eq(ec_queue_async_job(&job), 0);
	cr_expect_eq(errno, EBUSY);
	sem_post(&gate);
	sem_wait(&done);
	mailmill_thread_pool_shutdown();
	cr_expect_eq(nworked, 1);
}

static void
end_it(ec_async_job *, void *)
{
	mailmill_thread_pool_shutdown();
}

static void
end_from_inside(void *)
{
	ec_async_job job = { .completion = ECTP_COMPLETE_SEMAPHORE,
		.worker = end_it, .r.sema = &done };

	ec_queue_async_job(&job);
	sem_wait(&done);
}

Test(thread_pool, a_job_cannot_end_its_own_thread)
{
	cr_expect_str_eq(misuse_ends(end_from_inside, NULL),
	    "mailmill: mailmill_thread_pool_shutdown(): "
	    "a job cannot end the thread that it runs in");
}
