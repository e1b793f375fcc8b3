/* A message that is read from a program and kept until somebody else has it.
 * Owns: the file without a name that it is in meanwhile. */

#ifndef CMD_SENDMAIL_SEND_MESSAGE_H
#define CMD_SENDMAIL_SEND_MESSAGE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/sendmail/send_header.h"

/* Part of a file: lines that end in CRLF */
struct send_message {
	int		 fd;		/* -1: none */
	uint64_t	 offset, octets;
	bool		 is_8bit;	/* known only by send_message_read() */
};

/* send_message_read(in, is_dot_plain, want, rcpts, m_r, err, errlen): Read a message
 * from the descriptor ${in} to its end: see send_text.h for ${is_dot_plain},
 * send_header.h for ${want} and ${rcpts}.  Return 0, or a status of sysexits.h, with
 * what is wrong in ${err}.
 * send_message_of(s, len, m_r): One that has been composed.  Return 0, or -1 with
 * errno.
 * send_message_close(m): The file; errno stays. */
int send_message_read(int in, bool is_dot_plain,
    const struct send_header_want *want, struct send_list *rcpts,
    struct send_message *m_r, char *err, size_t errlen);
int send_message_of(const char *s, size_t len, struct send_message *m_r);
void send_message_close(struct send_message *m);

/* send_message_pread(m, offset, buf, size): Octets of it from ${offset} on.  Return
 * how many, 0 at its end; -1 with errno (EBADMSG: its file is shorter). */
ssize_t send_message_pread(const struct send_message *m, uint64_t offset,
    char *buf, size_t size);

#endif
