/* The tests' policy module: see simpolicy.h. */

#include "test/lib/simpolicy.h"

#include <string.h>

#include "test/lib/simhost.h"

static struct simhost *host;

static struct simhost_session *
session_of(const accept_construct *ac)
{
	size_t i;

	for (i = 0; host != NULL && i < SIMWIRE_MAX; i++)
		if (host->sessions[i].ac == ac)
			return &host->sessions[i];
	return NULL;
}

static void
answer(struct simhost_session *s)
{
	s->is_answered = true;
	schedule_event_and_dispatch(s->ac->event, E_ASYNC);
}

static void
answer_happens(void *arg, uint64_t handle)
{
	struct simhost *h = arg;
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL
		    && h->sessions[i].ac->handle == handle)
			answer(&h->sessions[i]);
}

/* A completion may be for something else: what is not answered yet is asked
 * for again. */
static int
wait_for_answer(struct simhost_session *s, bool is_timed)
{
	struct simpolicy *p = &host->policy;

	if (s->is_answered) {
		s->is_asked = s->is_answered = false;
		return VALIDATE_CONT;
	}
	if (!s->is_asked && is_timed)
		simclock_at(&host->clock, simrand_below(host->net.rand,
		    (uint32_t)p->delay_max_us + 1), answer_happens, host,
		    s->ac->handle);
	s->is_asked = true;
	return VALIDATE_AGAIN;
}

static bool
is_meant(const struct simpolicy *p, const struct mailaddr *addr)
{
	char text[256];

	return p->only[0] == '\0' || (addr != NULL &&
	    mailaddr_format(addr, text, sizeof(text)) != -1 &&
	    strcmp(text, p->only) == 0);
}

static int
decide(int phase, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx)
{
	struct simhost_session *s = session_of(ac);
	struct simpolicy *p;

	if (s == NULL)
		return VALIDATE_CONT;
	p = &host->policy;
	switch (p->mode[phase]) {
	case SIMPOLICY_DENY:
		if (!is_meant(p, addr))
			break;
		validate_context_set_code(vctx, p->code, p->text);
		return VALIDATE_DONE;
	case SIMPOLICY_ALLOW:
		return VALIDATE_DONE;
	case SIMPOLICY_HOLD:
		return wait_for_answer(s, false);
	case SIMPOLICY_CONT:
		break;
	}
	if (s->is_asked || s->is_answered || (host->net.rand != NULL
	    && simrand_chance(host->net.rand, p->again_permille)))
		return wait_for_answer(s, true);
	return VALIDATE_CONT;
}

#define PHASE(name, number) \
	static int \
	name(const char *str, const struct mailaddr *addr, \
	    accept_construct *ac, validate_context *vctx, void *closure) \
	{ \
		(void)str; \
		(void)closure; \
		return decide(number, addr, ac, vctx); \
	}
PHASE(at_accept, VALIDATE_PHASE_ACCEPT)
PHASE(at_connect, VALIDATE_PHASE_CONNECT)
PHASE(at_ehlo, VALIDATE_PHASE_EHLO)
PHASE(at_auth, VALIDATE_PHASE_AUTH)
PHASE(at_mailfrom, VALIDATE_PHASE_MAILFROM)
PHASE(at_rcptto, VALIDATE_PHASE_RCPTTO)
PHASE(at_rcptto_list, VALIDATE_PHASE_RCPTTO_LIST)
PHASE(at_rcptto_list_final, VALIDATE_PHASE_RCPTTO_LIST_FINAL)
PHASE(at_data, VALIDATE_PHASE_DATA)
PHASE(at_data_spool, VALIDATE_PHASE_DATA_SPOOL)
PHASE(at_each_rcpt, VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT)
#undef PHASE

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "simpolicy",
	.phase = { at_accept, at_connect, at_ehlo, at_auth, at_mailfrom,
	    at_rcptto, at_rcptto_list, at_rcptto_list_final, at_data,
	    at_data_spool, at_each_rcpt },
};

int
simpolicy_register(void)
{
	return validate_module_register(&module);
}

void
simpolicy_use(struct simhost *h)
{
	host = h;
}

void
simpolicy_release(struct simhost *h)
{
	size_t i;

	memset(h->policy.mode, 0, sizeof(h->policy.mode));
	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL && h->sessions[i].is_asked)
			answer(&h->sessions[i]);
}

int
simpolicy_phase(const char *name)
{
	static const char *const names[VALIDATE_NPHASES] = { "accept",
		"connect", "ehlo", "auth", "mailfrom", "rcptto", "rcptto_list",
		"rcptto_list_final", "data", "data_spool",
		"data_spool_each_rcpt" };
	int i;

	for (i = 0; i < VALIDATE_NPHASES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}
