/* One dialogue, played once on the simulated wire under the virtual clock.
 * Owns: the run: what has been sent, what has come back and not been asked
 * for yet, and the first thing that went wrong. */

#include "test/dialogues/dialogue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "test/lib/simhost.h"
#include "test/lib/simmsg.h"

#define START_US	UINT64_C(1790000000123456)	/* an odd moment of 2026 */
#define PEER		"192.0.2.1"

struct run {
	const struct dialogue	*d;
	const struct step	*step;
	enum play_mode		 mode;
	size_t			 cut;
	bool			 is_traced;
	struct play_result	*result;
	struct simhost_session	*s;
	size_t			 window;
	char			*out;		/* from the server, not yet asked for */
	size_t			 nout, out_size;
	jmp_buf			 stop;
};

static struct simhost *host;		/* one at a time, too large for a stack */
static bool is_extension_on;

static void fail(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

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

static void
fail(struct run *r, const char *fmt, ...)
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

static void
trace(const struct run *r, const char *who, const char *buf, size_t len)
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

static void
take_output(struct run *r)
{
	const char *buf;
	size_t len;

	buf = simwire_peek(r->s->wire, &len);
	if (len == 0)
		return;
	while (r->nout + len > r->out_size) {
		r->out_size = r->out_size == 0 ? 4096 : 2 * r->out_size;
		r->out = realloc(r->out, r->out_size);
		if (r->out == NULL)
			abort();
	}
	memcpy(r->out + r->nout, buf, len);
	r->nout += len;
	simwire_take(r->s->wire, len);
	trace(r, "S", buf, len);
}

/* Let the server do all it can, and collect what it says. */
static void
collect(struct run *r)
{
	struct simwire *w;

	if (r->s == NULL) {
		simhost_settle(host);
		return;
	}
	w = r->s->wire;
	do {
		if (r->mode == PLAY_DRIP && r->window == SIZE_MAX)
			w->window = 1;
		simhost_settle(host);
		take_output(r);
	} while (r->mode == PLAY_DRIP && r->window == SIZE_MAX
	    && w->window == 0 && !w->is_closed);
}

static void
connect_now(struct run *r)
{
	r->s = simhost_connect(host, r->d->peer == NULL ? PEER : r->d->peer);
	if (r->s == NULL)
		fail(r, "cannot connect");
	r->s->wire->window = r->window;
}

static void
need_session(struct run *r)
{
	if (r->s != NULL)
		return;
	connect_now(r);
	collect(r);
}

static void
need_no_output(struct run *r)
{
	if (r->nout > 0)
		fail(r, "unexpected: %.*s", (int)(r->nout > 200 ? 200
		    : r->nout), r->out);
}

static void
send_bytes(struct run *r, const char *buf, size_t len)
{
	size_t before = r->result->noctets, first, i;

	if (r->s == NULL)
		connect_now(r);	/* an early talker does not wait */
	need_no_output(r);
	trace(r, "C", buf, len);
	r->result->noctets += len;
	if (r->mode == PLAY_BYTES) {
		for (i = 0; i < len; i++) {
			simwire_send_now(r->s->wire, buf + i, 1);
			collect(r);
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
	collect(r);
	if (first < len) {
		simwire_send_now(r->s->wire, buf + first, len - first);
		collect(r);
	}
}

/* One line from the server, without its CRLF; RFC 5321 2.3.8: nothing but
 * CRLF ends a line. */
static size_t
next_line(struct run *r, const char *wanted)
{
	const char *nl;
	size_t len;

	need_session(r);
	nl = r->nout == 0 ? NULL : memchr(r->out, '\n', r->nout);
	if (nl == NULL)
		fail(r, "expected \"%s\", got nothing%s", wanted,
		    r->s->wire->is_closed ? " (closed)" : "");
	len = (size_t)(nl - r->out) + 1;
	if (len < 2 || nl[-1] != '\r')
		fail(r, "a line that does not end with CRLF");
	if (len > LIM_REPLY_LINE)
		fail(r, "a reply line of %zu octets", len);
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
		fail(r, "expected \"%s\", got \"%.*s\"", pattern,
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
			fail(r, "expected \"%s\", got \"%.*s\"", pattern,
			    (int)(len - 2), r->out);
		drop_output(r, len);
	}
	expect_line(r, pattern);
}

static void
expect_close(struct run *r)
{
	need_session(r);
	need_no_output(r);
	if (!r->s->wire->is_closed)
		fail(r, "expected the server to close");
	if (r->s->ac != NULL)
		fail(r, "closed, but the session has not ended");
}

static struct spool_msg *
oldest_unchecked(void)
{
	struct spool_msg *m, *found = NULL;

	for (m = host->spool.msgs; m != NULL; m = m->next)
		if (m->state == SIMSPOOL_SAFE && !m->is_checked)
			found = m;
	return found;
}

static void
check_envelope(struct run *r, const struct spool_msg *m)
{
	char rcpts[4096] = "";
	size_t i;

	if (strcmp(m->sender, r->step->sender) != 0)
		fail(r, "message from \"%s\", expected \"%s\"", m->sender,
		    r->step->sender);
	for (i = 0; i < m->nrcpts; i++) {
		if (i > 0)
			strlcat(rcpts, ",", sizeof(rcpts));
		strlcat(rcpts, m->rcpts[i], sizeof(rcpts));
	}
	if (strcmp(rcpts, r->step->rcpts) != 0)
		fail(r, "message to \"%s\", expected \"%s\"", rcpts,
		    r->step->rcpts);
	if (((m->flags & SPOOL_ENV_8BITMIME) != 0) != r->step->is_8bit)
		fail(r, "the 8BITMIME flag is %s", r->step->is_8bit
		    ? "missing" : "set");
}

static void
check_message(struct run *r)
{
	struct spool_msg *m = oldest_unchecked();
	const char *why = "";
	size_t skip = 0;

	if (m == NULL)
		fail(r, "no message was committed");
	m->is_checked = true;
	check_envelope(r, m);
	if (host->options.trace_headers) {
		skip = simmsg_strip_received(m, &why);
		if (skip == 0)
			fail(r, "%s", why);
	}
	if (m->len - skip != r->step->len
	    || memcmp(m->body + skip, r->step->text, r->step->len) != 0) {
		trace(r, "body", m->body, m->len);
		fail(r, "the stored body differs: %zu octets, expected %zu: "
		    "%.*s", m->len - skip, r->step->len,
		    (int)(m->len - skip), m->body + skip);
	}
}

static void
set_fault(struct run *r, const struct step *s)
{
	struct simspool *sp = &host->spool;
	bool is_refuse = strcmp(s->word, "refuse") == 0;

	switch (s->kind) {
	case STEP_BEGIN:
		sp->begin_errno = s->errnum;
		break;
	case STEP_APPEND:
		sp->append_errno = s->errnum;
		sp->append_after = (size_t)s->number;
		break;
	default:
		sp->refuse_errno = is_refuse ? s->errnum : 0;
		sp->commit_errno = is_refuse ? 0 : s->errnum;
		sp->commit_delay_us = (uint64_t)(s->seconds * 1e6);
		if (strcmp(s->word, "hold") == 0)
			sp->is_held = true;
		if (strcmp(s->word, "release") == 0) {
			simspool_release(sp);
			collect(r);
		}
	}
}

static void
check_report(struct run *r, const struct step *s)
{
	static const char *const names[] = { "connect", "accepted", "rejected",
		"timeout", "abort", "end" };
	size_t i;

	for (i = 0; i < SIMHOST_NKINDS; i++)
		if (s->word != NULL && strcmp(s->word, names[i]) == 0)
			break;
	if (i == SIMHOST_NKINDS)
		fail(r, "@report: no such kind");
	if (r->s == NULL || r->s->nreports[i] != (unsigned int)s->number)
		fail(r, "%u %s reports, expected %ld",
		    r->s == NULL ? 0 : r->s->nreports[i], names[i], s->number);
}

static void
check_state(struct run *r, const struct step *s)
{
	const char *name;

	need_session(r);
	if (r->s->ac == NULL)
		fail(r, "the session has ended");
	name = esmtp_message_factory_state(esmtp_session_state(r->s->ac));
	if (strcmp(name, s->text) != 0)
		fail(r, "state \"%s\", expected \"%s\"", name, s->text);
}

/* @policy PHASE hold | allow | CODE text, and @policy release. */
static void
set_policy(struct run *r, const struct step *s)
{
	struct simpolicy *p = &host->policy;
	int phase;

	if (s->word != NULL && strcmp(s->word, "release") == 0) {
		simpolicy_release(host);
		collect(r);
		return;
	}
	phase = s->word == NULL ? -1 : simpolicy_phase(s->word);
	if (phase == -1)
		fail(r, "@policy: no such phase");
	if (strcmp(s->text, "hold") == 0)
		p->mode[phase] = SIMPOLICY_HOLD;
	else if (strcmp(s->text, "allow") == 0)
		p->mode[phase] = SIMPOLICY_ALLOW;
	else {
		p->mode[phase] = SIMPOLICY_DENY;
		p->code = atoi(s->text);
		strlcpy(p->text, strlen(s->text) > 4 ? s->text + 4 : "",
		    sizeof(p->text));
	}
}

static void
set_window(struct run *r, long number)
{
	r->window = number < 0 ? SIZE_MAX : (size_t)number;
	if (r->s != NULL) {
		r->s->wire->window = r->window;
		collect(r);
	}
}

static void
play_wire(struct run *r, const struct step *s)
{
	static const char hello[] = "EHLO client.example\r\n";

	need_session(r);
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
		/* a last word is not waited for: let it be taken */
		r->s->wire->window = r->window;
		simhost_advance(host, (uint64_t)(s->seconds * 1e6));
		break;
	default:
		break;
	}
	collect(r);
}

static void
play_connect(struct run *r)
{
	if (r->s != NULL) {
		if (r->s->ac != NULL) {
			simwire_close(r->s->wire);
			collect(r);
		}
		need_no_output(r);
		if (r->s->ac == NULL)
			simhost_release(r->s);
	}
	connect_now(r);
	collect(r);
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
	case STEP_EXPECT_CLOSE:
		expect_close(r);
		break;
	case STEP_EXPECT_SILENCE:
		need_session(r);
		need_no_output(r);
		if (r->s->wire->is_closed)
			fail(r, "closed");
		break;
	case STEP_COMMIT:
	case STEP_BEGIN:
	case STEP_APPEND:
		set_fault(r, s);
		break;
	case STEP_ROOM:
		simspool_set_room(&host->spool, s->number < 0 ? SIZE_MAX
		    : (size_t)s->number);
		collect(r);
		break;
	case STEP_WINDOW:
		set_window(r, s->number);
		break;
	case STEP_LOOKUP:
		host->is_lookup_later = s->word != NULL
		    && strcmp(s->word, "later") == 0;
		break;
	case STEP_POLICY:
		set_policy(r, s);
		break;
	case STEP_DRAIN:
	case STEP_RECONFIG:
		simhost_drain(host, s->kind == STEP_RECONFIG);
		collect(r);
		break;
	case STEP_EXTENSION:
		is_extension_on = true;
		break;
	case STEP_MESSAGE:
		check_message(r);
		break;
	case STEP_MESSAGES:
		if (host->spool.nsafe != (size_t)s->number)
			fail(r, "%zu messages committed, expected %ld",
			    host->spool.nsafe, s->number);
		break;
	case STEP_REPORT:
		check_report(r, s);
		break;
	case STEP_STATE:
		check_state(r, s);
		break;
	}
}

static void
set_options(struct run *r)
{
	const struct option_setting *o;
	char expected[128] = "";
	size_t i, k;

	for (i = 0; i < r->d->noptions; i++) {
		o = &r->d->options[i];
		for (k = 0; k < esmtp_option_nrows; k++)
			if (strcasecmp(esmtp_option_rows[k].name, o->name) == 0)
				break;
		if (k == esmtp_option_nrows)
			fail(r, "@option: no option %s", o->name);
		if (esmtp_options_set(&host->options, &esmtp_option_rows[k],
		    (const char *const *)(const void *)o->values, o->nvalues,
		    expected, sizeof(expected)) == -1)
			fail(r, "@option %s: expected %s", o->name, expected);
	}
}

/* What holds when the client has gone, whatever was said. */
static void
finish(struct run *r)
{
	need_no_output(r);
	if (r->s == NULL)
		return;
	if (r->s->ac != NULL) {
		simwire_close(r->s->wire);
		collect(r);
		if (r->s->ac != NULL && host->spool.ncommitting > 0) {
			simspool_release(&host->spool);
			simhost_advance(host, 1000000);
		}
	}
	if (r->s->ac != NULL)
		fail(r, "the client has gone, the session has not ended");
	if (host->spool.nopen > 0)
		fail(r, "a message was left open");
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

	for (i = 0; i < r->d->nsteps && !r->result->is_failed; i++) {
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
	is_extension_on = false;
	if (simhost_init(host, START_US, NULL) == -1) {
		violation(&r, "no memory");
		return;
	}
	host->is_traced = is_traced;
	host->violation = host_violation;
	host->arg = &r;
	if (setjmp(r.stop) == 0)
		set_options(&r);
	play_steps(&r);
	simhost_clear(host);
	free(r.out);
}

/* XECHO text: an extension as a user of the library would write it. */
static int
xecho_setup(char *arg, message_construct *mc, void *closure)
{
	(void)mc;
	(void)closure;
	if (!is_extension_on)
		return 0;
	strlcpy(arg, "LOUD QUIET", ESMTP_EXTENSION_ARG_MAX);
	return 1;
}

static int
xecho(char *arg, Event *e, message_construct *mc, void *closure)
{
	(void)e;
	(void)closure;
	if (arg == NULL || *arg == '\0')
		return 0;
	return esmtp_extension_reply(mc, 250, "2.0.0", arg) == 0;
}

int
play_setup(void)
{
	host = calloc(1, sizeof(*host));
	if (host == NULL || simpolicy_register() == -1)
		return -1;
	return esmtp_extensions_register("XECHO", xecho_setup, xecho, NULL)
	    == 1 ? 0 : -1;
}
