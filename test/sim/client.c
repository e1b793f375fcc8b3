/* A client as a seed makes it: what it sends, in what pieces, whether and when
 * it reads, how it ends.
 * Owns: the client's side of its wire.
 * Knows nothing of which reply is right: that is model.c. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/alloc.h"
#include "test/sim/sim.h"

#define SESSION_OCTETS	(128 * 1024)	/* a session must never hold more */
#define IDLE_OCTETS	1536		/* nor more than this between commands */
#define SECOND		UINT64_C(1000000)

static void client_act(void *arg, uint64_t value);

static uint32_t
below(struct client *c, uint32_t n)
{
	return simrand_below(&c->sim->rand, n);
}

static bool
chance(struct client *c, uint32_t permille)
{
	return simrand_chance(&c->sim->rand, permille);
}

static uint64_t
now_us(const struct client *c)
{
	return c->sim->host.clock.now_us;
}

static void
trace(const struct client *c, const char *who, const char *buf, size_t len)
{
	size_t i;

	if (!c->sim->is_traced)
		return;
	printf("%12.6f [%u] %s ", (double)(now_us(c) % (1000000 * SECOND)) / 1e6,
	    c->s->number, who);
	for (i = 0; i < len && i < 200; i++) {
		unsigned char ch = (unsigned char)buf[i];

		if (ch == '\r')
			printf("\\r");
		else if (ch == '\n')
			printf("\\n");
		else if (ch < 0x20 || ch > 0x7e)
			printf("\\x%02x", ch);
		else
			putchar(ch);
	}
	printf(i < len ? "... (%zu octets)\n" : "\n", len);
}

/* Mostly none, sometimes a moment, seldom longer than any timeout. */
static uint64_t
delay_us(struct client *c)
{
	uint32_t n = below(c, 1000);

	if (n < 700)
		return 0;
	if (n < 930)
		return 1 + below(c, 50000);
	if (n < 985)
		return SECOND + below(c, 3000000);
	return SECOND * below(c, 400);
}

static void
schedule_act(struct client *c, uint64_t delay)
{
	if (c->is_acting || c->is_gone)
		return;
	c->is_acting = true;
	simclock_at(&c->sim->host.clock, delay, client_act, c, 0);
}

/* --- leaving ---------------------------------------------------------- */

static void
leave(struct client *c, enum ending how)
{
	struct simwire *w = c->s->wire;

	if (c->is_gone || w->is_closed)
		return;
	switch (how) {
	case END_RESET:
		trace(c, "--", "reset", 5);
		simwire_reset(w);
		c->is_gone = c->is_over = true;
		break;
	case END_HALF_CLOSE:
		trace(c, "--", "half close", 10);
		simwire_half_close(w);
		c->is_half_closed = true;
		break;
	case END_SILENCE:
		break;
	case END_QUIT:
	case END_CLOSE:
		trace(c, "--", "close", 5);
		simwire_close(w);
		c->is_gone = c->is_over = true;
		break;
	}
	c->progress_us = now_us(c);
}

/* --- sending ---------------------------------------------------------- */

/* How many of ${left} octets arrive next. */
static size_t
piece(struct client *c, size_t left)
{
	size_t n = left;

	if (c->frag == FRAG_BYTES && left < 4000)
		n = 1;
	else if (c->frag != FRAG_WHOLE)
		n = 1 + below(c, left > 2000 ? (uint32_t)left : 40);
	return n < left ? n : left;
}

static void
arrive(void *arg, uint64_t value)
{
	struct client *c = arg;
	struct simwire *w = c->s->wire;
	size_t left = w->in.len - w->arrived, n;

	(void)value;
	c->is_arriving = false;
	if (c->is_gone || w->is_closed)
		return;
	n = piece(c, left);
	if (c->vanish_after != 0 && c->nsent + n >= c->vanish_after) {
		n = (size_t)(c->vanish_after - c->nsent);
		if (n > left)
			n = left;
		w->in.len = w->arrived + n;	/* the rest is never sent */
		simwire_arrive(w, n);
		leave(c, c->ending == END_QUIT || c->ending == END_SILENCE
		    ? END_RESET : c->ending);
		return;
	}
	simwire_arrive(w, n);
	c->nsent += n;
	c->progress_us = now_us(c);
	if (left > n) {
		c->is_arriving = true;
		simclock_at(&c->sim->host.clock, 1 + (c->frag == FRAG_DELAYED
		    ? delay_us(c) / 4 : 0), arrive, c, 0);
	}
}

