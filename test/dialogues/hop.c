/* A dialogue of the client role, played once: the test is the server.
 * Owns: the run: what the client has said and nobody has asked for yet, the
 * first thing that went wrong. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "test/dialogues/dialogue.h"
#include "test/lib/simhop.h"

#define START_US	UINT64_C(1790000000123456)	/* an odd moment of 2026 */
#define PATIENCE_US	UINT64_C(20000000000)	/* longer than all that a client waits for one message */
#define SETTLE_MAX	200000	/* passes */

struct hop_run {
	const struct dialogue	*d;
	const struct step	*step;
	enum play_mode		 mode;
	size_t			 cut;
	bool			 is_traced;
	struct play_result	*result;
	struct simclock		 clock;
	struct simnet		 net;
	struct scheduler	*sched;
	struct simhop		 hop;
	bool			 is_connected, is_inside, is_vanished;
	size_t			 window;
	char			 words[2048];	/* of @client */
	char			*out;		/* of the client, not yet asked for */
	size_t			 nout, out_size;
	jmp_buf			 stop;
};

static void
note(struct hop_run *r, const char *fmt, va_list ap)
{
	int n;

	if (r->result->is_failed)
		return;
	r->result->is_failed = true;
	n = snprintf(r->result->text, sizeof(r->result->text), "%s:%d: ",
	    r->d->path, r->step == NULL ? 0 : r->step->line);
	vsnprintf(r->result->text + n, sizeof(r->result->text) - (size_t)n,
	    fmt, ap);
}

static void __attribute__((format(printf, 2, 3), noreturn))
fail(struct hop_run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(r, fmt, ap);
	va_end(ap);
	longjmp(r->stop, 1);
}

static void __attribute__((format(printf, 2, 3)))
note_text(struct hop_run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(r, fmt, ap);
	va_end(ap);
}

static void
violation(void *arg, const char *text)
{
	note_text(arg, "invariant: %s", text);
}

