/* Functions of modules that are being called. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "cmd/mailmilld/module/modules_int.h"

static const struct settings_module one = { .path = (char[]){ "/m/one.so" } },
    two = { .path = (char[]){ "/m/two.so" } };

/* The time of one does not count for the next. */
Test(modules_crash, each_has_its_own_time)
{
	modules_limit(100);
	modules_calling(&one);
	cr_expect_geq(alarm(50), 99);
	modules_calling(NULL);
	cr_expect_eq(alarm(50), 0);
	modules_calling(&two);
	cr_expect_geq(alarm(0), 99);
	modules_calling(NULL);
}

static void *
look(void *)
{
	return (void *)(uintptr_t)modules_called();
}

/* A job may crash meanwhile, and it may be another one's. */
Test(modules_crash, what_is_called_is_called_in_one_thread)
{
	pthread_t t;
	void *seen = &t;

	modules_calling(&one);
	cr_expect_eq(modules_called(), &one);
	cr_assert_eq(pthread_create(&t, NULL, look, NULL), 0);
	cr_assert_eq(pthread_join(t, &seen), 0);
	cr_expect_null(seen);
	modules_calling(NULL);
	cr_expect_null(modules_called());
}
