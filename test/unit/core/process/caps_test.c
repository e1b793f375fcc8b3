#include <sys/wait.h>

#include <linux/capability.h>

#include <criterion/criterion.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/process/caps.h"

TestSuite(caps, .timeout = 60);

static int
has(int cap)
{
	return prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
}

static void
need_root(void)
{
	if (geteuid() != 0 || has(CAP_SETPCAP) != 1 || has(CAP_KILL) != 1)
		cr_skip("needs root");
}

/* Run as a child: what it changes is its own. */
static void
expect(bool (*func)(void))
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(func() ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

static bool
keeps_one(void)
{
	const uint64_t keep = CAPS_BIT(CAP_KILL);

	return caps_bound(keep) == 0 && has(CAP_KILL) == 1 &&
	    has(CAP_CHOWN) == 0 && caps_keep(keep) == 0 &&
	    !caps_are_empty(false) &&
	    /* and none comes back */
	    caps_bound(0) == -1 && caps_keep(~UINT64_C(0)) == 0 &&
	    chown("/dev/null", 0, 0) == 0 && chown("/dev/null", 1, 1) == -1;
}

Test(caps, those_that_are_kept_stay_and_others_go)
{
	need_root();
	expect(keeps_one);
}

static bool
keeps_none(void)
{
	return caps_bound(0) == 0 && caps_keep(0) == 0 &&
	    caps_are_empty(true);
}

Test(caps, can_be_none)
{
	need_root();
	expect(keeps_none);
}

static bool
is_unprivileged(void)
{
	return caps_keep(0) == 0 && caps_are_empty(false);
}

Test(caps, none_can_be_kept_without_any)
{
	expect(is_unprivileged);
}
