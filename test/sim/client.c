/* A client as a seed makes it: what it sends, in what pieces, whether and when
 * it reads, how it ends.
 * Owns: the client's side of its wire.
 * Knows nothing of which reply is right (model.c), nor of what must hold for a
 * session (invariants.c). */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/sim.h"

#define SECOND		UINT64_C(1000000)

static void client_act(void *arg, uint64_t value);

uint32_t
client_below(struct client *c, uint32_t n)
{
	return simrand_below(&c->sim->rand, n);
}

bool
client_chance(struct client *c, uint32_t permille)
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

/* A delay: mostly none, sometimes short, seldom longer than any timeout. */
static uint64_t
delay_us(struct client *c)
{
	uint32_t n = client_below(c, 1000);

	if (n < 700)
		return 0;
	if (n < 930)
		return 1 + client_below(c, 50000);
	if (n < 985)
		return SECOND + client_below(c, 3000000);
	return SECOND * client_below(c, 400);
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
		n = 1 + client_below(c, left > 2000 ? (uint32_t)left : 40);
	return n < left ? n : left;
}

static void
arrive(void *arg, uint64_t)
{
	struct client *c = arg;
	struct simwire *w = c->s->wire;
	size_t left = w->in.len - w->arrived, n;

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

void
client_send_wire(struct client *c, const char *buf, size_t len)
{
	simwire_send(c->s->wire, buf, len);
	if (!c->is_arriving) {
		c->is_arriving = true;
		simclock_at(&c->sim->host.clock, 0, arrive, c, 0);
	}
}

void
client_send(struct client *c, const char *buf, size_t len)
{
	trace(c, "C", buf, len);
	if (c->tls != NULL)
		client_tls_send(c, buf, len);
	else
		client_send_wire(c, buf, len);
}

void
client_give_up(struct client *c)
{
	leave(c, END_CLOSE);
}

bool
client_expect(struct client *c, enum cmd_kind kind, unsigned int arg)
{
	if (c->npending == SIM_PENDING)
		return false;
	c->pending[(c->first + c->npending) % SIM_PENDING] =
	    (struct cmd) { kind, arg };
	c->npending++;
	return true;
}

static void
send_body(struct client *c)
{
	struct sim *sim = c->sim;

	c->wants_body = false;
	body_make(&c->body, &sim->rand, client_chance(c, 50) ? sim->body_max
	    : sim->body_max < 300 ? sim->body_max : 300, sim->may_be_lone,
	    sim->host.options.lone_lf_in_body == ESMTP_LF_FIX, false);
	client_expect(c, CMD_BODY, 0);
	client_send(c, c->body.wire, c->body.wire_len);
	/* the next transaction may follow the dot at once, but it must not
	 * replace this body before its reply has come */
	if (c->is_pipelining && client_chance(c, 300)) {
		client_put_command(c, CMD_MAIL);
		client_put_command(c, CMD_RCPT);
		if (client_chance(c, 500))
			client_put_command(c, CMD_DATA);
	}
}

static void
client_act(void *arg, uint64_t)
{
	struct client *c = arg;

	c->is_acting = false;
	if (c->is_over || c->is_gone || c->is_half_closed || c->is_shaking
	    || c->s->wire->is_closed)
		return;
	if (c->wants_body) {
		send_body(c);
	} else if (c->wants != 0) {
		client_answer_challenge(c);
	} else if (c->is_chunking && !client_chance(c, 50)) {
		client_send_chunks(c);
	} else if (c->groups_left == 0) {
		if (c->ending == END_QUIT)
			client_put_command(c, CMD_QUIT);
		else
			leave(c, c->ending);
	} else {
		c->groups_left--;
		if (c->is_unclear)
			client_put_command(c, CMD_RSET);
		else if (c->is_pipelining)
			client_send_group(c);
		else
			client_send_one(c);
	}
	/* a client that never reads goes on without waiting */
	if (c->never_reads && c->groups_left > 0)
		schedule_act(c, delay_us(c) + 1);
}

/* --- reading ---------------------------------------------------------- */

/* A reply line with its CRLF.  RFC 5321 4.2.1: a code, then a space, or a
 * hyphen if more lines follow; every line has the same code. */
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
		sim_violation(sim, "a bad reply code: %.*s", (int)len, l);
		return;
	}
	c->code = l[3] == '-' ? code : 0;
	if (l[3] == '-')
		return;
	if (sim->mutation == MUT_REPLY_LOST && client_chance(c, 20))
		return;
	model_reply(c, code, l, len);
	if (sim->mutation == MUT_REPLY_TWICE && client_chance(c, 20))
		model_reply(c, code, l, len);
}

