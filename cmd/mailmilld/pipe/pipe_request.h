/* What the agent of programs and the process that starts them say to each other. */

#ifndef CMD_MAILMILLD_PIPE_PIPE_REQUEST_H
#define CMD_MAILMILLD_PIPE_PIPE_REQUEST_H

#include <stdint.h>

#include "core/spool/job.h"

/* A request to the starter: this, then so many strings with NUL: those of
 * PIPE_REQUEST_*, then the recipients. */
struct pipe_request {
	uint32_t	domain;		/* index of the settings */
	uint32_t	nstrings;
	uint64_t	size;
};
enum { PIPE_REQUEST_ID, PIPE_REQUEST_SENDER, PIPE_REQUEST_CLIENT,
	PIPE_REQUEST_HELO, PIPE_REQUEST_RCPTS };

/* Its answer, with three descriptors if ${errnum} is 0: where the program reads and
 * where it writes, both non-blocking, and the guard's socket, to which one octet is
 * sent for the program to be ended, and which says a struct pipe_end when that is
 * done. */
struct pipe_answer {
	int32_t		errnum;		/* EINVAL: the message is refused for good */
	char		enhanced[12];
	char		text[JOB_TEXT];
};
enum { PIPE_FD_INPUT, PIPE_FD_OUTPUT, PIPE_FD_GUARD, PIPE_NFDS };

#endif
