/* The filter of system calls; see syscalls.h.
 * Owns: the rules for arguments, the forms that a call has on other machines,
 * the action for a call that is refused, the handler of SIGSYS.
 *
 * The action is SECCOMP_RET_TRAP: the call is not made, and the thread gets
 * SIGSYS, whose handler says which call it was and dies of the same signal.
 * The handler cannot be changed, since rt_sigaction is refused.  Where SIGSYS
 * is blocked or ignored, the kernel kills. */

#include "core/process/syscalls.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX	3
#define OWN_PID		UINT64_MAX	/* stands for getpid() */
#define CODE_SECCOMP	1		/* si_code: SYS_SECCOMP, which glibc does not define */
#define WORD_MAX	32
#define BLANKS		" \t\n"

#define FILE_CHANGES	(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)
#define FILE_FLAGS	(O_ACCMODE | O_LARGEFILE)	/* F_SETFL ignores them */
#define SOCKET_FLAGS	(SOCK_CLOEXEC | SOCK_NONBLOCK)
#define FUTEX_FLAGS	(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)

/* The rules.  A call is allowed if one of the rows of its word matches, and a
 * row matches if all its arguments do.  Of an int only the lower half of the
 * register is compared.  A call whose arguments matter has a row under its own
 * name, so that no profile allows it with all of them by mistake. */
static const struct rule {
	const char		*word;
	const char		*call;
	unsigned int		 nargs;
	struct scmp_arg_cmp	 args[ARGS_MAX];
} rules[] = {
#define NONE(arg, bits)	{ arg, SCMP_CMP_MASKED_EQ, bits, 0 }
#define IS(arg, value)	{ arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value }
#define IS_BUT(arg, flags, value) \
	{ arg, SCMP_CMP_MASKED_EQ, UINT32_MAX & ~(uint32_t)(flags), value }
#define IS_NULL(arg)	{ arg, SCMP_CMP_EQ, 0, 0 }
	/* no memory with code.  On s390 the arguments are in memory, where the
	 * filter cannot look */
#ifdef __s390__
	{ "mmap", "mmap", 0, { { 0 } } },
#else
	{ "mmap", "mmap", 1, { NONE(2, PROT_EXEC) } },
#endif
	{ "mprotect", "mprotect", 1, { NONE(2, PROT_EXEC) } },
	/* memory: what malloc(3), threads that end and keepers of secrets do
	 * with their own.  Never MADV_MERGEABLE: by the time that a write takes,
	 * it tells what is in the memory of others */
	{ "madvise", "madvise", 1, { IS(2, MADV_DONTNEED) } },
	{ "madvise", "madvise", 1, { IS(2, MADV_FREE) } },
	{ "madvise", "madvise", 1, { IS(2, MADV_DONTDUMP) } },
	{ "madvise", "madvise", 1, { IS(2, MADV_WIPEONFORK) } },
	{ "madvise", "madvise", 1, { IS(2, MADV_HUGEPAGE) } },
	{ "madvise", "madvise", 1, { IS(2, MADV_NOHUGEPAGE) } },
	/* locks of threads; not those that change priorities */
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_WAIT) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_WAKE) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_REQUEUE) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_CMP_REQUEUE) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_WAKE_OP) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_WAIT_BITSET) } },
	{ "futex", "futex", 1, { IS_BUT(1, FUTEX_FLAGS, FUTEX_WAKE_BITSET) } },
	/* descriptors; never F_SETOWN, which chooses who gets a signal, or the
	 * size of a pipe.  Their flags belong to all who have the same open
	 * file, such as a terminal: O_NONBLOCK alone is changed, by those who
	 * get sockets that may lack it */
	{ "fcntl", "fcntl", 1, { IS(1, F_GETFL) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_GETFD) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_SETFD) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ "fcntl:nonblock", "fcntl", 2, { IS(1, F_SETFL),
	    IS_BUT(2, FILE_FLAGS, O_NONBLOCK) } },
	{ "fcntl:seals", "fcntl", 1, { IS(1, F_GET_SEALS) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_GETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLKW) } },
	/* what libc uses in their place on machines of 32 bits; on others the
	 * same numbers */
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_GETLK64) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLK64) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLKW64) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_OFD_GETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_OFD_SETLK) } },
	/* the room of a file.  With a few calls it takes all of a disk, and
	 * FALLOC_FL_KEEP_SIZE takes it where the size does not show it, so a
	 * worker may only give room back */
	{ "fallocate", "fallocate", 1, { IS(1, 0) } },
	{ "fallocate:hole", "fallocate", 1, { IS(1, FALLOC_FL_PUNCH_HOLE |
	    FALLOC_FL_KEEP_SIZE) } },
	/* names; never an exchange of two, the descriptor of an unnamed file as
	 * what a name is for, or a folder */
	{ "renameat2", "renameat2", 1, { IS_BUT(4, RENAME_NOREPLACE, 0) } },
	{ "linkat", "linkat", 1, { IS(4, 0) } },
	{ "unlinkat", "unlinkat", 1, { IS(2, 0) } },
	/* memory that others get as a file, and that is never code here */
	{ "memfd_create", "memfd_create", 1, { IS(1, MFD_CLOEXEC) } },
	/* open files for reading, without any change */
	{ "openat:read", "openat", 1, { NONE(2, FILE_CHANGES) } },
	/* does a process exist? */
	{ "kill:0", "kill", 1, { IS(1, 0) } },
	/* for abort(3), for the handler of SIGSYS, die(), and for those of
	 * faults: the process may end itself */
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGABRT) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGSYS) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGSEGV) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGBUS) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGILL) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGFPE) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGTRAP) } },
	/* never SHUT_WR: whoever reads the other end would find its end while
	 * the process lives on */
	{ "shutdown:read", "shutdown", 1, { IS(1, SHUT_RD) } },
	/* options of sockets: filters, buffers and modules of the kernel are
	 * set through others */
	{ "getsockopt", "getsockopt", 1, { IS(1, SOL_SOCKET) } },
	{ "setsockopt", "setsockopt", 2, { IS(1, SOL_SOCKET),
	    IS(2, SO_LINGER) } },
	{ "setsockopt:nodelay", "setsockopt", 2, { IS(1, IPPROTO_TCP),
	    IS(2, TCP_NODELAY) } },
	/* send(2): to whom the socket is connected.  Not so sendmsg(2), for
	 * channels: it may have an address, in memory, which a filter does not
	 * see */
	{ "sendto", "sendto", 1, { IS_NULL(4) } },
	/* the socket of another program on this machine */
	{ "socket:unix", "socket", 2, { IS(0, AF_UNIX),
	    IS_BUT(1, SOCKET_FLAGS, SOCK_STREAM) } },
	/* TCP alone: never MPTCP, SCTP and whatever else has streams */
	{ "socket:tcp", "socket", 3, { IS(0, AF_INET),
	    IS_BUT(1, SOCKET_FLAGS, SOCK_STREAM), IS(2, 0) } },
	{ "socket:tcp", "socket", 3, { IS(0, AF_INET6),
	    IS_BUT(1, SOCKET_FLAGS, SOCK_STREAM), IS(2, 0) } },
	/* the address that a connection comes from: as long as one of IPv4 or
	 * IPv6, what it is lies in memory */
	{ "bind:ip", "bind", 1, { IS(2, sizeof(struct sockaddr_in)) } },
	{ "bind:ip", "bind", 1, { IS(2, sizeof(struct sockaddr_in6)) } },
	/* likewise UDP: never ICMP or UDP-Lite */
	{ "socket:udp", "socket", 3, { IS(0, AF_INET),
	    IS_BUT(1, SOCKET_FLAGS, SOCK_DGRAM), IS(2, 0) } },
	{ "socket:udp", "socket", 3, { IS(0, AF_INET6),
	    IS_BUT(1, SOCKET_FLAGS, SOCK_DGRAM), IS(2, 0) } },