static void
client_send(struct client *c, const char *buf, size_t len)
{
	trace(c, "C", buf, len);
	simwire_send(c->s->wire, buf, len);
	if (!c->is_arriving) {
		c->is_arriving = true;
		simclock_at(&c->sim->host.clock, 0, arrive, c, 0);
	}
}

static bool
expect(struct client *c, enum cmd_kind kind, unsigned int arg)
{
	if (c->npending == SIM_PENDING)
		return false;
	c->pending[(c->first + c->npending) % SIM_PENDING] =
	    (struct cmd) { kind, arg };
	c->npending++;
	return true;
}

static void
put_mail(struct client *c, char *buf, size_t size, unsigned int arg)
{
	char addr[64];
	size_t n;

	model_address(arg, true, addr, sizeof(addr));
	n = (size_t)snprintf(buf, size, "MAIL FROM:<%s>", addr);
	if (c->is_esmtp && chance(c, 200))
		n += (size_t)snprintf(buf + n, size - n, " SIZE=%u",
		    below(c, c->sim->max_size != 0
		    ? (uint32_t)c->sim->max_size : 100000));
	if (c->is_esmtp && chance(c, 200))
		n += (size_t)snprintf(buf + n, size - n, " BODY=8BITMIME");
	snprintf(buf + n, size - n, "\r\n");
}

static void
put_command(struct client *c, enum cmd_kind kind)
{
	char buf[8192];
	unsigned int arg = below(c, 4);
	size_t len;

	if (kind == CMD_RCPT)
		arg = below(c, 40);
	if (!expect(c, kind, arg))
		return;
	len = 0;
	switch (kind) {
	case CMD_EHLO:
	case CMD_HELO:
		snprintf(buf, sizeof(buf), "%s client%u.example\r\n",
		    kind == CMD_EHLO ? "EHLO" : "HELO", c->number);
		break;
	case CMD_MAIL:
		put_mail(c, buf, sizeof(buf), arg);
		break;
	case CMD_MAIL_SYNTAX:
		strlcpy(buf, "MAIL FROM:<a..b@client.example>\r\n", sizeof(buf));
		break;
	case CMD_MAIL_BIG:
		snprintf(buf, sizeof(buf), "MAIL FROM:<> SIZE=%llu\r\n",
		    (unsigned long long)c->sim->max_size + 1);
		break;
	case CMD_MAIL_PARAM:
		strlcpy(buf, "MAIL FROM:<> XYZZY=1\r\n", sizeof(buf));
		break;
	case CMD_RCPT:
		snprintf(buf, sizeof(buf), "RCPT TO:<user%u@EXAMPLE.test>\r\n",
		    arg);
		break;
	case CMD_RCPT_UNKNOWN:
		strlcpy(buf, "RCPT TO:<nobody@example.test>\r\n", sizeof(buf));
		break;
	case CMD_RCPT_FOREIGN:
		strlcpy(buf, "RCPT TO:<x@elsewhere.example>\r\n", sizeof(buf));
		break;
	case CMD_RCPT_LATER:
		strlcpy(buf, "RCPT TO:<later@example.test>\r\n", sizeof(buf));
		break;
	case CMD_RCPT_SYNTAX:
		strlcpy(buf, "RCPT TO:<x@@example.test>\r\n", sizeof(buf));
		break;
	case CMD_LONG:
		len = LIM_COMMAND_LINE + 1 + below(c, 5000);
		memset(buf, 'x', len);
		memcpy(buf + len - 2, "\r\n", 2);
		break;
	case CMD_NUL:
		len = 7;
		memcpy(buf, "NO\0OP\r\n", len);
		break;
	case CMD_UNKNOWN:
		strlcpy(buf, "XYZZY plugh\r\n", sizeof(buf));
		break;
	case CMD_VRFY:
		strlcpy(buf, "VRFY somebody\r\n", sizeof(buf));
		break;
	default:
		snprintf(buf, sizeof(buf), "%s\r\n", model_command_name(kind));
	}
	client_send(c, buf, len != 0 ? len : strlen(buf));
}

