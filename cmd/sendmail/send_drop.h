/* The program that puts messages into the maildrop: see cmd/maildrop/maildrop.c.
 * Owns: its process. */

#ifndef CMD_SENDMAIL_SEND_DROP_H
#define CMD_SENDMAIL_SEND_DROP_H

#include "cmd/sendmail/send_envelope.h"
#include "cmd/sendmail/send_message.h"

/* send_drop(program, folder, env, m): Have ${program} keep the message in the maildrop
 * ${folder}; NULL: in its own.  Return 0: it is on disk; or a status of sysexits.h,
 * after a message on stderr.
 * send_drop_list(program, folder): Have it print what the maildrop has of the user.
 * Return its status. */
int send_drop(const char *program, const char *folder,
    const struct send_envelope *env, const struct send_message *m);
int send_drop_list(const char *program, const char *folder);

/* send_drop_run(argv, in): Run a program, with ${in} as its standard input; -1: that
 * of this process.  Return its status, or EX_TEMPFAIL or EX_UNAVAILABLE after a
 * message on stderr. */
int send_drop_run(const char *const *argv, int in);

#endif