void
client_hear(struct client *c, const char *buf, size_t len)
{
	bool was_clear = c->tls == NULL;
	size_t i;

	for (i = 0; i < len; i++) {
		if (c->nline == sizeof(c->line)) {
			sim_violation(c->sim, "a reply line is too long");
			c->nline = 0;
		}
		c->line[c->nline++] = buf[i];
		if (buf[i] == '\n') {
			take_line(c);
			c->nline = 0;
		}
	}
	if (was_clear && c->tls != NULL && c->nline > 0)
		sim_violation(c->sim, "unencrypted octets after the 220");
}

static void
client_read(struct client *c)
{
	struct simwire *w = c->s->wire;
	const char *buf;
	size_t len;

	buf = simwire_peek(w, &len);
	if (len > 1 && c->is_slow)
		len = 1 + client_below(c, (uint32_t)len);
	if (c->tls != NULL)
		client_tls_receive(c, buf, len);
	else
		client_hear(c, buf, len);
	simwire_take(w, len);
	if (w->window != SIZE_MAX)
		w->window += len;
	c->progress_us = now_us(c);
}

static void
read_happens(void *arg, uint64_t)
{
	struct client *c = arg;

	c->is_reading = false;
	if (!c->is_gone)
		client_read(c);
}

/* The server has closed: read what is left, and judge. */
static void
client_closed(struct client *c)
{
	while (!c->is_gone && !c->never_reads && c->s->wire->out.len > 0)
		client_read(c);
	if (c->is_over)
		return;
	c->is_over = true;
	trace(c, "--", "closed by the server", 20);
	client_check_closed(c);
}

void
client_after_pass(struct client *c)
{
	if (c->s == NULL || c->is_ended)
		return;
	if (c->s->wire->is_closed)
		client_closed(c);
	else if (c->s->wire->out.len > 0 && !c->is_gone && !c->never_reads
	    && !c->is_reading) {
		if (c->is_slow || client_chance(c, 100)) {
			c->is_reading = true;
			simclock_at(&c->sim->host.clock, delay_us(c) / 10,
			    read_happens, c, 0);
		} else
			client_read(c);
	}
	if (!c->s->is_ended) {
		client_check_alive(c);
		if (c->npending == 0 && !c->is_arriving && !c->is_over
		    && !c->is_half_closed && !c->never_reads
		    && !c->is_shaking && (c->groups_left > 0 || c->wants_body || c->wants != 0
		    || c->ending != END_SILENCE))
			schedule_act(c, delay_us(c));
		return;
	}
	c->is_ended = true;
	client_check_ended(c);
	simtls_client_free(c->tls);
	c->tls = NULL;
}

/* --- beginning and end ------------------------------------------------ */

static void
client_connect(void *arg, uint64_t)
{
	struct client *c = arg;
	struct simwire *w;

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
	if (client_chance(c, 300)) {
		w->short_permille = client_below(c, 800);
		w->again_permille = client_below(c, 400);
		w->short_max = 1 + client_below(c, 64);
	}
	c->progress_us = now_us(c);
	client_expect(c, CMD_BANNER, 0);
	if (c->sim->host.options.use_ssl) {
		client_tls_begin(c);
		return;
	}
	if (c->is_early || c->never_reads)
		schedule_act(c, 1 + client_below(c, 1000));
}

void
client_init(struct client *c, struct sim *sim, unsigned int number)
{
	struct body body = c->body;

	simtls_client_free(c->tls);
	memset(c, 0, sizeof(*c));
	c->body = body;
	c->sim = sim;
	c->number = number;
	c->frag = client_chance(c, 500) ? FRAG_WHOLE : client_chance(c, 500) ? FRAG_CUT
	    : client_chance(c, 700) ? FRAG_BYTES : FRAG_DELAYED;
	c->ending = client_chance(c, 500) ? END_QUIT
	    : (enum ending)client_below(c, END_SILENCE + 1);
	c->is_pipelining = client_chance(c, 500);
	c->is_early = client_chance(c, 50);
	c->is_slow = client_chance(c, 100);
	c->groups_left = 1 + client_below(c, 24);
	if (client_chance(c, 100))
		c->window = 1 + client_below(c, 300);
	if (!sim->has_tls && client_chance(c, 30)) {
		c->never_reads = true;
		c->ending = END_SILENCE;
		c->window = 1 + client_below(c, 300);
	}
	if (client_chance(c, 200))
		c->vanish_after = 1 + client_below(c, 400);
	c->is_acting = true;
	simclock_at(&sim->host.clock, client_chance(c, 500) ? 0
	    : client_below(c, 3000000), client_connect, c, 0);
}

bool
client_is_done(const struct client *c)
{
	return c->is_ended;
}
