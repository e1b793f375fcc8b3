/* Which system calls a process can still make: a filter of the kernel's,
 * seccomp(2), made with libseccomp.
 * Owns: the filter, the rules for arguments, SIGSYS.
 *
 * Calls are given as words in a text.  A word is the name of a call, or a name in
 * the table of rules (syscalls.c), which allows the call with some arguments only:
 * "mmap" is one, since memory that holds code is never mapped.  A word stands for
 * the forms that its call has on other machines, too (table of forms). */

#ifndef CORE_PROCESS_SYSCALLS_H
#define CORE_PROCESS_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>

#define SYSCALLS_ERROR_MAX	160	/* octets of a message */

/* syscalls_confine(lists, n, err_r, errlen): From now on the threads of this
 * process may make only the calls in the ${n} texts ${lists}.  When a thread
 * makes another call, the process dies of SIGSYS, see syscalls_tell().  Also
 * sets no_new_privs.  Return 0, or -1 with a message: nothing has changed. */
int syscalls_confine(const char *const *lists, size_t n, char *err_r,
    size_t errlen);

/* syscalls_forbid(lists, n, err_r, errlen): The calls in ${lists} fail with
 * EPERM, all others are allowed.  This is for a process that runs other
 * programs, which can go on after EPERM. */
int syscalls_forbid(const char *const *lists, size_t n, char *err_r,
    size_t errlen);

/* syscalls_tell(func): When the process is about to die of a call, call ${func}
 * once with the number of the call, in a signal handler.  Use it before
 * syscalls_confine(); the filter then has to refuse rt_sigaction.  An attacker
 * who controls the process can prevent the call of ${func}, but not the
 * death. */
int syscalls_tell(void (*func)(int call));

/* syscalls_name(call, buf, len): The name of a call of this machine by number,
 * or the number.  Return ${buf}. */
#define SYSCALLS_NAME_MAX	40
const char *syscalls_name(int call, char *buf, size_t len);

/* syscalls_form(word, arch, i): The ${i}th call that ${word} allows on a
 * machine of ${arch} (SCMP_ARCH_*), where libc may use another call for the
 * same purpose, as mmap2 on i386.  NULL: there are no more. */
const char *syscalls_form(const char *word, unsigned int arch, size_t i);

/* syscalls_check(list, err_r, errlen): Is each word of ${list} a call or a
 * rule? Return 0, or -1 with a message. */
int syscalls_check(const char *list, char *err_r, size_t errlen);

#endif
