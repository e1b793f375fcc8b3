/* What the two roles of dialogues share: octets from the test and to it.
 * Owns: a run: in what pieces octets are sent, what has come and not been asked
 * for yet, the first thing that went wrong.
 * Knows nothing of what is tested. */

#include "test/dialogues/play_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void
play_note(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note_failure(r, fmt, ap);
	va_end(ap);
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

	if (!r->is_traced || len == 0)
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
	play_trace(r, r->side->tested, buf, len);
}

static void
take_output(struct run *r)
{
	const char *buf;
	size_t len;

	buf = simwire_peek(r->wire, &len);
	if (len == 0)
		return;
	r->side->received(r, buf, len);
	simwire_take(r->wire, len);
}

void
play_collect(struct run *r)
{
	bool is_drip = r->mode == PLAY_DRIP && r->window == SIZE_MAX;

	if (r->wire == NULL) {
		r->side->settle(r);
		return;
	}
	do {
		if (is_drip)
			r->wire->window = 1;
		r->side->settle(r);
		take_output(r);
	} while (is_drip && r->wire->window == 0 && !r->wire->is_closed);
}

void
play_need_no_output(struct run *r)
{
	if (r->nout > 0)
		play_fail(r, "unexpected: %.*s", (int)(r->nout > 200 ? 200
		    : r->nout), r->out);
}

/* --- what the test sends -------------------------------------------------- */

/* From now on it does nothing any more. */
static void
vanish(struct run *r)
{
	if (r->mode == PLAY_VANISH) {
		simwire_close(r->wire);
		play_collect(r);
	} else
		r->side->wait(r);
	r->is_vanished = true;
	longjmp(r->stop, 1);
}

static void
send_part(struct run *r, const char *buf, size_t len)
{
	if (len > 0)
		simwire_send_now(r->wire, buf, len);
	play_collect(r);
}

void
play_send_wire(struct run *r, const char *buf, size_t len)
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

/* --- what it must hear ---------------------------------------------------- */

/* RFC 5321 2.3.8: nothing but CRLF ends a line. */
size_t
play_next_line(struct run *r, const char *wanted)
{
	const char *nl;
	size_t len;

	nl = r->nout == 0 ? NULL : memchr(r->out, '\n', r->nout);
	if (nl == NULL)
		play_fail(r, "expected \"%s\", got nothing%s", wanted,
		    r->wire->is_closed ? " (closed)" : "");
	len = (size_t)(nl - r->out) + 1;
	if (len < 2 || nl[-1] != '\r')
		play_fail(r, "a line that does not end with CRLF");
	/* RFC 4954 4: a challenge may be longer */
	if (!r->d->is_of_client && len > LIM_REPLY_LINE &&
	    strncmp(r->out, "334 ", 4) != 0)
		play_fail(r, "a reply line of %zu octets", len);
	return len;
}

void
play_drop(struct run *r, size_t len)
{
	memmove(r->out, r->out + len, r->nout - len);
	r->nout -= len;
}

void
play_expect_line(struct run *r, const char *pattern)
{
	size_t len = play_next_line(r, pattern);

	if (!pattern_match(pattern, r->out, len - 2))
		play_fail(r, "expected \"%s\", got \"%.*s\"", pattern,
		    (int)(len - 2), r->out);
	play_drop(r, len);
}

void
play_expect_octets(struct run *r, const char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len && i < r->nout && r->out[i] == buf[i]; i++)
		;
	if (i < len)
		play_fail(r, "of %zu octets the first %zu are right, of %zu "
		    "that were said", len, i, r->nout);
	play_drop(r, len);
}

/* --- steps ---------------------------------------------------------------- */

/* ${s} NULL: the end. */
static bool __attribute__((noinline))
try_step(struct run *r, const struct step *s,
    void (*step)(struct run *r, const struct step *s),
    void (*finish)(struct run *r))
{
	if (setjmp(r->stop) != 0)
		return false;
	if (s == NULL)
		finish(r);
	else
		step(r, s);
	return true;
}

void
play_steps(struct run *r, void (*step)(struct run *r, const struct step *s),
    void (*finish)(struct run *r))
{
	size_t i;

	for (i = 0; i < r->d->nsteps && !r->result->is_failed
	    && !r->is_vanished; i++) {
		r->step = &r->d->steps[i];
		try_step(r, r->step, step, finish);
	}
	if (!r->result->is_failed)
		try_step(r, NULL, step, finish);
}
