/* A dialogue of the client role, played once: the test is the server.
 * Owns: what each step does. */

#include "test/dialogues/play_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "test/lib/simhop.h"

#define START_US	UINT64_C(1790000000123456)	/* an odd moment of 2026 */
#define PATIENCE_US	UINT64_C(20000000000)	/* longer than all that a client waits for one message */

struct hop_world {
	struct simclock		 clock;
	struct simnet		 net;
	struct scheduler	*sched;
	struct simhop		 hop;
	bool			 is_inside;
	char			 words[2048];	/* of @client */
};

static void
violation(void *arg, const char *text)
{
	play_note(arg, "invariant: %s", text);
}

/* --- the client's turn ---------------------------------------------------- */

static void
settle(struct run *r)
{
	if (simclock_settle(&r->hop->clock, r->hop->sched, NULL, NULL) == -1)
		play_note(r, "never comes to rest");
}

static void
received(struct run *r, const char *buf, size_t len)
{
	size_t at = r->nout, i;

	play_keep(r, buf, len);
	for (i = at; r->hop->is_inside && i < r->nout; i++)
		r->out[i] ^= (char)SIMHOP_TURN;
}

/* The end of a run waits long enough. */
static void
wait(struct run *)
{
}

static const struct play_side client_side = { .tester = "S", .tested = "C",
	.settle = settle, .wait = wait, .received = received };

static void
advance(struct run *r, uint64_t us)
{
	if (simclock_advance(&r->hop->clock, r->hop->sched, us, NULL, NULL) ==
	    -1)
		play_note(r, "never comes to rest");
}

static void
connect_now(struct run *r)
{
	if (r->wire != NULL)
		return;
	r->hop->hop.is_traced = r->is_traced;
	r->hop->hop.violation = violation;
	r->hop->hop.arg = r;
	if (simhop_connect(&r->hop->hop, &r->hop->net) == -1)
		play_fail(r, "cannot connect");
	r->wire = r->hop->hop.wire;
	r->wire->window = r->window;
	play_collect(r);
}

/* --- the server's turn ---------------------------------------------------- */

static void
send_bytes(struct run *r, const char *buf, size_t len)
{
	char piece[64];		/* a run may stop in the middle: nothing to free */
	size_t n, i;

	connect_now(r);
	play_need_no_output(r);
	play_trace(r, r->side->tester, buf, len);
	if (!r->hop->is_inside) {
		play_send_wire(r, buf, len);
		return;
	}
	for (; len > 0; buf += n, len -= n) {
		n = len < sizeof(piece) ? len : sizeof(piece);
		for (i = 0; i < n; i++)
			piece[i] = (char)(buf[i] ^ SIMHOP_TURN);
		play_send_wire(r, piece, n);
	}
}

/* What stands for the handshake of TLS: "", or "fail". */
static void
shake_hands(struct run *r, const struct step *s)
{
	static const char bad[] = "220 this is no TLS\r\n";
	size_t len = strlen(SIMHOP_HELLO);

	connect_now(r);
	if (r->nout != len || memcmp(r->out, SIMHOP_HELLO, len) != 0)
		play_fail(r, "expected a ClientHello, got %.*s", (int)r->nout,
		    r->out);
	r->nout = 0;
	if (strncmp(s->text, "fail", 4) == 0)
		play_send_wire(r, bad, strlen(bad));
	else {
		/* what the client says at once is inside already */
		r->hop->is_inside = true;
		play_send_wire(r, SIMHOP_ANSWER, strlen(SIMHOP_ANSWER));
	}
}

/* --- what must have happened ---------------------------------------------- */

static void
expect_text(struct run *r, const struct simhop_result *result,
    const char *pattern)
{
	char text[700];

	if (!result->is_told)
		play_fail(r, "expected \"%s\", there is no result", pattern);
	simhop_text(result, text, sizeof(text));
	if (!pattern_match(pattern, text, strlen(text)))
		play_fail(r, "expected \"%s\", got \"%s\"", pattern, text);
}

/* Of the newest message that has the recipient. */
static void
check_result(struct run *r, const struct step *s)
{
	const struct simhop_message *m;
	size_t i, k;

	for (i = r->hop->hop.nmessages; i-- > 0;) {
		m = &r->hop->hop.messages[i];
		for (k = 0; k < m->env.nrcpts; k++)
			if (strcmp(m->env.rcpts[k], s->word) == 0) {
				expect_text(r, &m->results[k], s->text);
				return;
			}
	}
	play_fail(r, "no message is for %s", s->word);
}

/* --- the world ------------------------------------------------------------ */

