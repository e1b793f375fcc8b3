/* SMTP on standard input and output (-bs): the server speaks it, over its socket. */

#ifndef CMD_SENDMAIL_SEND_SESSION_H
#define CMD_SENDMAIL_SEND_SESSION_H

/* send_session(path, in, out): Pass octets between the descriptors ${in} and ${out}
 * and the server that listens at ${path}, until it ends.  Return 0; or EX_TEMPFAIL,
 * after the reply 421 on ${out}: there is no server; EX_IOERR. */
int send_session(const char *path, int in, int out);

#endif
