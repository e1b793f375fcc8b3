/* What proto/embed/ knows of the engine: a session as the engine has it. */

#ifndef PROTO_SERVER_ESMTP_EMBED_H
#define PROTO_SERVER_ESMTP_EMBED_H

#include "proto/server/esmtp_int.h"

#endif