#undef NONE
#undef IS
#undef IS_BUT
#undef IS_NULL
};
#define NRULES	(sizeof(rules) / sizeof(rules[0]))

/* Which call libc makes on other machines in place of ${call}.  On a machine
 * that does not have ${other} the row does nothing. */
static const struct form {
	const char	*call;
	const char	*other;
	enum {
		ALSO,		/* libc tries one after the other, or picks one */
		INSTEAD,	/* where ${call} is missing */
		REPLACES	/* libc does not make ${call} where ${other} exists */
	}		 use;
} forms[] = {
	/* times of 64 bits, on machines of 32 */
	{ "clock_adjtime", "clock_adjtime64", ALSO },
	{ "clock_getres", "clock_getres_time64", ALSO },
	{ "clock_gettime", "clock_gettime64", ALSO },
	{ "clock_nanosleep", "clock_nanosleep_time64", ALSO },
	{ "clock_settime", "clock_settime64", ALSO },
	{ "futex", "futex_time64", ALSO },
	{ "ppoll", "ppoll_time64", ALSO },
	{ "recvmmsg", "recvmmsg_time64", ALSO },
	{ "utimensat", "utimensat_time64", ALSO },
	/* sizes, ids and signals in more bits, likewise */
	{ "fadvise64", "fadvise64_64", ALSO },
	{ "fadvise64", "arm_fadvise64_64", ALSO },
	{ "fchown", "fchown32", ALSO },
	{ "fcntl", "fcntl64", ALSO },
	{ "fstat", "fstat64", ALSO },
	{ "fstatfs", "fstatfs64", ALSO },
	{ "ftruncate", "ftruncate64", ALSO },
	{ "geteuid", "geteuid32", ALSO },
	{ "lseek", "_llseek", ALSO },
	{ "lstat", "lstat64", ALSO },
	{ "rt_sigreturn", "sigreturn", ALSO },
	{ "stat", "stat64", ALSO },
	{ "umount2", "umount", ALSO },
	/* the older one of i386 has its arguments in memory, where no filter
	 * sees them */
	{ "mmap", "mmap2", REPLACES },
	/* newer machines lack calls whose work another call does as well */
	{ "access", "faccessat", INSTEAD },
	{ "epoll_wait", "epoll_pwait", INSTEAD },
	{ "lstat", "newfstatat", INSTEAD },
	{ "newfstatat", "fstatat64", INSTEAD },
	{ "newfstatat", "statx", INSTEAD },
	{ "poll", "ppoll", INSTEAD },
	{ "readlink", "readlinkat", INSTEAD },
	{ "rename", "renameat", INSTEAD },
	{ "rename", "renameat2", INSTEAD },
	{ "renameat", "renameat2", INSTEAD },
	{ "stat", "newfstatat", INSTEAD },
	{ "time", "clock_gettime", INSTEAD },
	{ "unlink", "unlinkat", INSTEAD },
	/* the same call with another order of arguments */
	{ "sync_file_range", "sync_file_range2", INSTEAD },
	{ "sync_file_range", "arm_sync_file_range", INSTEAD },
};
#define NFORMS	(sizeof(forms) / sizeof(forms[0]))

