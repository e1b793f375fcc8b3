/* CHUNKING, RFC 3030 2: a keyword in the EHLO reply.  The verb BDAT, which it
 * announces, is in esmtp_bdat.c. */

#include "proto/server/esmtp_ext.h"

/* Extensions are for clients that have said EHLO. */
static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->is_esmtp ? RPL_OK : RPL_NO_HELLO;
}

const struct esmtp_ext esmtp_ext_chunking = {
	.keyword = "CHUNKING",
	.may_use = may_use,
};
