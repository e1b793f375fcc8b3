/* Functions that the tests call in place of libc's. */

#include "test/unit/core/spool/fault.h"

#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct fault {
	int	 skip, times, errnum;	/* atomic */
};

static struct fault faults[FAULT_NCALLS];
static int kill_in;	/* atomic */
static int slow_us;	/* atomic */
static unsigned long long free_octets;	/* atomic */

void
fault_arm(enum fault_call call, int skip, int times, int errnum)
{
	struct fault *f = &faults[call];

	__atomic_store_n(&f->errnum, errnum, __ATOMIC_SEQ_CST);
	__atomic_store_n(&f->skip, skip, __ATOMIC_SEQ_CST);
	__atomic_store_n(&f->times, times, __ATOMIC_SEQ_CST);
}

int
fault_left(enum fault_call call)
{
	return __atomic_load_n(&faults[call].times, __ATOMIC_SEQ_CST);
}

void
fault_free(unsigned long long octets)
{
	__atomic_store_n(&free_octets, octets, __ATOMIC_SEQ_CST);
}

void
fault_slow(int us)
{
	__atomic_store_n(&slow_us, us, __ATOMIC_SEQ_CST);
}

void
fault_kill_at(int n)
{
	__atomic_store_n(&kill_in, n, __ATOMIC_SEQ_CST);
}

static void
step(void)
{
	if (__atomic_load_n(&kill_in, __ATOMIC_SEQ_CST) > 0 &&
	    __atomic_sub_fetch(&kill_in, 1, __ATOMIC_SEQ_CST) == 0)
		(void)kill(getpid(), SIGKILL);
}

/* The errno with which this call is to fail, or 0 */
static int
fails(enum fault_call call)
{
	struct fault *f = &faults[call];

	step();
	if (__atomic_load_n(&f->times, __ATOMIC_SEQ_CST) <= 0)
		return 0;
	if (__atomic_load_n(&f->skip, __ATOMIC_SEQ_CST) > 0) {
		__atomic_sub_fetch(&f->skip, 1, __ATOMIC_SEQ_CST);
		return 0;
	}
	__atomic_sub_fetch(&f->times, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&f->errnum, __ATOMIC_SEQ_CST);
}

static int
failed(int errnum)
{
	errno = errnum;
	return -1;
}

int
fsync(int fd)
{
	int errnum = fails(FAULT_FSYNC);

	return errnum != 0 ? failed(errnum) : (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	int errnum = fails(FAULT_FDATASYNC);

	return errnum != 0 ? failed(errnum) : (int)syscall(SYS_fdatasync, fd);
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	int errnum = fails(FAULT_PWRITE);
	int us = __atomic_load_n(&slow_us, __ATOMIC_SEQ_CST);

	if (us > 0)
		(void)usleep((useconds_t)us);
	return errnum != 0 ? failed(errnum) :
	    syscall(SYS_pwrite64, fd, buf, len, offset);
}

ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	int errnum = fails(FAULT_DATABASE);

	return errnum != 0 ? failed(errnum) :
	    syscall(SYS_pwrite64, fd, buf, len, offset);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	int errnum = fails(FAULT_PWRITEV);

	return errnum != 0 ? failed(errnum) :
	    syscall(SYS_pwritev, fd, iov, n, offset, 0L);
}

int
fstatvfs(int fd, struct statvfs *st)
{
	unsigned long long octets = __atomic_load_n(&free_octets,
	    __ATOMIC_SEQ_CST);
	struct statfs sfs;

	if (fstatfs(fd, &sfs) == -1)
		return -1;
	memset(st, 0, sizeof(*st));
	st->f_bsize = (unsigned long)sfs.f_bsize;
	st->f_frsize = (unsigned long)(sfs.f_frsize != 0 ? sfs.f_frsize :
	    sfs.f_bsize);
	st->f_blocks = sfs.f_blocks;
	st->f_bfree = st->f_bavail = sfs.f_bavail;
	if (octets != 0)
		st->f_bfree = st->f_bavail = octets / st->f_frsize;
	st->f_files = sfs.f_files;
	st->f_ffree = st->f_favail = sfs.f_ffree;
	return 0;
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	int errnum = fails(FAULT_FALLOCATE);

	return errnum != 0 ? failed(errnum) :
	    (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	step();
	return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

int
renameat(int olddirfd, const char *old, int newdirfd, const char *new)
{
	step();
	return (int)syscall(SYS_renameat2, olddirfd, old, newdirfd, new, 0);
}
