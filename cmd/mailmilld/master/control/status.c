/* What the master answers to "status" and "stats", as JSON.
 * Owns: the names in these objects (mailmillctl(8) lists them). */

#include "cmd/mailmilld/master/control/control.h"

#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/certs/certs.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/sandbox.h"
#include "core/version.h"
static const char *const state_names[] = {
	[PROC_STARTING] = "starting",
	[PROC_READY] = "running",
	[PROC_DRAINING] = "draining",
};

static const char *const phase_names[] = {
	[MASTER_STARTING] = "starting",
	[MASTER_RUNNING] = "running",
	[MASTER_STOPPING] = "stopping",
};

static json_int_t
seconds_since(const struct master *m, uint64_t then_ms)
{
	return (json_int_t)((m->ops->now_ms() - then_ms) / 1000);
}

/* What the process itself says. */
static json_t *
measures_json(const struct proc *p)
{
	json_t *o = json_object();
	unsigned int i;

	for (i = 0; i < NMEASURES; i++)
		json_object_set_new(o, measure_name(i),
		    json_boolean((p->measures & MEASURE_BIT(i)) != 0));
	return o;
}

static json_t *
proc_json(const struct proc *p)
{
	json_t *o;

	o = json_pack("{s:s, s:i, s:i, s:s, s:I, s:i, s:b, s:o}",
	    "role", role_name(p->role), "slot", (int)p->slot,
	    "pid", (int)p->pid, "state", state_names[p->state],
	    "uptime", seconds_since(p->master, p->started_ms),
	    "generation", (int)p->generation,
	    "counted", p->stats == NULL || !stats_is_left_out(p->stats),
	    "measures", measures_json(p));
	if (p->book != NULL && o != NULL)
		json_object_set_new(o, "sessions",
		    json_integer(book_sessions(p->book)));
	return o;
}

/* ... and since when it is down, and why. */
static json_t *
queue_json(const struct master *m)
{
	const struct outage *o = &m->outage;

	if (o->since_ms == 0)
		return json_pack("{s:s}", "state", "running");
	return json_pack("{s:s, s:I, s:s, s:b}", "state", "down",
	    "seconds", seconds_since(m, o->since_ms), "reason",
	    outage_reason(m), "mail_refused", o->is_held);
}

json_t *
status_json(struct master *m)
{
	json_t *procs = json_array(), *listeners = json_array();
	struct listener *l;
	struct proc *p;

	procs_collect(m);
	json_array_append_new(procs, json_pack("{s:s, s:i, s:i, s:s, s:I, s:i}",
	    "role", role_name(ROLE_MASTER), "slot", 1, "pid", (int)getpid(),
	    "state", phase_names[m->phase],
	    "uptime", seconds_since(m, m->started_ms),
	    "generation", (int)m->config.generation));
	TAILQ_FOREACH(p, &m->procs, link)
		json_array_append_new(procs, proc_json(p));
	TAILQ_FOREACH(l, &m->listeners, link)
		if (l->fd != -1)
			json_array_append_new(listeners,
			    json_pack("{s:s, s:i}", "address", l->text,
			    "sessions", (int)l->sessions.n));
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:i, s:I, s:s, s:o, s:o, "
	    "s:o, s:o}",
	    "version", MAILMILL_VERSION,
	    "state", phase_names[m->phase],
	    "hostname", m->config.settings->hostname,
	    "pid", (int)getpid(), "uptime", seconds_since(m, m->started_ms),
	    "generation", (int)m->config.generation,
	    "sessions", (json_int_t)ledger_sessions(m->ledger),
	    "sandbox", m->config.settings->sandbox == SANDBOX_ON ? "on" :
	    "off",
	    "processes", procs, "listeners", listeners,
	    "certificates", certs_json(m), "queue", queue_json(m));
}

json_t *
stats_json(const struct master *m)
{
	json_t *o = json_object();
	long long left;
	unsigned int i;

	for (i = 0; i < STATS_NCOUNTERS; i++)
		json_object_set_new(o, stats_name(i),
		    json_integer((json_int_t)stats_sum(i)));
	if (certs_first_expiry(m, &left))
		json_object_set_new(o, "tls_certificate_seconds",
		    json_integer(left));
	return o;
}
