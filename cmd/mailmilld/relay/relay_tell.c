/* What is told of connections to MX hosts; see relay_tell.h. */

#include "cmd/mailmilld/relay/relay_tell.h"

#include <stdlib.h>

#include "core/loop/after.h"

struct relay_tell {
	struct tlsrpt_tally tally;
	relay_tell_fn	*send;
	void		*closure;
	Event		*timer;		/* NULL: there is nothing to send */
};

static void
on_timer(void *closure)
{
	struct relay_tell *t = closure;

	t->timer = NULL;
	relay_tell_now(t);
}

static bool
is_empty(const struct relay_tell *t)
{
	return t->tally.len == 0 && t->tally.nlost == 0;
}

struct relay_tell *
relay_tell_new(relay_tell_fn *send, void *closure)
{
	struct relay_tell *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->send = send;
	t->closure = closure;
	return t;
}

void
relay_tell_free(struct relay_tell *t)
{
	if (t == NULL)
		return;
	after_cancel(&t->timer);
	free(t);
}

void
relay_tell_end(struct relay_tell *t, struct relay_told *told,
    enum relay_result result, const char *reason)
{
	if (t == NULL || told == NULL)
		return;
	relay_told_end(told, &t->tally, result, reason);
	/* without memory for it, the next one sets it */
	if (t->timer == NULL && !is_empty(t))
		t->timer = after_ms(RELAY_TELL_MS, on_timer, t);
}

void
relay_tell_now(struct relay_tell *t)
{
	if (t == NULL || is_empty(t))
		return;
	if (t->send(t->closure, &t->tally)) {
		t->tally.len = 0;
		t->tally.nlost = 0;
		after_cancel(&t->timer);
	} else if (t->timer == NULL)
		t->timer = after_ms(RELAY_TELL_MS, on_timer, t);
}
