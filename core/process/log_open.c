/* Opening the log that a setting names. */

#include "core/process/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define SYSLOG_PATH	"/dev/log"

static int
open_syslog(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
		.sun_path = SYSLOG_PATH };
	int fd;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		fileio_close(fd);
		return -1;
	}
	return fd;
}

/* A non-blocking descriptor for stderr.  O_NONBLOCK is a flag of the open file,
 * which the shell may share.  So open the file again; if that fails, use stderr
 * as it is. */
static int
open_stderr(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) == -1)
		return -1;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		fd = open("/proc/self/fd/2",
		    O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd != -1)
			return fd;
	}
	return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int
log_open(const char *target, enum log_kind *kind_r, int *fd_r)
{
	if (strcasecmp(target, "stderr") == 0) {
		*kind_r = LOG_TO_STDERR;
		*fd_r = open_stderr();
	} else if (strcasecmp(target, "syslog") == 0) {
		*kind_r = LOG_TO_SYSLOG;
		*fd_r = open_syslog();
	} else {
		*kind_r = LOG_TO_FILE;
		*fd_r = open(target, O_WRONLY | O_APPEND | O_CREAT |
		    O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0640);
	}
	return *fd_r == -1 ? -1 : 0;
}
