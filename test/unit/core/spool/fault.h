/* Lets a system call fail, or kills the process before one: the unit tests call
 * the functions of fault.c in place of libc's. */

#ifndef TEST_UNIT_CORE_SPOOL_FAULT_H
#define TEST_UNIT_CORE_SPOOL_FAULT_H

#include <stdbool.h>

enum fault_call {
	FAULT_FSYNC, FAULT_FDATASYNC, FAULT_PWRITE, FAULT_PWRITEV,
	FAULT_FALLOCATE,
	FAULT_READDIR,		/* does not count for fault_kill_at() */
	FAULT_DATABASE,		/* pwrite64(2), by which SQLite writes */
	FAULT_NCALLS
};

/* fault_arm(call, skip, times, errnum): After ${skip} more calls, ${times} of
 * them fail with ${errnum}. */
void fault_arm(enum fault_call call, int skip, int times, int errnum);

/* fault_left(call): How many of them have not failed yet. */
int fault_left(enum fault_call call);

/* fault_free(octets): What fstatvfs(3) says is free; 0: the truth. */
void fault_free(unsigned long long octets);

/* fault_untyped(is_so): readdir(3) says DT_UNKNOWN of all entries, as it does on
 * some file systems. */
void fault_untyped(bool is_so);

/* fault_slow(us): Each pwrite(2) takes that long. */
void fault_slow(int us);

/* fault_names(is_noted): While ${is_noted}, a name that is removed or changed in a
 * folder is not gone on disk until that is flushed.  fault_power_cut(dirfd): What
 * is not gone in that folder is there again; in others it has gone, since no
 * order is promised. */
void fault_names(bool is_noted);
void fault_power_cut(int dirfd);

/* fault_kill_at(n): SIGKILL before the ${n}-th call from now; the calls above,
 * unlinkat(2) and renameat(2) count.  0: never. */
void fault_kill_at(int n);

#endif
