/* What must hold for each session, whatever the seed: the limits on its memory
 * and its time, and a close that has a reason.
 * Owns: these checks.
 * Knows nothing of which reply is right: that is model.c. */

#include "test/sim/alloc.h"
#include "test/sim/sim.h"

#define SESSION_OCTETS	(128 * 1024)	/* a session must never hold more */
#define IDLE_OCTETS	1536		/* nor more than this between commands */
#define SECOND		UINT64_C(1000000)

static uint64_t
now_us(const struct client *c)
{
	return c->sim->host.clock.now_us;
}

/* Is the handshake unfinished, as the server sees it? */
static bool
is_handshake(const struct client *c)
{
	return c->tls != NULL && c->s->nreports[ESMTP_REPORT_TLS] == 0;
}

void
client_check_closed(struct client *c)
{
	struct sim *sim = c->sim;

	if (c->is_half_closed || c->never_reads
	    || alloc_of(c->s->number)->nfailed > 0)
		return;
	if (is_handshake(c)) {
		/* the server cannot tell why: there is no TLS yet */
		if (c->s->timeout_us == 0 && !sim->is_drained
		    && !sim->has_sign_faults)
			sim_violation(sim, "the handshake failed");
		return;
	}
	/* RFC 5321 3.8: a server that closes sends 421 first.  After a timeout
	 * it does not wait until the client has read that. */
	if (c->s->timeout_us == 0
	    || (c->window == 0 && c->s->wire->again_permille == 0))
		sim_violation(sim, "the server closed without 421");
}

static void
check_timeout(struct client *c)
{
	struct sim *sim = c->sim;

	if (c->s->timeout_us == 0)
		return;
	sim->ntimeouts++;
	/* the timeout of a handshake counts from its start, that of a message
	 * from its first chunk */
	if (!is_handshake(c) && !c->is_chunked && !client_owes_chunk(c)
	    && c->s->timeout_us < c->s->wrote_us + sim->timeout_min_us)
		sim_violation(sim, "session %u timed out after %llu us of "
		    "quiet", c->s->number, (unsigned long long)
		    (c->s->timeout_us - c->s->wrote_us));
}

static bool
is_committing(const struct client *c)
{
	const struct spool_msg *m;

	for (m = c->sim->host.spool.msgs; m != NULL; m = m->next)
		if (m->handle >> 8 == c->s->number
		    && m->state == SIMSPOOL_COMMITTING)
			return true;
	return false;
}

/* Is a login being checked?  simauth.c may never answer. */
static bool
is_logging_in(const struct client *c)
{
	return c->s->auth.stage == SIMAUTH_ANSWERING;
}

/* A stall: the server has read all that the client sent, owes replies, and
 * waits only for more input.  So it has forgotten commands that it read.
 * Without this check the session would end in an ordinary timeout.  Sessions
 * with TLS are not checked: the TLS layer may still hold octets. */
static void
check_stall(struct client *c)
{
	const struct simwire *w = c->s->wire;

	if (c->npending + c->nrepeats == 0 || c->is_arriving || c->is_over || c->is_gone ||
	    c->is_half_closed || c->tls != NULL || w->in.len > 0 ||
	    w->out.len > 0 || c->nline > 0 || c->code != 0 ||
	    c->s->nreports[ESMTP_REPORT_CONNECT] == 0)
		return;
	/* a step that was put off waits for nothing but its turn, which is now */
	if ((c->s->mask & (E_WRITE | E_ASYNC)) == 0 &&
	    (c->s->mask != E_TIMEOUT || c->s->trigger_us > now_us(c)))
		sim_violation(c->sim, "session %u owes %u replies, but "
		    "waits for input", c->s->number, c->npending);
}

/* No session may do nothing for longer than the longest timeout. */
void
client_check_alive(struct client *c)
{
	struct sim *sim = c->sim;
	const struct alloc_account *a = alloc_of(c->s->number);
	uint64_t quiet = c->progress_us;

	if (c->s->wrote_us > quiet)
		quiet = c->s->wrote_us;
	if (c->s->woken_us > quiet)
		quiet = c->s->woken_us;
	if (a->octets > SESSION_OCTETS)
		sim_violation(sim, "session %u holds %zu octets",
		    c->s->number, a->octets);
	if (c->npending == 0 && c->nrepeats == 0 && !c->is_arriving
	    && !c->wants_body
	    && c->wants == 0 && !c->has_mail && !c->is_unclear && c->is_greeted
	    && c->s->wire->in.len == 0 && a->octets > IDLE_OCTETS)
		sim_violation(sim, "session %u holds %zu octets while idle",
		    c->s->number, a->octets);
	if (now_us(c) > quiet + sim->timeout_max_us + SECOND) {
		if (is_committing(c))
			c->progress_us = now_us(c);
		else if (!is_logging_in(c) || now_us(c) > quiet
		    + (LIM_AUTH_SECONDS + 1) * SECOND)
			sim_violation(sim, "session %u did nothing for "
			    "too long", c->s->number);
	}
	check_stall(c);
}

void
client_check_ended(struct client *c)
{
	const struct alloc_account *a = alloc_of(c->s->number);

	check_timeout(c);
	if (a->nsecrets != 0)
		sim_violation(c->sim, "session %u left a password in freed "
		    "memory", c->s->number);
	if (a->blocks != 0)
		sim_violation(c->sim, "session %u ended and left %zu blocks, "
		    "%zu octets", c->s->number, a->blocks, a->octets);
}

/* Is the reply to a message owed?  To a client that never reads 354, what it sends
 * behind DATA is the message, and the dots of XTAKE end it. */
static bool
owes_body(const struct client *c)
{
	enum cmd_kind kind;
	unsigned int i;

	for (i = 0; i < c->npending; i++) {
		kind = c->pending[(c->first + i) % SIM_PENDING].kind;
		if (kind == CMD_BODY || kind == CMD_BDAT_LAST ||
		    (kind == CMD_DATA && c->never_reads))
			return true;
	}
	return false;
}

/* The client has not read a 250 for at most one committed message: the one
 * whose reply was lost with the connection. */
void
client_check_end(struct client *c)
{
	const struct spool_msg *m;
	unsigned int n = 0;

	if (c->s == NULL)
		return;
	for (m = c->sim->host.spool.msgs; m != NULL; m = m->next) {
		if (m->handle >> 8 != c->s->number
		    || m->state != SIMSPOOL_SAFE || m->is_checked)
			continue;
		n++;
		if (!owes_body(c))
			sim_violation(c->sim, "message %s was committed, but "
			    "its reply was not 250", m->id);
	}
	if (n > 1)
		sim_violation(c->sim, "%u committed messages of "
		    "session %u had no reply", n, c->s->number);
}
