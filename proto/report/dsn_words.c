/* The part of a report that is for people.
 * Owns: its words: what has happened, why, and what can be done about it. */

#include <string.h>

#include "proto/parse/esmtp_received.h"
#include "proto/report/dsn_int.h"

#define INDENT	"    "

/* What is said of all recipients with an action: of one, and of more */
static const struct {
	const char	*subject, *one, *more, *advice;
} actions[DSN_ACTIONS] = {
	[DSN_FAILED] = {
		"Your message could not be delivered",
		"The message could not be delivered to this recipient, and is not "
		"tried again:",
		"The message could not be delivered to these recipients, and is "
		"not tried again:",
		"Look for a mistake in the address, then send the message again; "
		"or ask the recipient by another way."
	},
	[DSN_DELAYED] = {
		"Your message is delayed",
		"The message could not be delivered to this recipient yet:",
		"The message could not be delivered to these recipients yet:",
		"You need not send it again: the server goes on trying, and tells "
		"you if it gives up."
	},
	[DSN_DELIVERED] = {
		"Your message was delivered",
		"The message is in the mailbox of this recipient:",
		"The message is in the mailboxes of these recipients:",
		"You get this report because it was asked for. It does not say "
		"that the message has been read."
	},
	[DSN_RELAYED] = {
		"Your message was passed on",
		"The message was passed on for this recipient to a server that "
		"does not report deliveries:",
		"The message was passed on for these recipients to servers that "
		"do not report deliveries:",
		"You get this report because it was asked for. There is none about "
		"the delivery itself, unless it fails."
	},
	[DSN_EXPANDED] = {
		"Your message was passed on to a list of recipients",
		"The message was passed on to all who are behind this address:",
		"The message was passed on to all who are behind these "
		"addresses:",
		"You get this report because it was asked for. You hear of each of "
		"them if it fails."
	},
};

static size_t
count(const struct dsn *d, enum dsn_action action)
{
	size_t i, n = 0;

	for (i = 0; i < d->nrcpts; i++)
		n += d->rcpts[i].action == action;
	return n;
}

bool
dsn_is_for_sender(const struct dsn *d)
{
	return strcmp(d->to, d->sender) == 0;
}

const char *
dsn_subject(const struct dsn *d)
{
	unsigned int action = 0;

	if (d->sender[0] == '\0')
		return "A message without a sender could not be delivered";
	if (!dsn_is_for_sender(d))
		return "A message could not be delivered, and its sender cannot "
		    "be told";
	while (action < DSN_EXPANDED && count(d, (enum dsn_action)action) == 0)
		action++;
	return actions[action].subject;
}

static void
put_line(struct dsn_text *t, const char *words)
{
	dsn_put_words(t, words, false, "");
	dsn_put(t, "\r\n");
}

/* "2 days" */
static void
put_time(struct dsn_text *t, int64_t seconds)
{
	static const struct {
		int64_t		 seconds;
		const char	*one, *more;
	} units[] = {
		{ 86400, " day", " days" }, { 3600, " hour", " hours" },
		{ 60, " minute", " minutes" }, { 1, " second", " seconds" }
	};
	size_t i = 0;

	if (seconds < 1)
		seconds = 1;
	while (seconds < units[i].seconds)
		i++;
	seconds /= units[i].seconds;
	dsn_put_number(t, seconds);
	dsn_put(t, seconds == 1 ? units[i].one : units[i].more);
}

/* Who has said it, and what */
static void
put_reply(struct dsn_text *t, const struct dsn_rcpt *r, bool is_utf8)
{
	if (r->text[0] == '\0' && r->code == 0)
		return;
	dsn_put(t, INDENT);
	if (r->code != 0) {
		dsn_put_clean(t, r->remote[0] != '\0' ? r->remote :
		    "the next server", is_utf8);
		dsn_put(t, r->action == DSN_FAILED || r->action == DSN_DELAYED ?
		    " refused it, and said:\r\n" INDENT :
		    " took it, and said:\r\n" INDENT);
		dsn_put_number(t, r->code);
		dsn_put(t, " ");
		dsn_put(t, r->enhanced);
		dsn_put(t, r->enhanced[0] != '\0' ? " " : "");
	} else if (r->remote[0] != '\0') {
		dsn_put_clean(t, r->remote, is_utf8);
		dsn_put(t, ":\r\n" INDENT);
	}
	dsn_put_words(t, r->text, is_utf8, INDENT);
	dsn_put(t, "\r\n");
}

static void
put_rcpt(struct dsn_text *t, const struct dsn *d, const struct dsn_rcpt *r)
{
	char date[ESMTP_DATE_MAX];

	dsn_put(t, "\r\n  <");
	dsn_put_clean(t, r->rcpt, d->is_utf8);
	dsn_put(t, ">\r\n");
	if (r->why == DSN_LATE && (r->action == DSN_FAILED ||
	    r->action == DSN_DELAYED))
		dsn_put(t, INDENT "The time is over by which you wanted it "
		    "delivered.\r\n");
	else if (r->action == DSN_FAILED && r->why == DSN_EXPIRED) {
		dsn_put(t, INDENT "The server has tried for ");
		put_time(t, d->now - d->arrival);
		dsn_put(t, ". The last time:\r\n");
	}
	put_reply(t, r, d->is_utf8);
	if (r->action == DSN_DELAYED && r->retry_until != 0) {
		esmtp_date_format((time_t)r->retry_until, date);
		dsn_put(t, INDENT "The server goes on trying until ");
		dsn_put(t, date);
		dsn_put(t, ".\r\n");
	}
}

static void
put_action(struct dsn_text *t, const struct dsn *d, enum dsn_action action)
{
	size_t i, n = count(d, action);

	if (n == 0)
		return;
	dsn_put(t, "\r\n");
	put_line(t, n == 1 ? actions[action].one : actions[action].more);
	for (i = 0; i < d->nrcpts; i++)
		if (d->rcpts[i].action == action)
			put_rcpt(t, d, &d->rcpts[i]);
	dsn_put(t, "\r\n");
	if (dsn_is_for_sender(d))
		put_line(t, actions[action].advice);
}

/* Why the postmaster gets it */
static void
put_no_sender(struct dsn_text *t, const struct dsn *d)
{
	dsn_put(t, "\r\n");
	if (d->sender[0] == '\0') {
		put_line(t, "A message without a sender has failed: a report, or "
		    "the answer of a program. Nobody else is told of it.");
		return;
	}
	put_line(t, "A message has failed, and this server does not deliver to the "
	    "address of its sender. Nobody else is told of it. The sender is:");
	dsn_put(t, "\r\n  <");
	dsn_put_clean(t, d->sender, d->is_utf8);
	dsn_put(t, ">\r\n");
}

void
dsn_words(struct dsn_text *t, const struct dsn *d)
{
	unsigned int action;

	dsn_put(t, "This is the mail server ");
	dsn_put_clean(t, d->hostname, false);
	dsn_put(t, ".\r\n");
	if (!dsn_is_for_sender(d))
		put_no_sender(t, d);
	for (action = 0; action < DSN_ACTIONS; action++)
		put_action(t, d, (enum dsn_action)action);
	dsn_put(t, "\r\nFor help write to <postmaster@");
	dsn_put_clean(t, d->hostname, false);
	dsn_put(t, ">, and send this report.\r\n"
	    "In the server's log the message is ");
	dsn_put_clean(t, d->of, false);
	dsn_put(t, ".\r\n");
}
