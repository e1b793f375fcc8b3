/* The profiles on other machines: libc makes other calls there for the same
 * purpose. */

#include <criterion/criterion.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/role/sandbox.h"
#include "core/process/syscalls.h"

#define WORD_MAX	32

static char spool[] = "/var/spool/test";
static struct settings_backend backend = {
	.spec = "dovecot:/run/dovecot/auth-client" };
static struct settings settings = { .spool = spool, .backends = &backend,
	.nbackends = 1, .sandbox = SANDBOX_ON };

static const struct machine {
	const char	*name;
	uint32_t	 arch;
} machines[] = {
	{ "i386", SCMP_ARCH_X86 },
	{ "armhf", SCMP_ARCH_ARM },
	{ "arm64", SCMP_ARCH_AARCH64 },
	{ "riscv64", SCMP_ARCH_RISCV64 },
	{ "amd64", SCMP_ARCH_X86_64 },
	{ "ppc64el", SCMP_ARCH_PPC64LE },
	{ "s390x", SCMP_ARCH_S390X },
};
#define NMACHINES	(sizeof(machines) / sizeof(machines[0]))

static bool
is_in(const char *name, const char *list)
{
	char word[WORD_MAX];
	int n;

	for (; sscanf(list, " %31s%n", word, &n) == 1; list += n)
		if (strcmp(word, name) == 0)
			return true;
	return false;
}

static bool
word_allows(const char *word, uint32_t arch, const char *call)
{
	const char *form;
	size_t i;

	for (i = 0; (form = syscalls_form(word, arch, i)) != NULL; i++)
		if (strcmp(form, call) == 0)
			return true;
	return false;
}

static bool
role_allows(const struct role *r, uint32_t arch, const char *call)
{
	struct sandbox sb = { .role = r, .settings = &settings };
	const char *lists[SANDBOX_LISTS], *list;
	size_t n = sandbox_calls(&sb, lists), i;
	char word[WORD_MAX];
	int len;

	for (i = 0; i < n; i++)
		for (list = lists[i]; sscanf(list, " %31s%n", word, &len) == 1;
		    list += len)
			if (word_allows(word, arch, call))
				return true;
	return false;
}

/* What every profile names can be done on every machine: by that call, or by
 * another one. */
Test(sandbox_arch, each_word_allows_a_call_everywhere)
{
	const char *lists[SANDBOX_LISTS], *list;
	struct sandbox sb = { .settings = &settings };
	unsigned int id, nwords = 0;
	char word[WORD_MAX];
	size_t n, i, j;
	int len;

	for (id = 0; id < NROLES; id++) {
		if (role_of(id)->main == NULL)
			continue;
		sb.role = role_of(id);
		n = sandbox_calls(&sb, lists);
		for (i = 0; i < n; i++)
			for (list = lists[i]; sscanf(list, " %31s%n", word,
			    &len) == 1; list += len, nwords++)
				for (j = 0; j < NMACHINES; j++)
					cr_expect_not_null(syscalls_form(word,
					    machines[j].arch, 0), "%s: %s on %s",
					    role_name(sb.role->id), word,
					    machines[j].name);
	}
	cr_assert_gt(nwords, 300);
}

#define ALL	"worker queue spoold deliver keyd authd logger resolver"
#define BITS_32	"i386 armhf"
#define GENERIC	"arm64 riscv64"		/* no call that another one can do, too */

/* What glibc 2.36 to 2.41 call there, after its sources
 * (sysdeps/unix/sysv/linux). */