static bool
set_word(struct run *r, char *w)
{
	struct smtp_client_options *o = &r->hop->hop.options;
	struct simhop *h = &r->hop->hop;

	if (strcmp(w, "lmtp") == 0)
		o->is_lmtp = true;
	else if (strcmp(w, "bdat") == 0)
		o->is_bdat_preferred = true;
	else if (strcmp(w, "convert") == 0)
		o->may_convert = true;
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
	else if (strncmp(w, "binding=", 8) == 0)
		h->binding = w + 8;
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
set_client(struct run *r, const struct step *s)
{
	char *rest = r->hop->words + strlen(r->hop->words), *w;

	/* what is copied there stays */
	if (rest > r->hop->words)
		rest++;
	strlcpy(rest, s->text, sizeof(r->hop->words) - (size_t)(rest - r->hop->words));

	while ((w = strsep(&rest, " ")) != NULL)
		if (*w != '\0' && !set_word(r, w))
			play_fail(r, "@client: unknown word %s", w);
}

static void
add_mail(struct run *r, const struct step *s)
{
	struct simhop_message *m = simhop_add(&r->hop->hop, strcmp(s->sender,
	    "<>") == 0 ? "" : s->sender, s->rcpts, s->text, s->len);
	char *rest = s->word, *w;

	if (m == NULL)
		play_fail(r, "too many messages");
	while ((w = strsep(&rest, " ")) != NULL) {
		if (*w != '\0' && !simhop_envelope(m, w))
			play_fail(r, "@mail: unknown word %s", w);
		if (rest != NULL)
			rest[-1] = ' ';
	}
	simhop_wake(&r->hop->hop);
	play_collect(r);
}

static void
play_world(struct run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_SOURCE:
		r->hop->hop.source_max = s->number < 0 ? SIZE_MAX :
		    (size_t)s->number;
		simhop_wake(&r->hop->hop);
		break;
	case STEP_SOURCE_FAIL:
		r->hop->hop.source_errno = s->errnum;
		simhop_wake(&r->hop->hop);
		break;
	case STEP_LAST:
		r->hop->hop.is_last = true;
		simhop_wake(&r->hop->hop);
		break;
	case STEP_STOP:
		smtp_client_stop(r->hop->hop.client);
		simhop_wake(&r->hop->hop);
		break;
	case STEP_ANSWER:
		simhop_login(&r->hop->hop);
		simhop_wake(&r->hop->hop);
		break;
	case STEP_WINDOW:
		r->window = s->number < 0 ? SIZE_MAX : (size_t)s->number;
		if (r->wire != NULL)
			r->wire->window = r->window;
		break;
	default:
		play_fail(r, "this is no step of the client role");
	}
	play_collect(r);
}

static void
play_wire(struct run *r, const struct step *s)
{
	connect_now(r);
	switch (s->kind) {
	case STEP_CLOSE:
		simwire_close(r->wire);
		break;
	case STEP_HALF_CLOSE:
		simwire_half_close(r->wire);
		break;
	case STEP_RESET:
		simwire_reset(r->wire);
		break;
	case STEP_ADVANCE:
		if (r->window == SIZE_MAX)
			r->wire->window = r->window;
		advance(r, (uint64_t)(s->seconds * 1e6));
		break;
	default:
		play_need_no_output(r);
		if (r->wire->is_closed !=
		    (s->kind == STEP_EXPECT_CLOSE))
			play_fail(r, "%sclosed", r->wire->is_closed ? "" :
			    "not ");
		break;
	}
	play_collect(r);
}

static void
play_state(struct run *r, const struct step *s)
{
	const char *state = r->hop->hop.client == NULL ? "ended" :
	    smtp_client_state(r->hop->hop.client);

	if (strcmp(state, s->text) != 0)
		play_fail(r, "expected state %s, is %s", s->text, state);
}

static void
play_step(struct run *r, const struct step *s)
{
	switch (s->kind) {
	case STEP_SEND:
		send_bytes(r, s->text, s->len);
		break;
	case STEP_PAUSE:
		break;
	case STEP_LINE:
		connect_now(r);
		play_expect_line(r, s->text);
		break;
	case STEP_OCTETS:
		connect_now(r);
		play_expect_octets(r, s->text, s->len);
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
		shake_hands(r, s);
		break;
	case STEP_STATE:
		play_state(r, s);
		break;
	case STEP_RESULT:
		check_result(r, s);
		break;
	case STEP_ENDED:
		expect_text(r, &r->hop->hop.end, s->text);
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
finish(struct run *r)
{
	if (r->wire == NULL)
		return;
	if (!r->is_vanished)
		play_need_no_output(r);
	r->wire->window = SIZE_MAX;
	advance(r, PATIENCE_US);
	if (r->hop->hop.client != NULL)
		play_fail(r, "the client goes on: %s",
		    smtp_client_state(r->hop->hop.client));
}

void
hop_play(const struct dialogue *d, enum play_mode mode, size_t cut,
    bool is_traced, struct play_result *result)
{
	static struct hop_world w;	/* too large for a stack */
	struct scheduler_backend backend;
	struct run r = { .d = d, .mode = mode, .cut = cut,
		.is_traced = is_traced, .result = result, .window = SIZE_MAX,
		.side = &client_side, .hop = &w };

	w = (struct hop_world){ .is_inside = false };
	simclock_init(&w.clock, START_US);
	simnet_init(&w.net, NULL);
	w.clock.poll = simnet_poll;
	w.clock.poll_arg = &w.net;
	simclock_backend(&w.clock, &backend);
	if ((w.sched = scheduler_create(&backend)) == NULL)
		abort();
	simhop_init(&w.hop, &w.clock);
	play_steps(&r, play_step, finish);
	simhop_clear(&w.hop);
	settle(&r);
	scheduler_destroy(w.sched);
	simnet_clear(&w.net);
	simclock_clear(&w.clock);
	free(r.out);
}
