#include "core/util/forklock.h"

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <unistd.h>

#define NROUNDS	40

static struct forklock locks[2] = { FORKLOCK_INIT, FORKLOCK_INIT };
static struct forklock unused = FORKLOCK_INIT;
static atomic_bool is_over;
static unsigned int nheld[2];	/* by its lock */

static void *
hold(void *which)
{
	size_t i = (struct forklock *)which - locks;

	while (!atomic_load(&is_over)) {
		forklock_take(which);
		nheld[i]++;
		forklock_release(which);
	}
	return NULL;
}

/* 0: it can take all of them. */
static int
in_child(void)
{
	alarm(10);
	forklock_take(&locks[0]);
	forklock_release(&locks[0]);
	forklock_take(&locks[1]);
	forklock_release(&locks[1]);
	forklock_take(&unused);
	forklock_release(&unused);
	return 0;
}

Test(forklock, no_child_finds_one_held, .timeout = 60)
{
	pthread_t threads[2];
	int i, status;
	pid_t pid;

	for (i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, hold,
		    &locks[i]), 0);
	for (i = 0; i < NROUNDS; i++) {
		cr_assert_neq(pid = fork(), -1);
		if (pid == 0)
			_exit(in_child());
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0, "round %d: %x", i, status);
	}
	atomic_store(&is_over, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* the parent goes on */
	for (i = 0; i < 2; i++) {
		forklock_take(&locks[i]);
		cr_expect_gt(nheld[i], 0);
		forklock_release(&locks[i]);
	}
}