static const struct need {
	const char	*machines;
	const char	*roles;
	const char	*calls;
} needs[] = {
	{ BITS_32, ALL, "mmap2 munmap mremap mprotect fcntl64 _llseek "
	    "fstat64 fstatat64 statx futex futex_time64 clock_gettime "
	    "clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep "
	    "clock_nanosleep_time64 gettimeofday ppoll ppoll_time64 poll "
	    "epoll_wait epoll_pwait rt_sigreturn sigreturn rt_sigprocmask "
	    "read write readv writev close dup sendmsg recvmsg sendto recvfrom "
	    "setsockopt getsockopt shutdown" },
	{ BITS_32, "queue", "ftruncate64 fstatfs64 utimensat "
	    "utimensat_time64 fchown32 geteuid32 stat64 lstat64 pread64 "
	    "pwrite64 pwritev fallocate unlink unlinkat rename renameat "
	    "access faccessat readlink getdents64 flock syncfs fdatasync" },
	{ BITS_32, "spoold", "ftruncate64 fstatfs64 utimensat_time64 fallocate "
	    "openat pwrite64 flock" },
	{ BITS_32, "deliver", "ftruncate64 geteuid32 openat openat2 linkat "
	    "renameat2 getdents64" },
	{ BITS_32, "logger", "recvmmsg recvmmsg_time64 sendmmsg" },
	{ BITS_32, "worker", "fstatfs64 pwritev pwrite64 getpeername" },
	{ BITS_32, "authd", "openat stat64 pread64 socket connect" },
	{ BITS_32, "resolver", "socket connect" },
	{ "i386", "worker", "sync_file_range" },
	{ "armhf", "worker", "arm_sync_file_range" },
	{ "i386", "queue", "fadvise64_64" },
	{ "armhf", "queue", "arm_fadvise64_64" },
	{ GENERIC, ALL, "mmap munmap mremap mprotect fcntl lseek fstat "
	    "newfstatat futex clock_gettime clock_getres clock_nanosleep ppoll "
	    "epoll_pwait rt_sigreturn read write sendmsg recvmsg" },
	{ GENERIC, "queue", "unlinkat renameat2 faccessat faccessat2 readlinkat "
	    "mkdirat openat ftruncate fstatfs utimensat fchown geteuid "
	    "fadvise64" },
	{ "arm64", "queue deliver spoold", "renameat" },
	{ GENERIC, "authd", "openat newfstatat socket connect" },
	{ GENERIC, "resolver", "socket connect" },
	{ GENERIC, "logger", "recvmmsg sendmmsg" },
	{ GENERIC, "worker", "sync_file_range" },
	{ "ppc64el", "worker", "sync_file_range2" },
};

static void
check_need(const struct need *need, const struct machine *m,
    const struct role *r)
{
	const char *list = need->calls;
	char call[WORD_MAX];
	int n;

	for (; sscanf(list, " %31s%n", call, &n) == 1; list += n)
		cr_expect(role_allows(r, m->arch, call), "%s: %s on %s",
		    role_name(r->id), call, m->name);
}

Test(sandbox_arch, what_libc_calls_is_allowed)
{
	unsigned int id;
	size_t i, j;

	for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		for (j = 0; j < NMACHINES; j++)
			for (id = 0; id < NROLES; id++)
				if (is_in(machines[j].name, needs[i].machines) &&
				    is_in(role_name(id), needs[i].roles))
					check_need(&needs[i], &machines[j],
					    role_of(id));
}

/* Its argument lies in memory, so that a filter could not see PROT_EXEC. */
Test(sandbox_arch, the_mmap_of_old_i386_is_not)
{
	cr_expect_not(word_allows("mmap", SCMP_ARCH_X86, "mmap"));
	cr_expect(word_allows("mmap", SCMP_ARCH_X86_64, "mmap"));
	cr_expect(word_allows("mmap", SCMP_ARCH_ARM, "mmap2"));
}

/* The forms of other machines do not make a profile wider here. */
Test(sandbox_arch, a_machine_has_no_forms_that_it_does_not_need)
{
	cr_expect_not(word_allows("newfstatat", SCMP_ARCH_X86_64, "statx"));
	cr_expect_not(word_allows("unlink", SCMP_ARCH_X86_64, "unlinkat"));
	cr_expect_not(word_allows("rename", SCMP_ARCH_X86_64, "renameat2"));
	cr_expect_not(word_allows("newfstatat", SCMP_ARCH_AARCH64, "statx"));
	cr_expect_null(syscalls_form("no_such_call", SCMP_ARCH_X86_64, 0));
}

/* What is forbidden to a role that may run programs is, in each form. */
Test(sandbox_arch, what_is_forbidden_has_no_other_form)
{
	static const char *const calls[] = { "clock_settime64",
		"clock_adjtime64", "umount", "umount2", "ptrace", "mount" };
	const char *list;
	char word[WORD_MAX];
	bool is_found;
	size_t i;
	int n;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		is_found = false;
		for (list = sandbox_never; sscanf(list, " %31s%n", word, &n) ==
		    1; list += n)
			is_found |= word_allows(word, SCMP_ARCH_X86, calls[i]);
		cr_expect(is_found, "%s", calls[i]);
	}
}
