/* Calls of which a role may make some, made by a process that is bound as each
 * role is: test/hostile/attempt.def says which are refused. */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/sandbox.h"
#include "core/process/syscalls.h"
#include "test/hostile/attempt.h"

TestSuite(sandbox_args, .timeout = 120);

/* Sanitizers make more calls. */
#ifndef __SANITIZE_ADDRESS__

static char spool[] = "/var/spool/test";
static char passwd[] = "passwd:/etc/test/passwd";
static char dovecot[] = "dovecot:/run/dovecot/auth-client";
static struct settings_backend backend = { .spec = passwd };
static struct settings settings = { .spool = spool, .backends = &backend,
	.nbackends = 1, .sandbox = SANDBOX_ON };

static const struct attempt attempts[] = {
#define ARGS(...)	{ __VA_ARGS__ }
#define ATTEMPT(name, call, args, roles)	{ #name, #call, args, roles },
#include "test/hostile/attempt.def"
#undef ATTEMPT
#undef ARGS
};
#define NATTEMPTS	(sizeof(attempts) / sizeof(attempts[0]))

/* Shared with the child: of each attempt, has it been made, and refused? */
static volatile struct { unsigned char is_made, is_refused; } *found;
static size_t now;

static void
on_sigsys(int, siginfo_t *, void *)
{
	found[now].is_refused = 1;
}

static void
tell(int)
{
}

static void
attempt(const struct attempt *a)
{
	int nr = seccomp_syscall_resolve_name(a->call);

	/* another machine */
	if (nr < 0)
		return;
	found[now].is_made = 1;
	(void)syscall(nr, a->args[0], a->args[1], a->args[2], a->args[3],
	    a->args[4], a->args[5]);
}

static void __attribute__((noreturn))
make_all(const char *const *lists, size_t n)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys,
		.sa_flags = SA_SIGINFO };
	char err[SYSCALLS_ERROR_MAX];

	alarm(60);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    syscalls_tell(tell) == -1 || sigaction(SIGSYS, &sa, NULL) == -1 ||
	    syscalls_confine(lists, n, err, sizeof(err)) == -1)
		_exit(100);
	for (now = 0; now < NATTEMPTS; now++)
		attempt(&attempts[now]);
	_exit(0);
}

/* What becomes of the attempts of a process of the role. */
static void
make_as(const struct role *r)
{
	const struct sandbox sb = { .role = r, .settings = &settings };
	const char *lists[SANDBOX_LISTS];
	size_t n = sandbox_calls(&sb, lists);
	int status;
	pid_t pid;

	found = mmap(NULL, NATTEMPTS * sizeof(*found), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(found, MAP_FAILED);
	cr_assert_gt(n, 0, "%s", role_name(r->id));
	if ((pid = fork()) == 0)
		make_all(lists, n);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %x",
	    role_name(r->id), status);
}

static bool
is_in(const char *name, const char *list)
{
	size_t len = strlen(name);
	const char *at;

	for (at = list; (at = strstr(at, name)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') &&
		    (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

Test(sandbox_args, each_role_makes_those_that_it_needs_and_no_other)
{
	unsigned int id;
	size_t i, nmade = 0;

	for (id = 0; id < NROLES; id++) {
		if (role_of(id)->main == NULL)
			continue;
		make_as(role_of(id));
		for (i = 0; i < NATTEMPTS; i++) {
			if (!found[i].is_made)
				continue;
			nmade++;
			cr_expect_eq(found[i].is_refused != 0,
			    !is_in(role_name(id), attempts[i].roles),
			    "%s: %s (%s) is %s", role_name(id),
			    attempts[i].name, attempts[i].call,
			    found[i].is_refused ? "refused" : "made");
		}
	}
	cr_assert_gt(nmade, 400);
}

/* With a back end that is another program, a socket of this machine. */
Test(sandbox_args, authd_connects_to_a_program_of_this_machine_alone)
{
	size_t i;

	backend.spec = dovecot;
	make_as(role_of(ROLE_AUTHD));
	for (i = 0; i < NATTEMPTS; i++)
		if (strcmp(attempts[i].call, "socket") == 0)
			cr_expect_eq(found[i].is_refused, strcmp(
			    attempts[i].name, "make_unix") != 0, "%s",
			    attempts[i].name);
}
#endif
