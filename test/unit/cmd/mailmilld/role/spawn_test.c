#include <sys/ptrace.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

#include "cmd/mailmilld/role/spawn.h"

TestSuite(spawn, .timeout = 30);

Test(spawn, a_process_that_a_debugger_has_hold_of_is_known)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	cr_expect_not(spawn_is_traced(pid));
	cr_expect_not(spawn_is_traced(getpid()));
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		cr_skip_test("may not trace a process");
	}
	cr_expect(spawn_is_traced(pid));
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	cr_expect_not(spawn_is_traced(pid));
}

Test(spawn, a_path_is_handed_on_when_it_does_not_depend_on_a_folder)
{
	static const char *const good[] = { "/", "/a", "/a:/b", "/a;/b:/c/d" };
	static const char *const bad[] = { "", "a", ".", ":", "/a:", ":/a",
		"/a::/b", "/a;b", "/a:/b;./c", "$ORIGIN/lib" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(spawn_is_absolute(good[i], ":;"), "%s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(spawn_is_absolute(bad[i], ":;"), "%s", bad[i]);
	/* one path alone may have such octets */
	cr_expect(spawn_is_absolute("/a:b", ""));
	cr_expect_not(spawn_is_absolute("a:/b", ""));
}
