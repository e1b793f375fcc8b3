/* What proto/embed/ knows of the engine: a session as the engine has it, and
 * logins. */

#ifndef PROTO_FACTORY_ESMTP_EMBED_H
#define PROTO_FACTORY_ESMTP_EMBED_H

#include "proto/command/esmtp_own.h"
#include "proto/server/esmtp_auth.h"

#endif
