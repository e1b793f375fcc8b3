#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/sandbox.h"
#include "core/process/syscalls.h"

TestSuite(sandbox, .timeout = 120);

/* --- profiles ------------------------------------------------------------- */

static char spool[] = "/var/spool/test";
static struct settings_backend backend = { .spec = "passwd:/etc/test/passwd" };
static struct settings settings = { .spool = spool, .backends = &backend,
	.nbackends = 1, .sandbox = SANDBOX_ON };

static const struct role *
next_role(unsigned int *id)
{
	while (*id < NROLES) {
		const struct role *r = role_of((*id)++);

		if (r->main != NULL)
			return r;
	}
	return NULL;
}

Test(sandbox, each_role_has_a_profile_of_known_calls)
{
	char err[SYSCALLS_ERROR_MAX] = "";
	const struct role *r;
	unsigned int id = 0;

	while ((r = next_role(&id)) != NULL) {
		cr_assert_not_null(r->profile.calls, "%s",
		    role_name(r->id));
		cr_expect_eq(syscalls_check(r->profile.calls, err,
		    sizeof(err)), 0, "%s: %s", role_name(r->id), err);
	}
	cr_expect_eq(syscalls_check(sandbox_never, err, sizeof(err)), 0, "%s",
	    err);
}

/* sandbox = off: there are no rules for files */
Test(sandbox, one_without_files_is_never_stale)
{
	struct sandbox sb = { .role = role_of(ROLE_DELIVER),
		.settings = &settings };

	cr_assert_not(sandbox_is_stale(&sb));
	sandbox_clear(&sb);
	cr_assert_not(sandbox_is_stale(&sb));
}

Test(sandbox, authd_may_what_its_back_ends_need)
{
	struct sandbox sb = { .role = role_of(ROLE_AUTHD),
		.settings = &settings };
	const char *lists[SANDBOX_LISTS];
	char err[SYSCALLS_ERROR_MAX];
	size_t n;

	n = sandbox_calls(&sb, lists);
	cr_assert_gt(n, 0);
	cr_assert_str_eq(lists[n - 1], "");
	backend.spec = "dovecot:/run/dovecot/auth-client";
	n = sandbox_calls(&sb, lists);
	cr_assert_not_null(strstr(lists[n - 1], "socket:unix"));
	cr_assert_eq(syscalls_check(lists[n - 1], err, sizeof(err)), 0);
	backend.spec = "pam:test";
	cr_assert_eq(sandbox_calls(&sb, lists), 0);
}

Test(sandbox, paths_are_those_of_the_settings)
{
	struct role_path path = { .path = "" };
	const struct role *r = role_of(ROLE_SPOOLD);

	cr_assert(r->profile.path(&settings, 0, &path));
	cr_assert_str_eq(path.path, "/var/spool/test/incoming");
	cr_assert(!r->profile.path(&settings, 1, &path));
	cr_assert(path.can_write);
	path.can_write = false;
	r = role_of(ROLE_AUTHD);
	cr_assert(r->profile.path(&settings, 0, &path));
	cr_assert_str_eq(path.path, "/etc/test");
	cr_assert(!path.can_write);
	cr_assert(!r->profile.path(&settings, 2, &path));
	cr_assert_null(role_of(ROLE_KEYD)->profile.path);
}

/* Under sanitizers a process is not bound. */
#ifndef __SANITIZE_ADDRESS__

/* --- a process ------------------------------------------------------------ */

struct attempt {
	const struct role	*role;
	int			 call;
	long			 args[3];
};

/* Make the call as that role.  Return the status of the process, and the call it
 * told of. */
