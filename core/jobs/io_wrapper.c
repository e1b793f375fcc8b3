/* Jobs that read files: see io_wrapper.h. */

#include "core/io_wrapper.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/jobs/thread_pool.h"
#include "core/util/require.h"

#define READ_OCTETS	16384	/* at once, on the thread's stack */

/* Only a regular file: others may block for ever, or have no end.  Return a
 * descriptor, or -1. */
static int
open_file(const char *name)
{
	struct stat st;
	int fd, saved;

	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		saved = errno;
	else if (S_ISREG(st.st_mode))
		return fd;
	else
		saved = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	close(fd);
	errno = saved;
	return -1;
}

static enum _io_job_status
read_all(int fd, string *to)
{
	char buf[READ_OCTETS];
	ssize_t n;

	for (;;) {
		n = read(fd, buf, sizeof(buf));
		if (n == 0)
			return IOJ_COMPLETED;
		if (n == -1 && errno != EINTR)
			return IOJ_READ_FAILED;
		if (n > 0 && stringwrite2(to, buf, (size_t)n) == -1)
			return IOJ_STORE_FAILED;
	}
}

static void
read_job(ec_async_job *, void *closure)
{
	io_job *job = closure;
	int fd;

	job->errorcode = 0;
	if (job->buffer == NULL) {
		job->status = IOJ_MISUSED;
		job->errorcode = EINVAL;
		return;
	}
	if ((fd = open_file(job->filename)) == -1) {
		job->status = IOJ_OPEN_FAILED;
		job->errorcode = errno;
		return;
	}
	job->status = read_all(fd, job->buffer);
	if (job->status != IOJ_COMPLETED)
		job->errorcode = errno;
	close(fd);
}

io_job *
io_wrapper_create_read_job(const char *filename)
{
	size_t len;
	io_job *job;
	char *name;

	if (filename == NULL) {
		errno = EINVAL;
		return NULL;
	}
	len = strlen(filename) + 1;
	if ((job = calloc(1, sizeof(*job) + len)) == NULL)
		return NULL;
	name = (char *)(job + 1);
	memcpy(name, filename, len);
	job->filename = name;
	job->job.job_class = ECTP_CLASS_IO;
	job->job.worker = read_job;
	job->job.closure = job;
	return job;
}

void
io_wrapper_free_read_job(io_job *job)
{
	if (job == NULL)
		return;
	REQUIRE("io_wrapper_free_read_job", !job_is_in_use(&job->job),
	    "the job must have been completed");
	free(job);
}
