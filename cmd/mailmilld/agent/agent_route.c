/* Jobs one by one; see agent_route.h. */

#include "cmd/mailmilld/agent/agent_route.h"

#include <errno.h>

static int
route_one(struct agent *a, const struct settings *s, const struct job *job,
    const struct spool_view *view, agent_add_fn *add)
{
	char text[JOB_TEXT];
	struct route route;
	const char *rcpt;

	rcpt = spool_envelope_rcpt(&view->envelope, job->origin.rcpt);
	if (rcpt == NULL) {
		agent_refuse(a, job, EBADMSG,
		    "the message has no such recipient");
		return 0;
	}
	if (route_deliver(s, job->section, rcpt, &route, text) == -1) {
		agent_refuse(a, job, errno, text);
		return 0;
	}
	return add(a->closure, job, rcpt, &route);
}

int
agent_route(struct agent *a, struct spool_sources *sources,
    const struct settings *s, const struct job *jobs, unsigned int n,
    agent_add_fn *add)
{
	const struct job *last = NULL;
	struct spool_view view;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (last != NULL && jobs[i].source == last->source &&
		    jobs[i].offset == last->offset)
			;	/* another recipient of the same record */
		else if (spool_sources_record(sources, &jobs[i],
		    &view) == -1) {
			agent_refuse(a, &jobs[i], errno, "the message cannot "
			    "be read from the spool");
			last = NULL;
			continue;
		}
		last = &jobs[i];
		if (route_one(a, s, &jobs[i], &view, add) == -1)
			return -1;
	}
	return 0;
}