/* RFC 2920 3.1: what need not end a group. */
static enum cmd_kind
misc_command(struct client *c, bool is_last)
{
	static const enum cmd_kind anywhere[] = { CMD_RSET, CMD_HELP,
		CMD_UNKNOWN, CMD_LONG, CMD_NUL, CMD_MAIL_SYNTAX,
		CMD_MAIL_PARAM, CMD_RCPT_UNKNOWN, CMD_RCPT_FOREIGN,
		CMD_RCPT_SYNTAX, CMD_RCPT_LATER, CMD_MAIL, CMD_RCPT };
	static const enum cmd_kind last[] = { CMD_NOOP, CMD_VRFY, CMD_EHLO,
		CMD_HELO, CMD_DATA };

	if (is_last && chance(c, 400))
		return last[below(c, sizeof(last) / sizeof(last[0]))];
	if (c->sim->max_size != 0 && c->is_esmtp && chance(c, 50))
		return CMD_MAIL_BIG;
	return anywhere[below(c, sizeof(anywhere) / sizeof(anywhere[0]))];
}

static void
send_group(struct client *c)
{
	unsigned int n;

	if (!c->is_greeted && chance(c, 850)) {
		put_command(c, chance(c, 800) ? CMD_EHLO : CMD_HELO);
		return;
	}
	if (c->has_mail && chance(c, 500))
		put_command(c, CMD_RSET);
	if (chance(c, 900))
		put_command(c, CMD_MAIL);
	for (n = below(c, 5); n > 0; n--)
		put_command(c, chance(c, 800) ? CMD_RCPT
		    : misc_command(c, false));
	put_command(c, chance(c, 850) ? CMD_DATA : misc_command(c, true));
}

static void
send_one(struct client *c)
{
	enum cmd_kind kind;

	if (chance(c, 200))
		kind = misc_command(c, true);
	else if (!c->is_greeted)
		kind = chance(c, 800) ? CMD_EHLO : CMD_HELO;
	else if (!c->has_mail)
		kind = CMD_MAIL;
	else if (c->nrcpts == 0)
		kind = CMD_RCPT;
	else
		kind = chance(c, 600) ? CMD_DATA : CMD_RCPT;
	put_command(c, kind);
}

static void
send_body(struct client *c)
{
	struct sim *sim = c->sim;

	c->wants_body = false;
	body_make(&c->body, &sim->rand, chance(c, 50) ? sim->body_max
	    : sim->body_max < 300 ? sim->body_max : 300, sim->may_be_lone,
	    sim->host.options.lone_lf_in_body == ESMTP_LF_FIX);
	expect(c, CMD_BODY, 0);
	client_send(c, c->body.wire, c->body.wire_len);
	/* the next transaction may follow the dot at once, but it must not
	 * replace this body before its reply has come */
	if (c->is_pipelining && chance(c, 300)) {
		put_command(c, CMD_MAIL);
		put_command(c, CMD_RCPT);
		if (chance(c, 500))
			put_command(c, CMD_DATA);
	}
}

