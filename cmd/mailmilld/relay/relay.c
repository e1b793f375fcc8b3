/* The role relay: a process that hands messages to next hops, by SMTP and LMTP.
 * Owns: which next hop gets a job.
 * Knows nothing of connections (relay_hops.c, relay_conn.c), of the protocol
 * (proto/client), and of the channel to the queue (agent/agent.c).
 *
 * A job may be done twice: a next hop that has taken a message does not know it
 * again, unlike a Maildir.  So a job is reported at once, and one that was given
 * out before (is_repeated) is like any other. */

#include <sys/resource.h>

#include <arpa/inet.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/relay/relay_int.h"
#include "cmd/mailmilld/relay/relay_way_int.h"
#include "cmd/mailmilld/agent/agent_route.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/scheduler.h"

#define CONNS_MAX	4096
#define CONNS_MIN	16
#define SPARE_FDS	64	/* the log, channels, the loop */

struct role_state {
	struct child		*child;
	struct agent		 agent;
	struct relay_env	 env;
	struct relay_tls	*tls;		/* in env, as the next */
	struct relay_logins	*logins;
	struct relay_tell	*tell;
	struct mx_self		*self;
	struct spool_sources	*sources;	/* of its queue process; NULL: there is none now */
	struct relay_hops	*hops;		/* likewise */
	uint64_t		 batch;		/* number of the last D_JOBS */
	Event			*timer;		/* the end of a drain */
};

/* --- results -------------------------------------------------------------- */

static void
unsent(void *closure)
{
	struct role_state *s = closure;

	log_err("relay-results", "effect=%s", "ending, to be started again");
	child_exit(s->child);
}

static void
on_error(void *closure, const struct job_error *je)
{
	struct role_state *s = closure;

	agent_say_error(&s->agent, je);
}

static void
on_results(void *closure, const struct job_result *results, unsigned int n)
{
	struct role_state *s = closure;

	agent_say_results(&s->agent, results, n);
}

static void
on_idle(void *closure)
{
	struct role_state *s = closure;

	if (s->child->is_draining)
		child_exit(s->child);
}

static const struct relay_ops relay_ops = {
	.error = on_error,
	.done = on_results,
	.idle = on_idle
};

/* What connections have come to, for reports of TLS */
static bool
send_told(void *closure, const struct tlsrpt_tally *tally)
{
	struct role_state *s = closure;

	return agent_say_tls(&s->agent, tally->nlost, tally->octets,
	    tally->len);
}

/* --- jobs ----------------------------------------------------------------- */

/* Give ${job} to its next hop. */
static int
add_job(void *closure, const struct job *job, const char *,
    struct route *route)
{
	struct role_state *s = closure;
	struct relay_hop *hop;

	/* the queue has chosen with other settings */
	if (route->transport != TRANSPORT_RELAY) {
		agent_refuse(&s->agent, job, EAGAIN,
		    "the settings have changed");
		return 0;
	}
	hop = relay_hop_find(s->hops, route, job->is_tls_report != 0);
	return hop == NULL ? -1 : relay_hop_add(hop, job, s->batch);
}

static void
on_jobs(void *closure, const struct job *jobs, unsigned int n)
{
	struct role_state *s = closure;

	if (s->child->is_draining)
		return;		/* the queue gives them to another one */
	s->batch++;
	if (agent_route(&s->agent, s->sources, s->child->settings, jobs, n,
	    add_job) == -1) {
		log_err("relay-jobs", "effect=%s",
		    "ending, to be started again");
		child_exit(s->child);
		return;
	}
	relay_hops_go(s->hops);
}

/* --- the queue ------------------------------------------------------------ */

static int
on_source(void *closure, uint64_t source, int fd)
{
	struct role_state *s = closure;

	spool_sources_drop(s->sources, source);
	if (fd != -1 && spool_sources_add(s->sources, source, fd) == 0)
		return 0;
	log_warn("relay-source", "source=%llu", (unsigned long long)source);
	return -1;
}

static void
on_forget(void *closure, uint64_t source)
{
	struct role_state *s = closure;

	spool_sources_drop(s->sources, source);
}

/* The queue process waits for its jobs, and the one that follows it, at a reload,
 * waits for its end.  What has not been sent to its end goes back. */
static void
on_stop(void *closure)
{
	struct role_state *s = closure;

	relay_hops_stop(s->hops);
}

/* The queue process has ended, and what is told of its jobs from now on reaches
 * nobody.  So connections are cut: a message that has not been sent to its end
 * is sent once, by whoever gets the job from the next queue process. */
static void
leave_queue(struct role_state *s)
{
	agent_leave(&s->agent);
	relay_hops_free(s->hops);
	s->hops = NULL;
	spool_sources_free(s->sources);
	s->sources = NULL;
}

static void
queue_gone(void *closure)
{
	struct role_state *s = closure;

	leave_queue(s);
	if (s->child->is_draining)
		child_exit(s->child);
}

static const struct agent_ops agent_ops = {
	.source = on_source,
	.forget = on_forget,
	.jobs = on_jobs,
	.stop = on_stop,
	.gone = queue_gone,
	.unsent = unsent
};

