/* Functions that the tests call in place of libc's. */

#include "test/unit/core/spool/fault.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <dirent.h>
#include <dlfcn.h>
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
static bool is_untyped;

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
fault_untyped(bool is_so)
{
	is_untyped = is_so;
}

#define NAMES_MAX	256

static bool is_noting;
static unsigned int nnames;
static struct name {
	int	 dirfd;
	char	 name[64];
} names[NAMES_MAX];	/* those that disk has, though they are gone */

static void
kept_name(unsigned int i, char buf[64])
{
	snprintf(buf, 64, ".kept.%u", i);
}

/* ${name} is about to go. */
static void
note_name(int dirfd, const char *name)
{
	char kept[64];

	if (!is_noting || nnames == NAMES_MAX ||
	    strlen(name) >= sizeof(names[0].name))
		return;
	kept_name(nnames, kept);
	if (linkat(dirfd, name, dirfd, kept, 0) == -1)
		return;
	names[nnames].dirfd = dirfd;
	strcpy(names[nnames++].name, name);
}

static bool
is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	    x.st_ino == y.st_ino;
}

/* ${fd} has been flushed: if it is a folder, with what has gone from it. */
static void
forget_names(int fd)
{
	char kept[64];
	unsigned int i;

	for (i = 0; i < nnames; i++) {
		if (names[i].name[0] == '\0' ||
		    !is_same_file(fd, names[i].dirfd))
			continue;
		kept_name(i, kept);
		(void)syscall(SYS_unlinkat, names[i].dirfd, kept, 0);
		names[i].name[0] = '\0';
	}
}

void
fault_names(bool is_noted)
{
	is_noting = is_noted;
}

void
fault_power_cut(int dirfd)
{
	unsigned int i = nnames;
	char kept[64];

	is_noting = false;
	/* the oldest file of a name comes last */
	while (i-- > 0) {
		kept_name(i, kept);
		if (names[i].name[0] == '\0')
			continue;
		if (is_same_file(dirfd, names[i].dirfd))
			(void)syscall(SYS_renameat2, dirfd, kept, dirfd,
			    names[i].name, 0);
		else
			(void)syscall(SYS_unlinkat, names[i].dirfd, kept, 0);
	}
	nnames = 0;
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

static int
armed(enum fault_call call)
{
	struct fault *f = &faults[call];

	if (__atomic_load_n(&f->times, __ATOMIC_SEQ_CST) <= 0)
		return 0;
	if (__atomic_load_n(&f->skip, __ATOMIC_SEQ_CST) > 0) {
		__atomic_sub_fetch(&f->skip, 1, __ATOMIC_SEQ_CST);
		return 0;
	}
	__atomic_sub_fetch(&f->times, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&f->errnum, __ATOMIC_SEQ_CST);
}

/* The errno with which this call is to fail, or 0 */
static int
fails(enum fault_call call)
{
	step();
	return armed(call);
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
	int errnum = fails(FAULT_FSYNC), rv;

	if (errnum != 0)
		return failed(errnum);
	if ((rv = (int)syscall(SYS_fsync, fd)) == 0)
		forget_names(fd);
	return rv;
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

struct dirent *
readdir(DIR *dir)
{
	static struct dirent *(*real)(DIR *);
	int errnum = armed(FAULT_READDIR);
	struct dirent *de;

	if (errnum != 0) {
		errno = errnum;
		return NULL;
	}
	if (real == NULL)
		real = (struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir");
	if ((de = real(dir)) != NULL && is_untyped)
		de->d_type = DT_UNKNOWN;
	return de;
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	step();
	note_name(dirfd, name);
	return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

int
renameat(int olddirfd, const char *old, int newdirfd, const char *new)
{
	step();
	note_name(olddirfd, old);
	return (int)syscall(SYS_renameat2, olddirfd, old, newdirfd, new, 0);
}