static void
trace(const struct hop_run *r, const char *who, const char *buf, size_t len)
{
	size_t i;

	if (!r->is_traced || len == 0)
		return;
	printf("  %s ", who);
	for (i = 0; i < len; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			printf("\\x%02x", (unsigned char)buf[i]);
		else
			putchar(buf[i]);
	putchar('\n');
}

/* --- the client's turn ---------------------------------------------------- */

static void
settle(struct hop_run *r)
{
	uint64_t next;
	int n, npasses;

	for (npasses = 0; npasses < SETTLE_MAX; npasses++) {
		n = scheduler_pass(r->sched, 0);
		if (n == 0 && !(simclock_next(&r->clock, &next)
		    && next <= r->clock.now_us))
			return;
	}
	note_text(r, "never comes to rest");
}

static void
take_output(struct hop_run *r)
{
	const char *buf;
	size_t len, i;

	buf = simwire_peek(r->hop.wire, &len);
	while (r->nout + len > r->out_size) {
		r->out_size = r->out_size == 0 ? 4096 : 2 * r->out_size;
		if ((r->out = realloc(r->out, r->out_size)) == NULL)
			abort();
	}
	for (i = 0; i < len; i++)
		r->out[r->nout + i] = (char)(r->is_inside ?
		    buf[i] ^ SIMHOP_TURN : buf[i]);
	trace(r, "C", r->out + r->nout, len);
	r->nout += len;
	simwire_take(r->hop.wire, len);
}

/* Let the client do all it can, and collect what it says. */
static void
collect(struct hop_run *r)
{
	struct simwire *w = r->hop.wire;
	bool is_drip = r->mode == PLAY_DRIP && r->window == SIZE_MAX;

	if (!r->is_connected)
		return;
	do {
		if (is_drip)
			w->window = 1;
		settle(r);
		take_output(r);
	} while (is_drip && w->window == 0 && !w->is_closed);
}

static void
advance(struct hop_run *r, uint64_t us)
{
	uint64_t until = r->clock.now_us + us;

	settle(r);
	while (r->clock.now_us < until) {
		r->clock.limit_us = until;
		scheduler_pass(r->sched, 1000000);
		r->clock.limit_us = 0;
		settle(r);
	}
}

static void
connect_now(struct hop_run *r)
{
	if (r->is_connected)
		return;
	r->hop.is_traced = r->is_traced;
	r->hop.violation = violation;
	r->hop.arg = r;
	if (simhop_connect(&r->hop, &r->net) == -1)
		fail(r, "cannot connect");
	r->is_connected = true;
	r->hop.wire->window = r->window;
	collect(r);
}

/* --- the server's turn ---------------------------------------------------- */

static void
need_no_output(struct hop_run *r)
{
	if (r->nout > 0)
		fail(r, "unexpected: %.*s", (int)(r->nout > 200 ? 200 :
		    r->nout), r->out);
}

/* From now on the server does nothing any more. */
static void
vanish(struct hop_run *r)
{
	if (r->mode == PLAY_VANISH)
		simwire_close(r->hop.wire);
	r->is_vanished = true;
	longjmp(r->stop, 1);
}

static void
send_part(struct hop_run *r, const char *buf, size_t len)
{
	if (len > 0)
		simwire_send_now(r->hop.wire, buf, len);
	collect(r);
}

static void
send_wire(struct hop_run *r, const char *buf, size_t len)
{
	size_t before = r->result->noctets, first = len, i;

	r->result->noctets += len;
	if ((r->mode == PLAY_VANISH || r->mode == PLAY_STALL)
	    && before + len > r->cut) {
		send_part(r, buf, r->cut - before);
		vanish(r);
	}
	for (i = 0; r->mode == PLAY_BYTES && i < len; i++)
		send_part(r, buf + i, 1);
	if (r->mode == PLAY_BYTES)
		return;
	if (r->mode == PLAY_SPLIT && r->cut > before && r->cut < before + len)
		first = r->cut - before;
	else if (r->mode == PLAY_SPLIT
	    && (r->cut == before || r->cut == before + len))
		r->result->is_boundary = true;
	send_part(r, buf, first);
	if (first < len)
		send_part(r, buf + first, len - first);
}

static void
send_bytes(struct hop_run *r, const char *buf, size_t len)
{
	char piece[64];		/* a run may stop in the middle: nothing to free */
	size_t n, i;

	connect_now(r);
	need_no_output(r);
	trace(r, "S", buf, len);
	if (!r->is_inside) {
		send_wire(r, buf, len);
		return;
	}
	for (; len > 0; buf += n, len -= n) {
		n = len < sizeof(piece) ? len : sizeof(piece);
		for (i = 0; i < n; i++)
			piece[i] = (char)(buf[i] ^ SIMHOP_TURN);
		send_wire(r, piece, n);
	}
}

/* What stands for the handshake of TLS: "", or "fail". */
static void
play_tls(struct hop_run *r, const struct step *s)
{
	static const char bad[] = "220 this is no TLS\r\n";
	size_t len = strlen(SIMHOP_HELLO);

	connect_now(r);
	if (r->nout != len || memcmp(r->out, SIMHOP_HELLO, len) != 0)
		fail(r, "expected a ClientHello, got %.*s", (int)r->nout,
		    r->out);
	r->nout = 0;
	if (strncmp(s->text, "fail", 4) == 0)
		send_wire(r, bad, strlen(bad));
	else {
		/* what the client says at once is inside already */
		r->is_inside = true;
		send_wire(r, SIMHOP_ANSWER, strlen(SIMHOP_ANSWER));
	}
}

static void
expect_line(struct hop_run *r, const char *pattern)
{
	const char *nl;
	size_t len;

	connect_now(r);
	nl = r->nout == 0 ? NULL : memchr(r->out, '\n', r->nout);
	if (nl == NULL)
		fail(r, "expected \"%s\", got nothing%s", pattern,
		    r->hop.wire->is_closed ? " (closed)" : "");
	len = (size_t)(nl - r->out) + 1;
	if (len < 2 || nl[-1] != '\r')
		fail(r, "a line that does not end with CRLF");
	if (!pattern_match(pattern, r->out, len - 2))
		fail(r, "expected \"%s\", got \"%.*s\"", pattern,
		    (int)(len - 2), r->out);
	memmove(r->out, r->out + len, r->nout - len);
	r->nout -= len;
}

/* --- what must have happened ---------------------------------------------- */

static void
expect_text(struct hop_run *r, const struct simhop_result *result,
    const char *pattern)
{
	char text[700];

	if (!result->is_told)
		fail(r, "expected \"%s\", there is no result", pattern);
	simhop_text(result, text, sizeof(text));
	if (!pattern_match(pattern, text, strlen(text)))
		fail(r, "expected \"%s\", got \"%s\"", pattern, text);
}

/* Of the newest message that has the recipient. */
static void
check_result(struct hop_run *r, const struct step *s)
{
	const struct simhop_message *m;
	size_t i, k;

	for (i = r->hop.nmessages; i-- > 0;) {
		m = &r->hop.messages[i];
		for (k = 0; k < m->env.nrcpts; k++)
			if (strcmp(m->env.rcpts[k], s->word) == 0) {
				expect_text(r, &m->results[k], s->text);
				return;
			}
	}
	fail(r, "no message is for %s", s->word);
}

/* --- the world ------------------------------------------------------------ */

static bool
set_word(struct hop_run *r, char *w)
{
	struct smtp_client_options *o = &r->hop.options;
	struct simhop *h = &r->hop;

	if (strcmp(w, "lmtp") == 0)
		o->is_lmtp = true;
	else if (strcmp(w, "bdat") == 0)
		o->is_bdat_preferred = true;
	else if (strcmp(w, "clear") == 0)
		o->may_login_clear = true;
	else if (strcmp(w, "verified") == 0)
		h->is_verified = true;
	else if (strcmp(w, "late") == 0)
		h->is_login_late = true;
	else if (strcmp(w, "tls=may") == 0)
		o->tls = SMTP_TLS_MAY;
	else if (strcmp(w, "tls=must") == 0)
		o->tls = SMTP_TLS_MUST;
	else if (strcmp(w, "tls=first") == 0)
		o->tls = SMTP_TLS_FIRST;
	else if (strcmp(w, "login=may") == 0)
		o->login = SMTP_LOGIN_MAY;
	else if (strcmp(w, "login=must") == 0)
		o->login = SMTP_LOGIN_MUST;
	else if (strncmp(w, "mechanism=", 10) == 0)
		h->login = w + 10;
	else if (strncmp(w, "user=", 5) == 0)
		h->user = w + 5;
	else if (strncmp(w, "password=", 9) == 0)
		h->password = w + 9;
	else if (strncmp(w, "nonce=", 6) == 0)
		h->nonce = w + 6;
	else if (strncmp(w, "idle=", 5) == 0)
		o->idle_seconds = (unsigned int)atoi(w + 5);
	else if (strncmp(w, "read=", 5) == 0)
		h->read_max = (size_t)atol(w + 5);
	else
		return false;
	h->has_tls = h->has_tls || o->tls != SMTP_TLS_NEVER;
	return true;
}

static void
set_client(struct hop_run *r, const struct step *s)
{
	char *rest = r->words + strlen(r->words), *w;

	/* what is copied there stays */
	if (rest > r->words)
		rest++;
	strlcpy(rest, s->text, sizeof(r->words) - (size_t)(rest - r->words));

	while ((w = strsep(&rest, " ")) != NULL)
		if (*w != '\0' && !set_word(r, w))
			fail(r, "@client: unknown word %s", w);
}

static void
add_mail(struct hop_run *r, const struct step *s)
{
	struct simhop_message *m = simhop_add(&r->hop, strcmp(s->sender,
	    "<>") == 0 ? "" : s->sender, s->rcpts, s->text, s->len);
	char *rest = s->word, *w;

	if (m == NULL)
		fail(r, "too many messages");
	while ((w = strsep(&rest, " ")) != NULL) {
		if (*w != '\0' && !simhop_envelope(m, w))
			fail(r, "@mail: unknown word %s", w);
		if (rest != NULL)
			rest[-1] = ' ';
	}
	simhop_wake(&r->hop);
	collect(r);
}

static void
play_world(struct hop_run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_SOURCE:
		r->hop.source_max = s->number < 0 ? SIZE_MAX :
		    (size_t)s->number;
		simhop_wake(&r->hop);
		break;
	case STEP_SOURCE_FAIL:
		r->hop.source_errno = s->errnum;
		simhop_wake(&r->hop);
		break;
	case STEP_LAST:
		r->hop.is_last = true;
		simhop_wake(&r->hop);
		break;
	case STEP_STOP:
		smtp_client_stop(r->hop.client);
		simhop_wake(&r->hop);
		break;
	case STEP_ANSWER:
		simhop_login(&r->hop);
		simhop_wake(&r->hop);
		break;
	case STEP_WINDOW:
		r->window = s->number < 0 ? SIZE_MAX : (size_t)s->number;
		if (r->is_connected)
			r->hop.wire->window = r->window;
		break;
	default:
		fail(r, "this is no step of the client role");
	}
	collect(r);
}

