/* The filter of system calls; see syscalls.h.
 * Owns: the rules for arguments, the action, SIGSYS.
 *
 * The action is SECCOMP_RET_TRAP: the call is not made, and the thread gets
 * SIGSYS, whose handler says which call it was and dies of the same signal.  The
 * handler cannot be changed, since rt_sigaction is refused.  Where SIGSYS is
 * blocked or ignored, the kernel kills. */

#include "core/process/syscalls.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX	2
#define OWN_PID		UINT64_MAX	/* stands for getpid() */
#define CODE_SECCOMP	1		/* si_code: SYS_SECCOMP, which glibc does not define */
#define WORD_MAX	32
#define BLANKS		" \t\n"

#define FILE_CHANGES	(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)

/* A word is allowed by each of its rows, and a row wants all its arguments.
 * Only the lower half of an int counts. */
static const struct rule {
	const char		*word;
	const char		*call;
	unsigned int		 nargs;
	struct scmp_arg_cmp	 args[ARGS_MAX];
} rules[] = {
#define NONE(arg, bits)	{ arg, SCMP_CMP_MASKED_EQ, bits, 0 }
#define IS(arg, value)	{ arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value }
	/* no code */
	{ "mmap", "mmap", 1, { NONE(2, PROT_EXEC) } },
	{ "mprotect", "mprotect", 1, { NONE(2, PROT_EXEC) } },
	/* descriptors: never who gets a signal (F_SETOWN), or a pipe's size */
	{ "fcntl", "fcntl", 1, { IS(1, F_GETFL) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_SETFL) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_GETFD) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_SETFD) } },
	{ "fcntl", "fcntl", 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ "fcntl:seals", "fcntl", 1, { IS(1, F_GET_SEALS) } },
	{ "fcntl:seals", "fcntl", 1, { IS(1, F_ADD_SEALS) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_GETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_SETLKW) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_OFD_GETLK) } },
	{ "fcntl:locks", "fcntl", 1, { IS(1, F_OFD_SETLK) } },
	/* files as they are */
	{ "openat:read", "openat", 1, { NONE(2, FILE_CHANGES) } },
	/* is there a process? */
	{ "kill:0", "kill", 1, { IS(1, 0) } },
	/* abort(3) and the end in die() */
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGABRT) } },
	{ "tgkill:self", "tgkill", 2, { IS(0, OWN_PID), IS(2, SIGSYS) } },
	/* the socket of another program on this machine */
	{ "socket:unix", "socket", 1, { IS(0, AF_UNIX) } },
#undef NONE
#undef IS
};
#define NRULES	(sizeof(rules) / sizeof(rules[0]))

static void (*tell)(int call);

/* --- SIGSYS --------------------------------------------------------------- */

static void
die(int signo, siginfo_t *si, void *)
{
	/* SA_RESETHAND: one more call that is refused has no handler */
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

/* The next word of ${list}, or NULL.  One that is too long is cut, and will be
 * none that is known. */
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

/* The number of a call: also of one that only other machines have, which
 * is below 0, and ignored in a filter. */
static int
number_of(const char *call)
{
	return seccomp_syscall_resolve_name(call);
}

/* Allow, or forbid, what one row says. */
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
	return seccomp_rule_add_array(ctx, action, number_of(r->call),
	    r->nargs, args);
}

/* Return 0, or a negated errno. */
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
	if (is_rule || rc != 0)
		return rc;
	if (number_of(word) == __NR_SCMP_ERROR)
		return -EINVAL;
	return seccomp_rule_add(ctx, action, number_of(word), 0);
}

static bool
is_word(const char *word)
{
	size_t i;

	for (i = 0; i < NRULES; i++)
		if (strcmp(rules[i].word, word) == 0)
			return number_of(rules[i].call) != __NR_SCMP_ERROR;
	return number_of(word) != __NR_SCMP_ERROR;
}

int
syscalls_check(const char *list, char *err_r, size_t errlen)
{
	char word[WORD_MAX];

	while (next_word(&list, word) != NULL)
		if (!is_word(word)) {
			snprintf(err_r, errlen, "%s: no such call or rule",
			    word);
			return -1;
		}
	return 0;
}

/* --- the filter ----------------------------------------------------------- */

/* All of it is set before it counts.  Return 0, or a negated errno with the word
 * that was at fault. */
static int
load(scmp_filter_ctx ctx, uint32_t action, const char *const *lists, size_t n,
    char word_r[WORD_MAX])
{
	const char *list;
	size_t i;
	int rc;

	/* another set of calls, such as that of 32-bit programs */
	if ((rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS)) != 0 ||
	    (rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1)) != 0)
		return rc;
	/* a tree: each call costs the same few steps.  Not in old libraries */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (i = 0; i < n; i++) {
		list = lists[i];
		while (next_word(&list, word_r) != NULL)
			/* EEXIST: two lists have it */
			if ((rc = add_word(ctx, action, word_r)) != 0 &&
			    rc != -EEXIST)
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
