/* The master's part in TLS: it sends certificates and keys to the processes
 * that need them, notices changed files, warns of certificates that expire
 * soon, and makes the keys of session tickets.
 * Owns: which version of the files is in use, and which is about to be.
 * It opens files and sends descriptors; it reads no private key (creds.h). */

#ifndef CMD_MAILMILLD_MASTER_CERTS_CERTS_H
#define CMD_MAILMILLD_MASTER_CERTS_CERTS_H

#include <jansson.h>

#include "cmd/mailmilld/master/state/state.h"

/* certs_send(m, p, config): Send ${p}, which is new, the certificates and keys
 * that it needs before M_START.  Return 0 or -1. */
int certs_send(struct master *m, struct proc *p, const struct config *config);

/* certs_step(m): Part of master_step(): what keyds have answered, changed
 * files, keys of session tickets. */
void certs_step(struct master *m);

/* certs_distrust(m): A worker that had the keys of session tickets was in bad
 * hands, or may have been: none of them is used any more. */
void certs_distrust(struct master *m);

/* certs_use(m): m->config has changed, or is the first one. */
void certs_use(struct master *m);

/* certs_stop(m): The master stops: files are watched no longer.
 * certs_close(m): Also forget the keys of tickets. */
void certs_stop(struct master *m);
void certs_close(struct master *m);

/* certs_json(m): [{certificate, name, expires, seconds}] */
json_t *certs_json(const struct master *m);

/* certs_first_expiry(m, &seconds_r): Seconds until the first certificate
 * expires, negative when one has.  False: there are no certificates. */
bool certs_first_expiry(const struct master *m, long long *seconds_r);

#endif
