/* TLS of an ESMTP session: what a host of proto/esmtp_host.h does with tls/.
 * Owns: what is kept of a finished handshake, ac->tls.
 * Knows nothing of contexts, certificates and keys. */

#ifndef TLS_SESSION_TLS_SESSION_H
#define TLS_SESSION_TLS_SESSION_H

#include "proto/esmtp_factory.h"
#include "tls/tlsctx.h"

/* tls_session_start(ac, t): Put TLS with the context ${t} under ac->event.
 * Return 0, or -1 with errno ENOMEM. */
int tls_session_start(accept_construct *ac, struct tlsctx *t);

/* tls_session_handshake(ac, &needmask, kind_r): As tls_handshake() of struct
 * esmtp_host_ops; *${kind_r} is set when it returns -1. */
int tls_session_handshake(accept_construct *ac, int *needmask,
    enum tls_failure_kind *kind_r);

/* tls_session_end(ac): Free ac->tls. */
void tls_session_end(accept_construct *ac);

#endif
