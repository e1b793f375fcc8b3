/* blocklog IMAGE LOG MOUNTPOINT - a disk that writes down what is done to it.
 *
 * A FUSE file system with one file, "disk": the contents of IMAGE.  A loop
 * device on that file is a block device; each write and each flush that the
 * device gets is appended to LOG, in their order, before it is answered.  So
 * a reader of the size of LOG knows what the disk had been told by then.
 *
 * A record of LOG is a struct record in the machine's byte order, followed by
 * the octets of a write.  The program stays in the foreground; it ends when the
 * file system is unmounted (fusermount3 -u).
 *
 * One thread serves all: the order of the log is the order of the answers. */

#define FUSE_USE_VERSION 31

#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_WRITE = 1, RECORD_FLUSH = 2 };

struct record {
	uint32_t kind;
	uint32_t len;		/* octets that follow; 0 for a flush */
	uint64_t offset;	/* in the disk */
};

#define DISK "/disk"

static int image_fd, log_fd;

static int
append(uint32_t kind, uint64_t offset, const char *data, size_t len)
{
	struct record r = { .kind = kind, .len = (uint32_t)len,
		.offset = offset };
	struct iovec v[] = { { &r, sizeof(r) }, { (void *)(uintptr_t)data, len } };
	ssize_t n = writev(log_fd, v, 2);

	if (n == (ssize_t)(sizeof(r) + len))
		return 0;
	/* a log with half a record is worth nothing */
	fprintf(stderr, "blocklog: log: %s\n",
	    n == -1 ? strerror(errno) : "no space left");
	exit(1);
}

static int
disk_getattr(const char *path, struct stat *st, struct fuse_file_info *)
{
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, DISK) != 0)
		return -ENOENT;
	if (fstat(image_fd, st) == -1)
		return -errno;
	st->st_mode = S_IFREG | 0600;
	return 0;
}

static int
disk_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t,
    struct fuse_file_info *, enum fuse_readdir_flags)
{
	if (strcmp(path, "/") != 0)
		return -ENOENT;
	fill(buf, DISK + 1, NULL, 0, 0);
	return 0;
}

static int
disk_open(const char *path, struct fuse_file_info *)
{
	return strcmp(path, DISK) == 0 ? 0 : -ENOENT;
}

static int
disk_read(const char *, char *buf, size_t size, off_t offset,
    struct fuse_file_info *)
{
	ssize_t n = pread(image_fd, buf, size, offset);

	return n == -1 ? -errno : (int)n;
}

static int
disk_write(const char *, const char *buf, size_t size, off_t offset,
    struct fuse_file_info *)
{
	ssize_t n = pwrite(image_fd, buf, size, offset);

	if (n == -1)
		return -errno;
	append(RECORD_WRITE, (uint64_t)offset, buf, (size_t)n);
	return (int)n;
}

static int
disk_fsync(const char *, int, struct fuse_file_info *)
{
	return append(RECORD_FLUSH, 0, NULL, 0);
}

static const struct fuse_operations disk_ops = {
	.getattr = disk_getattr,
	.readdir = disk_readdir,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

int
main(int argc, char **argv)
{
	char *args[] = { argv[0], (char *)(uintptr_t)"-f",
		(char *)(uintptr_t)"-s", NULL, NULL };

	if (argc != 4) {
		fprintf(stderr, "usage: blocklog IMAGE LOG MOUNTPOINT\n");
		return 2;
	}
	if ((image_fd = open(argv[1], O_RDWR | O_CLOEXEC)) == -1 ||
	    (log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
	    0600)) == -1) {
		perror("blocklog");
		return 1;
	}
	args[3] = argv[3];
	return fuse_main(4, args, &disk_ops, NULL);
}
