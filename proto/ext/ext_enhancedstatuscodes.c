/* ENHANCEDSTATUSCODES, RFC 2034: a word in the EHLO reply; the codes are a
 * column of esmtp_reply.def, and the answers leave them out without it. */

#include "proto/server/esmtp_ext.h"

const struct esmtp_ext esmtp_ext_enhancedstatuscodes = {
	.keyword = "ENHANCEDSTATUSCODES",
};
