/* 8BITMIME, RFC 6152: the BODY parameter of MAIL.  Messages are kept as they
 * are in either case; the envelope remembers what was said. */

#include "proto/server/esmtp_ext.h"

#include <strings.h>

static enum esmtp_reply_id
set_body(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	/* RFC 6152 2: body-value = "7BIT" / "8BITMIME" */
	if (len == 8 && strncasecmp(value, "8BITMIME", 8) == 0)
		p->env_flags |= SPOOL_ENV_8BITMIME;
	else if (len != 4 || strncasecmp(value, "7BIT", 4) != 0)
		return RPL_SYNTAX;
	return RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "BODY", .set = set_body },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_8bitmime = {
	.keyword = "8BITMIME",
	.params = params,
};
