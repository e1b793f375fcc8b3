/* The end of jobs: see ec_thread_pool.h.
 * Owns: how a job that is done comes back.  Nothing here waits.  What carries a
 * job back is allocated when it is queued; a scheduler that has no memory to
 * schedule it tries again.
 *
 * What comes back to a scheduler's thread is carried by an event of its own,
 * which that thread's scheduler is sent; so neither the session nor its module is
 * touched in another thread.  The scheduler goes on until then, though nothing
 * may be scheduled on it. */

#include <errno.h>
#include <stddef.h>

#include "core/ec_malloc.h"
#include "core/jobs/thread_pool.h"
#include "core/loop/registry.h"
#include "core/scheduler.h"

/* In the scheduler's thread.  The job is its owner's as soon as the function is
 * called. */
static int
carried(Event *, int, void *closure, struct timeval *)
{
	ec_async_job *job = closure;
	int memtype = job->free_on_completion_memtype;
	const struct ec_async_module *module;
	Event *session;

	job->carrier = NULL;
	job_set_in_use(job, false);
	if (job->completion != ECTP_COMPLETE_MODULE)
		job->r.cb.func(job, job->r.cb.closure);
	else if ((module = __atomic_load_n(&job->module, __ATOMIC_ACQUIRE)) !=
	    NULL && (session = module->done(job)) != NULL)
		(void)schedule_event_and_dispatch(session, E_ASYNC);
	if (memtype != 0)
		ec_free(memtype, job);
	return 0;
}

/* A module's job belongs to the thread of its session. */
static bool
is_of_this_thread(const Event *e)
{
	return e != NULL && is_scheduler_thread() &&
	    e->scheduled_number == registry_thread();
}

static bool
is_complete(const ec_async_job *job)
{
	switch (job->completion) {
	case ECTP_COMPLETE_NONE:
	case ECTP_COMPLETE_SYNC:
		return true;
	case ECTP_COMPLETE_EVENT:
		return job->r.e.event != NULL;
	case ECTP_COMPLETE_MODULE:
		return job->module != NULL && is_of_this_thread(
		    job->r.e.event);
	case ECTP_COMPLETE_CALLBACK:
	case ECTP_COMPLETE_CALLBACK_SCHED:
		return job->r.cb.func != NULL;
	case ECTP_COMPLETE_SEMAPHORE:
		return job->r.sema != NULL;
	case ECTP_COMPLETE_EVENT_INST:
	case ECTP_COMPLETE_CALLBACK_SCHED_INST:
		break;
	}
	return false;
}

static Event *
carrier_new(ec_async_job *job)
{
	struct timeval never = { 0 };
	Event *e = build_event(never, E_FROM_EPOCH, -1, carried, job);

	if (e != NULL)
		e->mask = E_ASYNC;
	return e;
}

int
job_prepare(ec_async_job *job)
{
	Event *e = NULL;

	job->carrier = NULL;
	job->scheduler = 0;
	if (!is_complete(job)) {
		errno = EINVAL;
		return -1;
	}
	if (job->completion == ECTP_COMPLETE_EVENT)
		e = job->r.e.event;
	else if ((job->completion == ECTP_COMPLETE_MODULE ||
	    job->completion == ECTP_COMPLETE_CALLBACK_SCHED) &&
	    (e = job->carrier = carrier_new(job)) == NULL)
		return -1;
	if (e != NULL && (job->scheduler = registry_hold(e)) == 0) {
		event_free(job->carrier);
		job->carrier = NULL;
		errno = EINVAL;
		return -1;
	}
	return 0;
}

void
job_give_back(ec_async_job *job)
{
	const uint64_t scheduler = job->scheduler;

	event_free(job->carrier);
	job->carrier = NULL;
	job_set_in_use(job, false);
	registry_release(scheduler);
}

/* Nobody is called. */
static void
end_unheard(ec_async_job *job)
{
	int memtype = job->free_on_completion_memtype;

	job_give_back(job);
	if (memtype != 0)
		ec_free(memtype, job);
}

void
job_drop(ec_async_job *job)
{
	/* the session has to let it go, in its own thread */
	if (job->completion == ECTP_COMPLETE_MODULE)
		ec_async_complete_tail(job);
	else
		end_unheard(job);
}

/* By its carrier, to the thread of its scheduler. */
static void
send_back(ec_async_job *job)
{
	const uint64_t scheduler = job->scheduler;

	if (registry_send(scheduler, job->carrier, E_ASYNC) == 0) {
		registry_release(scheduler);
		return;
	}
	/* a scheduler that has ended calls nobody */
	event_free(job->carrier);
	job->carrier = NULL;
	if (job->completion != ECTP_COMPLETE_MODULE || job_let_go(job))
		end_unheard(job);
}

void
ec_async_complete_tail(ec_async_job *job)
{
	enum _ec_thread_pool_job_completion completion;
	union _ec_thread_pool_job_r r;
	uint64_t scheduler;
	int memtype;

	if (job->carrier != NULL) {
		send_back(job);
		return;
	}
	/* the job may be gone as soon as it was completed */
	completion = job->completion;
	r = job->r;
	scheduler = job->scheduler;
	memtype = job->free_on_completion_memtype;
	job_set_in_use(job, false);
	if (completion == ECTP_COMPLETE_EVENT)
		(void)sp_async_schedule_event(r.e.event, r.e.mask);
	else if (completion == ECTP_COMPLETE_CALLBACK)
		r.cb.func(job, r.cb.closure);
	else if (completion == ECTP_COMPLETE_SEMAPHORE)
		sem_post(r.sema);
	if (memtype != 0)
		ec_free(memtype, job);
	registry_release(scheduler);
}

int
mailmill_async_job_is_done(const ec_async_job *job)
{
	return !job_is_in_use(job);
}

void
ec_async_wake_event(ec_async_job *job, Event *event, int mask)
{
	job->completion = ECTP_COMPLETE_EVENT;
	job->r.e = (struct _ec_thread_pool_job_r_e){ .event = event,
	    .mask = mask };
}
