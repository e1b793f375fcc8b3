/* The end of mailmillctl's request to a process: an answer of one line of JSON, written
 * as it is read, and the connection is closed.
 * Owns: the text, and how long mailmillctl may take.
 * Knows nothing of what the answer says, and of how many there are. */

#ifndef CMD_MAILMILLD_ROLE_CTL_ANSWER_H
#define CMD_MAILMILLD_ROLE_CTL_ANSWER_H

#include <jansson.h>
#include <stddef.h>

#include "core/event.h"

#define CTL_ANSWER_NO_MEMORY	"{\"error\":\"out of memory: try again\"}\n"

/* All 0: there is none yet. */
struct ctl_answer {
	char	*text;
	size_t	 len, done;
};

/* ctl_answer_set(a, said): It is ${said}, which stays the caller's; NULL, or without
 * memory for it: that there is none.  ctl_answer_clear(a): Free it. */
void ctl_answer_set(struct ctl_answer *a, const json_t *said);
void ctl_answer_clear(struct ctl_answer *a);

/* ctl_answer_write(a, e, now): In a callback of ${e}: write what can be written.  Return
 * the mask to wait for; 0: all is written, or mailmillctl has left: close ${e}.  That it
 * has read nothing for 30 seconds is an E_TIMEOUT. */
int ctl_answer_write(struct ctl_answer *a, Event *e, const struct timeval *now);

/* ctl_answer_refuse(fd, text): Say that at once; closes ${fd}. */
void ctl_answer_refuse(int fd, const char *text);

#endif
