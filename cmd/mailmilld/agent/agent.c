/* The channel of an agent to the queue; see agent.h. */

#include "cmd/mailmilld/agent/agent.h"

#include <errno.h>
#include <string.h>

#define LAST_WORDS_MS	2000	/* for the queue to take the last results */

static void
on_source(void *closure, struct channel_msg *msg)
{
	struct agent *a = closure;
	struct msg_source ms;

	memcpy(&ms, msg->base, sizeof(ms));
	if (a->ops->source(a->closure, ms.source, msg->fd) == 0)
		msg->fd = -1;
}

static void
on_forget(void *closure, struct channel_msg *msg)
{
	struct agent *a = closure;
	struct msg_source ms;

	memcpy(&ms, msg->base, sizeof(ms));
	a->ops->forget(a->closure, ms.source);
}

static void
on_jobs(void *closure, struct channel_msg *msg)
{
	struct agent *a = closure;

	a->ops->jobs(a->closure, msg->entries, msg->nentries);
}

static void
on_stop(void *closure, struct channel_msg *)
{
	struct agent *a = closure;

	if (a->ops->stop != NULL)
		a->ops->stop(a->closure);
}

static void
queue_gone(void *closure)
{
	struct agent *a = closure;

	a->ops->gone(a->closure);
}

static const struct chanev_ops queue_ops = {
	.on = {
		[D_SOURCE] = on_source,
		[D_FORGET] = on_forget,
		[D_JOBS] = on_jobs,
		[D_STOP] = on_stop
	},
	.gone = queue_gone
};

int
agent_join(struct agent *a, enum role_id self, int fd)
{
	a->queue = chanev_open(fd, self, ROLE_QUEUE, &queue_ops, a);
	return a->queue == NULL ? -1 : 0;
}

void
agent_leave(struct agent *a)
{
	chanev_free(a->queue);
	a->queue = NULL;
}

static void
say(struct agent *a, unsigned int type, const void *base, const void *entries,
    unsigned int n)
{
	if (chanev_send(a->queue, type, base, entries, n, -1) == -1 &&
	    errno != EPIPE)
		a->ops->unsent(a->closure);
}

void
agent_say_error(struct agent *a, const struct job_error *je)
{
	say(a, D_ERROR, je, NULL, 0);
}

void
agent_say_results(struct agent *a, const struct job_result *results,
    unsigned int n)
{
	const struct msg_empty empty = { 0 };

	say(a, D_DONE, &empty, results, n);
}

bool
agent_say_tls(struct agent *a, uint64_t nlost, const char *octets, size_t len)
{
	const struct msg_tls mt = { .nlost = nlost };

	return a->queue != NULL && !chanev_is_behind(a->queue) &&
	    chanev_send(a->queue, Q_TLS, &mt, octets, (unsigned int)len,
	    -1) == 0;
}

void
agent_refuse(struct agent *a, const struct job *job, int errnum,
    const char *text)
{
	struct job_error je = { .job = job->job };
	struct job_result jr = { .job = job->job, .errnum = errnum,
		.flags = JOB_UNASKED };

	strlcpy(je.text, text, sizeof(je.text));
	agent_say_error(a, &je);
	agent_say_results(a, &jr, 1);
}

void
agent_last_words(struct agent *a)
{
	if (a->queue != NULL)
		(void)chanev_flush_wait(a->queue, LAST_WORDS_MS);
}