static void (*tell)(int call);

/* --- SIGSYS --------------------------------------------------------------- */

static void
die(int signo, siginfo_t *si, void *)
{
	/* SA_RESETHAND: if one more call is refused in here, the process
	 * dies */
	if (si->si_code == CODE_SECCOMP)
		tell(si->si_syscall);
	raise(signo);
	_exit(128 + signo);
}

int
syscalls_tell(void (*func)(int call))
{
	struct sigaction sa = { .sa_sigaction = die,
		.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER };

	tell = func;
	return sigaction(SIGSYS, &sa, NULL);
}

/* --- words ---------------------------------------------------------------- */

/* The next word of ${list}, or NULL.  A word that is too long is cut, and will
 * then be an unknown word. */
static const char *
next_word(const char **list, char word_r[WORD_MAX])
{
	size_t len;

	*list += strspn(*list, BLANKS);
	if ((len = strcspn(*list, BLANKS)) == 0)
		return NULL;
	snprintf(word_r, WORD_MAX, "%.*s", (int)len, *list);
	*list += len;
	return word_r;
}

/* --- calls ---------------------------------------------------------------- */

/* Some machines have one call for all that is done with sockets, socketcall(2),
 * and may have the single calls as well.  There libseccomp gives the single
 * calls numbers from SOCKET_FIRST to SOCKET_LAST, and filters both kinds.  But
 * the arguments of socketcall(2) are in memory, where the filter cannot
 * look. */
#define SOCKET_FIRST	-120
#define SOCKET_LAST	-101
#define SOCKETCALL_BASE	100		/* -SOCKET_LAST is call 1 of socketcall(2) */

/* Has a machine of ${arch} that call? */
static bool
exists(uint32_t arch, const char *call)
{
	int n = seccomp_syscall_resolve_name_arch(arch, call);

	return n >= 0 || (n >= SOCKET_FIRST && n <= SOCKET_LAST);
}

/* The ${i}th form that ${call} has on a machine of ${arch}, only of forms that
 * the machine has; NULL: there are no more. */
static const char *
form_of(uint32_t arch, const char *call, size_t i)
{
	bool is_there = exists(arch, call);
	const struct form *f;

	for (f = forms; f < forms + NFORMS; f++)
		if (f->use == REPLACES && strcmp(f->call, call) == 0 &&
		    exists(arch, f->other))
			is_there = false;
	if (is_there && i-- == 0)
		return call;
	for (f = forms; f < forms + NFORMS; f++)
		if (strcmp(f->call, call) == 0 && exists(arch, f->other) &&
		    (f->use != INSTEAD || !exists(arch, call)) && i-- == 0)
			return f->other;
	return NULL;
}

/* Where ${call} can also be made by socketcall(2), its arguments are in memory
 * and are not compared.  Return 0, or a negated errno. */
static int
add_socketcall(scmp_filter_ctx ctx, uint32_t action, int call)
{
	int all = seccomp_syscall_resolve_name("socketcall");

	if (call < SOCKET_FIRST || call > SOCKET_LAST || all < 0)
		return 0;
	return seccomp_rule_add(ctx, action, all, 1,
	    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)(-call - SOCKETCALL_BASE)));
}

/* Allow, or forbid, ${call} with these arguments.  Return 0, or a negated
 * errno. */
