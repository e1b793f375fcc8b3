#include "test/unit/core/queue/queue_change_fixture.h"

#include <sys/resource.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static struct rlimit limit;	/* before qf_fill_disk() */

size_t
qf_times(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

void
qf_fill_disk(void)
{
	struct rlimit none;

	cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	none = limit;
	none.rlim_cur = 1;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
}

void
qf_free_disk(void)
{
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