static void
play_wire(struct hop_run *r, const struct step *s)
{
	connect_now(r);
	switch (s->kind) {
	case STEP_CLOSE:
		simwire_close(r->hop.wire);
		break;
	case STEP_HALF_CLOSE:
		simwire_half_close(r->hop.wire);
		break;
	case STEP_RESET:
		simwire_reset(r->hop.wire);
		break;
	case STEP_ADVANCE:
		if (r->window == SIZE_MAX)
			r->hop.wire->window = r->window;
		advance(r, (uint64_t)(s->seconds * 1e6));
		break;
	default:
		need_no_output(r);
		if (r->hop.wire->is_closed !=
		    (s->kind == STEP_EXPECT_CLOSE))
			fail(r, "%sclosed", r->hop.wire->is_closed ? "" :
			    "not ");
		break;
	}
	collect(r);
}

static void
play_state(struct hop_run *r, const struct step *s)
{
	const char *state = r->hop.client == NULL ? "ended" :
	    smtp_client_state(r->hop.client);

	if (strcmp(state, s->text) != 0)
		fail(r, "expected state %s, is %s", s->text, state);
}

static void
play_step(struct hop_run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_SEND:
		send_bytes(r, s->text, s->len);
		break;
	case STEP_PAUSE:
		break;
	case STEP_LINE:
		expect_line(r, s->text);
		break;
	case STEP_CLIENT:
		set_client(r, s);
		break;
	case STEP_MAIL:
		add_mail(r, s);
		break;
	case STEP_CONNECT:
		connect_now(r);
		break;
	case STEP_CLOSE:
	case STEP_HALF_CLOSE:
	case STEP_RESET:
	case STEP_ADVANCE:
	case STEP_EXPECT_CLOSE:
	case STEP_EXPECT_SILENCE:
		play_wire(r, s);
		break;
	case STEP_TLS:
		play_tls(r, s);
		break;
	case STEP_STATE:
		play_state(r, s);
		break;
	case STEP_RESULT:
		check_result(r, s);
		break;
	case STEP_ENDED:
		expect_text(r, &r->hop.end, s->text);
		break;
	default:
		play_world(r, s);
		break;
	}
}