static void
client_act(void *arg, uint64_t value)
{
	struct client *c = arg;

	(void)value;
	c->is_acting = false;
	if (c->is_over || c->is_gone || c->is_half_closed
	    || c->s->wire->is_closed)
		return;
	if (c->wants_body) {
		send_body(c);
	} else if (c->groups_left == 0) {
		if (c->ending == END_QUIT)
			put_command(c, CMD_QUIT);
		else
			leave(c, c->ending);
	} else {
		c->groups_left--;
		if (c->is_unclear)
			put_command(c, CMD_RSET);
		else if (c->is_pipelining)
			send_group(c);
		else
			send_one(c);
	}
	/* who never reads goes on without waiting */
	if (c->never_reads && c->groups_left > 0)
		schedule_act(c, delay_us(c) + 1);
}

/* --- reading ---------------------------------------------------------- */

/* A line with its CRLF; RFC 5321 4.2.1. */
static void
take_line(struct client *c)
{
	struct sim *sim = c->sim;
	size_t len = c->nline - 2;
	const char *l = c->line;
	int code;

	trace(c, "S", l, c->nline);
	if (c->nline < 5 || l[len] != '\r' || c->nline > LIM_REPLY_LINE) {
		sim_violation(sim, "a bad reply line: %.*s", (int)c->nline, l);
		return;
	}
	code = atoi(l);
	if (code < 200 || code > 599 || (l[3] != ' ' && l[3] != '-')
	    || (c->code != 0 && code != c->code)) {
		sim_violation(sim, "a bad reply: %.*s", (int)len, l);
		return;
	}
	c->code = l[3] == '-' ? code : 0;
	if (l[3] == '-')
		return;
	if (sim->mutation == MUT_REPLY_LOST && chance(c, 20))
		return;
	model_reply(c, code, l, len);
	if (sim->mutation == MUT_REPLY_TWICE && chance(c, 20))
		model_reply(c, code, l, len);
}

static void
client_read(struct client *c)
{
	struct simwire *w = c->s->wire;
	const char *buf;
	size_t len, i;

	buf = simwire_peek(w, &len);
	if (len > 1 && c->is_slow)
		len = 1 + below(c, (uint32_t)len);
	for (i = 0; i < len; i++) {
		if (c->nline == sizeof(c->line)) {
			sim_violation(c->sim, "a reply line without end");
			c->nline = 0;
		}
		c->line[c->nline++] = buf[i];
		if (buf[i] == '\n') {
			take_line(c);
			c->nline = 0;
		}
	}
	simwire_take(w, len);
	if (w->window != SIZE_MAX)
		w->window += len;
	c->progress_us = now_us(c);
}

static void
read_happens(void *arg, uint64_t value)
{
	struct client *c = arg;

	(void)value;
	c->is_reading = false;
	if (!c->is_gone)
		client_read(c);
}

/* The server has closed: read what is left, and judge. */
static void
client_closed(struct client *c)
{
	struct sim *sim = c->sim;

	while (!c->is_gone && !c->never_reads && c->s->wire->out.len > 0)
		client_read(c);
	if (c->is_over)
		return;
	c->is_over = true;
	trace(c, "--", "closed by the server", 20);
	if (c->is_half_closed || c->never_reads
	    || alloc_of(c->s->number)->nfailed > 0)
		return;
	/* RFC 5321 3.8: not without a word; but a client that is late already
	 * is not waited for until it takes it */
	if (c->s->timeout_us == 0
	    || (c->window == 0 && c->s->wire->again_permille == 0))
		sim_violation(sim, "closed without a word");
}

static void
check_timeout(struct client *c)
{
	struct sim *sim = c->sim;

	if (c->s->timeout_us == 0)
		return;
	sim->ntimeouts++;
	if (c->s->timeout_us < c->s->wrote_us + sim->timeout_min_us)
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

/* The deadline by our own reckoning: nobody may be silent for longer. */
static void
check_alive(struct client *c)
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
	if (c->npending == 0 && !c->is_arriving && !c->wants_body
	    && !c->has_mail && !c->is_unclear && c->is_greeted
	    && c->s->wire->in.len == 0 && a->octets > IDLE_OCTETS)
		sim_violation(sim, "session %u holds %zu octets while idle",
		    c->s->number, a->octets);
	if (now_us(c) > quiet + sim->timeout_max_us + SECOND) {
		if (is_committing(c))
			c->progress_us = now_us(c);
		else
			sim_violation(sim, "session %u is forgotten",
			    c->s->number);
	}
}

