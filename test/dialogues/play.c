/* One dialogue of the server role, played once on the simulated wire under the
 * virtual clock: the test is the client.
 * Owns: what each step does. */

#include "test/dialogues/play_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US	UINT64_C(1790000000123456)	/* an odd moment of 2026 */
#define PEER		"192.0.2.1"
#define PATIENCE_US	UINT64_C(100000000000)	/* longer than all timeouts of a session together */

struct simhost *play_host;

static void
host_violation(void *arg, const char *text)
{
	play_note(arg, "invariant: %s", text);
}

/* --- what line.c asks ----------------------------------------------------- */

static void
settle(struct run *)
{
	simhost_settle(play_host);
}

static void
wait(struct run *)
{
	simhost_advance(play_host, PATIENCE_US);
}

static void
received(struct run *r, const char *buf, size_t len)
{
	if (r->tls != NULL)
		play_tls_received(r, buf, len);
	else
		play_keep(r, buf, len);
}

static const struct play_side server_side = { .tester = "C", .tested = "S",
	.settle = settle, .wait = wait, .received = received };

/* -------------------------------------------------------------------------- */

static void
connect_now(struct run *r)
{
	r->s = simhost_connect(play_host, r->d->peer == NULL ? PEER : r->d->peer);
	if (r->s == NULL)
		play_fail(r, "cannot connect");
	r->wire = r->s->wire;
	r->wire->window = r->window;
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
send_bytes(struct run *r, const char *buf, size_t len)
{
	if (r->s == NULL)
		connect_now(r);	/* an early talker does not wait */
	play_need_no_output(r);
	play_trace(r, r->side->tester, buf, len);
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

/* A whole reply: all lines with the same code, the last without the hyphen. */
static void
expect_reply(struct run *r, const char *pattern)
{
	size_t len;

	play_need_session(r);
	while ((len = play_next_line(r, pattern)) >= 6 && r->out[3] == '-') {
		if (strncmp(r->out, pattern, 3) != 0)
			play_fail(r, "expected \"%s\", got \"%.*s\"", pattern,
			    (int)(len - 2), r->out);
		play_drop(r, len);
	}
	play_expect_line(r, pattern);
}

static void
expect_close(struct run *r)
{
	play_need_session(r);
	play_need_no_output(r);
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
		play_need_no_output(r);
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
		play_need_session(r);
		play_expect_line(r, s->text);
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
		play_need_no_output(r);
		play_tls(r, s);
		break;
	case STEP_EXPECT_CLOSE:
		expect_close(r);
		break;
	case STEP_EXPECT_SILENCE:
		play_need_session(r);
		play_need_no_output(r);
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
		play_need_no_output(r);
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

void
play(const struct dialogue *d, enum play_mode mode, size_t cut, bool is_traced,
    struct play_result *result)
{
	struct run r = { .d = d, .mode = mode, .cut = cut,
		.is_traced = is_traced, .result = result, .window = SIZE_MAX,
		.side = &server_side };

	memset(result, 0, offsetof(struct play_result, text) + 1);
	result->noctets = 0;
	result->is_boundary = false;
	if (d->is_of_client) {
		hop_play(d, mode, cut, is_traced, result);
		return;
	}
	play_set_extension(false);
	if (simhost_init(play_host, START_US, NULL) == -1) {
		play_note(&r, "no memory");
		return;
	}
	simtls_use(play_host);
	play_host->is_traced = is_traced;
	play_host->violation = host_violation;
	play_host->arg = &r;
	if (setjmp(r.stop) == 0)
		play_set_options(&r);
	play_steps(&r, play_step, finish);
	simhost_clear(play_host);
	simtls_client_free(r.tls);
	free(r.out);
}
