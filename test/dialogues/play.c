/* One dialogue, played once on the simulated wire under the virtual clock.
 * Owns: the run: what has been sent, what has come back and not been asked
 * for yet, and the first thing that went wrong. */

#include "test/dialogues/play_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US	UINT64_C(1790000000123456)	/* an odd moment of 2026 */
#define PEER		"192.0.2.1"
#define PATIENCE_US	UINT64_C(100000000000)	/* longer than all timeouts of a session together */

struct simhost *play_host;

static void
note_failure(struct run *r, const char *fmt, va_list ap)
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

void
play_fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_failure(r, fmt, ap);
	va_end(ap);
	longjmp(r->stop, 1);
}

static void
violation(void *arg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_failure(arg, fmt, ap);
	va_end(ap);
}

static void
host_violation(void *arg, const char *text)
{
	violation(arg, "invariant: %s", text);
}

bool
pattern_match(const char *pat, const char *s, size_t len)
{
	const char *star = NULL;
	size_t i = 0, mark = 0;
	char c;

	for (;;) {
		if (*pat == '*') {
			star = ++pat;
			mark = i;
			continue;
		}
		c = *pat == '\\' && pat[1] != '\0' ? pat[1] : *pat;
		if (i < len && *pat != '\0' && s[i] == c) {
			pat += *pat == '\\' && pat[1] != '\0' ? 2 : 1;
			i++;
			continue;
		}
		if (i == len && *pat == '\0')
			return true;
		if (star == NULL || mark >= len)
			return false;
		pat = star;
		i = ++mark;
	}
}

void
play_trace(const struct run *r, const char *who, const char *buf, size_t len)
{
	size_t i;

	if (!r->is_traced)
		return;
	printf("  %s ", who);
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)buf[i];

		if (c == '\r')
			printf("\\r");
		else if (c == '\n')
			printf("\\n");
		else if (c < 0x20 || c > 0x7e)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

void
play_keep(struct run *r, const char *buf, size_t len)
{
	while (r->nout + len > r->out_size) {
		r->out_size = r->out_size == 0 ? 4096 : 2 * r->out_size;
		r->out = realloc(r->out, r->out_size);
		if (r->out == NULL)
			abort();
	}
	memcpy(r->out + r->nout, buf, len);
	r->nout += len;
	play_trace(r, "S", buf, len);
}

static void
take_output(struct run *r)
{
	const char *buf;
	size_t len;

	buf = simwire_peek(r->s->wire, &len);
	if (len == 0)
		return;
	if (r->tls != NULL)
		play_tls_received(r, buf, len);
	else
		play_keep(r, buf, len);
	simwire_take(r->s->wire, len);
}

/* Let the server do all it can, and collect what it says. */
void
play_collect(struct run *r)
{
	struct simwire *w;

	if (r->s == NULL) {
		simhost_settle(play_host);
		return;
	}
	w = r->s->wire;
	do {
		if (r->mode == PLAY_DRIP && r->window == SIZE_MAX)
			w->window = 1;
		simhost_settle(play_host);
		take_output(r);
	} while (r->mode == PLAY_DRIP && r->window == SIZE_MAX
	    && w->window == 0 && !w->is_closed);
}

static void
connect_now(struct run *r)
{
	r->s = simhost_connect(play_host, r->d->peer == NULL ? PEER : r->d->peer);
	if (r->s == NULL)
		play_fail(r, "cannot connect");
	r->s->wire->window = r->window;
}

void
play_need_session(struct run *r)
{
	if (r->s != NULL)
		return;
	connect_now(r);
	play_collect(r);
}

static void
need_no_output(struct run *r)
{
	if (r->nout > 0)
		play_fail(r, "unexpected: %.*s", (int)(r->nout > 200 ? 200
		    : r->nout), r->out);
}

/* From now on the client does nothing any more. */
static void
vanish(struct run *r)
{
	if (r->mode == PLAY_VANISH) {
		simwire_close(r->s->wire);
		play_collect(r);
	} else
		simhost_advance(play_host, PATIENCE_US);
	r->is_vanished = true;
	longjmp(r->stop, 1);
}

void
play_send_wire(struct run *r, const char *buf, size_t len)
{
	size_t before = r->result->noctets, first, i;

	r->result->noctets += len;
	if ((r->mode == PLAY_VANISH || r->mode == PLAY_STALL)
	    && before + len > r->cut) {
		simwire_send_now(r->s->wire, buf, r->cut - before);
		play_collect(r);
		vanish(r);
	}
	if (r->mode == PLAY_BYTES) {
		for (i = 0; i < len; i++) {
			simwire_send_now(r->s->wire, buf + i, 1);
			play_collect(r);
		}
		return;
	}
	first = len;
	if (r->mode == PLAY_SPLIT && r->cut > before && r->cut < before + len)
		first = r->cut - before;
	else if (r->mode == PLAY_SPLIT
	    && (r->cut == before || r->cut == before + len))
		r->result->is_boundary = true;
	simwire_send_now(r->s->wire, buf, first);
	play_collect(r);
	if (first < len) {
		simwire_send_now(r->s->wire, buf + first, len - first);
		play_collect(r);
	}
}