void
client_after_pass(struct client *c)
{
	const struct alloc_account *a;

	if (c->s == NULL || c->is_ended)
		return;
	if (c->s->wire->is_closed)
		client_closed(c);
	else if (c->s->wire->out.len > 0 && !c->is_gone && !c->never_reads
	    && !c->is_reading) {
		if (c->is_slow || chance(c, 100)) {
			c->is_reading = true;
			simclock_at(&c->sim->host.clock, delay_us(c) / 10,
			    read_happens, c, 0);
		} else
			client_read(c);
	}
	if (!c->s->is_ended) {
		check_alive(c);
		if (c->npending == 0 && !c->is_arriving && !c->is_over
		    && !c->is_half_closed && !c->never_reads
		    && (c->groups_left > 0 || c->wants_body
		    || c->ending != END_SILENCE))
			schedule_act(c, delay_us(c));
		return;
	}
	c->is_ended = true;
	check_timeout(c);
	a = alloc_of(c->s->number);
	if (a->blocks != 0)
		sim_violation(c->sim, "session %u ended and left %zu blocks, "
		    "%zu octets", c->s->number, a->blocks, a->octets);
}

/* --- beginning and end ------------------------------------------------ */

static void
client_connect(void *arg, uint64_t value)
{
	struct client *c = arg;
	struct simwire *w;

	(void)value;
	c->is_acting = false;
	c->s = simhost_connect(&c->sim->host, "192.0.2.1");
	if (c->s == NULL) {
		c->is_ended = c->is_over = true;
		return;
	}
	c->sim->nsessions++;
	w = c->s->wire;
	if (c->window != 0)
		w->window = c->window;
	if (chance(c, 300)) {
		w->short_permille = below(c, 800);
		w->again_permille = below(c, 400);
		w->short_max = 1 + below(c, 64);
	}
	c->progress_us = now_us(c);
	expect(c, CMD_BANNER, 0);
	if (c->is_early || c->never_reads)
		schedule_act(c, 1 + below(c, 1000));
}

void
client_init(struct client *c, struct sim *sim, unsigned int number)
{
	struct body body = c->body;

	memset(c, 0, sizeof(*c));
	c->body = body;
	c->sim = sim;
	c->number = number;
	c->frag = chance(c, 500) ? FRAG_WHOLE : chance(c, 500) ? FRAG_CUT
	    : chance(c, 700) ? FRAG_BYTES : FRAG_DELAYED;
	c->ending = chance(c, 500) ? END_QUIT
	    : (enum ending)below(c, END_SILENCE + 1);
	c->is_pipelining = chance(c, 500);
	c->is_early = chance(c, 50);
	c->is_slow = chance(c, 100);
	c->groups_left = 1 + below(c, 24);
	if (chance(c, 100))
		c->window = 1 + below(c, 300);
	if (chance(c, 30)) {
		c->never_reads = true;
		c->ending = END_SILENCE;
		c->window = 1 + below(c, 300);
	}
	if (chance(c, 200))
		c->vanish_after = 1 + below(c, 400);
	c->is_acting = true;
	simclock_at(&sim->host.clock, chance(c, 500) ? 0
	    : below(c, 3000000), client_connect, c, 0);
}

bool
client_is_done(const struct client *c)
{
	return c->is_ended;
}

static bool
owes_body(const struct client *c)
{
	unsigned int i;

	for (i = 0; i < c->npending; i++)
		if (c->pending[(c->first + i) % SIM_PENDING].kind == CMD_BODY)
			return true;
	return false;
}

/* What was committed and never confirmed: at most the one message whose reply
 * was lost with the connection. */
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
			sim_violation(c->sim, "message %s was committed, and "
			    "the client was told otherwise", m->id);
	}
	if (n > 1)
		sim_violation(c->sim, "%u messages of session %u are "
		    "unconfirmed", n, c->s->number);
}