static void
on_peer(void *closure, const struct msg_peer *peer, int fd)
{
	struct role_state *s = closure;

	if (peer->role == ROLE_RESOLVER) {
		if (lookup_peer(s->env.lookup, peer, fd) == -1)
			log_err("relay-connect", "peer=%s", "resolver");
		return;
	}
	if (peer->role == ROLE_STS) {
		if (sts_peer(s->env.sts, peer, fd) == -1)
			log_err("relay-connect", "peer=%s", "sts");
		return;
	}
	if (peer->role == ROLE_KEYD) {
		if (relay_logins_peer(s->logins, peer, fd) == -1)
			log_err("relay-connect", "peer=%s", "keyd");
		return;
	}
	leave_queue(s);
	if ((s->sources = spool_sources_new()) == NULL ||
	    (s->hops = relay_hops_new(&s->env, s->sources, &relay_ops,
	    s)) == NULL) {
		log_err("relay-start", "peer=%s", "queue");
		close(fd);
		leave_queue(s);
		return;
	}
	if (agent_join(&s->agent, ROLE_RELAY, fd) == -1) {
		log_err("relay-connect", "peer=%s", "queue");
		leave_queue(s);
	}
}

/* --- the master ----------------------------------------------------------- */

static void
on_drained(void *closure)
{
	struct role_state *s = closure;

	s->timer = NULL;
	child_exit(s->child);
}

static void
on_drain(void *closure)
{
	struct role_state *s = closure;

	if (s->hops != NULL)
		relay_hops_drain(s->hops);
	if (s->hops == NULL || relay_hops_is_idle(s->hops) ||
	    (s->timer = after_ms(s->child->drain_ms, on_drained, s)) == NULL)
		child_exit(s->child);
}

static const struct child_ops child_ops = {
	.peer = on_peer,
	.drain = on_drain
};

/* How many connections there can be at once, beside the files of jobs, of which
 * there are as many. */
static size_t
find_max_conns(void)
{
	struct rlimit rl;
	size_t max = CONNS_MIN;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur > SPARE_FDS)
		max = (size_t)(rl.rlim_cur - SPARE_FDS) / 2;
	if (max > CONNS_MAX)
		return CONNS_MAX;
	return max < CONNS_MIN ? CONNS_MIN : max;
}

static int
open_env(struct role_state *s)
{
	s->env = (struct relay_env){ .settings = s->child->settings,
		.tls = s->tls, .max = find_max_conns(),
		.lookup = lookup_new(ROLE_RELAY), .sts = sts_new(ROLE_RELAY) };
	s->env.self = s->self = mx_self_new(s->child->settings);
	s->env.logins = s->logins = relay_logins_new();
	if (s->child->settings->tls_reports)
		s->env.tell = s->tell = relay_tell_new(send_told, s);
	if (s->env.lookup != NULL && s->env.sts != NULL && s->self != NULL &&
	    s->logins != NULL &&
	    (s->tell != NULL || !s->child->settings->tls_reports))
		return 0;
	log_err("start", "role=%s", "relay");
	return -1;
}

static int
relay_main(struct child *c)
{
	struct role_state s = { .child = c };
	int status = 1;

	s.agent = (struct agent){ .ops = &agent_ops, .closure = &s };
	privs_raise_nofile();
	if (child_load_crypto(c) == -1 ||
	    (s.tls = relay_tls_load(c->settings)) == NULL ||
	    child_drop(c) == -1 || open_env(&s) == -1)
		goto out;
	status = child_run(c, &child_ops, &s);
	relay_tell_now(s.tell);
	agent_last_words(&s.agent);
	after_cancel(&s.timer);
	leave_queue(&s);
out:
	relay_tell_free(s.tell);
	relay_logins_free(s.logins);
	sts_free(s.env.sts);
	lookup_free(s.env.lookup);
	mx_self_free(s.self);
	relay_tls_free(s.tls);
	return status;
}

/* Of all values of Route, whatever their address: a value that is a Unix socket
 * has none.  And those of the hosts of MX records. */
static bool
relay_port(const struct settings *s, size_t i, unsigned int *port_r)
{
	const struct settings_domain *d;
	struct route_addr addr;
	size_t at = i % SETTINGS_ROUTES_MAX;

	if (i / SETTINGS_ROUTES_MAX >= s->ndomains)
		return false;
	d = &s->domains[i / SETTINGS_ROUTES_MAX];
	if (settings_is_mx(d))
		*port_r = (unsigned int)d->mx_port;
	if (at >= d->route.n)
		return true;
	relay_way_route(d, at, &addr);
	if (addr.kind != ROUTE_UNIX)
		*port_r = ntohs(addr.port);
	return true;
}

static bool
relay_binds(const struct settings *s)
{
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].source.n > 0)
			return true;
	return false;
}

static const char *
relay_more_calls(const struct settings *s)
{
	static const char *const calls[2][2] = { { "", "bind:ip" },
		{ "getsockname", "getsockname bind:ip" } };

	return calls[s->tls_reports][relay_binds(s)];
}

/* What it asks has others connected to: without MTA_STS it asks nothing of sts. */
static bool
relay_asks(const struct settings *s, enum role_id id)
{
	return id != ROLE_STS || settings_wants_sts(s);
}

const struct role role_relay = {
	.id = ROLE_RELAY,
	ROLE_ACCOUNT(relay_user),
	.count = settings_relayers,
	.main = relay_main,
	.peers = ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_KEYD) |
	    ROLE_BIT(ROLE_STS),
	.asks = relay_asks,
	.profile = {
		/* TCP and Unix sockets, streams alone.  It opens no file by its
		 * name: a Unix socket is reached by connect(2), which Landlock
		 * does not restrict */
		.calls = "connect pread64 setsockopt:nodelay socket:tcp "
		    "socket:unix",
		.more_calls = relay_more_calls,
		.port = relay_port,
		.binds = relay_binds,
		.file_max = role_writes_nothing
	}
};
