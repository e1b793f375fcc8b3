/* BINARYMIME, RFC 3030 3: BODY=BINARYMIME of MAIL.  Such a message has no
 * lines: a CR or LF in it is an octet like any other, and all octets are kept
 * as they come.  It can be sent with BDAT only. */

#include "proto/server/esmtp_ext.h"

/* RFC 3030 3: BINARYMIME needs CHUNKING. */
static bool
is_offered(const message_construct *mc)
{
	return (mc->extensions & ESMTP_EXT_BIT(CHUNKING)) != 0;
}

static const struct esmtp_param params[] = {
	{ .keyword = "BODY", .set = esmtp_ext_set_body },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_binarymime = {
	.keyword = "BINARYMIME",
	.is_offered = is_offered,
	.params = params,
};
