#include <criterion/criterion.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "cmd/mailmilld/authd/auth_pool.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define NONE	(-1)

/* A job that holds its thread until the gate is open. */
struct gate {
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	bool		 is_open;
	int		 nwaiting;
};

struct task {
	struct auth_job	 job;
	struct gate	*gate;		/* NULL: it ends at once */
	int		 number;
	pthread_t	 ran_on;
	bool		 has_run;	/* is_done says when it may be read */
	bool		 is_done;
};

static struct scheduler *sched;
static int order[64], norder;
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;

static void
task_run(struct auth_job *job)
{
	struct task *t = (struct task *)job;

	pthread_mutex_lock(&order_lock);
	order[norder++] = t->number;
	pthread_mutex_unlock(&order_lock);
	if (t->gate != NULL) {
		pthread_mutex_lock(&t->gate->lock);
		t->gate->nwaiting++;
		pthread_cond_broadcast(&t->gate->cond);
		while (!t->gate->is_open)
			pthread_cond_wait(&t->gate->cond, &t->gate->lock);
		pthread_mutex_unlock(&t->gate->lock);
	}
	t->ran_on = pthread_self();
	t->has_run = true;
}

static void
task_done(struct auth_job *job)
{
	struct task *t = (struct task *)job;

	cr_assert(t->has_run);
	t->is_done = true;
}

static void
task_init(struct task *t, int number, struct gate *gate)
{
	memset(t, 0, sizeof(*t));
	t->job.run = task_run;
	t->job.done = task_done;
	t->number = number;
	t->gate = gate;
}

static void
gate_init(struct gate *g)
{
	memset(g, 0, sizeof(*g));
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
}

