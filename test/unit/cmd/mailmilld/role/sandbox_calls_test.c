/* Every system call by its number, made by a process that is bound as each role
 * is: which of them are made, and which refused? */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/sandbox.h"
#include "core/process/syscalls.h"

#define CALLS		600	/* numbers below; there are some 470 */
#define WORD_MAX	32

TestSuite(sandbox_calls, .timeout = 120);

/* Sanitizers make more calls. */
#ifndef __SANITIZE_ADDRESS__

static char spool[] = "/var/spool/test";
static struct settings_backend backend = { .spec = "passwd:/etc/test/passwd" };
static struct settings settings = { .spool = spool, .backends = &backend,
	.nbackends = 1, .sandbox = SANDBOX_ON };

/* Shared with the child. */
static volatile unsigned char (*refused)[CALLS];

/* They do not return.  The kernel lets uretprobe(2) and uprobe(2) pass every
 * filter; they end a process that calls them by itself (SIGILL). */
static bool
is_end(int call)
{
#ifdef __x86_64__
	if (call == 335 || call == 336)
		return true;
#endif
	return call == SYS_exit || call == SYS_exit_group ||
	    call == SYS_rt_sigreturn;
}

/* --- what the profile says ------------------------------------------------ */

/* A rule allows some arguments; those of this test it refuses
 * (sandbox_args_test.c). */
static bool
is_rule(const char *word)
{
	static const char *const rules[] = { "mmap", "mprotect", "madvise",
		"futex", "fcntl", "fallocate", "renameat2", "linkat", "unlinkat",
		"getsockopt", "setsockopt", "sendto", "memfd_create" };
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(word, rules[i]) == 0)
			return true;
	return strchr(word, ':') != NULL;
}

static void
add_list(const char *list, bool allowed_r[CALLS])
{
	char word[WORD_MAX];
	int n, call;

	for (; sscanf(list, " %31s%n", word, &n) == 1; list += n) {
		if (is_rule(word))
			continue;
		call = seccomp_syscall_resolve_name(word);
		if (call >= 0 && call < CALLS)
			allowed_r[call] = true;
	}
}

/* --- what the kernel does ------------------------------------------------- */

static unsigned int role_now;

static void
on_sigsys(int, siginfo_t *si, void *)
{
	if (si->si_syscall >= 0 && si->si_syscall < CALLS)
		refused[role_now][si->si_syscall] = 1;
}

static void
tell(int)
{
}

/* All calls, with arguments that are wrong for every one. */
static void __attribute__((noreturn))
make_all(const char *const *lists, size_t n)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys,
		.sa_flags = SA_SIGINFO };
	char err[SYSCALLS_ERROR_MAX];
	int call;

	alarm(60);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    syscalls_tell(tell) == -1 || sigaction(SIGSYS, &sa, NULL) == -1 ||
	    syscalls_confine(lists, n, err, sizeof(err)) == -1)
		_exit(100);
	for (call = 0; call < CALLS; call++)
		if (!is_end(call))
			(void)syscall(call, -1L, -1L, -1L, -1L, -1L, -1L);
	_exit(0);
}

static void
compare(const struct role *r)
{
	struct sandbox sb = { .role = r, .settings = &settings };
	const char *lists[SANDBOX_LISTS];
	bool allowed[CALLS] = { false };
	char buf[SYSCALLS_NAME_MAX];
	size_t n = sandbox_calls(&sb, lists), i;
	int status, call;
	pid_t pid;

	cr_assert_gt(n, 0, "%s", role_name(r->id));
	for (i = 0; i < n; i++)
		add_list(lists[i], allowed);
	role_now = r->id;
	if ((pid = fork()) == 0)
		make_all(lists, n);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %x",
	    role_name(r->id), status);
	for (call = 0; call < CALLS; call++)
		if (!is_end(call))
			cr_expect_eq(refused[r->id][call], !allowed[call],
			    "%s: %s is %s", role_name(r->id),
			    syscalls_name(call, buf, sizeof(buf)), allowed[call] ? "refused" : "made");
}

Test(sandbox_calls, each_role_makes_those_of_its_profile_and_no_other)
{
	void *memory = mmap(NULL, NROLES * CALLS, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int id, nroles = 0;

	cr_assert_neq(memory, MAP_FAILED);
	refused = memory;
	for (id = 0; id < NROLES; id++)
		if (role_of(id)->main != NULL) {
			compare(role_of(id));
			nroles++;
		}
	cr_assert_geq(nroles, 5);
}

/* The calls of 32-bit programs have other numbers: a filter that looked at the
 * number alone would take them for others. */
#ifdef __x86_64__
Test(sandbox_calls, the_calls_of_32_bit_programs_kill)
{
	const struct sandbox sb = { .role = role_of(ROLE_QUEUE),
		.settings = &settings };
	const char *lists[SANDBOX_LISTS];
	char err[SYSCALLS_ERROR_MAX];
	size_t n = sandbox_calls(&sb, lists);
	int status;
	pid_t pid;
	long rc;

	if ((pid = fork()) == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    syscalls_confine(lists, n, err, sizeof(err)) == -1)
			_exit(100);
		/* getpid(2) of theirs */
		__asm__ volatile("int $0x80" : "=a"(rc) : "a"(20L));
		_exit(rc == -38 ? 101 : 0);	/* ENOSYS: the kernel has none */
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		cr_skip_test("the kernel has no calls of 32-bit programs");
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "status %x", status);
}
#endif
#endif
