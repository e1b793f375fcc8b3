/* Recipients that an administrator gives up.
 * Owns: what is said of that, to their senders and in the rows. */

#include "core/queue/queue_answer.h"

#include <stdlib.h>
#include <string.h>

#define REASON_MAX	200	/* octets: they fit into JOB_TEXT */

const char *
queue_bounce_reason(struct queue_answer *a, const char *text)
{
	/* RFC 3463 3.1: of the status only the class is known */
	struct job_error error = { .enhanced = "5.0.0" };

	if (text == NULL)
		text = "the postmaster of this server has given it up";
	if (*text == '\0' || strlen(text) > REASON_MAX)
		return "a reason is a text of 1 to 200 octets";
	strlcpy(error.text, text, sizeof(error.text));
	free(a->reason);
	a->reason = queue_reply_new(&error);
	return a->reason == NULL ? queue_answer_no_memory : NULL;
}

void
queue_bounce_row(const struct queue_answer *a, struct deferred_row *row)
{
	row->outcome = queue_outcome_name(QUEUE_FAILED);
	row->next_attempt = a->now_s;
	row->last_error = a->reason->said;
	row->enhanced = a->reason->enhanced;
}
