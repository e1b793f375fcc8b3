/* The text of a message as a program writes it becomes lines that end in CRLF
 * (RFC 5322 2.1).
 * Owns: what ends a line, and what ends the message. */

#ifndef CMD_SENDMAIL_SEND_TEXT_H
#define CMD_SENDMAIL_SEND_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct send_text {
	bool	is_dot_plain;	/* a line with a dot alone is text, and does not end the message */
	bool	is_end;		/* such a line was read */
	bool	is_8bit;	/* an octet has the eighth bit */
	uint8_t	state;		/* its own */
};

/* send_text_next(t, in, len, out, n_r): Read ${in} and write lines to ${out}, which
 * has room for 2 * ${len} + SEND_TEXT_MORE; *${n_r} is the number of octets written.
 * A LF ends a line, with the CRs before it.  CRs elsewhere become a space: a server
 * that takes them for the end of a line would find fields that nobody has looked
 * at.  Any fragments of the input give the same.  ${t} starts zeroed but for is_dot_plain; nothing is read behind is_end.
 * send_text_end(t, out, n_r): The input ends here: the last line ends, too. */
#define SEND_TEXT_MORE	4
void send_text_next(struct send_text *t, const char *in, size_t len, char *out,
    size_t *n_r);
void send_text_end(struct send_text *t, char out[SEND_TEXT_MORE], size_t *n_r);

#endif
