/* The worker's side of TLS: contexts made of the certificates that the master
 * sends, signatures that keyd makes, and what is told of handshakes. */

#ifndef CMD_MAILMILLD_WIRE_TLS_H
#define CMD_MAILMILLD_WIRE_TLS_H

#include "cmd/mailmilld/worker/worker_int.h"

/* wire_tls_open(w): Before the process gives up its rights: load what OpenSSL
 * wants from files.  Return 0, or -1 having logged why.  Without TLS in the
 * configuration it does nothing, and nor does the rest.
 * wire_tls_close(w): when no session is left. */
int wire_tls_open(struct worker *w);
void wire_tls_close(struct worker *w);

/* wire_tls_certs(w, certs, fd): M_CERTS: from now on these certificates.  What
 * is wrong with them is logged, and the former ones stay.  ${fd} stays the
 * caller's.  wire_tls_tickets(tickets): M_TICKETS. */
void wire_tls_certs(struct worker *w, const struct msg_certs *certs, int fd);
void wire_tls_tickets(const struct msg_tickets *tickets);

/* wire_tls_connect(w, fd): A channel to keyd, which it takes. */
void wire_tls_connect(struct worker *w, int fd);

/* wire_tls_start(), wire_tls_handshake(): of esmtp_host.h.
 * wire_tls_end(ac): free what they have left in ${ac}. */
int wire_tls_start(void *host, accept_construct *ac);
int wire_tls_handshake(void *host, accept_construct *ac, int *needmask);
void wire_tls_end(accept_construct *ac);

/* Reports, as those of session.c. */
void wire_tls_report(const struct worker *w, const accept_construct *ac,
    const struct esmtp_report *r);
void wire_tls_report_failed(const struct worker *w,
    const accept_construct *ac, const struct esmtp_report *r);

/* host_keyd.c: wire_keyd_new(w): Who asks keyd; NULL: ENOMEM.
 * wire_keyd_connect(k, fd): ask the one at ${fd}, which it takes; what another
 * was asked before has failed. */
struct wire_keyd;
struct tls_remote_ops;
extern const struct tls_remote_ops wire_keyd_ops;	/* closure: that */
struct wire_keyd *wire_keyd_new(struct worker *w);
void wire_keyd_connect(struct wire_keyd *k, int fd);
void wire_keyd_free(struct wire_keyd *k);	/* NULL does nothing */

#endif
