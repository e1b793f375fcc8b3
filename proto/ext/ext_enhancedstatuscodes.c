/* ENHANCEDSTATUSCODES, RFC 2034: a keyword in the EHLO reply.  The codes are
 * a column of esmtp_reply.def; esmtp_output.c leaves them out in a session
 * without the extension. */

#include "proto/server/esmtp_ext.h"

const struct esmtp_ext esmtp_ext_enhancedstatuscodes = {
	.keyword = "ENHANCEDSTATUSCODES",
};
