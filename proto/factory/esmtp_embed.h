/* What proto/embed/ knows of the engine: a session as the engine has it, and
 * logins. */

#ifndef PROTO_FACTORY_ESMTP_EMBED_H
#define PROTO_FACTORY_ESMTP_EMBED_H

#include "proto/command/esmtp_own.h"
#include "proto/server/esmtp_auth.h"

/* esmtp_session.c
 * esmtp_host_enter(ac), esmtp_host_leave(ac): It is one of its host's sessions,
 * and uses its options, from esmtp_session_new() or its first step on (P_ESMTP),
 * and enters once; it has ended. */
void esmtp_host_enter(accept_construct *ac);
void esmtp_host_leave(accept_construct *ac);

#endif
