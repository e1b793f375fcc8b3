/* Jobs that read files: what is in the buffer, and what went wrong. */

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io_wrapper.h"
#include "test/lib/misuse.h"

static char dir[] = "/tmp/mailmill-io-XXXXXX", path[64];

static void
init(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
}

static void
fini(void)
{
	unlink(path);
	rmdir(dir);
}
TestSuite(io_wrapper, .init = init, .fini = fini);

static void
make(size_t size)
{
	FILE *f = fopen(path, "w");
	size_t i;

	cr_assert_not_null(f);
	for (i = 0; i < size; i++)
		fputc((int)('a' + i % 26), f);
	cr_assert_eq(fclose(f), 0);
}

/* What becomes of a job for ${name}. */
static enum _io_job_status
read_file(const char *name, string *to, int *error_r)
{
	io_job *job = io_wrapper_create_read_job(name);
	enum _io_job_status status;

	cr_assert_not_null(job);
	job->buffer = to;
	job->job.completion = ECTP_COMPLETE_SYNC;
	cr_assert_eq(job->status, 0);
	cr_assert_eq(ec_queue_async_job(job), 1);
	status = job->status;
	*error_r = job->errorcode;
	io_wrapper_free_read_job(job);
	return status;
}

Test(io_wrapper, a_file_is_read_whole)
{
	static const size_t sizes[] = { 0, 1, 16384, 16385, 200001 };
	string s = { 0 };
	size_t i;
	int error;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make(sizes[i]);
		s.len = 0;
		cr_expect_eq(read_file(path, &s, &error), IOJ_COMPLETED);
		cr_expect_eq(error, 0);
		cr_assert_eq((size_t)s.len, sizes[i]);
		if (s.len > 0)
			cr_expect_eq(s.buffer[s.len - 1],
			    (char)('a' + (s.len - 1) % 26));
	}
	/* behind what is there */
	make(3);
	stringprintf(&s, "|");
	i = (size_t)s.len;
	cr_expect_eq(read_file(path, &s, &error), IOJ_COMPLETED);
	cr_expect_str_eq(s.buffer + i, "abc");
	string_destroy(&s);
}

Test(io_wrapper, what_went_wrong_is_told)
{
	char few[4];
	string full = { .type = STRING_TYPE_STATIC, .buffer = few,
		.allocd = sizeof(few) }, s = { 0 };
	int error;

	make(10);
	cr_expect_eq(read_file(path, NULL, &error), IOJ_MISUSED);
	cr_expect_eq(error, EINVAL);
	cr_expect_eq(read_file(path, &full, &error), IOJ_STORE_FAILED);
	cr_expect_eq(error, ENOSPC);
	cr_expect_eq(read_file("/nowhere/at/all", &s, &error),
	    IOJ_OPEN_FAILED);
	cr_expect_eq(error, ENOENT);
	cr_expect_eq(read_file(dir, &s, &error), IOJ_OPEN_FAILED);
	cr_expect_eq(error, EISDIR);
	/* a FIFO that nobody writes to, a device without an end */
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(read_file(path, &s, &error), IOJ_OPEN_FAILED);
	cr_expect_eq(read_file("/dev/zero", &s, &error), IOJ_OPEN_FAILED);
	cr_expect_eq(error, EINVAL);
	string_destroy(&s);
}

Test(io_wrapper, the_name_is_copied)
{
	char name[64];
	io_job *job;

	snprintf(name, sizeof(name), "%s", path);
	job = io_wrapper_create_read_job(name);
	memset(name, 'x', 10);
	cr_expect_str_eq(job->filename, path);
	io_wrapper_free_read_job(job);
	io_wrapper_free_read_job(NULL);
	errno = 0;
	cr_expect_null(io_wrapper_create_read_job(NULL));
	cr_expect_eq(errno, EINVAL);
}

static void
free_it(ec_async_job *job, void *)
{
	io_wrapper_free_read_job((io_job *)(void *)job);
}

static void
free_while_it_runs(void *)
{
	io_job *job = io_wrapper_create_read_job("x");

	job->job.worker = free_it;
	job->job.completion = ECTP_COMPLETE_SYNC;
	ec_queue_async_job(job);
}

Test(io_wrapper, a_job_is_not_freed_while_it_runs)
{
	cr_expect_str_eq(misuse_ends(free_while_it_runs, NULL),
	    "mailmill: io_wrapper_free_read_job(): "
	    "the job must have been completed");
}
