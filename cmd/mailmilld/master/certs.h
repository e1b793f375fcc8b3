/* The master's part in TLS: certificates and keys to the processes that need
 * them, changed files, certificates that end soon, keys of tickets.
 * Owns: which version of the files is in use and which is on its way.
 * It opens files and sends descriptors; it reads no private key (creds.h). */

#ifndef CMD_MAILMILLD_CERTS_H
#define CMD_MAILMILLD_CERTS_H

#include <jansson.h>

#include "cmd/mailmilld/master/master.h"

/* certs_send(m, p, config): Tell ${p}, which is new, what it needs before it
 * starts.  Return 0 or -1. */
int certs_send(struct master *m, struct proc *p, const struct config *config);

/* certs_step(m): see master_step(): what keyds have said, changed files, keys
 * of tickets. */
void certs_step(struct master *m);

/* certs_use(m): m->config is another one, or the first. */
void certs_use(struct master *m);

void certs_close(struct master *m);

/* certs_json(m): [{certificate, name, expires, seconds}] */
json_t *certs_json(const struct master *m);

/* certs_first_expiry(m, &seconds_r): Until the first certificate ends, negative
 * when it has.  False: there is none. */
bool certs_first_expiry(const struct master *m, long long *seconds_r);

#endif