static int
attempt(const struct attempt *a, int *call_r)
{
	struct sandbox sb = { .role = a->role, .settings = &settings };
	int fds[2], status;
	char packet[16] = "";
	pid_t pid;

	backend.spec = "passwd:/etc/test/passwd";
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	if ((pid = fork()) == 0) {
		alarm(20);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
			_exit(100);
		sandbox_confine(&sb, fds[1], packet, sizeof(packet), 4);
		if ((sb.holds & MEASURE_BIT(MEASURE_CALLS)) == 0)
			_exit(101);
		syscall(a->call, a->args[0], a->args[1], a->args[2]);
		_exit(0);
	}
	close(fds[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	*call_r = -1;
	if (recv(fds[0], packet, sizeof(packet), 0) == sizeof(packet))
		memcpy(call_r, packet + 4, sizeof(*call_r));
	close(fds[0]);
	return status;
}

/* Calls that no role makes, whatever their arguments. */
static const int never[] = { SYS_execve, SYS_execveat, SYS_bind, SYS_listen,
    SYS_accept4, SYS_ptrace, SYS_ioctl, SYS_keyctl, SYS_add_key, SYS_unshare,
    SYS_setns, SYS_clone, SYS_rt_sigaction, SYS_prctl, SYS_seccomp, SYS_setuid,
    SYS_setresuid, SYS_capset, SYS_chroot, SYS_mount, SYS_bpf,
    SYS_perf_event_open, SYS_process_vm_readv, SYS_memfd_create,
    SYS_open_by_handle_at, SYS_pidfd_open, SYS_prlimit64, SYS_userfaultfd,
    SYS_symlinkat, SYS_mknodat, SYS_personality, 425 /* io_uring_setup */ };

static void
expect_death(const struct attempt *a)
{
	char buf[SYSCALLS_NAME_MAX];
	int call, status = attempt(a, &call);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "%s %s: status %x", role_name(a->role->id),
	    syscalls_name(a->call, buf, sizeof(buf)), status);
	cr_expect_eq(call, a->call, "%s %d: told %d", role_name(a->role->id),
	    a->call, call);
}

Test(sandbox, no_role_makes_the_calls_of_an_attacker)
{
	const struct role *r;
	unsigned int id = 0;
	size_t i;

	while ((r = next_role(&id)) != NULL) {
		for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
			expect_death(&(struct attempt){ r, never[i], { 0 } });
		expect_death(&(struct attempt){ r, SYS_socket, { AF_INET,
		    SOCK_RAW } });
		if (strstr(r->profile.calls, "socket:udp") == NULL)
			expect_death(&(struct attempt){ r, SYS_socket,
			    { AF_INET, SOCK_DGRAM } });
		if (strstr(r->profile.calls, "socket:tcp") == NULL)
			expect_death(&(struct attempt){ r, SYS_socket,
			    { AF_INET, SOCK_STREAM } });
		expect_death(&(struct attempt){ r, SYS_mprotect, { 0, 4096,
		    PROT_EXEC } });
		expect_death(&(struct attempt){ r, SYS_kill, { getpid(),
		    SIGKILL } });
	}
}

Test(sandbox, what_only_others_do_is_refused)
{
	const struct role *keyd = role_of(ROLE_KEYD);

	expect_death(&(struct attempt){ keyd, SYS_openat, { 0 } });
	expect_death(&(struct attempt){ keyd, SYS_unlinkat, { 0 } });
	expect_death(&(struct attempt){ keyd, SYS_connect, { 0 } });
	expect_death(&(struct attempt){ role_of(ROLE_WORKER), SYS_connect,
	    { 0 } });
	expect_death(&(struct attempt){ role_of(ROLE_QUEUE), SYS_connect,
	    { 0 } });
}

Test(sandbox, each_role_writes_and_ends)
{
	const struct role *r;
	unsigned int id = 0;
	int call;

	while ((r = next_role(&id)) != NULL) {
		cr_expect_eq(attempt(&(struct attempt){ r, SYS_write, { -1, 0,
		    0 } }, &call), 0, "%s", role_name(r->id));
		cr_expect_eq(call, -1, "%s: %d", role_name(r->id), call);
	}
}

Test(sandbox, can_be_turned_off)
{
	struct attempt a = { role_of(ROLE_KEYD), SYS_ioctl, { -1 } };
	int call, status;

	settings.sandbox = SANDBOX_OFF;
	status = attempt(&a, &call);
	settings.sandbox = SANDBOX_ON;
	/* without the measure */
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 101);
}
#endif
