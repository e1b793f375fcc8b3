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

/* syscalls_confine(lists, n, err_r, errlen): From now on no thread of this
 * process makes another call than those in the ${n} texts ${lists}.  One that
 * does makes the process die of SIGSYS, see syscalls_tell().  The process goes on
 * needing no_new_privs.  Return 0, or -1 with a message: nothing has changed. */
int syscalls_confine(const char *const *lists, size_t n, char *err_r,
    size_t errlen);

/* syscalls_forbid(lists, n, err_r, errlen): All calls but those, which fail
 * with EPERM: programs that this process runs find another way. */
int syscalls_forbid(const char *const *lists, size_t n, char *err_r,
    size_t errlen);

/* syscalls_tell(func): Call ${func} with the number of the call before the process
 * dies of it, in a signal handler, once.  Before syscalls_confine(), and the
 * filter then has to refuse rt_sigaction.  A process in the hands of somebody else
 * may keep ${func} from being called; not its death. */
int syscalls_tell(void (*func)(int call));

/* syscalls_name(call, buf, len): The name of a call of this machine by number,
 * or the number.  Return ${buf}. */
#define SYSCALLS_NAME_MAX	40
const char *syscalls_name(int call, char *buf, size_t len);

/* syscalls_form(word, arch, i): The ${i}th call that ${word} allows on a machine
 * of ${arch} (SCMP_ARCH_*), where libc may make others for the same purpose:
 * i386 has mmap2.  NULL: no more. */
const char *syscalls_form(const char *word, unsigned int arch, size_t i);

/* syscalls_check(list, err_r, errlen): Is each word of it a call or a rule?
 * Return 0, or -1 with a message. */
int syscalls_check(const char *list, char *err_r, size_t errlen);

#endif
