/* The file "numbers" of the spool.
 * Owns: its form, when it is believed.
 * A deferred message has the number of its worker for as long as it is there, and there
 * may be a million of them: a start would wait until all names were read.  So it is
 * noted which numbers have been given: those that are free again are found when none
 * is left.  A number is flushed here before its worker starts, which is seldom.
 * Nobody but us writes it.  It is not believed when an administrator has made
 * deferred.rebuild, as one does who has brought messages back. */

#include "cmd/mailmilld/master/start/numbers_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/fileio.h"

#define NAME	"numbers"
#define REBUILD	"queue/deferred.rebuild"

static const char magic[16] = "mailmill numbers";

struct content {
	char			magic[sizeof(magic)];
	struct spooldir_numbers	numbers;
};

/* Open it, or with O_CREAT make it; -1 with errno. */
static int
open_file(const char *spool, int flags)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", spool, NAME) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	/* the folder was another's before a trial was over */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && st.st_nlink == 1 &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static bool
is_marked(const char *spool)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", spool, REBUILD) >=
	    (int)sizeof(path) || access(path, F_OK) == 0 || errno != ENOENT;
}

int
numbers_file_load(const char *spool, struct spooldir_numbers *numbers_r)
{
	struct content content;
	ssize_t n;
	int fd;

	if (is_marked(spool) || (fd = open_file(spool, O_RDONLY)) == -1)
		return -1;
	n = fileio_pread(fd, &content, sizeof(content), 0);
	close(fd);
	if (n != sizeof(content) ||
	    memcmp(content.magic, magic, sizeof(magic)) != 0)
		return -1;
	*numbers_r = content.numbers;
	return 0;
}

void
numbers_file_forget(const char *spool)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", spool, NAME) <
	    (int)sizeof(path))
		(void)unlink(path);
}

/* In place: whatever a crash leaves of it has all numbers that had been noted before,
 * or were found to be in use. */
void
numbers_file_save(const char *spool, const struct spooldir_numbers *numbers)
{
	struct content content = { .numbers = *numbers };
	int fd, rc = -1;

	memcpy(content.magic, magic, sizeof(magic));
	if ((fd = open_file(spool, O_WRONLY)) == -1) {
		numbers_file_forget(spool);
		fd = open_file(spool, O_WRONLY | O_CREAT | O_EXCL);
	}
	if (fd != -1 &&
	    (rc = fileio_pwrite(fd, &content, sizeof(content), 0)) != -1)
		rc = fdatasync(fd);
	if (rc == -1) {
		log_warn("spool", "folder=%s file=%s effect=%s", spool, NAME,
		    "the next start reads the names of all deferred messages");
		numbers_file_forget(spool);
	}
	fileio_close(fd);
}
