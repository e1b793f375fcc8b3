/* Jobs that read files, by the names of the documented API; see
 * ec_thread_pool(3). */

#ifndef CORE_IO_WRAPPER_H
#define CORE_IO_WRAPPER_H

#include <mailmill/api.h>
#include <mailmill/ec_string.h>
#include <mailmill/ec_thread_pool.h>

MAILMILL_BEGIN

typedef struct _io_job {
	ec_async_job	 job;		/* first */
	const char	*filename;
	string		*buffer;	/* the caller's: what is read is appended */
	int		 errorcode;	/* an errno; 0: none */
	enum _io_job_status {
		IOJ_COMPLETED = 1,
		IOJ_MISUSED,		/* there was no buffer */
		IOJ_OPEN_FAILED,
		IOJ_READ_FAILED,
		IOJ_STORE_FAILED	/* the buffer could not grow */
	}		 status;	/* 0: the job was not done yet */
} io_job;

/* io_wrapper_create_read_job(filename): A job that reads the regular file
 * ${filename}, which is copied: set its buffer and its completion, and queue it.
 * NULL with errno: EINVAL without ${filename}; ENOMEM.
 * io_wrapper_free_read_job(job): When it was completed, or never queued.  NULL
 * does nothing. */
io_job *io_wrapper_create_read_job(const char *filename);
void io_wrapper_free_read_job(io_job *job);

MAILMILL_END

#endif
