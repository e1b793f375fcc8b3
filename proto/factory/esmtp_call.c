/* One call of the factory, between the caller and the state machine.
 * Owns: what a caller has to keep to (esmtp_message_factory(3), MISUSE), the
 * buffers of a step, calls that come inside another.
 * Knows nothing of what the step does.
 *
 * What a step calls - a report, the spool, a verb - may call the factory again:
 * it may wait for something in a loop of its own.  For another session that is
 * another step, in other buffers than the host's.  For the session itself the
 * call is noted, and the loop is told to repeat it after the step. */

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/require.h"
#include "proto/factory/esmtp_factory_int.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_wait.h"

#define BUFFER_MAX	(1u << 30)	/* octets of a buffer that are used: an int counts what is read */

#define DEMAND(condition, rule) \
	REQUIRE("esmtp_message_factory", condition, rule)

/* At the first call: the host has what each session needs. */
static void
check_host(const struct esmtp_host *host)
{
	DEMAND(host->ops != NULL, "host->ops must be set");
	DEMAND(host->spool != NULL && host->spool->begin != NULL &&
	    host->spool->append != NULL && host->spool->commit != NULL &&
	    host->spool->abort != NULL,
	    "host->spool must have begin, append, commit and abort");
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
	    "ac->options must be set, with esmtp_options_new()");
	DEMAND(ac->host->scratch != NULL &&
	    ac->host->scratch_octets >= LIM_COMMAND_READ,
	    "host->scratch must have at least LIM_COMMAND_READ octets");
	DEMAND(ac->host->output != NULL &&
	    ac->host->output_octets >= LIM_OUTPUT_LEAST,
	    "host->output must have at least LIM_OUTPUT_LEAST octets");
	if ((mc = esmtp_session_in(ac)) == NULL)
		check_host(ac->host);
	else
		DEMAND(mc->in == NULL ||
		    mc->in->len <= ac->host->scratch_octets,
		    "host->scratch must not become smaller while sessions use "
		    "it");
}

static size_t
usable(size_t octets)
{
	return octets < BUFFER_MAX ? octets : BUFFER_MAX;
}

/* Make the last call for ${ac}.  The host frees it there, and perhaps itself,
 * so neither is used afterwards. */
static int
leave(accept_construct *ac)
{
	struct esmtp_host *host = ac->host;

	ac->is_left = 1;
	esmtp_tls_end(ac);
	if (host->ops->session_end != NULL)
		host->ops->session_end(host->closure, ac);
	return 0;
}

/* --- calls inside calls --------------------------------------------------- */

/* Get the host's buffers; or, if an outer step is using them, memory that lasts
 * as long as this call. */
static int
get_buffers(struct esmtp_step *st, const message_construct *mc)
{
	const struct esmtp_host *host = st->ac->host;

	if (host->step == NULL) {
		st->scratch = host->scratch;
		st->scratch_size = usable(host->scratch_octets);
		st->out = host->output;
		st->out_size = usable(host->output_octets);
		return 0;
	}
	st->scratch_size = LIM_COMMAND_READ;
	if (mc != NULL && mc->in != NULL && mc->in->len > st->scratch_size)
		st->scratch_size = mc->in->len;
	st->out_size = LIM_OUTPUT;
	if ((st->scratch = malloc(st->scratch_size + st->out_size)) == NULL)
		return -1;
	st->out = st->scratch + st->scratch_size;
	return 0;
}

/* Return what to wait for: ${mask}; and if a call was missed, E_TIMEOUT at
 * once, so that the loop repeats it. */
static int
wait_for(message_construct *mc, Event *event, int mask,
    const struct timeval *now)
{
	if (mc == NULL || mc->missed != 0) {
		event->trigger = *now;
		mask |= E_TIMEOUT;
	}
	if (mc != NULL)
		mc->trigger = moment_of(&event->trigger);
	return mask;
}

/* Do one step in the buffers of ${st}. */
static int
run(struct esmtp_step *st, message_construct *mc)
{
	struct esmtp_host *host = st->ac->host;
	struct esmtp_step *outer = host->step;
	int mask;

	host->step = st;
	if (mc == NULL && (mc = esmtp_session_begin(st->ac, &st->now)) == NULL)
		mask = esmtp_session_refuse(st);
	else {
		st->mc = mc;
		st->eventtype |= mc->missed;
		mc->missed = 0;
		mc->step = st;
		mask = esmtp_run_step(st);
		if (mask != 0)
			mc->step = NULL;
	}
	host->step = outer;
	if (outer != NULL) {
		/* passwords may have been in it */
		explicit_bzero(st->scratch, st->scratch_size + st->out_size);
		free(st->scratch);
	}
	return mask;
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
	mc = esmtp_session_in(ac);
	if (mc != NULL && mc->step != NULL) {
		/* a call inside a step of the same session: the step's own
		 * result counts */
		mc->missed |= (uint8_t)eventtype;
		return E_ASYNC;
	}
	if (mc != NULL)
		esmtp_follow_clock(mc, event, now);
	st = (struct esmtp_step){ .ac = ac, .event = event, .now = *now,
	    .eventtype = eventtype, .verb = "", .rcpt_status = -1 };
	if (get_buffers(&st, mc) == -1) {
		if (mc != NULL)
			mc->missed |= (uint8_t)eventtype;
		/* without buffers, do nothing but ask to be called again */
		event->trigger = *now;
		return wait_for(mc, event, E_TIMEOUT, now);
	}
	mask = run(&st, mc);
	return mask == 0 ? leave(ac) :
	    wait_for(esmtp_session_in(ac), event, mask, now);
}
