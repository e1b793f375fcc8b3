/* How long a client waits (RFC 5321 4.5.3.2), and a clock that is set.
 * A client has one Event, so one deadline at a time: the nearest. */

#include "proto/client/smtp_client_int.h"

/* What the host has set for the state, within the bound of its row.  What waits
 * for the host itself is none of the server's. */
static int64_t
seconds(const struct smtp_client *c)
{
	unsigned int bound = smtp_state_row(c)->seconds, wish;

	if (c->state == SS_SOURCE || c->state == SS_LOGIN)
		return bound;
	wish = c->state == SS_IDLE ? c->options.idle_seconds :
	    c->options.reply_seconds;
	return wish > 0 && wish < bound ? wish : bound;
}

int64_t
smtp_deadline(const struct smtp_client *c)
{
	const struct smtp_txn *t = &c->txn;
	int64_t at = c->since + moment_in(seconds(c)), all;

	/* while the host is slow, no time of the server passes */
	if (t->of == NULL || c->state == SS_SOURCE)
		return at;
	all = t->since + moment_in(LIM_CLIENT_SECONDS);
	if (c->state != SS_DOT)
		all += moment_in((int64_t)(t->offset / LIM_CLIENT_RATE));
	return at < all ? at : all;
}

static void
move_times(struct smtp_client *c, int64_t by)
{
	c->since += by;
	c->txn.since += by;
	c->now += by;
}

void
smtp_follow_clock(struct smtp_client *c, const Event *event,
    const struct timeval *now)
{
	int64_t t = moment_of(now);

	/* the loop has moved the trigger with its clock */
	if (c->event != NULL)
		move_times(c, moment_of(&event->trigger) - c->trigger);
	/* and a loop that has no such function may go back */
	if (c->event != NULL && t < c->now)
		move_times(c, t - c->now);
	c->now = t;
}
