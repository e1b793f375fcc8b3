/* A job: one recipient of one message of the spool, for a delivery agent.
 * The queue makes it, an agent does it and sends back the result.  The structs
 * are sent between the two processes as they are. */

#ifndef CORE_SPOOL_JOB_H
#define CORE_SPOOL_JOB_H

#include <stdint.h>

#define JOBS_AT_ONCE	512	/* jobs, or results, in one message; an agent flushes once for as many */
#define JOB_TEXT	240	/* octets of an error's text with NUL */
#define JOB_REMOTE	128	/* octets of a next hop's name with NUL */
#define JOB_WITH	96	/* octets of how it was reached, with NUL */

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
	uint16_t	is_repeated;	/* may have been delivered before: look first */
	uint16_t	is_tls_report;	/* SPOOL_ENV_TLS_REPORT */
	uint32_t	section;	/* which settings say how it is delivered, a number that the queue has from its route(); 0: those for the recipient's domain */
};

/* What more an agent says of a job than its errnum */
#define JOB_REFUSED	0x01	/* errnum is not 0: no use to try it again.  Else it may help */
#define JOB_TARGET	0x02	/* errnum is not 0: this would have happened to each message for the same target */
#define JOB_NO_DSN	0x04	/* errnum is 0: the next hop has the message now, and does not say what becomes of it (RFC 3461 5.2.2) */
#define JOB_FINAL	0x08	/* errnum is 0: it is in the recipient's mailbox, and nobody else reports that (RFC 3461 5.2.3) */
#define JOB_UNASKED	0x10	/* errnum is not 0: that is of this machine, and says nothing of the target */
#define JOB_SILENT	0x20	/* errnum is not 0: the target has not answered in time, which may be the fault of this message */
#define JOB_LATER	0x40	/* errnum is not 0: it was not tried, and the target gets nothing for JOB_MS() milliseconds */
#define JOB_FLAGS	0x7f	/* all of them */
#define JOB_MS_MAX	900000
#define JOB_MS(flags)	((flags) >> 8)
#define JOB_LATER_IN(ms) (JOB_LATER | (uint32_t)((ms) < JOB_MS_MAX ? (ms) : JOB_MS_MAX) << 8)

struct job_result {
	uint64_t	job;
	int32_t		errnum;		/* 0: delivered, and durable */
	uint32_t	flags;		/* JOB_*, JOB_LATER_IN() */
};

/* Why a job was not done, sent before its result; or, of one that was done, what
 * the next hop has said. */
struct job_error {
	uint64_t	job;
	uint32_t	code;		/* of the next hop's reply, 200 to 599; 0: there is none */
	char		enhanced[12];	/* of the reply, or what fits (RFC 3463), "": none; with NUL */
	char		remote[JOB_REMOTE]; /* the next hop: its name, "[address]", "name[address]" or path; "": none was asked; with NUL */
	char		text[JOB_TEXT];	/* the reply's words, or ours; with NUL */
	char		with[JOB_WITH];	/* how the next hop was reached, as in a Received field: "ESMTPS (TLSv1.3 TLS_AES_128_GCM_SHA256)"; "": it is not said; with NUL */
};

#endif
