/* A client that another one speaks for: behind a proxy, or named by XCLIENT. */

#ifndef PROTO_SERVER_ESMTP_PROXY_H
#define PROTO_SERVER_ESMTP_PROXY_H

#include "proto/server/esmtp_state.h"

/* esmtp_proxy.c: esmtp_proxy_hear(mc): Take an answer to peer_changed() by its
 * ticket.  _proxy, _judged: read the PROXY header; then hear whether the host
 * lets the client in.  W_GO, W_WAIT, W_CLOSE, W_END.
 * esmtp_peer_claim(st, peer): The client speaks for another one, at ${peer},
 * NULL: at the address that it has: the session goes back to its set-up, and
 * its counts begin anew. */
void esmtp_peer_claim(struct esmtp_step *st, const struct sockaddr *peer);
void esmtp_proxy_hear(message_construct *mc);
enum esmtp_want esmtp_proxy(struct esmtp_step *st);
enum esmtp_want esmtp_proxy_judged(struct esmtp_step *st);

#endif
