/* See send_text.h. */

#include "cmd/sendmail/send_text.h"

#include <string.h>

enum {
	AT_START,	/* of a line */
	IN_LINE,
	AT_CR,		/* in a line, behind CRs that may be of its end */
	AT_DOT,		/* behind a dot that begins a line, and is held back */
	AT_DOT_CR
};

/* What was held back is text, and the line goes on. */
static void
release(struct send_text *t, char *out, size_t *n)
{
	if (t->state == AT_DOT || t->state == AT_DOT_CR)
		out[(*n)++] = '.';
	if (t->state == AT_CR || t->state == AT_DOT_CR)
		out[(*n)++] = ' ';
	t->state = IN_LINE;
}

static void
end_line(struct send_text *t, char *out, size_t *n)
{
	if (t->state == AT_DOT || t->state == AT_DOT_CR) {
		t->is_end = true;
		return;
	}
	out[(*n)++] = '\r';
	out[(*n)++] = '\n';
	t->state = AT_START;
}

void
send_text_next(struct send_text *t, const char *in, size_t len, char *out,
    size_t *n_r)
{
	size_t i;

	*n_r = 0;
	for (i = 0; i < len && !t->is_end; i++) {
		t->is_8bit |= ((unsigned char)in[i] & 0x80) != 0;
		switch (in[i]) {
		case '\n':
			end_line(t, out, n_r);
			break;
		case '\r':
			if (t->state == AT_DOT)
				t->state = AT_DOT_CR;
			else if (t->state != AT_DOT_CR)
				t->state = AT_CR;
			break;
		case '.':
			if (t->state == AT_START && !t->is_dot_plain) {
				t->state = AT_DOT;
				break;
			}
			/* FALLTHROUGH */
		default:
			release(t, out, n_r);
			out[(*n_r)++] = in[i];
			break;
		}
	}
}

void
send_text_end(struct send_text *t, char out[SEND_TEXT_MORE], size_t *n_r)
{
	*n_r = 0;
	if (t->state != AT_START && !t->is_end)
		end_line(t, out, n_r);
}
