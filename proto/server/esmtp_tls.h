/* The way to TLS. */

#ifndef PROTO_SERVER_ESMTP_TLS_H
#define PROTO_SERVER_ESMTP_TLS_H

#include "proto/server/esmtp_state.h"

/* esmtp_tls.c
 * esmtp_forget(mc): Forget what the client has said (RFC 3207 4.2). */
void esmtp_forget(message_construct *mc);
/* esmtp_tls_may_start(mc): RPL_OK, or how STARTTLS is refused. */
enum esmtp_reply_id esmtp_tls_may_start(const message_construct *mc);
/* esmtp_tls_begin(st): Implicit TLS.  esmtp_tls_step(st): Go on, when
 * mc->tls_stage is not TLS_IDLE.  Return W_GO (ac->tls is set, what the client
 * said before is forgotten), W_WAIT, W_WRITE, W_END. */
enum esmtp_want esmtp_tls_begin(struct esmtp_step *st);
enum esmtp_want esmtp_tls_step(struct esmtp_step *st);
/* esmtp_tls_failed(st, why, errnum): Report it; always W_END. */
enum esmtp_want esmtp_tls_failed(struct esmtp_step *st, const char *why,
    int errnum);
/* esmtp_tls_end(ac): The session is over: the host frees what it has kept. */
void esmtp_tls_end(accept_construct *ac);
/* esmtp_tls_raise(mc): At TLS_GO_AHEAD, give the event its TLS. */
void esmtp_tls_raise(message_construct *mc);

#endif
