/* Whose turn it is in an SMTP session that a program speaks on standard input (-bs).
 * A program may write all of it at once, and end lines with LF alone, as a script does;
 * the server wants a reply to be waited for (RFC 5321 4.1.1.1, RFC 2920 3.1), and
 * CRLF.  A DATA that ends in LF has text whose lines do, too; behind one that ends in
 * CRLF, text is as it is, and its end is CRLF.CRLF alone.
 * Pure: octets in, octets out. */

#ifndef CMD_SENDMAIL_SEND_TURN_H
#define CMD_SENDMAIL_SEND_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEND_TURN_VERB	40	/* octets of a command that are looked at */

struct send_turn {		/* all its own; zeroed: the server says who it is */
	uint8_t		state;
	char		verb[SEND_TURN_VERB];	/* how the command begins */
	size_t		nverb;
	uint64_t	chunk;		/* octets of BDAT that follow */
	bool		is_answered;	/* before its end: text, or a chunk */
	bool		is_cr;		/* the last octet that was sent is a CR */
	bool		is_lf;		/* the command ends, or would end here, in LF alone */
	uint8_t		dot;		/* octets so far of a line with a dot alone */
	char		code[4];	/* of the reply, and what follows it */
	size_t		ncode;		/* octets of the reply's line, at most 4 */
};

/* send_turn_input(t, in, len, out, n_r): Take what of ${in} may be sent now, and
 * write it to ${out}, which has room for 2 * ${len}; *${n_r} is the number of octets
 * there.  Return how many of ${in} were taken: the rest has to wait for a reply.
 * send_turn_reply(t, s, len): The server has said ${s}. */
size_t send_turn_input(struct send_turn *t, const char *in, size_t len,
    char *out, size_t *n_r);
void send_turn_reply(struct send_turn *t, const char *s, size_t len);

#endif
