/* What the queue asks of its process: where mail goes, by the settings, and the
 * messages to the agents.
 * Owns: the numbers of the transports, the windows of the targets. */

#include "cmd/mailmilld/queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/queue/expand.h"
#include "cmd/settings/route.h"
#include "cmd/settings/route_alias.h"

#define WINDOW_EACH	5	/* messages at an agent, at most, for each connection that it may have */

/* --- transports ----------------------------------------------------------- */

/* Programs with different accounts have different agents, which is what the queue
 * calls different transports: that of the first account has the number of its row,
 * those of the others follow the rows. */
#define NQUEUE_TRANSPORTS	(NTRANSPORTS + SETTINGS_PIPE_ACCOUNTS_MAX - 1)

_Static_assert(NQUEUE_TRANSPORTS <= QUEUE_TRANSPORTS_MAX, "a transport too many");
static struct queue_transport transports[NQUEUE_TRANSPORTS] = {
#define TRANSPORT(id, n, role, max, f) \
	[TRANSPORT_##id] = { .name = n, .max_jobs = max, .file = f },
#define OWN_TRANSPORT(id, n, max) \
	[TRANSPORT_##id] = { .name = n, .max_jobs = max },
#include "cmd/settings/transport.def"
#undef TRANSPORT
};

_Static_assert(SETTINGS_WAY_MAX <= QUEUE_TARGET_MAX, "a target is longer");
_Static_assert(MAILDIR_NAME_MAX <= QUEUE_FILE_MAX, "a file's name is longer");

const struct queue_transport *
queue_transports(unsigned int *n_r)
{
	unsigned int t;

	for (t = NTRANSPORTS; t < NQUEUE_TRANSPORTS; t++)
		transports[t] = transports[TRANSPORT_PIPE];
	*n_r = NQUEUE_TRANSPORTS;
	return transports;
}

unsigned int
queue_transport_of(enum transport transport, unsigned int account)
{
	return transport != TRANSPORT_PIPE || account == 0 ?
	    (unsigned int)transport : NTRANSPORTS + account - 1;
}

/* --- agents --------------------------------------------------------------- */

static struct queue_peer *
find_agent(struct queue_role *r, unsigned int agent)
{
	struct queue_peer *p;

	TAILQ_FOREACH (p, &r->peers, link)
		if (p->is_agent && p->agent == agent)
			return p;
	return NULL;
}

static int
op_source(void *closure, unsigned int agent, uint64_t source, int fd,
    bool is_shared)
{
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_source ms = { .source = source };

	if (queue_discard_is(closure, agent))
		return 0;
	errno = EAGAIN;
	if (p == NULL)
		return -1;
	is_shared = is_shared && p->has_copies;
	if ((fd = is_shared ? queue_copy_open(p, source, fd) :
	    fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		errno = is_shared && queue_copy_is_short(p, errno) ? ENOMEM :
		    EAGAIN;
		return -1;
	}
	if (chanev_send(p->ce, D_SOURCE, &ms, NULL, 0, fd) == 0)
		return 0;
	close(fd);
	errno = EAGAIN;
	return -1;
}

static void
op_forget(void *closure, unsigned int agent, uint64_t source)
{
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_source ms = { .source = source };

	if (p == NULL)
		return;
	queue_copy_close(p, source);
	(void)chanev_send(p->ce, D_FORGET, &ms, NULL, 0, -1);
}

static unsigned int
op_jobs(void *closure, unsigned int agent, const struct job *jobs,
    unsigned int n)
{
	unsigned int i, left, taken;
	static struct job v[JOBS_AT_ONCE];
	struct queue_peer *p = find_agent(closure, agent);
	struct msg_empty empty = { 0 };

	if (queue_discard_is(closure, agent))
		return queue_discard_jobs(closure, jobs, n);
	if (p == NULL)
		return 0;
	if (!p->has_copies)
		return chanev_send(p->ce, D_JOBS, &empty, jobs, n, -1) == 0 ?
		    n : 0;
	memcpy(v, jobs, n * sizeof(*jobs));
	taken = queue_copy_jobs(p, v, n, &left);
	/* to be told in the next pass */
	p->role->is_news |= !STAILQ_EMPTY(&p->unread);
	if (left == 0 ||
	    chanev_send(p->ce, D_JOBS, &empty, v, left, -1) == 0)
		return taken;
	for (i = 0; i < left; i++)
		queue_copy_done(p, v[i].job);
	return 0;
}

/* --- routes --------------------------------------------------------------- */

/* The section by which an administrator, or else the tables, have it go: its number is
 * route_r->section; 0: that of its domain */
static int
find_section(const struct settings *s, const struct queue_addressee *to,
    struct queue_route *route_r, char *text_r)
{
	const struct settings_domain *d = NULL;
	const char *why;

	if (to->section != NULL && to->section[0] != '\0') {
		d = settings_section_to(s, to->section, &why);
		route_r->is_other = d == NULL;
	}
	if (d == NULL &&
	    settings_transport(s, to->rcpt, to->sender, &d) == -1) {
		strlcpy(text_r, "there is no memory to look into the transport "
		    "tables: it is tried again", JOB_TEXT);
		return -1;
	}
	if (d != NULL)
		route_r->section = d->number;
	return 0;
}

static const char *
op_section(void *closure, const char *name, const char **why_r)
{
	struct queue_role *r = closure;
	const struct settings_domain *d = settings_section_to(
	    r->child->settings, name, why_r);

	return d != NULL ? d->name : NULL;
}

/* What all that comes from the same addresses has together */
static void
take_stream(const struct settings_stream *stream, struct queue_route *route_r)
{
	if (stream->max_rate == 0 && stream->max_connections == 0)
		return;
	route_r->stream = 1 + (uint32_t)stream->first;
	route_r->stream_rate = stream->max_rate;
	route_r->stream_window = WINDOW_EACH * stream->max_connections;
}

static int
op_route(void *closure, const struct queue_addressee *to,
    struct queue_route *route_r, char *text_r)
{
	struct queue_role *r = closure;
	const struct settings *s = r->child->settings;
	struct route route;

	if (find_section(s, to, route_r, text_r) == -1 ||
	    route_deliver(s, route_r->section, to->rcpt, &route, text_r) == -1)
		return -1;
	route_r->transport = queue_transport_of(route.transport,
	    route.domain->pipe_account);
	route_r->times = queue_times_find(r, route.domain);
	/* Maildirs are on one disk, or on a few: one that fails says nothing
	 * about the others */
	if (route.transport == TRANSPORT_MAILDIR ||
	    route.transport == TRANSPORT_DISCARD)
		return 0;
	if (route.transport == TRANSPORT_PIPE) {
		/* a program that is slow, or missing, is so for its section */
		strlcpy(route_r->target, route.domain->name,
		    sizeof(route_r->target));
		route_r->window_first =
		    (unsigned int)route.domain->pipe_processes;
		route_r->window_max = WINDOW_EACH * route_r->window_first;
		return 0;
	}
	settings_way_target(s, route.domain, route.target, route_r->target);
	route_r->window_first = (unsigned int)route.domain->initial_concurrency;
	/* a connection has its next message at hand */
	route_r->window_max = WINDOW_EACH *
	    (unsigned int)route.domain->max_connections;
	route_r->max_rate = (unsigned int)route.domain->max_rate;
	take_stream(&route.domain->stream, route_r);
	return 0;
}

static int
op_is_alias(void *closure, const char *rcpt)
{
	struct queue_role *r = closure;
	struct route_alias_found found;

	switch (route_alias(r->child->settings, rcpt,
	    scheduler_now()->tv_sec, &found)) {
	case ROUTE_ALIAS_NONE:
		return 0;
	case ROUTE_ALIAS_LATER:
		return -1;
	default:
		return 1;	/* also what is to be refused: expand() says why */
	}
}

static int
op_expand(void *closure, struct queue_expansion *x)
{
	struct queue_role *r = closure;

	return expand(r->child->settings, x);
}

const struct queue_ops queue_role_ops = {
	.route = op_route,
	.section = op_section,
	.is_alias = op_is_alias,
	.expand = op_expand,
	.expand_free = expand_free,
	.source = op_source,
	.forget = op_forget,
	.jobs = op_jobs,
	.held = queue_held_tell,
	.report = queue_dsn
};
