#include <sys/wait.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/spool.h"
#include "core/util/unique.h"

#define MANY	1000

Test(unique, no_name_is_given_twice)
{
	static char names[MANY][UNIQUE_TEXT];
	const struct timeval now = { 1700000000, 5 };
	size_t i, k;

	for (i = 0; i < MANY; i++) {
		(void)unique_text(&now, names[i]);
		for (k = 0; k < i; k++)
			cr_assert_str_neq(names[i], names[k]);
	}
}

/* A child counts on from the same number, at the same time. */
Test(unique, a_child_has_other_names)
{
	const struct timeval now = { 1700000000, 5 };
	char mine[UNIQUE_TEXT], theirs[UNIQUE_TEXT];
	int fds[2];
	pid_t pid;

	(void)unique_text(&now, mine);
	cr_assert_eq(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		(void)unique_text(&now, theirs);
		_exit(write(fds[1], theirs, sizeof(theirs)) !=
		    sizeof(theirs));
	}
	cr_assert_eq(read(fds[0], theirs, sizeof(theirs)), sizeof(theirs));
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	(void)unique_text(&now, mine);
	/* time and number are the same: 23 digits */
	cr_expect_eq(strncmp(mine, theirs, 23), 0);
	cr_expect_str_neq(mine, theirs);
}

/* They are names of messages, whatever the clock says. */
Test(unique, names_are_capitals_and_digits)
{
	static const struct timeval times[] = { { 0, 0 }, { 1700000000, 999999 },
		{ LONG_MAX, 999999 }, { -1, 0 } };
	char name[UNIQUE_TEXT];
	size_t i, len;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		len = strlen(unique_text(&times[i], name));
		cr_expect_eq(len, 31);
		cr_expect_leq(len, SPOOL_ID_MAX);
		cr_expect_eq(strspn(name, "0123456789ABCDEF"), len, "%s", name);
	}
}
