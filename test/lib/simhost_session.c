/* The sessions of the simulated process, from the connection to the end.
 * Owns: the checks at each step, the steps of sessions inside those of others. */

#include "test/lib/simhost_int.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/addr.h"

static struct simhost_session *
by_ac(struct simhost *h, const accept_construct *ac)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac == ac)
			return &h->sessions[i];
	return NULL;
}

static int session_step(Event *e, int type, void *closure,
    struct timeval *now);

/* The step of another session, inside that of one which reports. */
static void
step_inside(struct simhost_session *s)
{
	Event *e = s->ac->event;
	int posted = e->async_mask & E_ASYNC, mask;
	struct timeval now;

	simclock_now(&s->host->clock, &now);
	mask = session_step(e, posted | (s->mask & E_READ), s, &now);
	if (mask == 0) {
		event_free(e);
		return;
	}
	event_unschedule(e);
	e->mask = mask;
	if (schedule_event(e) == -1)
		simhost_violation(s->host, "session %u: %s", s->number,
		    strerror(errno));
}

/* As in a host whose functions wait in a loop of their own: other sessions go on
 * inside the step of this one, and it may be called itself. */
static void
nest(struct simhost *h, struct simhost_session *self)
{
	struct simhost_session *s;
	struct timeval now;

	if (h->nest_permille == 0 || !self->is_in_step
	    || !simrand_chance(h->net.rand, h->nest_permille))
		return;
	s = &h->sessions[simrand_below(h->net.rand, SIMWIRE_MAX)];
	if (simrand_chance(h->net.rand, 100))
		s = self;
	if (s->ac == NULL || !s->is_begun)
		return;
	simclock_now(&h->clock, &now);
	if (!s->is_in_step)
		step_inside(s);
	else if (esmtp_message_factory(s->ac->event, E_READ, s->ac, &now)
	    != E_ASYNC)
		simhost_violation(h, "session %u: a step inside its own",
		    s->number);
}

void
simhost_report(void *closure, accept_construct *ac,
    const struct esmtp_report *report)
{
	struct simhost *h = closure;
	struct simhost_session *s = by_ac(h, ac);

	if (s == NULL || report->kind >= SIMHOST_NKINDS) {
		simhost_violation(h, "report for no session");
		return;
	}
	if (report->kind != ESMTP_REPORT_CONNECT
	    && s->nreports[ESMTP_REPORT_CONNECT] == 0)
		simhost_violation(h, "report %s before connect",
		    simhost_report_names[report->kind]);
	if (s->nreports[ESMTP_REPORT_END] > 0)
		simhost_violation(h, "report %s after end",
		    simhost_report_names[report->kind]);
	s->nreports[report->kind]++;
	nest(h, s);
	simauth_check_report(s, report);
	if (report->kind == ESMTP_REPORT_TIMEOUT)
		s->timeout_us = h->clock.now_us;
	if (h->is_traced)
		printf("    [%u] report %s code=%d %s verb=%s detail=%s id=%s "
		    "errno=%d\n", s->number, simhost_report_names[report->kind], report->code,
		    report->enhanced, report->verb, report->detail,
		    report->id, report->errnum);
}

static void
session_free(struct simhost_session *s)
{
	if (s->host->ended != NULL)
		s->host->ended(s->ac);
	simalloc_quiet++;
	free(s->ac);
	simalloc_quiet--;
	s->ac = NULL;
}

void
simhost_session_end(void *closure, accept_construct *ac)
{
	struct simhost *h = closure;
	struct simhost_session *s = by_ac(h, ac);

	if (s == NULL) {
		simhost_violation(h, "session_end for no session");
		return;
	}
	if (s->nreports[ESMTP_REPORT_CONNECT] != 1
	    || s->nreports[ESMTP_REPORT_END] != 1)
		simhost_violation(h, "session %u: %u connect, %u end reports",
		    s->number, s->nreports[ESMTP_REPORT_CONNECT],
		    s->nreports[ESMTP_REPORT_END]);
	if (!s->wire->is_closed)
		simhost_violation(h, "session %u ended with an open wire",
		    s->number);
	s->is_ended = true;
	session_free(s);
}

static void
check_dispatch(struct simhost_session *s, const Event *e, int type,
    const struct timeval *now)
{
	struct simhost *h = s->host;

	if (s->is_ended) {
		simhost_violation(h, "session %u called after its end",
		    s->number);
		return;
	}
	if (simclock_us(now) != h->clock.now_us)
		simhost_violation(h, "the worker clock is not the clock");
	if (!s->is_begun)
		return;
	if ((type & E_TIMEOUT) != 0 && ((s->mask & E_TIMEOUT) == 0
	    || h->clock.now_us < s->trigger_us
	    || h->clock.now_us < simclock_us(&e->trigger)))
		simhost_violation(h, "session %u: timer early", s->number);
	/* E_EXCEPTION, and E_READ | E_WRITE with it, may come unasked */
	if ((type & E_EXCEPTION) == 0 && (type & ~(s->mask | E_ASYNC)) != 0)
		simhost_violation(h, "session %u waits for 0x%x, called "
		    "with 0x%x", s->number, (unsigned int)s->mask,
		    (unsigned int)type);
}

static void
check_end(struct simhost_session *s)
{
	struct spool_msg *m;

	if (!s->is_ended)
		simhost_violation(s->host, "session %u: 0 without "
		    "session_end()", s->number);
	if (s->wire->nclosed != 1)
		simhost_violation(s->host, "session %u closed its wire %u "
		    "times", s->number, s->wire->nclosed);
	for (m = s->host->spool.msgs; m != NULL; m = m->next)
		if ((m->handle >> 8) == s->number
		    && m->state == SIMSPOOL_OPEN)
			simhost_violation(s->host, "session %u ended with an "
			    "open message", s->number);
}

