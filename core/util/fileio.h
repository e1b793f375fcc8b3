/* Whole reads and writes of files: they go on after a short one and after a
 * signal.  What is at a path, and folders. */

#ifndef CORE_UTIL_FILEIO_H
#define CORE_UTIL_FILEIO_H

#include <sys/types.h>

#include <dirent.h>
#include <stddef.h>

/* fileio_pread(fd, buf, len, offset): Return ${len}, less only where the file
 * ends, or -1 with errno. */
ssize_t fileio_pread(int fd, void *buf, size_t len, off_t offset);

/* fileio_write(fd, buf, len), fileio_pwrite(fd, buf, len, offset): Return 0, or
 * -1 with errno and perhaps a part written. */
int fileio_write(int fd, const void *buf, size_t len);
int fileio_pwrite(int fd, const void *buf, size_t len, off_t offset);

/* fileio_may(path, kind, amode): Is there at ${path} a folder (${kind}: S_IFDIR) or
 * a socket (S_IFSOCK), which this process may use as ${amode} says, R_OK, W_OK,
 * X_OK, with its effective ids?  Return 0, or -1 with errno: ENOTDIR or ENOTSOCK,
 * there is something else. */
int fileio_may(const char *path, mode_t kind, int amode);

/* fileio_close(fd), fileio_unlink(dirfd, name): Close ${fd}, unless it is -1;
 * remove a file.  errno stays: for error paths. */
void fileio_close(int fd);
void fileio_unlink(int dirfd, const char *name);

/* fileio_close_passed(fd): Close a descriptor that another process may have as
 * well, unless it is -1, and do not wait for the peer of a socket: that process
 * may have asked for it (SO_LINGER).  Nothing keeps it from asking again in the
 * moment between; then the close waits if that process has closed it by then.
 * Return 0 and leave errno, or what close(2) does. */
int fileio_close_passed(int fd);

/* fileio_opendir(dirfd, name): A folder in another, no symbolic link to one;
 * "." is that one, with a position of its own.  NULL with errno. */
DIR *fileio_opendir(int dirfd, const char *name);

#endif
