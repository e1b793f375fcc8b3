/* The envelope of a message, and the form that it has in the maildrop: lines, the
 * first of which is SEND_ENVELOPE_HEAD; the sender, what it asks for, the recipients;
 * an empty line.  The message follows.
 * Owns: that form.  What is read may have been written by anybody. */

#ifndef CMD_SENDMAIL_SEND_ENVELOPE_H
#define CMD_SENDMAIL_SEND_ENVELOPE_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/sendmail/send_address.h"
#include "core/lim.h"

#define SEND_ENVELOPE_HEAD	"mailmill-maildrop 1"
#define SEND_ENVELOPE_MAX	(2 * LIM_ENVELOPE)	/* octets of that form */
#define SEND_ENVELOPE_RCPTS	25000	/* recipients in it: 16 MiB, while a server answers for each one */

struct send_envelope {
	char			 sender[SEND_ADDRESS_MAX];	/* "": none */
	struct send_list	 rcpts;
	unsigned int		 flags;		/* SPOOL_ENV_*: 8BITMIME, SMTPUTF8, RET_FULL, RET_HDRS */
	uint8_t			 notify;	/* SPOOL_NOTIFY_*, of each recipient; 0: not said */
	char			 envid[LIM_ENVID + 1];		/* "": not said */
};

/* send_envelope_write(env, out): Write it.
 * send_envelope_read(s, len, env_r): Read the lines at ${s}; ${env_r} starts zeroed.
 * Return the octets used; or -1: they are not as send_envelope_write() writes them
 * (EBADMSG), or ENOMEM.
 * send_envelope_free(env): What it holds. */
void send_envelope_write(const struct send_envelope *env, FILE *out);
ssize_t send_envelope_read(const char *s, size_t len,
    struct send_envelope *env_r);
void send_envelope_free(struct send_envelope *env);

#endif
