/* The end of mailmillctl's request; see ctl_answer.h. */

#include "cmd/mailmilld/role/ctl_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_S	30

void
ctl_answer_set(struct ctl_answer *a, const json_t *said)
{
	char *text = json_dumps(said, JSON_COMPACT);

	if (text == NULL || asprintf(&a->text, "%s\n", text) == -1)
		a->text = strdup(CTL_ANSWER_NO_MEMORY);
	free(text);
	a->len = a->text == NULL ? 0 : strlen(a->text);
	a->done = 0;
}

void
ctl_answer_clear(struct ctl_answer *a)
{
	free(a->text);
	*a = (struct ctl_answer){ 0 };
}

int
ctl_answer_write(struct ctl_answer *a, Event *e, const struct timeval *now)
{
	int n = 0, needmask = E_WRITE;

	while (a->done < a->len && (n = event_write(e, a->text + a->done,
	    (int)(a->len - a->done), &needmask)) > 0)
		a->done += (size_t)n;
	if (a->done == a->len || n != -1 || errno != EAGAIN)
		return 0;
	e->trigger = *now;
	e->trigger.tv_sec += STALL_S;
	return needmask | E_TIMEOUT;
}

void
ctl_answer_refuse(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
	close(fd);
}