static int
add_call(scmp_filter_ctx ctx, uint32_t action, const char *call,
    const struct scmp_arg_cmp *args, unsigned int nargs)
{
	const char *form;
	size_t i;
	int nr, rc = 0;

	for (i = 0; rc == 0 && (form = form_of(seccomp_arch_native(), call,
	    i)) != NULL; i++) {
		nr = seccomp_syscall_resolve_name(form);
		rc = seccomp_rule_add_array(ctx, action, nr, nargs, args);
		/* another word has allowed the same call already */
		if ((rc == 0 || rc == -EEXIST) && nargs > 0)
			rc = add_socketcall(ctx, action, nr);
		if (rc == -EEXIST)
			rc = 0;
	}
	return rc;
}

/* Add the rule of one row. */
static int
add_rule(scmp_filter_ctx ctx, uint32_t action, const struct rule *r)
{
	struct scmp_arg_cmp args[ARGS_MAX];
	unsigned int i;

	for (i = 0; i < r->nargs; i++) {
		args[i] = r->args[i];
		if (args[i].datum_b == OWN_PID)
			args[i].datum_b = (uint64_t)getpid();
	}
	return add_call(ctx, action, r->call, args, r->nargs);
}

/* Does libseccomp know the call, if only for other machines? */
static bool
is_call(const char *name)
{
	return seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR;
}

static int
add_word(scmp_filter_ctx ctx, uint32_t action, const char *word)
{
	bool is_rule = false;
	size_t i;
	int rc = 0;

	for (i = 0; i < NRULES && rc == 0; i++)
		if (strcmp(rules[i].word, word) == 0) {
			is_rule = true;
			rc = add_rule(ctx, action, &rules[i]);
		}
	if (is_rule)
		return rc;
	return is_call(word) ? add_call(ctx, action, word, NULL, 0) : -EINVAL;
}

/* The call that a word is about; NULL: the word is unknown. */
static const char *
call_of(const char *word)
{
	size_t i;

	for (i = 0; i < NRULES; i++)
		if (strcmp(rules[i].word, word) == 0)
			word = rules[i].call;
	return is_call(word) ? word : NULL;
}

const char *
syscalls_form(const char *word, unsigned int arch, size_t i)
{
	const char *call = call_of(word);

	return call == NULL ? NULL : form_of(arch, call, i);
}

int
syscalls_check(const char *list, char *err_r, size_t errlen)
{
	char word[WORD_MAX];

	while (next_word(&list, word) != NULL)
		if (call_of(word) == NULL) {
			snprintf(err_r, errlen, "%s: no such call or rule",
			    word);
			return -1;
		}
	return 0;
}

/* --- the filter ----------------------------------------------------------- */

/* Build the filter, and put it in force when it is complete.  Return 0, or a
 * negated errno with the word that was at fault. */
static int
load(scmp_filter_ctx ctx, uint32_t action, const char *const *lists, size_t n,
    char word_r[WORD_MAX])
{
	const char *list;
	size_t i;
	int rc;

	/* calls of another architecture, such as those of 32-bit programs */
	if ((rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS)) != 0 ||
	    (rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1)) != 0)
		return rc;
	/* as a tree, so that each call costs the same few steps; old libraries
	 * cannot do that */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (i = 0; i < n; i++) {
		list = lists[i];
		while (next_word(&list, word_r) != NULL)
			if ((rc = add_word(ctx, action, word_r)) != 0)
				return rc;
	}
	*word_r = '\0';
	return seccomp_load(ctx);
}

static int
make(uint32_t otherwise, uint32_t action, const char *const *lists, size_t n,
    char *err_r, size_t errlen)
{
	scmp_filter_ctx ctx = seccomp_init(otherwise);
	char word[WORD_MAX] = "";
	int rc;

	if (ctx == NULL) {
		snprintf(err_r, errlen, "seccomp: out of memory, or no such "
		    "action");
		return -1;
	}
	rc = load(ctx, action, lists, n, word);
	seccomp_release(ctx);
	if (rc == 0)
		return 0;
	snprintf(err_r, errlen, "seccomp%s%s: %s", *word == '\0' ? "" : ": ",
	    word, strerror(-rc));
	return -1;
}

static uint32_t
refusal(void)
{
	return tell != NULL ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS;
}

int
syscalls_confine(const char *const *lists, size_t n, char *err_r,
    size_t errlen)
{
	return make(refusal(), SCMP_ACT_ALLOW, lists, n, err_r, errlen);
}

int
syscalls_forbid(const char *const *lists, size_t n, char *err_r,
    size_t errlen)
{
	return make(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), lists, n, err_r,
	    errlen);
}

const char *
syscalls_name(int call, char *buf, size_t len)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);

	if (name != NULL)
		snprintf(buf, len, "%s", name);
	else
		snprintf(buf, len, "%d", call);
	free(name);
	return buf;
}
