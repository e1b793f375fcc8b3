/* Room that is kept back on the file system of the spool. */

#include "core/spool/spool_reserve.h"

#include <sys/endian.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_segment.h"
#include "core/util/fileio.h"

#define FIRST	"reserve.0"
#define FILE_OCTETS_MIN	32768

static void
file_name(int i, char buf[SPOOL_NAME])
{
	(void)snprintf(buf, SPOOL_NAME, "reserve.%d", i);
}

/* An earlier version let workers write to the folder.  If one of them has put
 * something else in the place of a file of the reserve, it is removed. */
static int
open_file(int dirfd, const char *name, int flags, struct stat *st)
{
	int fd;

	if ((fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0600)) != -1 && fstat(fd, st) == 0 &&
	    S_ISREG(st->st_mode) && st->st_nlink == 1)
		return (fd);
	if (fd != -1)
		errno = EEXIST;
	if (errno == EEXIST || errno == ELOOP || errno == ENXIO ||
	    errno == EACCES)
		fileio_unlink(dirfd, name);
	fileio_close(fd);
	return (-1);
}

static uint64_t
file_octets(int dirfd)
{
	uint64_t n = SPOOL_RESERVE_OCTETS;
	struct statvfs fs;

	if (fstatvfs(dirfd, &fs) == 0)
		n = MIN(n, (uint64_t)fs.f_blocks * fs.f_frsize /
		    SPOOL_RESERVE_PART);
	n = n / SPOOL_RESERVE_FILES / SPOOL_PAGE * SPOOL_PAGE;
	return (MAX(n, FILE_OCTETS_MIN));
}

uint64_t
spool_reserve_octets(int dirfd)
{
	return (SPOOL_RESERVE_FILES * file_octets(dirfd));
}

static int
make_file(int dirfd, const char *name, uint64_t octets)
{
	struct stat st;
	int fd, rv = 0;

	if ((fd = open_file(dirfd, name, O_RDWR | O_CREAT, &st)) == -1)
		return (-1);
	if ((uint64_t)st.st_size < octets)
		rv = fchmod(fd, 0600) == -1 ? -1 : spool_fill(fd, octets);
	fileio_close(fd);
	return (rv);
}

/* Make reserve.0.  A new one is written under another name and renamed: an
 * empty reserve.0 would say that the reserve is given up. */
static int
make_first(int dirfd, uint64_t octets)
{
	char name[SPOOL_NAME];

	if (faccessat(dirfd, FIRST, F_OK, 0) == 0)
		return (make_file(dirfd, FIRST, octets));
	file_name(SPOOL_RESERVE_FILES, name);
	if (make_file(dirfd, name, octets) == 0 &&
	    renameat(dirfd, name, dirfd, FIRST) == 0)
		return (0);
	fileio_unlink(dirfd, name);
	return (-1);
}

/* reserve.0 comes last: by it spoold knows that the reserve is complete. */
int
spool_reserve_make(int dirfd)
{
	char name[SPOOL_NAME];
	uint64_t octets = file_octets(dirfd);
	int i, saved;

	for (i = SPOOL_RESERVE_FILES - 1; i >= 0; i--) {
		file_name(i, name);
		if ((i == 0 ? make_first(dirfd, octets) :
		    make_file(dirfd, name, octets)) == -1) {
			if (errno != ENOSPC && errno != EDQUOT)
				return (-1);
			saved = errno;
			(void)spool_reserve_give_up(dirfd);
			errno = saved;
			return (-1);
		}
	}
	return (0);
}

bool
spool_reserve_give_up(int dirfd)
{
	char name[SPOOL_NAME];
	struct stat st;
	bool is_any = false;
	int fd, i;

	if ((fd = open_file(dirfd, FIRST, O_RDWR | O_CREAT, &st)) != -1) {
		is_any = st.st_size > 0 && ftruncate(fd, 0) == 0;
		(void)close(fd);
	}
	for (i = 1; i < SPOOL_RESERVE_FILES; i++) {
		file_name(i, name);
		if (unlinkat(dirfd, name, 0) == 0)
			is_any = true;
	}
	/* A journal may keep the blocks until it is written.  If this fails,
	 * so will the write that needs them. */
	if (is_any)
		(void)fsync(dirfd);
	return (is_any);
}

bool
spool_reserve_is_given_up(int dirfd)
{
	struct stat st;

	return (fstatat(dirfd, FIRST, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_size == 0);
}

void
spool_reserve_tell(int dirfd, uint64_t octets)
{
	unsigned char buf[8], now[8];
	struct stat st;
	int fd;

	le64enc(buf, octets);
	if ((fd = open_file(dirfd, FIRST, O_RDWR, &st)) == -1)
		return;
	/* or the disk of an idle server would never sleep */
	if (st.st_size > 0 &&
	    (fileio_pread(fd, now, sizeof(now), 0) != sizeof(now) ||
	    memcmp(now, buf, sizeof(buf)) != 0))
		(void)fileio_pwrite(fd, buf, sizeof(buf), 0);
	(void)close(fd);
}

uint64_t
spool_reserve_told(int dirfd)
{
	unsigned char buf[8];
	uint64_t octets = 0;
	int fd;

	if ((fd = openat(dirfd, FIRST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK)) == -1)
		return (0);
	if (fileio_pread(fd, buf, sizeof(buf), 0) == sizeof(buf))
		octets = le64dec(buf);
	(void)close(fd);
	return (octets);
}
