/* Options of listeners in a child of fork(2), and a value that is set while
 * another is. */

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler_impl.h"
#include "proto/ec_config.h"

#define NROUNDS	40

static int slot;
static sem_t is_in_postset, may_return;
static bool is_held, is_again;

/* Is ${expected} in force? */
static bool
is(const char *expected)
{
	ec_config_value *v = ec_config_option_fetch_generic(NULL, slot, NULL,
	    0, NULL);
	bool is_so = v != NULL && strcmp(v->v->vstr, expected) == 0;

	ec_config_release_value(v);
	return is_so;
}

static bool
set(const char *value)
{
	return mailmill_config_set(slot, NULL, NULL, value, NULL) == 1;
}

static void
postset(ec_config_option_def *, string *, ec_config_header *,
    ec_config_value *v)
{
	if (is_held && strcmp(v->v->vstr, "held") == 0) {
		sem_post(&is_in_postset);
		while (sem_wait(&may_return) == -1)
			continue;
	}
	if (is_again && strcmp(v->v->vstr, "given") == 0) {
		cr_expect(set("normal"));
		cr_expect(is("normal"));
	}
}

static void
setup(void)
{
	static ec_config_option_def def = { .name = "Forked",
		.type = ECCFGTYPE_STRING, .defval = "default",
		.postset = postset };

	slot = ec_config_register_option(&def);
	cr_assert_geq(slot, 0);
	cr_assert_eq(sem_init(&is_in_postset, 0, 0), 0);
	cr_assert_eq(sem_init(&may_return, 0, 0), 0);
}

TestSuite(ec_config_fork, .init = setup, .timeout = 60);

static void
expect_success(int (*in_child)(void))
{
	int status;
	pid_t pid = fork();

	cr_assert_neq(pid, -1);
	if (pid == 0) {
		alarm(10);
		_exit(in_child());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "%x", (unsigned int)status);
}

static void *
set_held(void *)
{
	cr_expect(set("held"));
	return NULL;
}

/* The first thread of the child may have the pthread_t of the one that was in
 * postset. */
static void *
look(void *)
{
	return is("before") ? NULL : &slot;
}

static int
see_and_set(void)
{
	pthread_t thread;
	void *wrong;

	if (!is("before") || pthread_create(&thread, NULL, look, NULL) != 0 ||
	    pthread_join(thread, &wrong) != 0 || wrong != NULL)
		return 1;
	return set("after") && is("after") && set(NULL) && is("default") ? 0 :
	    2;
}

Test(ec_config_fork, what_is_about_to_be_set_is_not_there_in_a_child)
{
	pthread_t thread;

	is_held = true;
	cr_assert(set("before"));
	cr_assert_eq(pthread_create(&thread, NULL, set_held, NULL), 0);
	while (sem_wait(&is_in_postset) == -1)
		continue;
	expect_success(see_and_set);
	cr_expect(is("before"));
	sem_post(&may_return);
	pthread_join(thread, NULL);
	cr_expect(is("held"));
}

Test(ec_config_fork, a_postset_may_set_another_value)
{
	is_again = true;
	cr_assert(set("before"));
	cr_assert(set("given"));
	cr_expect(is("normal"));
	/* the others are gone */
	cr_assert(set(NULL));
	cr_expect(is("default"));
}

/* --- locks ---------------------------------------------------------------- */

static char name[] = "forked";
static ec_scheduler_impl impl = { .name = name };
static atomic_bool is_over;

static void *
set_always(void *)
{
	while (!atomic_load(&is_over))
		(void)set("other");
	return NULL;
}

static void *
register_always(void *)
{
	while (!atomic_load(&is_over)) {
		scheduler_register(&impl);
		(void)scheduler_registered("forked");
	}
	return NULL;
}

static int
use_both(void)
{
	scheduler_register(&impl);
	return scheduler_registered("forked") == &impl && set("own") &&
	    is("own") ? 0 : 1;
}

Test(ec_config_fork, no_child_finds_a_lock_held)
{
	pthread_t threads[2];
	int i;

	cr_assert_eq(pthread_create(&threads[0], NULL, set_always, NULL), 0);
	cr_assert_eq(pthread_create(&threads[1], NULL, register_always, NULL),
	    0);
	for (i = 0; i < NROUNDS; i++)
		expect_success(use_both);
	atomic_store(&is_over, true);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