static void
gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_open = true;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static void
gate_await(struct gate *g, int n)
{
	pthread_mutex_lock(&g->lock);
	while (g->nwaiting < n)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static struct auth_pool *
pool(unsigned int nthreads)
{
	struct auth_pool *p;

	norder = 0;
	cr_assert_not_null(sched = scheduler_create(NULL));
	cr_assert_not_null(p = auth_pool_open(nthreads));
	return p;
}

static void
pool_end(struct auth_pool *p)
{
	cr_assert(auth_pool_close(p, 10000));
	cr_assert_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

static void
await(struct task *t)
{
	while (!t->is_done)
		cr_assert_neq(scheduler_pass(sched, -1), -1);
}

Test(auth_pool, a_job_runs_on_a_thread_and_is_told_on_the_loop)
{
	struct auth_pool *p = pool(2);
	struct auth_lane lane;
	struct task t;

	auth_lane_init(&lane);
	task_init(&t, 1, NULL);
	auth_pool_add(p, &lane, &t.job);
	await(&t);
	cr_assert_not(pthread_equal(t.ran_on, pthread_self()));
	pool_end(p);
}

Test(auth_pool, as_many_run_at_once_as_there_are_threads)
{
	struct auth_pool *p = pool(3);
	struct auth_lane lane;
	struct gate gate;
	struct task t[3];
	int i;

	gate_init(&gate);
	auth_lane_init(&lane);
	for (i = 0; i < 3; i++) {
		task_init(&t[i], i, &gate);
		auth_pool_add(p, &lane, &t[i].job);
	}
	gate_await(&gate, 3);
	gate_open(&gate);
	for (i = 0; i < 3; i++)
		await(&t[i]);
	pool_end(p);
}

Test(auth_pool, lanes_take_turns)
{
	static const int wanted[] = { 0, 1, 100, 200, 2, 101, 3 };
	struct auth_pool *p = pool(1);
	struct auth_lane lanes[3];
	struct gate gate;
	struct task t[7];
	size_t i;

	gate_init(&gate);
	for (i = 0; i < 3; i++)
		auth_lane_init(&lanes[i]);
	task_init(&t[0], 0, &gate);
	auth_pool_add(p, &lanes[0], &t[0].job);
	gate_await(&gate, 1);
	/* now the thread has something to do */
	task_init(&t[1], 1, NULL);
	task_init(&t[2], 2, NULL);
	task_init(&t[3], 3, NULL);
	task_init(&t[4], 100, NULL);
	task_init(&t[5], 101, NULL);
	task_init(&t[6], 200, NULL);
	for (i = 1; i < 7; i++)
		auth_pool_add(p, &lanes[i < 4 ? 0 : i < 6 ? 1 : 2],
		    &t[i].job);
	gate_open(&gate);
	for (i = 0; i < 7; i++)
		await(&t[i]);
	for (i = 0; i < 7; i++)
		cr_assert_eq(order[i], wanted[i], "%zu: %d", i, order[i]);
	pool_end(p);
}

Test(auth_pool, what_waits_can_be_withdrawn_what_runs_cannot)
{
	struct auth_pool *p = pool(1);
	struct auth_lane lane;
	struct gate gate;
	struct task running, waiting, after;

	gate_init(&gate);
	auth_lane_init(&lane);
	task_init(&running, 1, &gate);
	task_init(&waiting, 2, NULL);
	task_init(&after, 3, NULL);
	auth_pool_add(p, &lane, &running.job);
	gate_await(&gate, 1);
	auth_pool_add(p, &lane, &waiting.job);
	cr_assert_not(auth_pool_withdraw(p, &running.job));
	cr_assert(auth_pool_withdraw(p, &waiting.job));
	cr_assert_not(auth_pool_withdraw(p, &waiting.job));
	auth_pool_add(p, &lane, &after.job);
	gate_open(&gate);
	await(&running);
	await(&after);
	cr_assert_not(waiting.has_run);
	cr_assert_not(auth_pool_withdraw(p, &after.job));
	pool_end(p);
}

Test(auth_pool, it_is_stuck_only_when_every_thread_is)
{
	struct auth_pool *p = pool(2);
	struct auth_lane lane;
	struct gate gate, second;
	struct task t[2];
	uint64_t now;

	gate_init(&gate);
	gate_init(&second);
	auth_lane_init(&lane);
	task_init(&t[0], 0, &gate);
	task_init(&t[1], 1, &second);
	auth_pool_add(p, &lane, &t[0].job);
	gate_await(&gate, 1);
	now = monotonic_ms() + 60000;
	cr_assert_eq(auth_pool_stuck_ms(p, now), 0);
	auth_pool_add(p, &lane, &t[1].job);
	gate_await(&second, 1);
	cr_assert_gt(auth_pool_stuck_ms(p, now), 30000);
	gate_open(&gate);
	await(&t[0]);
	cr_assert_eq(auth_pool_stuck_ms(p, now), 0);
	gate_open(&second);
	await(&t[1]);
	pool_end(p);
}

Test(auth_pool, closing_waits_for_what_runs_as_long_as_it_may)
{
	struct auth_pool *p = pool(1);
	struct auth_lane lane;
	struct gate gate;
	struct task t, never;

	gate_init(&gate);
	auth_lane_init(&lane);
	task_init(&t, 1, &gate);
	task_init(&never, 2, NULL);
	auth_pool_add(p, &lane, &t.job);
	auth_pool_add(p, &lane, &never.job);
	gate_await(&gate, 1);
	cr_assert_not(auth_pool_close(p, 20));
	cr_assert_not(t.is_done);
	gate_open(&gate);
	pool_end(p);
	cr_assert_not(never.has_run);
}

/* A storm: many jobs, some withdrawn, each told once or not at all. */
Test(auth_pool, every_job_is_told_once_or_withdrawn)
{
	struct auth_pool *p = pool(4);
	struct auth_lane lanes[3];
	struct task t[60];
	int i, withdrawn = 0, done;

	for (i = 0; i < 3; i++)
		auth_lane_init(&lanes[i]);
	for (i = 0; i < 60; i++) {
		task_init(&t[i], i, NULL);
		auth_pool_add(p, &lanes[i % 3], &t[i].job);
		if (i % 7 == 0 && auth_pool_withdraw(p, &t[i].job)) {
			withdrawn++;
			t[i].number = NONE;
		}
	}
	do {
		for (i = done = 0; i < 60; i++)
			done += t[i].is_done;
	} while (done + withdrawn < 60 && scheduler_pass(sched, -1) != -1);
	for (i = 0; i < 60; i++)
		cr_assert_eq(t[i].is_done, t[i].number != NONE);
	pool_end(p);
}
