/* BINARYMIME, RFC 3030 3: BODY=BINARYMIME of MAIL.  The octets of such a message
 * are nobody's line ends: they are kept as they come, by BDAT alone. */

#include "proto/server/esmtp_ext.h"

/* RFC 3030 3: it is no use without CHUNKING. */
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