static int
session_step(Event *e, int type, void *closure, struct timeval *now)
{
	struct simhost_session *s = closure;
	struct simhost *h = s->host;
	uint64_t nwritten = s->wire->nwritten;
	unsigned int owner = simalloc_owner;
	int mask, before = s->mask;

	check_dispatch(s, e, type, now);
	s->is_begun = true;
	if ((type & E_ASYNC) != 0)
		s->woken_us = h->clock.now_us;
	simalloc_owner = s->number;
	s->is_in_step = true;
	mask = esmtp_message_factory(e, type, s->ac, now);
	s->is_in_step = false;
	simalloc_owner = owner;
	simauth_check(s);
	/* a reply that leaves bit by bit does not begin the time again */
	if (s->wire->nwritten != nwritten && s->timeout_us == 0
	    && ((before & E_WRITE) == 0 || (mask & E_WRITE) == 0))
		s->wrote_us = h->clock.now_us;
	if (h->is_traced)
		printf("    [%u] step 0x%x -> 0x%x %s\n", s->number,
		    (unsigned int)type, (unsigned int)mask, s->ac == NULL
		    ? "ended" : esmtp_message_factory_state(
		    esmtp_session_state(s->ac)));
	if (mask == 0) {
		check_end(s);
		return 0;
	}
	if (s->is_ended)
		simhost_violation(h, "session %u: session_end() and mask 0x%x",
		    s->number, (unsigned int)mask);
	if ((mask & (E_TIMEOUT | E_ASYNC)) == 0)
		simhost_violation(h, "session %u waits for bytes alone",
		    s->number);
	s->mask = mask;
	s->trigger_us = simclock_us(&e->trigger);
	if (h->mutation == SIMHOST_TIMER_EARLY)
		e->trigger.tv_sec--;
	if (h->mutation == SIMHOST_STALL && mask == (E_WRITE | E_TIMEOUT))
		s->mask = mask = E_READ | E_TIMEOUT;
	if (h->mutation == SIMHOST_DEAF && mask == (E_WRITE | E_TIMEOUT))
		s->mask = mask = E_TIMEOUT;
	if (h->mutation == SIMHOST_TIMER_LOST
	    && (mask & ~E_TIMEOUT) != 0)
		mask &= ~E_TIMEOUT;
	return mask;
}

/* A session that is ended from outside: what esmtp_factory.h prescribes. */
void
simhost_session_kill(struct simhost_session *s)
{
	accept_construct *ac = s->ac;
	Event *e = ac->event;

	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(ac));
	ac->accept_construct_closure.vptr = NULL;
	event_unschedule(e);
	event_close(e);
	event_free(e);
	session_free(s);
	s->is_ended = true;
}

static void
set_peer(accept_construct *ac, const char *peer)
{
	union addr local;

	if (strncmp(peer, "unix:", 5) == 0) {
		addr_local(&local, (uint32_t)strtoul(peer + 5, NULL, 10));
		memcpy(&ac->remote_addr, &local, sizeof(local));
	} else if (strchr(peer, ':') != NULL) {
		ac->remote_addr.sin6.sin6_family = AF_INET6;
		ac->remote_addr.sin6.sin6_port = htons(40000);
		inet_pton(AF_INET6, peer, &ac->remote_addr.sin6.sin6_addr);
	} else {
		ac->remote_addr.sin.sin_family = AF_INET;
		ac->remote_addr.sin.sin_port = htons(40000);
		inet_pton(AF_INET, peer, &ac->remote_addr.sin.sin_addr);
	}
}

/* The Event is the code under test's to allocate, and may fail; the rest is
 * ours. */
static bool
session_build(struct simhost_session *s, const char *peer)
{
	struct simhost *h = s->host;
	accept_construct *ac;
	Event *e;

	simalloc_quiet++;
	ac = calloc(1, sizeof(*ac));
	simalloc_quiet--;
	if (ac == NULL)
		abort();
	simalloc_owner = s->number;
	e = build_fd_event(s->wire->fd, E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    session_step, s);
	simalloc_owner = 0;
	if (e == NULL) {
		simalloc_quiet++;
		free(ac);
		simalloc_quiet--;
		return false;
	}
	simwire_attach(s->wire, e);
	ac->event = e;
	ac->host = &h->host;
	ac->options = &h->options;
	ac->handle = (uint64_t)s->number << 8 | 1;
	ac->listener = 1;
	snprintf(ac->id, sizeof(ac->id), "sim%u", s->number);
	set_peer(ac, peer);
	s->ac = ac;
	return true;
}

struct simhost_session *
simhost_connect(struct simhost *h, const char *peer)
{
	struct simhost_session *s;
	struct simwire *w;

	w = simwire_open(&h->net);
	if (w == NULL)
		return NULL;
	s = &h->sessions[w - h->net.wires];
	*s = (struct simhost_session) {
		.host = h,
		.wire = w,
		.number = ++h->nsessions,
		.mask = E_READ | E_WRITE,
		.wrote_us = h->clock.now_us,
	};
	if (!session_build(s, peer)) {
		simwire_free(w);
		return NULL;
	}
	if (schedule_event(s->ac->event) == -1) {
		simhost_session_kill(s);
		simwire_free(w);
		return NULL;
	}
	return s;
}

void
simhost_release(struct simhost_session *s)
{
	if (s->ac != NULL)
		simhost_violation(s->host, "release of a living session");
	simwire_free(s->wire);
}