static void
send_bytes(struct run *r, const char *buf, size_t len)
{
	if (r->s == NULL)
		connect_now(r);	/* an early talker does not wait */
	need_no_output(r);
	play_trace(r, "C", buf, len);
	if (r->tls != NULL)
		play_tls_send(r, buf, len);
	else
		play_send_wire(r, buf, len);
}

/* An octet a second, none of which ends a line, until the server closes. */
static void
trickle(struct run *r, double seconds)
{
	double t;

	play_need_session(r);
	for (t = 0; t < seconds && !r->s->wire->is_closed; t++) {
		if (r->tls != NULL)
			play_tls_send(r, "x", 1);
		else
			play_send_wire(r, "x", 1);
		simhost_advance(play_host, 1000000);
		play_collect(r);
	}
}

/* One line from the server, without its CRLF; RFC 5321 2.3.8: nothing but
 * CRLF ends a line. */
static size_t
next_line(struct run *r, const char *wanted)
{
	const char *nl;
	size_t len;

	play_need_session(r);
	nl = r->nout == 0 ? NULL : memchr(r->out, '\n', r->nout);
	if (nl == NULL)
		play_fail(r, "expected \"%s\", got nothing%s", wanted,
		    r->s->wire->is_closed ? " (closed)" : "");
	len = (size_t)(nl - r->out) + 1;
	if (len < 2 || nl[-1] != '\r')
		play_fail(r, "a line that does not end with CRLF");
	/* RFC 4954 4: a challenge may be longer */
	if (len > LIM_REPLY_LINE && strncmp(r->out, "334 ", 4) != 0)
		play_fail(r, "a reply line of %zu octets", len);
	return len;
}

static void
drop_output(struct run *r, size_t len)
{
	memmove(r->out, r->out + len, r->nout - len);
	r->nout -= len;
}

static void
expect_line(struct run *r, const char *pattern)
{
	size_t len = next_line(r, pattern);

	if (!pattern_match(pattern, r->out, len - 2))
		play_fail(r, "expected \"%s\", got \"%.*s\"", pattern,
		    (int)(len - 2), r->out);
	drop_output(r, len);
}

/* A whole reply: all lines with the same code, the last without the hyphen. */
static void
expect_reply(struct run *r, const char *pattern)
{
	size_t len;

	while ((len = next_line(r, pattern)) >= 6 && r->out[3] == '-') {
		if (strncmp(r->out, pattern, 3) != 0)
			play_fail(r, "expected \"%s\", got \"%.*s\"", pattern,
			    (int)(len - 2), r->out);
		drop_output(r, len);
	}
	expect_line(r, pattern);
}

static void
expect_close(struct run *r)
{
	play_need_session(r);
	need_no_output(r);
	if (!r->s->wire->is_closed)
		play_fail(r, "expected the server to close");
	if (r->s->ac != NULL)
		play_fail(r, "closed, but the session has not ended");
}

static void
set_window(struct run *r, long number)
{
	r->window = number < 0 ? SIZE_MAX : (size_t)number;
	if (r->s != NULL) {
		r->s->wire->window = r->window;
		play_collect(r);
	}
}

static void
play_wire(struct run *r, const struct step *s)
{
	static const char hello[] = "EHLO client.example\r\n";

	play_need_session(r);
	switch (s->kind) {
	case STEP_HELLO:
		expect_reply(r, "220 *");
		send_bytes(r, hello, sizeof(hello) - 1);
		expect_reply(r, "250 *");
		return;
	case STEP_CLOSE:
		simwire_close(r->s->wire);
		break;
	case STEP_HALF_CLOSE:
		simwire_half_close(r->s->wire);
		break;
	case STEP_RESET:
		simwire_reset(r->s->wire);
		break;
	case STEP_ADVANCE:
		/* let the client take the last reply: the server does not wait */
		r->s->wire->window = r->window;
		simhost_advance(play_host, (uint64_t)(s->seconds * 1e6));
		break;
	default:
		break;
	}
	play_collect(r);
}

static void
play_connect(struct run *r)
{
	if (r->s != NULL) {
		if (r->s->ac != NULL) {
			simwire_close(r->s->wire);
			play_collect(r);
		}
		need_no_output(r);
		if (r->s->ac == NULL)
			simhost_release(r->s);
	}
	simtls_client_free(r->tls);
	r->tls = NULL;
	connect_now(r);
	play_collect(r);
}

