/* The client: one step of a connection.
 * Owns: the order of what a step does, the end of the connection.
 * Knows nothing of what is said: the files that it calls do. */

#include "proto/client/smtp_client_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX	16	/* of one step: writes, reads, messages; then others get their turn */

/* --- input ---------------------------------------------------------------- */

/* A reply is whole: whose is it? */
static void
take_reply(struct smtp_client *c)
{
	const struct smtp_state_row *row = smtp_state_row(c);
	bool is_body = row->reply == smtp_on_early;
	/* a server may refuse a body that it is still being sent, once */
	bool may_be_early = is_body && !c->txn.is_failed;

	if (c->owed > 0)
		c->owed--;
	else if (!may_be_early && c->reader.reply.code != 421) {
		smtp_end(c, SMTP_WHY_UNASKED, 0);
		return;
	}
	/* to a command that was not sent yet */
	if (c->owed == 0 && !is_body && !smtp_is_flushed(c) &&
	    c->write_errno == 0) {
		smtp_end(c, SMTP_WHY_UNASKED, 0);
		return;
	}
	/* RFC 5321 3.8: it may be the reply to any command, and to none */
	if (c->reader.reply.code == 421 && c->state != SS_QUIT)
		smtp_on_421(c);
	else
		row->reply(c);
}

/* RFC 5321 4.1.1.1: the first line of the reply to EHLO has no keyword. */
static void
take_line(struct smtp_client *c)
{
	size_t len;
	const char *s = smtp_reader_text(&c->reader, &len);

	if (c->state == SS_EHLO && smtp_class(c) == 2 &&
	    c->reader.reply.nlines > 1)
		smtp_ehlo_line(&c->ehlo, s, len);
}

static void
take_octets(struct smtp_client *c, const char *buf, size_t len)
{
	size_t used;

	for (; len > 0 && !c->is_ending; buf += used, len -= used)
		switch (smtp_reader_next(&c->reader, buf, len, &used)) {
		case SMTP_READ_MORE:
			break;
		case SMTP_READ_LINE:
			take_line(c);
			break;
		case SMTP_READ_REPLY:
			take_line(c);
			c->rest = len - used;
			take_reply(c);
			break;
		case SMTP_READ_BAD:
			smtp_end(c, SMTP_WHY_NO_REPLY, 0);
			break;
		}
}

/* Read once.  Return whether anything came. */
static bool
read_some(struct smtp_client *c)
{
	char buf[LIM_CLIENT_READ];
	int n, need = 0;

	if (!c->may_read)
		return false;
	n = event_read(c->event, buf, sizeof(buf), &need);
	c->need_read = E_READ;
	/* a short read has emptied the socket: another would only fail */
	c->may_read = n == (int)sizeof(buf) ||
	    (n > 0 && c->write_errno != 0);
	if (n > 0)
		take_octets(c, buf, (size_t)n);
	else if (n == 0)
		smtp_end(c, SMTP_WHY_CLOSED, 0);
	else if (errno != EAGAIN)
		smtp_end(c, SMTP_WHY_IO, errno);
	else if (need != 0)
		c->need_read = (uint8_t)need;
	if (n == -1 && c->write_errno != 0)
		smtp_end(c, SMTP_WHY_IO, c->write_errno);
	return n > 0;
}

/* --- output --------------------------------------------------------------- */

/* Without a message: ask for one, as long as the server takes more (RFC 9422
 * 4.1).  Return whether there is something to do. */
static bool
ask(struct smtp_client *c)
{
	struct smtp_message m = { .env = NULL };

	if (!c->may_ask)
		return false;
	c->may_ask = false;
	if (c->ehlo.mail_max > 0 && c->ntxns >= c->ehlo.mail_max) {
		smtp_quit(c);
		return true;
	}
	switch (c->ops->next(c->host, c, &m)) {
	case SMTP_NEXT_MESSAGE:
		smtp_txn_begin(c, &m);
		return true;
	case SMTP_NEXT_QUIT:
		smtp_quit(c);
		return true;
	default:
		return false;
	}
}

/* Put what is to be said now into the output.  Return whether there was
 * anything. */
static bool
advance(struct smtp_client *c)
{
	switch (c->state) {
	case SS_IDLE:
		return c->txn.of != NULL ? smtp_txn_send(c) : ask(c);
	case SS_RSET:
	case SS_MAIL:
	case SS_RCPT:
	case SS_DATA:
		return smtp_txn_send(c);
	case SS_BODY:
	case SS_SOURCE:
	case SS_CHUNK:
		if (!smtp_is_flushed(c))
			return false;
		return smtp_txn_give_up(c) ? c->state == SS_IDLE :
		    smtp_body_send(c);
	default:
		return false;
	}
}

