/* What proto/embed/ knows of the engine: a session as the engine has it, and
 * logins. */

#ifndef PROTO_SERVER_ESMTP_EMBED_H
#define PROTO_SERVER_ESMTP_EMBED_H

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_own.h"

#endif