/* What holds at the end: a server that is silent, or gone, costs a bounded
 * time, and each message that was taken is done (simhop.c checks that).  A
 * message whose body the host does not give is none of the server's business.
 * */
static void
finish(struct hop_run *r)
{
	if (!r->is_connected)
		return;
	if (!r->is_vanished)
		need_no_output(r);
	r->hop.wire->window = SIZE_MAX;
	advance(r, PATIENCE_US);
	if (r->hop.client != NULL)
		fail(r, "the client goes on: %s",
		    smtp_client_state(r->hop.client));
}

/* ${s} NULL: the end. */
static bool __attribute__((noinline))
try_step(struct hop_run *r, const struct step *s)
{
	if (setjmp(r->stop) != 0)
		return false;
	if (s == NULL)
		finish(r);
	else
		play_step(r, s);
	return true;
}

void
hop_play(const struct dialogue *d, enum play_mode mode, size_t cut,
    bool is_traced, struct play_result *result)
{
	static struct hop_run r;	/* too large for a stack */
	struct scheduler_backend backend;
	size_t i;

	r = (struct hop_run){ .d = d, .mode = mode, .cut = cut,
		.is_traced = is_traced, .result = result,
		.window = SIZE_MAX };
	simclock_init(&r.clock, START_US);
	simnet_init(&r.net, NULL);
	r.clock.poll = simnet_poll;
	r.clock.poll_arg = &r.net;
	simclock_backend(&r.clock, &backend);
	if ((r.sched = scheduler_create(&backend)) == NULL)
		abort();
	simhop_init(&r.hop, &r.clock);
	for (i = 0; i < d->nsteps && !result->is_failed && !r.is_vanished;
	    i++) {
		r.step = &d->steps[i];
		try_step(&r, r.step);
	}
	if (!result->is_failed)
		try_step(&r, NULL);
	simhop_clear(&r.hop);
	settle(&r);
	scheduler_destroy(r.sched);
	simnet_clear(&r.net);
	simclock_clear(&r.clock);
	free(r.out);
}