static bool
write_some(struct smtp_client *c)
{
	bool has_written = smtp_flush(c);

	if (has_written && c->txn.of != NULL)
		smtp_body_flushed(c);
	return has_written;
}

/* --- a step --------------------------------------------------------------- */

static void
check_time(struct smtp_client *c)
{
	if (c->is_ending || c->now < smtp_deadline(c))
		return;
	if (c->state != SS_IDLE)
		smtp_end(c, SMTP_WHY_TIMEOUT, 0);
	else {
		smtp_quit(c);
		(void)smtp_flush(c);
	}
}

/* Every recipient has its outcome before this is over; the client is freed. */
static int
finish(struct smtp_client *c)
{
	const struct smtp_client_ops *ops = c->ops;
	struct smtp_result r = c->end.result;

	if (c->txn.of != NULL) {
		if (c->end.last != SMTP_NWHYS)
			smtp_result_why(c, c->end.last, c->end.errnum, &r);
		smtp_tell_all(c, &r);
		ops->done(c->host, c);
		smtp_convert_end(c);
		free(c->txn.of);
		c->txn.of = NULL;
	}
	smtp_login_end(c);
	event_close(c->event);
	ops->ended(c->host, c, &c->end.result);
	smtp_client_free(c);
	return 0;
}

/* Work until something must be waited for. */
static void
work(struct smtp_client *c)
{
	unsigned int rounds;
	bool goes_on = true;

	c->is_hasty = false;
	for (rounds = 0; goes_on && rounds < ROUNDS_MAX && !c->is_ending;
	    rounds++) {
		if (c->state == SS_TLS)
			return;
		goes_on = advance(c);
		goes_on |= write_some(c);
		goes_on |= !c->is_ending && read_some(c);
	}
	c->is_hasty = goes_on;
}

/* What to wait for. */
static int
mask(struct smtp_client *c)
{
	int events = E_TIMEOUT | c->need_read;

	if (c->state == SS_TLS)
		return E_TIMEOUT | c->tls_mask;
	if (!smtp_is_flushed(c) && c->write_errno == 0)
		events |= c->need_write;
	if (c->is_hasty || c->is_working)
		events |= E_WRITE;
	return events;
}

int
smtp_client_event(Event *event, int eventtype, void *closure,
    struct timeval *now)
{
	struct smtp_client *c = closure;

	smtp_follow_clock(c, event, now);
	c->may_read = eventtype & (E_EXCEPTION | c->need_read);
	if (c->event == NULL) {
		c->event = event;
		c->may_read = true;
		smtp_begin(c);
	} else if (c->state == SS_TLS && !c->is_stopped)
		smtp_tls_step(c);
	if (c->is_answered)
		c->since = c->now;
	if (eventtype & E_ASYNC)
		c->may_ask = true;
	if (c->is_stopped)
		smtp_end(c, SMTP_WHY_STOPPED, 0);
	else
		smtp_login_go_on(c);
	work(c);
	c->is_answered = false;
	check_time(c);
	if (c->is_ending)
		return finish(c);
	/* many wait for replies at once: one that waits holds no buffer */
	if (smtp_is_flushed(c))
		smtp_output_free(c);
	c->trigger = smtp_deadline(c);
	event->trigger = moment_tv(c->trigger);
	return mask(c);
}

/* --- what a host calls ---------------------------------------------------- */

static bool
is_name(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return p > s && p - s <= LIM_DOMAIN;
}

struct smtp_client *
smtp_client_new(const struct smtp_client_options *options,
    const struct smtp_client_ops *ops, void *host)
{
	struct smtp_client *c;

	if (!is_name(options->helo)) {
		errno = EINVAL;
		return NULL;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->options = *options;
	c->ops = ops;
	c->host = host;
	c->end.last = SMTP_NWHYS;
	if ((c->options.helo = strdup(options->helo)) == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

void
smtp_client_free(struct smtp_client *c)
{
	if (c == NULL)
		return;
	smtp_output_free(c);
	free(c->end.words);
	free(c->domain);
	free((void *)(uintptr_t)c->options.helo);
	free(c);
}

void
smtp_client_stop(struct smtp_client *c)
{
	c->is_stopped = true;
}

const struct smtp_ehlo *
smtp_client_ehlo(const struct smtp_client *c)
{
	return &c->ehlo;
}

bool
smtp_client_is_tls(const struct smtp_client *c)
{
	return c->is_tls;
}

bool
smtp_client_is_logged_in(const struct smtp_client *c)
{
	return c->is_logged_in;
}

const char *
smtp_client_converts(const struct smtp_client *c)
{
	return !c->txn.is_converted ? "" : c->txn.is_8bit ? "8-bit" : "7-bit";
}

const char *
smtp_client_state(const struct smtp_client *c)
{
	return smtp_state_row(c)->name;
}
