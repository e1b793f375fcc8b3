/* See send_turn.h. */

#include "cmd/sendmail/send_turn.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	TURN_SERVER,		/* a reply is waited for */
	TURN_COMMAND,
	TURN_TEXT,		/* behind 354, up to a line with a dot alone */
	TURN_CHUNK,
	TURN_TLS		/* octets, which mean nothing here */
};

#define DOT_OTHER	3	/* the line is another one */

/* How many octets follow the command: those of BDAT, RFC 3030 2 */
static uint64_t
chunk_of(const struct send_turn *t)
{
	char verb[SEND_TURN_VERB + 1];

	memcpy(verb, t->verb, t->nverb);
	verb[t->nverb] = '\0';
	if (strncasecmp(verb, "BDAT ", 5) != 0)
		return 0;
	return strtoull(verb + 5, NULL, 10);
}

/* It has been said to its end: a reply is waited for, unless it has come. */
static void
end(struct send_turn *t)
{
	t->state = t->is_answered ? TURN_COMMAND : TURN_SERVER;
	t->is_answered = false;
	t->nverb = 0;
}

/* An octet of a command, or of text; a LF that ends a line is sent as CRLF. */
static void
add(struct send_turn *t, char c, char *out, size_t *n)
{
	if (c == '\n' && !t->is_cr && t->is_lf)
		out[(*n)++] = '\r';
	out[(*n)++] = c;
	t->is_cr = c == '\r';
}

static void
command(struct send_turn *t, char c)
{
	if (c != '\n') {
		if (t->nverb < SEND_TURN_VERB)
			t->verb[t->nverb++] = c;
		return;
	}
	t->chunk = chunk_of(t);
	t->state = t->chunk > 0 ? TURN_CHUNK : TURN_SERVER;
}

/* RFC 5321 4.1.1.4: CRLF.CRLF; before the first line is the CRLF of DATA.
 * ${is_crlf}: ${c} is a LF behind a CR.  A program that knows CRLF may have been given
 * text with other line ends, and have looked for dots behind CRLF alone: in its text
 * no other LF ends a line. */
static void
text(struct send_turn *t, char c, bool is_crlf)
{
	if (c == '\n' && (t->is_lf || is_crlf)) {
		if (t->dot == 1 || t->dot == 2)
			end(t);
		t->dot = 0;
	} else if (c == '.' && t->dot == 0)
		t->dot = 1;
	else if (c == '\r' && t->dot == 1)
		t->dot = 2;
	else
		t->dot = DOT_OTHER;
}

size_t
send_turn_input(struct send_turn *t, const char *in, size_t len, char *out,
    size_t *n_r)
{
	bool is_crlf;
	size_t i;

	*n_r = 0;
	for (i = 0; i < len && t->state != TURN_SERVER; i++) {
		is_crlf = t->is_cr && in[i] == '\n';
		switch (t->state) {
		case TURN_COMMAND:
			t->is_lf = !is_crlf;
			add(t, in[i], out, n_r);
			command(t, in[i]);
			break;
		case TURN_TEXT:
			add(t, in[i], out, n_r);
			text(t, in[i], is_crlf);
			break;
		case TURN_CHUNK:
			out[(*n_r)++] = in[i];
			if (--t->chunk == 0)
				end(t);
			break;
		default:
			out[(*n_r)++] = in[i];
			break;
		}
	}
	return i;
}

/* The last line of a reply has come. */
static void
replied(struct send_turn *t)
{
	static const char tls[] = "STARTTLS";
	bool is_tls = t->nverb >= sizeof(tls) - 1 &&
	    strncasecmp(t->verb, tls, sizeof(tls) - 1) == 0;

	t->is_cr = false;
	t->dot = 0;
	t->nverb = 0;
	if (memcmp(t->code, "354", 3) == 0)
		t->state = TURN_TEXT;
	else if (is_tls && memcmp(t->code, "220", 3) == 0)
		t->state = TURN_TLS;
	else
		t->state = TURN_COMMAND;
}

void
send_turn_reply(struct send_turn *t, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] != '\n') {
			if (t->ncode < sizeof(t->code))
				t->code[t->ncode++] = s[i];
			continue;
		}
		if (t->ncode >= 3 && (t->ncode == 3 || t->code[3] != '-')) {
			if (t->state == TURN_SERVER)
				replied(t);
			else
				t->is_answered = t->state == TURN_TEXT ||
				    t->state == TURN_CHUNK;
		}
		t->ncode = 0;
	}
}