/* What the world does meanwhile. */
static void
play_world(struct run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_COMMIT:
	case STEP_BEGIN:
	case STEP_APPEND:
		play_set_fault(r, s);
		break;
	case STEP_COMMIT_RCPT:
		play_set_of_rcpt(r, s);
		break;
	case STEP_ROOM:
		simspool_set_room(&play_host->spool, s->number < 0 ? SIZE_MAX
		    : (size_t)s->number);
		play_collect(r);
		break;
	case STEP_WINDOW:
		set_window(r, s->number);
		break;
	case STEP_LOOKUP:
		play_host->is_lookup_later = s->word != NULL
		    && strcmp(s->word, "later") == 0;
		break;
	case STEP_POLICY:
		play_set_policy(r, s);
		break;
	case STEP_AUTH:
		if (simauth_set(play_host, s->word, s->seconds) == -1)
			play_fail(r, "@auth: no such word");
		play_collect(r);
		break;
	case STEP_HOLD:
	case STEP_RELEASE_HOLD:
		play_host->host.is_held = s->kind == STEP_HOLD;
		break;
	case STEP_DRAIN:
	case STEP_RECONFIG:
		simhost_drain(play_host, s->kind == STEP_RECONFIG);
		play_collect(r);
		break;
	case STEP_EXTENSION:
		play_set_extension(true);
		break;
	case STEP_TLS_START:
		simtls_start_error(s->errnum);
		break;
	case STEP_SIGN:
		play_set_sign(r, s);
		break;
	default:
		break;
	}
}

static void
play_step(struct run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_SEND:
		send_bytes(r, s->text, s->len);
		break;
	case STEP_PAUSE:	/* the next group is one of its own */
		break;
	case STEP_LINE:
		expect_line(r, s->text);
		break;
	case STEP_REPLY:
		expect_reply(r, s->text);
		break;
	case STEP_CONNECT:
		play_connect(r);
		break;
	case STEP_HELLO:
	case STEP_ADVANCE:
	case STEP_CLOSE:
	case STEP_HALF_CLOSE:
	case STEP_RESET:
		play_wire(r, s);
		break;
	case STEP_TRICKLE:
		trickle(r, s->seconds);
		break;
	case STEP_TLS:
		play_need_session(r);
		need_no_output(r);
		play_tls(r, s);
		break;
	case STEP_EXPECT_CLOSE:
		expect_close(r);
		break;
	case STEP_EXPECT_SILENCE:
		play_need_session(r);
		need_no_output(r);
		if (r->s->wire->is_closed)
			play_fail(r, "closed");
		break;
	case STEP_MESSAGE:
		play_check_message(r);
		break;
	case STEP_RECEIVED:
		play_check_received(r, s);
		break;
	case STEP_SAID:
		play_check_said(r, s);
		break;
	case STEP_MESSAGES:
		if (play_host->spool.nsafe != (size_t)s->number)
			play_fail(r, "%zu messages committed, expected %ld",
			    play_host->spool.nsafe, s->number);
		break;
	case STEP_REPORT:
		play_check_report(r, s);
		break;
	case STEP_LOGIN:
	case STEP_CANCELS:
		play_check_login(r, s);
		break;
	case STEP_STATE:
		play_check_state(r, s);
		break;
	case STEP_LOOK:
		play_look(r);
		break;
	default:
		play_world(r, s);
		break;
	}
}

/* What holds when the client has gone, whatever was said. */
static void
finish(struct run *r)
{
	if (!r->is_vanished)
		need_no_output(r);
	if (r->s == NULL)
		return;
	if (r->s->ac != NULL && r->mode == PLAY_STALL && r->is_vanished)
		play_fail(r, "the client is silent, the session goes on");
	if (r->s->ac != NULL) {
		simwire_close(r->s->wire);
		play_collect(r);
		if (r->s->ac != NULL && play_host->spool.ncommitting > 0) {
			simspool_release(&play_host->spool);
			simhost_advance(play_host, 1000000);
		}
	}
	if (r->s->ac != NULL)
		play_fail(r, "the client has gone, the session has not ended");
	if (play_host->spool.nopen > 0)
		play_fail(r, "a message was left open");
}

/* ${s} NULL: the end. */
static bool __attribute__((noinline))
try_step(struct run *r, const struct step *s)
{
	if (setjmp(r->stop) != 0)
		return false;
	if (s == NULL)
		finish(r);
	else
		play_step(r, s);
	return true;
}

static void
play_steps(struct run *r)
{
	size_t i;

	for (i = 0; i < r->d->nsteps && !r->result->is_failed
	    && !r->is_vanished; i++) {
		r->step = &r->d->steps[i];
		try_step(r, r->step);
	}
	if (!r->result->is_failed)
		try_step(r, NULL);
}

void
play(const struct dialogue *d, enum play_mode mode, size_t cut, bool is_traced,
    struct play_result *result)
{
	struct run r = { .d = d, .mode = mode, .cut = cut,
		.is_traced = is_traced, .result = result, .window = SIZE_MAX };

	memset(result, 0, offsetof(struct play_result, text) + 1);
	result->noctets = 0;
	result->is_boundary = false;
	if (d->is_of_client) {
		hop_play(d, mode, cut, is_traced, result);
		return;
	}
	play_set_extension(false);
	if (simhost_init(play_host, START_US, NULL) == -1) {
		violation(&r, "no memory");
		return;
	}
	simtls_use(play_host);
	play_host->is_traced = is_traced;
	play_host->violation = host_violation;
	play_host->arg = &r;
	if (setjmp(r.stop) == 0)
		play_set_options(&r);
	play_steps(&r);
	simhost_clear(play_host);
	simtls_client_free(r.tls);
	free(r.out);
}
