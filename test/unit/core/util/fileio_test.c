#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define BIG	(256 * 1024)	/* octets: more than a pipe takes at once */

static int
file(const char *text)
{
	int fd = memfd_create("fileio", MFD_CLOEXEC);

	cr_assert_neq(fd, -1);
	cr_assert_eq(fileio_write(fd, text, strlen(text)), 0);
	return fd;
}

Test(fileio, a_read_is_short_only_at_the_end_of_the_file)
{
	int fd = file("0123456789");
	char buf[16];

	cr_expect_eq(fileio_pread(fd, buf, 4, 3), 4);
	cr_expect_arr_eq(buf, "3456", 4);
	cr_expect_eq(fileio_pread(fd, buf, sizeof(buf), 0), 10);
	cr_expect_arr_eq(buf, "0123456789", 10);
	cr_expect_eq(fileio_pread(fd, buf, sizeof(buf), 10), 0);
	cr_expect_eq(fileio_pread(fd, buf, 0, 0), 0);
	close(fd);
	errno = 0;
	cr_expect_eq(fileio_pread(fd, buf, 1, 0), -1);
	cr_expect_eq(errno, EBADF);
}

Test(fileio, a_write_at_an_offset_leaves_the_rest)
{
	int fd = file("0123456789");
	char buf[16];

	cr_expect_eq(fileio_pwrite(fd, "xyz", 3, 8), 0);
	cr_expect_eq(fileio_pwrite(fd, "", 0, 0), 0);
	cr_expect_eq(fileio_pread(fd, buf, sizeof(buf), 0), 11);
	cr_expect_arr_eq(buf, "01234567xyz", 11);
	close(fd);
}

static void *
drain(void *closure)
{
	int fd = *(int *)closure;
	size_t total = 0;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	return (void *)total;
}

/* A pipe takes 64 kilooctets at once: so write(2) stops short. */
Test(fileio, a_write_goes_on_after_a_short_one)
{
	char *buf = calloc(1, BIG);
	pthread_t reader;
	void *total;
	int fds[2];

	cr_assert_not_null(buf);
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(pthread_create(&reader, NULL, drain, &fds[0]), 0);
	cr_expect_eq(fileio_write(fds[1], buf, BIG), 0);
	close(fds[1]);
	cr_assert_eq(pthread_join(reader, &total), 0);
	cr_expect_eq((size_t)total, BIG);
	free(buf);
}

Test(fileio, a_write_that_fails_says_why)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	cr_assert_neq(fd, -1);
	errno = 0;
	cr_expect_eq(fileio_write(fd, "x", 1), -1);
	cr_expect_eq(errno, ENOSPC);
	errno = 0;
	cr_expect_eq(fileio_pwrite(fd, "x", 1, 0), -1);
	cr_expect_eq(errno, ENOSPC);
	close(fd);
}

Test(fileio, close_keeps_errno)
{
	int fd = file("");

	errno = EXDEV;
	fileio_close(fd);
	cr_expect_eq(errno, EXDEV);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	errno = EXDEV;
	fileio_close(fd);	/* is closed: EBADF */
	fileio_close(-1);
	cr_expect_eq(errno, EXDEV);
}

Test(fileio, a_folder_is_read_from_its_start_each_time)
{
	char path[] = "/tmp/fileio.XXXXXX";
	struct dirent *de;
	int dirfd, round, n;
	DIR *dir;

	cr_assert_not_null(mkdtemp(path));
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(openat(dirfd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	for (round = 0; round < 2; round++) {
		cr_assert_not_null(dir = fileio_opendir(dirfd, "."));
		for (n = 0; (de = readdir(dir)) != NULL; n++)
			cr_expect(de->d_name[0] == '.' ||
			    strcmp(de->d_name, "a") == 0);
		cr_expect_eq(n, 3);
		closedir(dir);
	}
	cr_expect_null(fileio_opendir(dirfd, "a"));
	cr_expect_eq(errno, ENOTDIR);
	errno = EXDEV;
	fileio_unlink(dirfd, "a");
	fileio_unlink(dirfd, "a");	/* is gone: ENOENT */
	cr_expect_eq(errno, EXDEV);
	cr_expect_eq(rmdir(path), 0);
	close(dirfd);
}

Test(fileio, what_is_at_a_path_is_what_is_wanted)
{
	char folder[] = "/tmp/fileio.XXXXXX";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_not_null(mkdtemp(folder));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", folder);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_expect_eq(fileio_may(folder, S_IFDIR, X_OK), 0);
	cr_expect_eq(fileio_may(un.sun_path, S_IFSOCK, W_OK), 0);
	cr_expect_eq(fileio_may(folder, S_IFSOCK, W_OK), -1);
	cr_expect_eq(errno, ENOTSOCK);
	cr_expect_eq(fileio_may(un.sun_path, S_IFDIR, X_OK), -1);
	cr_expect_eq(errno, ENOTDIR);
	cr_assert_eq(unlink(un.sun_path), 0);
	cr_expect_eq(fileio_may(un.sun_path, S_IFSOCK, W_OK), -1);
	cr_expect_eq(errno, ENOENT);
	cr_assert_eq(rmdir(folder), 0);
	close(fd);
}
