/* Whole reads and writes of files; see fileio.h. */

#include "core/util/fileio.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

ssize_t
fileio_pread(int fd, void *buf, size_t len, off_t offset)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = pread(fd, (char *)buf + have, len - have,
		    offset + (off_t)have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* The result ${n} of write(2): octets written, 0 to try again, or -1. */
static ssize_t
written(ssize_t n)
{
	if (n > 0)
		return n;
	if (n == -1 && errno == EINTR)
		return 0;
	if (n == 0)
		errno = EIO;
	return -1;
}

int
fileio_write(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n)
		if ((n = written(write(fd, p, len))) == -1)
			return -1;
	return 0;
}

int
fileio_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	const char *p = buf;
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n, offset += n)
		if ((n = written(pwrite(fd, p, len, offset))) == -1)
			return -1;
	return 0;
}

int
fileio_may(const char *path, mode_t kind, int amode)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return -1;
	if ((st.st_mode & S_IFMT) != kind) {
		errno = kind == S_IFDIR ? ENOTDIR : ENOTSOCK;
		return -1;
	}
	return faccessat(AT_FDCWD, path, amode, AT_EACCESS);
}

void
fileio_close(int fd)
{
	int saved = errno;

	if (fd != -1)
		(void)close(fd);
	errno = saved;
}

int
fileio_close_passed(int fd)
{
	int saved = errno;
	struct linger l;
	socklen_t len = sizeof(l);

	if (fd == -1)
		return 0;
	/* a time of 0 waits for nothing: the connection is reset */
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) == 0 &&
	    l.l_onoff != 0 && l.l_linger != 0) {
		l.l_onoff = 0;
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	if (close(fd) == -1)
		return -1;
	errno = saved;
	return 0;
}

void
fileio_unlink(int dirfd, const char *name)
{
	int saved = errno;

	(void)unlinkat(dirfd, name, 0);
	errno = saved;
}

DIR *
fileio_opendir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL)
		fileio_close(fd);
	return dir;
}
