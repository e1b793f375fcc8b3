/* PIPELINING, RFC 2920: a keyword in the EHLO reply.  The engine always writes
 * the replies to a group at once, and keeps the input that it has not read. */

#include "proto/server/esmtp_ext.h"

const struct esmtp_ext esmtp_ext_pipelining = {
	.keyword = "PIPELINING",
};
