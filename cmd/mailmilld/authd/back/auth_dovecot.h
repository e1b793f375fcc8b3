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

struct auth_dovecot;

/* auth_dovecot_open(path, mech, deadline_ms, problem_r): Connect, and shake
 * hands up to DONE.  NULL with why: also when ${mech} is not among those
 * offered.  ${*problem_r} is static, here and below. */
struct auth_dovecot *auth_dovecot_open(const char *path, const char *mech,
    uint64_t deadline_ms, const char **problem_r);
void auth_dovecot_free(struct auth_dovecot *d);	/* NULL does nothing */

/* auth_dovecot_send(d, line, len, deadline_ms, problem_r): All of it.  0 or
 * -1. */
int auth_dovecot_send(struct auth_dovecot *d, const char *line, size_t len,
    uint64_t deadline_ms, const char **problem_r);

/* auth_dovecot_receive(d, fields_r, deadline_ms, problem_r): One line, cut at
 * its tabs; the fields, NUL terminated, stay ${d}'s until the next call and
 * are not unescaped.  Return how many, or -1. */
int auth_dovecot_receive(struct auth_dovecot *d,
    char *fields_r[AUTH_DOVECOT_FIELDS], uint64_t deadline_ms,
    const char **problem_r);

/* auth_dovecot_escape(s, out_r, size): A value for a line.  Octets, or -1: no
 * room.  auth_dovecot_unescape(s): In place. */
int auth_dovecot_escape(const char *s, char *out_r, size_t size);
void auth_dovecot_unescape(char *s);

#endif
