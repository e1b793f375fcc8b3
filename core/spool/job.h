/* A job: one recipient of one message of the spool, for a delivery agent.
 * The queue makes it, an agent does it and sends back the result.  The structs
 * are sent between the two processes as they are. */

#ifndef CORE_SPOOL_JOB_H
#define CORE_SPOOL_JOB_H

#include <stdint.h>

#define JOBS_AT_ONCE	512	/* jobs, or results, in one message; an agent flushes once for as many */
#define JOB_TEXT	240	/* octets of an error's text with NUL */

/* Which delivery this is: that of one recipient of one record.  No other
 * delivery has the same four numbers, and each attempt of this one has them.
 * The queue process takes them from where the record was found; what is in the
 * record, also its id, was chosen by its writer. */
struct job_origin {
	uint64_t	segment;	/* where the message was accepted; 0: not known, an earlier version deferred it */
	uint64_t	generation;
	uint32_t	seq;
	uint32_t	rcpt;		/* index in the envelope */
};

struct job {
	uint64_t	job;		/* the queue's number */
	uint64_t	source;		/* the file with the record */
	uint64_t	body_source;	/* the file with the body; 0: in the record */
	uint64_t	offset;		/* of the record in its file */
	struct job_origin origin;	/* by which an earlier delivery is found */
	uint32_t	is_repeated;	/* may have been delivered before: look first */
	uint32_t	unused;
};

struct job_result {
	uint64_t	job;
	int32_t		errnum;		/* 0: delivered, and durable; else to be tried again */
	uint32_t	unused;
};

/* The text of a job's error, sent before its result */
struct job_error {
	uint64_t	job;
	char		text[JOB_TEXT];
};

#endif
