/* A connection to Dovecot's auth service: its protocol, version 1.
 * Owns: the socket, the handshake, lines in and out, their bounds and the
 * deadline.  Blocks, but no longer than that; what comes in is hostile until
 * parsed.  Knows nothing of what an answer means. */

#ifndef CMD_MAILMILLD_AUTHD_BACK_AUTH_DOVECOT_H
#define CMD_MAILMILLD_AUTHD_BACK_AUTH_DOVECOT_H

#include <stddef.h>
#include <stdint.h>

#define AUTH_DOVECOT_LINE	16384	/* octets; no longer ones are expected */
#define AUTH_DOVECOT_FIELDS	64	/* of a line; more are left out */

struct auth_dovecot {
	int		 fd;
	uint64_t	 deadline_ms;	/* of a call; monotonic */
	const char	*problem;	/* why a call has failed; static */
	size_t		 begin, end;	/* of input not handed out yet */
	char		 buf[AUTH_DOVECOT_LINE];
};

/* auth_dovecot_open(d, path, mech): Connect, and shake hands up to DONE.
 * ${d->deadline_ms} is set.  0 or -1: also when ${mech} is not among those
 * offered.  auth_dovecot_close(d): also after that. */
int auth_dovecot_open(struct auth_dovecot *d, const char *path,
    const char *mech);
void auth_dovecot_close(struct auth_dovecot *d);

/* auth_dovecot_send(d, line, len): All of it.  0 or -1. */
int auth_dovecot_send(struct auth_dovecot *d, const char *line, size_t len);

/* auth_dovecot_receive(d, fields_r): One line, cut at its tabs; the fields, NUL
 * terminated, stay ${d}'s until the next call and are not unescaped.  Return
 * how many, or -1. */
int auth_dovecot_receive(struct auth_dovecot *d,
    char *fields_r[AUTH_DOVECOT_FIELDS]);

/* auth_dovecot_escape(s, out_r, size): A value for a line.  Octets, or -1: no
 * room.  auth_dovecot_unescape(s): In place. */
int auth_dovecot_escape(const char *s, char *out_r, size_t size);
void auth_dovecot_unescape(char *s);

#endif
