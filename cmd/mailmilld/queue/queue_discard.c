/* Delivery = "discard": an agent of the queue in its own process, since it needs
 * nothing but to say that each job is done.
 * Owns: the jobs that it has.
 *
 * A job is answered in the pass after the one that gives it: the queue takes no
 * results while it gives jobs out.  So that a sender who has asked for it is told
 * that the message is delivered (RFC 3461 5.2.3), as one of Postfix's discard(8)
 * is: nobody is to learn what becomes of it. */

#include "cmd/mailmilld/queue/queue.h"

#include <stdlib.h>

#include "core/util/array.h"

int
queue_discard_open(struct queue_role *r)
{
	if (settings_discarders(r->child->settings) == 0)
		return 0;
	if (queue_agent_add(r->queue, TRANSPORT_DISCARD,
	    &r->discard.agent) == -1)
		return -1;
	r->discard.is_agent = true;
	return 0;
}

bool
queue_discard_is(const struct queue_role *r, unsigned int agent)
{
	return r->discard.is_agent && r->discard.agent == agent;
}

unsigned int
queue_discard_jobs(struct queue_role *r, const struct job *jobs,
    unsigned int n)
{
	struct queue_discard *d = &r->discard;
	uint64_t *grown = array_fit(d->jobs, &d->room, d->njobs + n,
	    sizeof(grown[0]));
	unsigned int i;

	if (grown == NULL)
		return 0;
	d->jobs = grown;
	for (i = 0; i < n; i++)
		grown[d->njobs++] = jobs[i].job;
	r->is_news = true;
	return n;
}

void
queue_discard_tell(struct queue_role *r, const struct timeval *now)
{
	struct queue_discard *d = &r->discard;
	struct job_result result = { .flags = JOB_FINAL };
	size_t i;

	for (i = 0; i < d->njobs; i++) {
		result.job = d->jobs[i];
		queue_done(r->queue, d->agent, &result, now);
	}
	d->njobs = 0;
}

void
queue_discard_close(struct queue_role *r)
{
	free(r->discard.jobs);
	r->discard = (struct queue_discard){ .is_agent = false };
}
