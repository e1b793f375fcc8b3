/* One call of the factory, between the caller and the state machine.
 * Owns: what a caller has to keep to (esmtp_message_factory(3), MISUSE), the
 * buffers of a step.
 * Knows nothing of what the step does. */

#include "core/lim.h"
#include "core/util/require.h"
#include "proto/server/esmtp_int.h"

#define BUFFER_MAX	(1u << 30)	/* octets of a buffer that are used: an int counts what is read */

#define DEMAND(condition, rule) \
	REQUIRE("esmtp_message_factory", condition, rule)

/* At the first call: the host has what each session needs. */
static void
check_host(const struct esmtp_host *host)
{
	DEMAND(host->ops != NULL, "host->ops must be set");
	DEMAND(host->spool != NULL && host->spool->begin != NULL &&
	    host->spool->id != NULL && host->spool->append != NULL &&
	    host->spool->commit != NULL && host->spool->abort != NULL,
	    "host->spool must have begin, id, append, commit and abort");
}

static void
check_call(const Event *event, const accept_construct *ac,
    const struct timeval *now)
{
	const message_construct *mc;

	DEMAND(event != NULL && ac->event == event,
	    "ac->event must be the event that is dispatched");
	DEMAND(now != NULL, "now must point to the time of the loop");
	DEMAND(ac->host != NULL, "ac->host must be set");
	DEMAND(ac->options != NULL && ac->options->hostname != NULL,
	    "ac->options must be set, with esmtp_options_init()");
	DEMAND(ac->host->scratch != NULL &&
	    ac->host->scratch_octets >= LIM_COMMAND_READ,
	    "host->scratch must have at least LIM_COMMAND_READ octets");
	DEMAND(ac->host->output != NULL &&
	    ac->host->output_octets >= LIM_OUTPUT_LEAST,
	    "host->output must have at least LIM_OUTPUT_LEAST octets");
	if ((mc = ac->accept_construct_closure.vptr) == NULL)
		check_host(ac->host);
	else
		DEMAND(mc->in_len <= ac->host->scratch_octets,
		    "host->scratch must not become smaller while sessions use "
		    "it");
}

static size_t
usable(size_t octets)
{
	return octets < BUFFER_MAX ? octets : BUFFER_MAX;
}

/* The last call for ${ac}, which the host frees, perhaps with itself. */
static int
leave(accept_construct *ac)
{
	struct esmtp_host *host = ac->host;

	if (host->ops->session_end != NULL)
		host->ops->session_end(host->closure, ac);
	return 0;
}

int
esmtp_message_factory(Event *event, int eventtype, void *vclosure,
    struct timeval *now)
{
	accept_construct *ac = vclosure;
	message_construct *mc;
	struct esmtp_step st;
	int mask;

	DEMAND(ac != NULL, "the closure must be an accept_construct");
	/* a completion that has come too late: the event is the caller's */
	if (ac->is_ended)
		return E_ASYNC;
	check_call(event, ac, now);
	mc = ac->accept_construct_closure.vptr;
	st = (struct esmtp_step){ .ac = ac, .event = event, .now = *now,
	    .eventtype = eventtype, .verb = "", .rcpt_status = -1,
	    .scratch = ac->host->scratch,
	    .scratch_size = usable(ac->host->scratch_octets),
	    .out = ac->host->output,
	    .out_size = usable(ac->host->output_octets) };
	if (mc == NULL && (mc = esmtp_session_new(ac, now)) == NULL) {
		(void)esmtp_session_refuse(&st);
		return leave(ac);
	}
	st.mc = mc;
	mc->step = &st;
	mc->seen = *now;
	mask = esmtp_run_step(&st);
	if (mask == 0)
		return leave(ac);
	mc->step = NULL;
	return mask;
}
